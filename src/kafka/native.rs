//! The few librdkafka calls that the safe binding lacks. The only module with `unsafe` code; it decides nothing.
#![expect(
    unsafe_code,
    reason = "librdkafka calls without a safe binding in rdkafka 0.39"
)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedHeaders, Message, Timestamp};
use rdkafka::producer::{Producer, ProducerContext};
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
    // SAFETY: the client outlives the call. An answer that comes later finds the queue disabled, and librdkafka frees it.
    unsafe {
        let queue = Owned(
            sys::rd_kafka_queue_new(client.native_ptr()),
            sys::rd_kafka_queue_destroy,
        );
        check(sys::rd_kafka_commit_queue(
            client.native_ptr(),
            offsets.ptr(),
            queue.0,
            None,
            ptr::null_mut(),
        ))?;
        let event = Owned(
            sys::rd_kafka_queue_poll(queue.0, milliseconds(timeout)),
            sys::rd_kafka_event_destroy,
        );
        commit_result(event.0)
    }
}

/// Something of librdkafka's that is ours, and how it is destroyed. Null only where that does nothing for null, as for events.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: whoever made this owns the pointer, which is destroyed here and nowhere else.
        unsafe { (self.1)(self.0) }
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
        std::slice::from_raw_parts((*list).elems, count)
            .iter()
            .try_for_each(|partition| check(partition.err))
    }
}

fn check(error: sys::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    if error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        Ok(())
    } else {
        Err(error.into())
    }
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

/// A topic as a producer knows it, so that its name is looked up once and not for each record.
pub(crate) struct ProducerTopic<P> {
    /// Stands before its producer, and is destroyed before it.
    topic: Owned<sys::rd_kafka_topic_t>,
    _producer: Arc<P>,
}

impl<P> ProducerTopic<P> {
    /// Returns the topic of this name, with the producer's settings; absent where librdkafka refuses the name.
    pub(crate) fn new<C: ProducerContext>(producer: &Arc<P>, name: &str) -> Option<ProducerTopic<P>>
    where
        P: Producer<C>,
    {
        let name = CString::new(name).ok()?;
        // SAFETY: the producer and the name outlive the call; null settings mean the producer's.
        let topic = unsafe {
            sys::rd_kafka_topic_new(
                producer.client().native_ptr(),
                name.as_ptr(),
                ptr::null_mut(),
            )
        };
        let topic = (!topic.is_null()).then_some(Owned(topic, sys::rd_kafka_topic_destroy))?;
        Some(ProducerTopic {
            topic,
            _producer: Arc::clone(producer),
        })
    }
}

/// A record on its way into librdkafka.
pub(crate) struct Outgoing<'a> {
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) key: Option<&'a [u8]>,
    /// Absent where the producer's partitioner chooses.
    pub(crate) partition: Option<i32>,
    /// Comes back with the delivery report.
    pub(crate) opaque: usize,
}

/// Many records of one topic for one call; the memory is used again.
///
/// The binding has a call for each record only, at nearly twice the client's time. Headers cannot leave this way.
#[derive(Default)]
pub(crate) struct Batch(Vec<sys::rd_kafka_message_t>);

impl Batch {
    /// Copies `records` into the producer's queue, in order. Where one finds no room, none that follows does.
    pub(crate) fn produce<'a, P>(
        &mut self,
        topic: &ProducerTopic<P>,
        records: impl Iterator<Item = Outgoing<'a>>,
    ) {
        self.0.clear();
        self.0.extend(records.map(|record| message(&record)));
        let count = i32::try_from(self.0.len()).unwrap_or(i32::MAX);
        let flags = sys::RD_KAFKA_MSG_F_COPY | sys::RD_KAFKA_MSG_F_PARTITION;
        // SAFETY: the topic lives, there are `count` messages at least, and their keys and values live for `'a`, which is longer
        // than the call; librdkafka copies them and keeps none of the pointers.
        unsafe {
            sys::rd_kafka_produce_batch(
                topic.topic.0,
                UNASSIGNED,
                flags,
                self.0.as_mut_ptr(),
                count,
            );
        }
    }

    /// Returns how each of the last records went.
    pub(crate) fn results(&self) -> impl Iterator<Item = Result<(), RDKafkaErrorCode>> {
        self.0.iter().map(|message| check(message.err))
    }
}

/// `RD_KAFKA_PARTITION_UA`, a macro that the bindings lack.
const UNASSIGNED: i32 = -1;

