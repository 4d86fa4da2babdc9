//! One Kafka message of the bank, before it has a partition.
//!
//! It must never choose a partition by anything but its key: whoever has the topic's partition
//! count asks `partition`, and gets what Kafka's own Java client would choose.

use std::sync::Arc;

use bytes::Bytes;

/// Headers, shared by all messages of a connector.
pub type Headers = Arc<[(Arc<str>, Bytes)]>;

/// A Kafka message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The key's JSON; Debezium's messages for tables with a primary key always have one.
    pub key: Option<Bytes>,
    /// The value's JSON; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Names and values.
    pub headers: Headers,
    /// When the connector sent it, milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Murmur2 of the key's bytes, 0 without a key.
    pub key_hash: u32,
}

impl Message {
    /// The partition that Kafka's default partitioner chooses; 0 where `partitions` is below 1.
    pub fn partition(&self, partitions: i32) -> i32 {
        ((self.key_hash & 0x7fff_ffff) as i32).checked_rem(partitions.max(1)).unwrap_or(0)
    }
}

/// Kafka's murmur2, which its default partitioner applies to keys.
pub fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let k = word.iter().rev().fold(0, |k: u32, byte| k << 8 | u32::from(*byte));
        let k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ (k ^ (k >> 24)).wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let k = rest.iter().rev().fold(0, |k: u32, byte| k << 8 | u32::from(*byte));
        h = (h ^ k).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}
