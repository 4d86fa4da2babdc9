//! What is pushed into a cutter: one parsed record at its coordinates, and what is known up front.
//!
//! Nothing here decides anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::envelope::change::{Change, Parsed, ReadMark};
use crate::source::record::Record;

/// A partition's name: topic and number.
pub type PartitionKey = (Arc<str>, i32);

/// One record after phase 1 of the envelope station.
#[derive(Debug, Clone)]
pub struct Item {
    /// The topic it came from.
    pub topic: Arc<str>,
    /// The partition within the topic.
    pub partition: i32,
    /// The offset within the partition.
    pub offset: i64,
    /// What it holds in memory, for the bounds.
    pub bytes: usize,
    /// What it turned out to be.
    pub parsed: Parsed,
    /// The record itself, for dead letters; given where `parsed` is malformed.
    pub record: Option<Box<Record>>,
}

/// What is known of the topics before the first record.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    /// The one-partition topic of BEGIN and END; none where the connector does not write it.
    pub transaction_topic: Option<Arc<str>>,
    /// The source tables that are read, as `schema.table`. A topic named `<prefix>.schema.table`
    /// adds its table by itself.
    pub tables: BTreeSet<Arc<str>>,
}

/// Whether a cut waits for its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Cut when rows, bytes or age say so.
    No,
    /// Cut whatever is whole now.
    Yes,
}

/// A transaction as a record names it: its id, and the commit time that all its records share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TxKey {
    pub id: i64,
    pub commit_us: i64,
}

/// What a change's images are slices of: the key and the value as Kafka had them.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub key: Bytes,
    pub value: Bytes,
}

/// The same slice of an equal buffer.
fn same_slice(part: &Bytes, of: &Bytes, elsewhere: &Bytes) -> Option<Bytes> {
    let start = (part.as_ptr() as usize).checked_sub(of.as_ptr() as usize)?;
    let end = start.checked_add(part.len()).filter(|end| *end <= elsewhere.len())?;
    Some(elsewhere.slice(start..end))
}

impl Item {
    /// Bytes of a change's contents; 0 where it has none.
    pub(super) fn contents_bytes(&self) -> usize {
        let Some(change) = self.change() else { return 0 };
        let key = change.key.as_ref().map_or(0, Bytes::len);
        change.record_value.as_ref().map_or(0, |value| key + value.len())
    }

    /// A change's contents; none where it has no value of its own.
    pub(super) fn contents(&self) -> Option<Contents> {
        let change = self.change()?;
        let value = change.record_value.clone()?;
        Some(Contents { key: change.key.clone().unwrap_or_default(), value })
    }

    /// Puts equal contents in place of a change's own.
    pub(super) fn put_contents(&mut self, contents: Contents) {
        let Parsed::Change(change) = &mut self.parsed else { return };
        let Some(old) = change.record_value.clone() else { return };
        for image in [&mut change.before, &mut change.after] {
            if let Some(part) = image
                && let Some(moved) = same_slice(part, &old, &contents.value)
            {
                *part = moved;
            }
        }
        // Small, and slices of the same chunks: left there they would hold the chunks in memory.
        for header in [&mut change.moved_from, &mut change.moved_to] {
            *header = header.as_deref().map(Bytes::copy_from_slice);
        }
        change.key = change.key.as_ref().map(|_| contents.key);
        change.record_value = Some(contents.value);
    }

    /// Rows are what an epoch is bounded by: changes and dead letters.
    pub(super) fn rows(&self) -> usize {
        usize::from(matches!(self.parsed, Parsed::Change(_) | Parsed::Malformed(_)))
    }

    pub(super) fn change(&self) -> Option<&Change> {
        match &self.parsed {
            Parsed::Change(change) => Some(change),
            _ => None,
        }
    }

    /// The transaction by the connector's metadata.
    pub(super) fn transaction(&self) -> Option<TxKey> {
        let change = self.change()?;
        Some(TxKey { id: change.tx?.id, commit_us: change.commit_us })
    }

    /// The transaction by `txId` alone; reads share one that says nothing.
    pub(super) fn source_transaction(&self) -> Option<TxKey> {
        let change = self.change().filter(|change| change.initial == ReadMark::None)?;
        let id = change.tx_id.or(change.tx.map(|tx| tx.id))?;
        Some(TxKey { id, commit_us: change.commit_us })
    }
}
