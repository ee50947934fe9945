//! The few librdkafka calls that the safe binding lacks. The only module with `unsafe` code; it decides nothing.
#![expect(unsafe_code, reason = "librdkafka calls without a safe binding in rdkafka 0.39")]

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys::bindings as sys;

/// Commits `offsets` and waits for the answer, at most `timeout`.
///
/// The binding's own call waits for ever while the coordinator is away, and hides the partitions that were refused.
pub(crate) fn commit<C: ClientContext>(
    client: &Client<C>,
    offsets: &TopicPartitionList,
    timeout: Duration,
) -> Result<(), RDKafkaErrorCode> {
    // SAFETY: the client outlives the call. The queue and the event are ours and are destroyed here, each once; an answer
    // that comes later finds the queue disabled, and librdkafka frees it.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client.native_ptr());
        let error = sys::rd_kafka_commit_queue(client.native_ptr(), offsets.ptr(), queue, None, ptr::null_mut());
        let result = match check(error) {
            Err(code) => Err(code),
            Ok(()) => {
                let event = sys::rd_kafka_queue_poll(queue, milliseconds(timeout));
                let result = commit_result(event);
                sys::rd_kafka_event_destroy(event);
                result
            }
        };
        sys::rd_kafka_queue_destroy(queue);
        result
    }
}

/// Reads a commit's answer: the first error among the call and its partitions.
///
/// # Safety
/// `event` is null (no answer in time), or a commit's event that is not yet destroyed.
unsafe fn commit_result(event: *mut sys::rd_kafka_event_t) -> Result<(), RDKafkaErrorCode> {
    if event.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    // SAFETY: the event owns the list, whose `elems` are `cnt` initialised elements, and both outlive this function.
    unsafe {
        check(sys::rd_kafka_event_error(event))?;
        let list = sys::rd_kafka_event_topic_partition_list(event);
        if list.is_null() || (*list).elems.is_null() {
            return Ok(());
        }
        let count = usize::try_from((*list).cnt).unwrap_or_default();
        std::slice::from_raw_parts((*list).elems, count).iter().try_for_each(|partition| check(partition.err))
    }
}

fn check(error: sys::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    if error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(error.into()) }
}

/// Sends what lingers, and waits until nothing is in flight, at most `timeout`. Serves no delivery reports.
///
/// The binding's own flush polls in steps of 100 ms, which would be an epoch's length each time.
pub(crate) fn flush<C: ClientContext>(client: &Client<C>, timeout: Duration) {
    // SAFETY: the client outlives the call. What it returns, the caller learns better from the number in flight.
    unsafe {
        sys::rd_kafka_flush(client.native_ptr(), milliseconds(timeout));
    }
}

/// Returns the partition's end as the last fetch answer told it; absent while none has come. Asks no broker.
pub(crate) fn high_watermark<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: all pointers are valid for the call, which writes two numbers.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(client.native_ptr(), topic.as_ptr(), partition, &raw mut low, &raw mut high)
    };
    check(error).ok().filter(|()| high >= 0).map(|()| high)
}

/// Makes the embedded cluster of `client` answer a group's first member at once, instead of after three seconds.
pub(crate) fn skip_rebalance_delay<C: ClientContext>(client: &Client<C>) {
    // SAFETY: the handle belongs to the client, which outlives the call; it is null where there is no embedded cluster.
    unsafe {
        let cluster = sys::rd_kafka_handle_mock_cluster(client.native_ptr());
        if !cluster.is_null() {
            sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
        }
    }
}

fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}
