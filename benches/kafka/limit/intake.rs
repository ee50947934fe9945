//! Many records for one call, which the binding lacks.
#![expect(
    unsafe_code,
    reason = "rd_kafka_consume_batch_queue has no safe binding in rdkafka 0.39"
)]

use std::ptr;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka_sys::bindings as sys;

/// As many as one call returns at most.
const CAPACITY: usize = 1000;

/// Records that were received together. The consumer must outlive it.
pub(super) struct Batch {
    queue: *mut sys::rd_kafka_queue_t,
    messages: Vec<*mut sys::rd_kafka_message_t>,
}

/// One of them, as far as it is copied.
#[derive(Clone, Copy)]
pub(super) struct Received<'a> {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: &'a [u8],
}

impl Batch {
    pub(super) fn of(consumer: &BaseConsumer) -> Batch {
        // SAFETY: the consumer lives, and has a queue as every consumer of a group does.
        let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        assert!(!queue.is_null(), "a consumer has a queue");
        Batch {
            queue,
            messages: Vec::with_capacity(CAPACITY),
        }
    }

    /// Takes the next records in the place of those that it holds.
    pub(super) fn receive(&mut self, timeout: Duration) {
        self.clear();
        let wait = i32::try_from(timeout.as_millis()).expect("it is short");
        // SAFETY: the queue lives, and there is room for as many pointers as are asked for, of which `count` are then written.
        unsafe {
            let count = sys::rd_kafka_consume_batch_queue(
                self.queue,
                wait,
                self.messages.as_mut_ptr(),
                CAPACITY,
            );
            self.messages
                .set_len(usize::try_from(count).expect("the queue answers"));
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Received<'_>> {
        // SAFETY: the messages are ours until they are destroyed, for which `self` must be borrowed mutably. A key is as long
        // as it says, or null where there is none.
        self.messages.iter().map(|message| unsafe {
            let message = &**message;
            assert!(
                message.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
                "{:?}",
                message.err
            );
            let key = if message.key.is_null() {
                ptr::dangling()
            } else {
                message.key.cast::<u8>().cast_const()
            };
            let key = std::slice::from_raw_parts(key, message.key_len);
            Received {
                partition: message.partition,
                offset: message.offset,
                key,
            }
        })
    }

    fn clear(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: it is ours, and no longer in the list.
            unsafe { sys::rd_kafka_message_destroy(message) };
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: it is ours and used no more.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}
