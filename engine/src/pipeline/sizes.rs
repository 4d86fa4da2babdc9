//! What a record holds in memory: the measure of every byte bound between stations.

use crate::envelope::change::Change;
use crate::epoch::item::Item;
use crate::source::record::Record;

/// A change's own fields and its place in a queue, which may have doubled its room just now.
const CHANGE_BYTES: usize = size_of::<Change>() + 2 * size_of::<Item>();

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
