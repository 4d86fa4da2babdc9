//! What a record holds in memory: the measure of every byte bound between stations.

use crate::source::record::Record;

/// A change's own fields, besides the buffers it shares.
const CHANGE_BYTES: usize = 400;

/// Bytes a record holds while it waits.
pub fn bytes_of(record: &Record) -> usize {
    let key = record.key.as_ref().map_or(0, bytes::Bytes::len);
    let value = record.value.as_ref().map_or(0, bytes::Bytes::len);
    key + value + CHANGE_BYTES
}

/// Of such a measure, the bytes of key and value.
pub fn content_bytes(measured: usize) -> u64 {
    measured.saturating_sub(CHANGE_BYTES) as u64
}