fn message(record: &Outgoing<'_>) -> sys::rd_kafka_message_t {
    let (payload, len) = parts(record.value);
    let (key, key_len) = parts(record.key);
    sys::rd_kafka_message_t {
        err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: ptr::null_mut(),
        partition: record.partition.unwrap_or(UNASSIGNED),
        payload,
        len,
        key,
        key_len,
        offset: 0,
        _private: ptr::without_provenance_mut(record.opaque),
    }
}

fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| {
        (bytes.as_ptr().cast_mut().cast(), bytes.len())
    })
}

/// Returns the partition that the producer's partitioner gives to a key.
pub(crate) fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    // SAFETY: the key is valid for the call, which reads nothing else: it uses neither the topic nor the two opaques.
    unsafe {
        sys::rd_kafka_msg_partitioner_murmur2(
            ptr::null(),
            key.as_ptr().cast(),
            key.len(),
            partitions.max(1),
            ptr::null_mut(),
            ptr::null_mut(),
        )
    }
}

/// Returns the partition's end as the last fetch answer told it; absent while none has come. Asks no broker.
pub(crate) fn high_watermark<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: all pointers are valid for the call, which writes two numbers.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
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

/// Takes what a client has complained of and nobody has heard: the errors among its events and its log lines, oldest first.
///
/// A client that is only asked something is never polled, so that what it says of itself would pile up unheard.
pub(crate) fn complaints<C: ClientContext>(client: &Client<C>) -> Vec<String> {
    let mut complaints = Vec::new();
    // SAFETY: the client outlives the queue and the events; each text is copied while its event lives.
    unsafe {
        let queue = Owned(
            sys::rd_kafka_queue_get_main(client.native_ptr()),
            sys::rd_kafka_queue_destroy,
        );
        loop {
            let event = Owned(
                sys::rd_kafka_queue_poll(queue.0, 0),
                sys::rd_kafka_event_destroy,
            );
            if event.0.is_null() {
                return complaints;
            }
            complaints.extend(complaint(event.0));
        }
    }
}

