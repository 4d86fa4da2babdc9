//! One partition being read: its queue, its position, its records' copies.
//!
//! The hot path of the station. It must never hand out a record below its position, nor pass over
//! an error that may hide one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};

use super::Polled;
use super::arena::Arena;
use super::client::Queue;
use super::fault::{Fault, damaged, denied, meaning};
use super::record::Record;
use crate::error::{Error, Result};

/// The headers that later stations read.
pub const KEPT_HEADERS: [&str; 2] = ["__debezium.newkey", "__debezium.oldkey"];

/// A partition and how far it is read.
pub struct Lane {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition within the topic.
    pub partition: i32,
    /// The offset after the last record handed out.
    pub position: i64,
    /// Nothing was left at the last look.
    pub at_end: bool,
    /// Nothing is handed out for now; the queue fills up to its bound and waits.
    pub paused: bool,
    /// Where the client puts the partition's records.
    pub queue: Queue,
}

/// How a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// The queue is empty.
    Dry,
    /// There may be more.
    Full,
    /// The broker does not hold the record at our position.
    Gap,
}

impl Lane {
    /// Moves up to `room` records to `out`.
    pub fn drain(&mut self, room: usize, arena: &mut Arena, out: &mut Vec<Polled>) -> Result<Turn> {
        for _ in 0..room {
            match self.queue.poll(Duration::ZERO) {
                None => return Ok(Turn::Dry),
                Some(Ok(message)) => {
                    let offset = message.offset();
                    if offset < self.position {
                        continue;
                    }
                    let record = record(&self.topic, self.partition, &message, arena);
                    (self.position, self.at_end) = (offset + 1, false);
                    out.push(Polled::Record(record));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.at_end = true;
                    let (topic, partition) = (Arc::clone(&self.topic), self.partition);
                    out.push(Polled::AtEnd { topic, partition });
                }
                Some(Err(cause)) => {
                    if self.weigh(&cause)? == Turn::Gap {
                        return Ok(Turn::Gap);
                    }
                }
            }
        }
        Ok(Turn::Full)
    }

    /// What to do about an error of this partition.
    fn weigh(&self, cause: &KafkaError) -> Result<Turn> {
        let (topic, partition, position) = (&self.topic, self.partition, self.position);
        let Some(code) = cause.rdkafka_error_code() else {
            return Err(Error::bug(format!("topic `{topic}`, partition {partition}: {cause}")));
        };
        match meaning(code) {
            Fault::Passing => {
                tracing::warn!(%topic, partition, position, "kafka: {code}; trying again");
                Ok(Turn::Full)
            }
            Fault::Gap => Ok(Turn::Gap),
            Fault::Denied => Err(denied(&format!("topic `{topic}`"), code)),
            Fault::Final => Err(damaged(topic, partition, position, code)),
        }
    }
}

fn record(
    topic: &Arc<str>,
    partition: i32,
    message: &BorrowedMessage<'_>,
    arena: &mut Arena,
) -> Record {
    Record {
        topic: Arc::clone(topic),
        partition,
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(|key| arena.copy(key)),
        value: message.payload().map(|value| arena.copy(value)),
        headers: kept_headers(message, arena),
    }
}

fn kept_headers(message: &BorrowedMessage<'_>, arena: &mut Arena) -> Vec<(String, Bytes)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let mut kept = Vec::new();
    for index in 0..headers.count() {
        // rdkafka 0.39 panics on a name that is no UTF-8. Such a header is none of ours, and must
        // not bring the line down.
        let found = catch_unwind(AssertUnwindSafe(|| headers.try_get(index))).ok().flatten();
        if let Some(header) = found.filter(|header| KEPT_HEADERS.contains(&header.key)) {
            kept.push((header.key.to_owned(), arena.copy(header.value.unwrap_or_default())));
        }
    }
    kept
}
