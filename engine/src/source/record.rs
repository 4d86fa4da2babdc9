//! One Kafka record as every station to the right sees it.
//!
//! The payloads are slices of shared buffers: cloning a record copies no bytes.

use std::sync::Arc;

use bytes::Bytes;

/// A Kafka message at its coordinates.
#[derive(Debug, Clone)]
pub struct Record {
    /// The topic, shared by all its records.
    pub topic: Arc<str>,
    /// The partition within the topic.
    pub partition: i32,
    /// The record's offset within the partition.
    pub offset: i64,
    /// The broker's or producer's time, milliseconds since 1970 UTC; -1 where unknown.
    pub timestamp_ms: i64,
    /// The key's bytes; `None` where the message has no key.
    pub key: Option<Bytes>,
    /// The value's bytes; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers that matter to us (`__debezium.newkey`, `__debezium.oldkey`); others are dropped.
    pub headers: Vec<(String, Bytes)>,
}

impl Record {
    /// The same record in buffers of its own: it holds nothing of its neighbours in memory.
    pub fn detached(self) -> Self {
        let own = |bytes: Bytes| Bytes::copy_from_slice(&bytes);
        Self {
            key: self.key.map(own),
            value: self.value.map(own),
            headers: self.headers.into_iter().map(|(name, value)| (name, own(value))).collect(),
            ..self
        }
    }
}