/// Copies an error's reason, or a log line that is one.
///
/// # Safety
/// `event` is one that is not yet destroyed.
unsafe fn complaint(event: *mut sys::rd_kafka_event_t) -> Option<String> {
    let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: as the caller says; the texts are the event's, and those that are asked for are there.
    unsafe {
        let text = match sys::rd_kafka_event_type(event) {
            sys::RD_KAFKA_EVENT_ERROR => sys::rd_kafka_event_error_string(event),
            sys::RD_KAFKA_EVENT_LOG => {
                let is_told = sys::rd_kafka_event_log(
                    event,
                    &raw mut facility,
                    &raw mut line,
                    &raw mut level,
                ) == 0;
                let is_failure = is_told
                    && (level <= SYSLOG_ERROR
                        || CStr::from_ptr(facility).to_bytes().starts_with(b"FAIL"));
                if is_failure { line } else { ptr::null() }
            }
            _ => ptr::null(),
        };
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

/// `LOG_ERR` of syslog, whose levels librdkafka's are.
const SYSLOG_ERROR: i32 = 3;

/// A consumer's queue, which the binding's own poll reads too. That one hides which partition and offset an error is about.
pub(crate) struct ConsumerQueue(Owned<sys::rd_kafka_queue_t>);

impl ConsumerQueue {
    /// Returns the queue of a consumer with a group, to be dropped before its client; absent where the client is none.
    pub(crate) fn of<C: ClientContext>(client: &Client<C>) -> Option<ConsumerQueue> {
        // SAFETY: the client outlives the call; the queue is counted, and ours to give back.
        let queue = unsafe { sys::rd_kafka_queue_get_consumer(client.native_ptr()) };
        (!queue.is_null()).then_some(ConsumerQueue(Owned(queue, sys::rd_kafka_queue_destroy)))
    }

    /// Returns the next event, waiting for one at most `timeout`.
    pub(crate) fn poll(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: the queue is ours, and so is the event.
        let event = unsafe { sys::rd_kafka_queue_poll(self.0.0, milliseconds(timeout)) };
        (!event.is_null()).then_some(Event(Owned(event, sys::rd_kafka_event_destroy)))
    }
}

/// What a consumer's queue had next.
pub(crate) struct Event(Owned<sys::rd_kafka_event_t>);

/// What an event is.
pub(crate) enum Kind<'a> {
    Record(Fetched<'a>),
    Error(ConsumerError),
    /// Assigns or revokes these partitions.
    Rebalance(sys::rd_kafka_resp_err_t, Vec<(String, i32)>),
    Statistics(&'a [u8]),
    Log {
        level: i32,
        facility: String,
        line: String,
    },
    /// Nothing that anybody waits for.
    Other,
}

/// An error that a consumer reports.
#[derive(Debug)]
pub(crate) struct ConsumerError {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) reason: String,
    pub(crate) is_fatal: bool,
    /// The topic, the partition and the offset that it is about, if it is about one.
    pub(crate) place: Option<(String, i32, i64)>,
}

impl Event {
    /// Returns what it is. A record is lent by it, and can be asked for once.
    pub(crate) fn kind(&self) -> Kind<'_> {
        let event = self.0.0;
        // SAFETY: the event lives as long as `self`, and with it all texts, lists and messages that it hands out; each is asked
        // for of an event that has it, and what may be null is checked.
        unsafe {
            match sys::rd_kafka_event_type(event) {
                sys::RD_KAFKA_EVENT_FETCH => sys::rd_kafka_event_message_next(event)
                    .as_ref()
                    .map_or(Kind::Other, |message| Kind::Record(Fetched(message))),
                sys::RD_KAFKA_EVENT_ERROR => Kind::Error(consumer_error(event)),
                sys::RD_KAFKA_EVENT_REBALANCE => {
                    let kind = sys::rd_kafka_event_error(event);
                    let list = sys::rd_kafka_event_topic_partition_list(event).as_ref();
                    let elements = list.map_or(&[][..], |list| {
                        slice(list.elems, usize::try_from(list.cnt).unwrap_or_default())
                    });
                    let partitions = elements
                        .iter()
                        .map(|element| (text(element.topic), element.partition))
                        .collect();
                    Kind::Rebalance(kind, partitions)
                }
                sys::RD_KAFKA_EVENT_STATS => {
                    Kind::Statistics(CStr::from_ptr(sys::rd_kafka_event_stats(event)).to_bytes())
                }
                sys::RD_KAFKA_EVENT_LOG => {
                    let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
                    sys::rd_kafka_event_log(
                        event,
                        &raw mut facility,
                        &raw mut line,
                        &raw mut level,
                    );
                    Kind::Log {
                        level,
                        facility: text(facility),
                        line: text(line),
                    }
                }
                _ => Kind::Other,
            }
        }
    }
}

/// Copies an error event.
///
/// # Safety
/// `event` is an error's, and not yet destroyed.
unsafe fn consumer_error(event: *mut sys::rd_kafka_event_t) -> ConsumerError {
    // SAFETY: as the caller says. The partition is a copy, null where the error is about none, and destroyed here.
    unsafe {
        let partition = sys::rd_kafka_event_topic_partition(event);
        let place = partition
            .as_ref()
            .map(|place| (text(place.topic), place.partition, place.offset));
        if !partition.is_null() {
            sys::rd_kafka_topic_partition_destroy(partition);
        }
        ConsumerError {
            code: sys::rd_kafka_event_error(event).into(),
            reason: text(sys::rd_kafka_event_error_string(event))
                .trim()
                .to_owned(),
            is_fatal: sys::rd_kafka_event_error_is_fatal(event) != 0,
            place,
        }
    }
}

/// Copies a text of librdkafka's, empty where it is null.
///
/// # Safety
/// `text` is null, or a C string.
unsafe fn text(text: *const c_char) -> String {
    // SAFETY: as the caller says.
    if text.is_null() {
        String::new()
    } else {
        unsafe { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

/// A record that an [`Event`] lends.
pub(crate) struct Fetched<'a>(&'a sys::rd_kafka_message_t);

impl Message for Fetched<'_> {
    type Headers = BorrowedHeaders;

    fn key(&self) -> Option<&[u8]> {
        // SAFETY: a key that is not null has `key_len` bytes, which live as long as the event.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    fn payload(&self) -> Option<&[u8]> {
        // SAFETY: a value that is not null has `len` bytes, which live as long as the event.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    unsafe fn payload_mut(&mut self) -> Option<&mut [u8]> {
        None
    }

    fn topic(&self) -> &str {
        // SAFETY: a record has a topic, whose name lives as long as the topic, which the record counts.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.0.rkt)) }
            .to_str()
            .unwrap_or_default()
    }

    fn partition(&self) -> i32 {
        self.0.partition
    }

    fn offset(&self) -> i64 {
        self.0.offset
    }

    fn timestamp(&self) -> Timestamp {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: both pointers are valid for the call.
        match unsafe { sys::rd_kafka_message_timestamp(self.0, &raw mut kind) } {
            -1 => Timestamp::NotAvailable,
            milliseconds => Timestamp::CreateTime(milliseconds),
        }
    }

    fn headers(&self) -> Option<&BorrowedHeaders> {
        let mut headers = ptr::null_mut();
        // SAFETY: both pointers are valid for the call; the headers live as long as the record. The binding's type has no size:
        // it is the pointer.
        unsafe {
            let found = check(sys::rd_kafka_message_headers(self.0, &raw mut headers)).is_ok()
                && !headers.is_null();
            found.then(|| &*headers.cast::<BorrowedHeaders>())
        }
    }
}

/// Returns bytes of librdkafka's.
///
/// # Safety
/// `first` is null, or begins `count` bytes that live for `'a`.
unsafe fn bytes<'a>(first: *const c_void, count: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    (!first.is_null()).then(|| unsafe { slice(first.cast(), count) })
}

/// What the brokers say of a topic.
#[derive(Debug)]
pub(crate) struct TopicDescription {
    pub(crate) name: String,
    /// Its number of partitions.
    pub(crate) partitions: Result<usize, RDKafkaErrorCode>,
    /// What we may do with it, as Kafka numbers the operations of access control; absent where the brokers do not tell.
    pub(crate) operations: Option<Vec<u32>>,
}

impl TopicDescription {
    /// Returns whether records may be read; also where that is not told.
    pub(crate) fn may_read(&self) -> bool {
        self.may(sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ as u32)
    }

    /// Returns whether records may be written; also where that is not told.
    pub(crate) fn may_write(&self) -> bool {
        self.may(sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE as u32)
    }

    fn may(&self, operation: u32) -> bool {
        self.operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&operation))
    }
}

