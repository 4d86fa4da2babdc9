//! One epoch as it leaves the station, and how it is put together from what a cut took.
//!
//! The order keeps every partition's own, and puts transactions in the order of their ENDs. No
//! record that a cut took may be missing here: it is a change, a dead letter, or counted.

use std::collections::BTreeMap;

use crate::envelope::change::{Change, Ignored, Parsed};
use crate::source::record::Record;

use super::item::{Item, PartitionKey};
use super::loading::{CutState, Loading};

/// What the cut promises about source transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Whole transactions over all tables, as BEGIN and END bound them.
    Transactional,
    /// No boundaries known: whole within a partition, by commit time between partitions.
    PerPartition,
}

/// Records that change nothing, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IgnoredCounts {
    /// Null values after deletes.
    pub tombstones: u64,
    /// Signs of life.
    pub heartbeats: u64,
    /// Logical decoding messages.
    pub messages: u64,
    /// Schema history records.
    pub schema_changes: u64,
    /// BEGIN or END outside the transaction topic.
    pub boundaries: u64,
}

/// A bounded, ordered piece of the line.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// Every change, each partition in its own order, transactions in END order.
    pub changes: Vec<Change>,
    /// Records that were not understood, each with its reason.
    pub dead: Vec<(Record, String)>,
    /// The next offset to read, for the partitions that moved.
    pub offsets: BTreeMap<PartitionKey, i64>,
    /// Changes and dead letters.
    pub rows: usize,
    /// Bytes of the records.
    pub bytes: usize,
    /// The earliest commit time among the changes, microseconds since 1970 UTC.
    pub first_commit_us: Option<i64>,
    /// The latest commit time among the changes, microseconds since 1970 UTC.
    pub last_commit_us: Option<i64>,
    /// Source transactions that end in it.
    pub transactions: usize,
    /// Transactions that were let go by a timeout instead of by proof.
    pub passed_by_timeout: u64,
    /// What the cut promises.
    pub guarantee: Guarantee,
    /// Records without effect.
    pub ignored: IgnoredCounts,
    /// Where it stands to an initial read.
    pub loading: Loading,
    /// What holds after it: for [`super::cutter::Cutter::resume`].
    pub state: CutState,
}

/// A run's records and its place: the END or commit time it goes by, then its partition.
pub(super) struct Taken {
    pub bound: i64,
    pub partition: usize,
    pub items: Vec<Item>,
}

impl Epoch {
    /// An epoch without records, after which `state` holds: models that were edited are made anew
    /// in one.
    pub fn empty(state: CutState) -> Self {
        Self {
            changes: Vec::new(),
            dead: Vec::new(),
            offsets: BTreeMap::new(),
            rows: 0,
            bytes: 0,
            first_commit_us: None,
            last_commit_us: None,
            transactions: 0,
            passed_by_timeout: 0,
            guarantee: Guarantee::Transactional,
            ignored: IgnoredCounts::default(),
            loading: Loading::Done,
            state,
        }
    }

    /// Puts together what a cut took; offsets, loading and counts are the cutter's to fill in.
    pub(super) fn assemble(mut taken: Vec<Taken>, guarantee: Guarantee) -> Self {
        taken.sort_by_key(|run| (run.bound, run.partition));
        let mut epoch = Self { guarantee, ..Self::empty(CutState::default()) };
        epoch.changes.reserve(taken.iter().map(|run| run.items.len()).sum());
        for item in taken.into_iter().flat_map(|run| run.items) {
            epoch.admit(item);
        }
        epoch
    }

    fn admit(&mut self, item: Item) {
        self.rows += item.rows();
        self.bytes += item.bytes;
        match item.parsed {
            Parsed::Change(change) => {
                let at = change.commit_us;
                self.first_commit_us = Some(self.first_commit_us.map_or(at, |us| us.min(at)));
                self.last_commit_us = Some(self.last_commit_us.map_or(at, |us| us.max(at)));
                self.changes.push(*change);
            }
            Parsed::Malformed(malformed) => {
                let record = item.record.map(|record| *record).unwrap_or(Record {
                    topic: item.topic,
                    partition: item.partition,
                    offset: item.offset,
                    timestamp_ms: -1,
                    key: None,
                    value: None,
                    headers: Vec::new(),
                });
                self.dead.push((record, malformed.reason));
            }
            Parsed::Begin(_) | Parsed::End(_) => self.ignored.boundaries += 1,
            Parsed::Ignored(Ignored::Tombstone) => self.ignored.tombstones += 1,
            Parsed::Ignored(Ignored::Heartbeat) => self.ignored.heartbeats += 1,
            Parsed::Ignored(Ignored::Message(_)) => self.ignored.messages += 1,
            Parsed::Ignored(Ignored::SchemaChange) => self.ignored.schema_changes += 1,
        }
    }
}
