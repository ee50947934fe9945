//! One record by its position, read without joining the group.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::Config;
use crate::kafka::fault::{Call, Fault};
use crate::kafka::{REQUEST_TIMEOUT, consumer_settings};
use crate::record::Position;

/// Reads the record at `position`.
///
/// # Errors
/// [`Fault::Fatal`] where the partition holds no such record (it says which it holds) or no broker answers.
pub fn record_at(config: &Config, position: Position<'_>) -> Result<OwnedMessage, Fault> {
    let mut settings = consumer_settings(config, 0);
    settings.remove("group.instance.id");
    let consumer: BaseConsumer = settings.create().map_err(|error| Fault::of(Call::Open, &error))?;
    let fatal = |error: KafkaError| Fault::Fatal(format!("{position}: {error}"));
    let (low, high) = consumer.fetch_watermarks(position.topic, position.partition, REQUEST_TIMEOUT).map_err(fatal)?;
    if position.offset < low || position.offset >= high {
        return Err(Fault::Fatal(format!("no record at {position}: the partition holds offsets {low} to {}", high - 1)));
    }
    let mut wanted = TopicPartitionList::new();
    let offset = Offset::Offset(position.offset);
    wanted.add_partition_offset(position.topic, position.partition, offset).map_err(fatal)?;
    // Assigned by hand: the group does not hear of it.
    consumer.assign(&wanted).map_err(fatal)?;
    let until = Instant::now() + REQUEST_TIMEOUT;
    while Instant::now() < until {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) => break,
            Some(Err(error)) => return Err(fatal(error)),
            Some(Ok(message)) => {
                let message = message.detach();
                let found = rdkafka::Message::offset(&message);
                if found == position.offset {
                    return Ok(message);
                }
                return Err(Fault::Fatal(format!("no record at {position}: the next one is at offset {found}")));
            }
        }
    }
    Err(Fault::Fatal(format!("{position}: no answer within {REQUEST_TIMEOUT:?}")))
}