/// Asks the brokers about topics, and what we may do with each (KIP-430). The binding has no such call.
pub(crate) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    timeout: Duration,
) -> Result<Vec<TopicDescription>, RDKafkaErrorCode> {
    let invalid = |_| RDKafkaErrorCode::InvalidTopic;
    let names: Vec<CString> = names
        .iter()
        .map(|name| CString::new(*name))
        .collect::<Result<_, _>>()
        .map_err(invalid)?;
    let mut names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the client and the names outlive the call; librdkafka copies the names. What it makes for us is destroyed with
    // its owner, in the reverse order; what is read of the event is copied while the event lives.
    unsafe {
        let (rk, api) = (
            client.native_ptr(),
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let topics = Owned(
            sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
            sys::rd_kafka_TopicCollection_destroy,
        );
        let options = Owned(
            sys::rd_kafka_AdminOptions_new(rk, api),
            sys::rd_kafka_AdminOptions_destroy,
        );
        let wait = milliseconds(timeout);
        check(sys::rd_kafka_AdminOptions_set_request_timeout(
            options.0,
            wait,
            ptr::null_mut(),
            0,
        ))?;
        let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.0, 1);
        if !refused.is_null() {
            return Err(
                sys::rd_kafka_error_code(Owned(refused, sys::rd_kafka_error_destroy).0).into(),
            );
        }
        let queue = Owned(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy);
        sys::rd_kafka_DescribeTopics(rk, topics.0, options.0, queue.0);
        let event = Owned(
            sys::rd_kafka_queue_poll(queue.0, wait),
            sys::rd_kafka_event_destroy,
        );
        descriptions(event.0)
    }
}

/// Copies the answer to a description of topics.
///
/// # Safety
/// `event` is null (no answer in time), or such an answer that is not yet destroyed.
unsafe fn descriptions(
    event: *mut sys::rd_kafka_event_t,
) -> Result<Vec<TopicDescription>, RDKafkaErrorCode> {
    if event.is_null() {
        return Err(RDKafkaErrorCode::OperationTimedOut);
    }
    // SAFETY: the event owns the result and all that is in it.
    unsafe {
        check(sys::rd_kafka_event_error(event))?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Ok(slice(topics, count)
            .iter()
            .map(|topic| description(*topic))
            .collect())
    }
}

/// Copies the description of one topic.
///
/// # Safety
/// `topic` is part of an event that is not yet destroyed.
unsafe fn description(topic: *const sys::rd_kafka_TopicDescription_t) -> TopicDescription {
    // SAFETY: the name and the error, which may be null, live as long as the topic. The operations are C enums of 32 bits, of
    // which a broker may know more than the binding, so that they are read as numbers.
    unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic))
            .to_string_lossy()
            .into_owned();
        let (mut partitions, mut count) = (0, 0);
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let error = check(sys::rd_kafka_error_code(
            sys::rd_kafka_TopicDescription_error(topic),
        ));
        let operations =
            sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count)
                .cast::<u32>();
        let operations = (!operations.is_null()).then(|| slice(operations, count).to_vec());
        TopicDescription {
            name,
            partitions: error.map(|()| partitions),
            operations,
        }
    }
}

/// Returns an array of librdkafka's, empty where it is null.
///
/// # Safety
/// `first` is null, or begins `count` initialised elements that live for `'a`.
unsafe fn slice<'a, T>(first: *const T, count: usize) -> &'a [T] {
    // SAFETY: as the caller says.
    if first.is_null() {
        &[]
    } else {
        unsafe { std::slice::from_raw_parts(first, count) }
    }
}

fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::io::{Read, Seek, SeekFrom};
    use std::os::fd::IntoRawFd;

    use super::*;

    /// The hashes are those of Kafka's own test of `Utils.murmur2`.
    #[test]
    fn a_key_goes_where_a_java_producer_sends_it() {
        let hashes = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ];
        for (key, hash) in hashes {
            assert_eq!(
                partition_of_key(key.as_bytes(), 997),
                (hash & 0x7fff_ffff) % 997,
                "{key}"
            );
        }
    }

    #[test]
    fn aliases_and_hidden_properties_are_found() {
        let names = property_names();
        assert!(names.len() > 190, "{names:?}");
        for name in [
            "bootstrap.servers",
            "acks",
            "enable_sasl_queue",
            "partitioner",
        ] {
            assert!(names.contains(name), "{name}");
        }
    }

    /// Returns the name of every property that librdkafka has: what it would print of its own, aliases with it, and what a
    /// configuration dump has besides, the hidden ones.
    pub(crate) fn property_names() -> BTreeSet<String> {
        unsafe extern "C" {
            fn fdopen(descriptor: std::ffi::c_int, mode: *const c_char) -> *mut c_void;
            fn fclose(file: *mut c_void) -> std::ffi::c_int;
        }

        let mut printed = tempfile::tempfile().expect("a temporary file");
        let descriptor = printed.try_clone().expect("a descriptor").into_raw_fd();
        let mut names = BTreeSet::new();
        // SAFETY: the stream owns its descriptor. The settings outlive their dumps.
        unsafe {
            let stream = fdopen(descriptor, c"w".as_ptr());
            sys::rd_kafka_conf_properties_show(stream.cast());
            fclose(stream);
            let settings = Owned(sys::rd_kafka_conf_new(), sys::rd_kafka_conf_destroy);
            let of_topics = Owned(
                sys::rd_kafka_topic_conf_new(),
                sys::rd_kafka_topic_conf_destroy,
            );
            let mut count = 0;
            let dumped = sys::rd_kafka_conf_dump(settings.0, &mut count);
            take_names(dumped, count, &mut names);
            let dumped = sys::rd_kafka_topic_conf_dump(of_topics.0, &mut count);
            take_names(dumped, count, &mut names);
        }
        let mut text = String::new();
        printed.seek(SeekFrom::Start(0)).expect("a file seeks");
        printed.read_to_string(&mut text).expect("text");
        let rows = text.lines().filter_map(|line| line.split_once(" | "));
        let printed = rows.map(|(name, _)| name.trim().to_owned());
        names.extend(printed.filter(|name| name != "Property"));
        names
    }

    /// Adds the names of a dump to `names`, and frees it.
    ///
    /// # Safety
    /// It is a dump of librdkafka's, of `count` strings.
    unsafe fn take_names(dumped: *mut *const c_char, count: usize, names: &mut BTreeSet<String>) {
        // SAFETY: names and values take turns, and are copied before they are freed.
        unsafe {
            for index in (0..count).step_by(2) {
                let name = CStr::from_ptr(*dumped.add(index));
                names.insert(name.to_string_lossy().into_owned());
            }
            sys::rd_kafka_conf_dump_free(dumped, count);
        }
    }
}
