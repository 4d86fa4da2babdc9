//! The cutter: records are pushed in, epochs come out.
//!
//! It holds the queues and the table of transactions and asks the other files for decisions. It
//! must never take half a transaction, and never move an offset past a record it still holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use crate::envelope::change::{Parsed, ReadMark};

use super::complete::Clock;
use super::content::{Epoch, Guarantee};
use super::item::{Force, Item, PartitionKey, Topics};
use super::loading::{CutState, Follower};
use super::options::Options;
use super::partitions::Partition;
use super::transactions::Transactions;

/// Epochs that would only move offsets wait this many times the age of others.
const QUIET_AGES: i64 = 60;
/// In a backlog little is whole until the partitions that lag are read on: an epoch's bounds cut it
/// soon, its age so many times later.
const BACKLOG_AGES: i64 = 4;

/// Cuts what is pushed into epochs.
#[derive(Debug)]
pub struct Cutter {
    pub(super) options: Options,
    pub(super) topics: Topics,
    pub(super) partitions: Vec<Partition>,
    pub(super) boundaries: Option<usize>,
    pub(super) transactions: Transactions,
    /// The latest time that was told.
    pub(super) now_ms: i64,
    /// Topics other than that of the boundaries.
    pub(super) table_topics: Vec<Arc<str>>,
    index: HashMap<PartitionKey, usize>,
    /// Partitions that showed a row of the read under way.
    read: Vec<bool>,
    /// When an epoch was cut last: a backlog is cut by its bounds, and by age once in a while.
    last_cut_ms: i64,
    loading: Follower,
    oversized: u64,
}

impl Cutter {
    /// A cutter for a pipeline that has cut nothing yet.
    pub fn new(options: Options, topics: Topics) -> Self {
        Self::resume(options, topics, CutState::default())
    }

    /// A cutter that goes on after an epoch that carried this state.
    pub fn resume(options: Options, topics: Topics, state: CutState) -> Self {
        Self {
            options,
            topics,
            partitions: Vec::new(),
            boundaries: None,
            transactions: Transactions::default(),
            now_ms: i64::MIN,
            table_topics: Vec::new(),
            index: HashMap::new(),
            read: Vec::new(),
            last_cut_ms: i64::MIN,
            loading: Follower::resume(state),
            oversized: 0,
        }
    }

    /// Makes a partition known that is read from `start_offset` on; once is enough.
    pub fn add_partition(&mut self, topic: &Arc<str>, partition: i32, start_offset: i64) {
        let key = (Arc::clone(topic), partition);
        if self.index.contains_key(&key) {
            return;
        }
        let is_boundary = self.topics.transaction_topic.as_ref() == Some(topic);
        if is_boundary && self.boundaries.is_none() {
            self.boundaries = Some(self.partitions.len());
        }
        if !is_boundary && !self.table_topics.contains(topic) {
            self.table_topics.push(Arc::clone(topic));
        }
        self.index.insert(key, self.partitions.len());
        self.partitions.push(Partition::new(Arc::clone(topic), partition, start_offset));
        self.read.push(false);
    }

    /// Takes in one record. A partition not added before is added from this record on.
    pub fn push(&mut self, item: Item, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        let key = (Arc::clone(&item.topic), item.partition);
        let known = self.index.get(&key).copied();
        let at = known.unwrap_or_else(|| {
            self.add_partition(&item.topic, item.partition, item.offset);
            self.partitions.len() - 1
        });
        self.follow(&item, at);
        let boundary = self.boundaries == Some(at);
        let by_metadata = self.topics.transaction_topic.is_some();
        let Some(partition) = self.partitions.get_mut(at) else { return };
        match &item.parsed {
            Parsed::Begin(begin) if boundary => {
                partition.advance(item.offset, 0);
                self.transactions.begin(begin, item.offset, now_ms);
            }
            Parsed::End(end) if boundary => {
                partition.advance(item.offset, item.bytes);
                let (tables, hosting) = (&self.topics.tables, &self.table_topics);
                let place = (item.offset, item.bytes);
                let is_read = |table: &str| tables.contains(table) || hosts(hosting, table);
                self.transactions.end(end, place, now_ms, is_read);
            }
            _ if boundary => {
                partition.advance(item.offset, item.bytes);
                partition.items.push_back(item);
            }
            _ => {
                let key = if by_metadata { item.transaction() } else { item.source_transaction() };
                partition.enqueue(item, key, now_ms);
            }
        }
    }

    fn follow(&mut self, item: &Item, at: usize) {
        if let Parsed::End(end) = &item.parsed {
            self.loading.met_end(end.commit_us);
        }
        let Some(change) = item.change() else { return };
        let was_done = self.loading.is_done();
        let read = self.read.get(at).copied().unwrap_or(false);
        self.loading.met(change, read);
        if was_done && !self.loading.is_done() {
            self.read.fill(false);
        }
        if !matches!(change.initial, ReadMark::None | ReadMark::Incremental)
            && let Some(read) = self.read.get_mut(at)
        {
            *read = true;
        }
    }

    /// Notes that a partition was read to its end.
    pub fn at_end(&mut self, topic: &Arc<str>, partition: i32, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        let at = self.index.get(&(Arc::clone(topic), partition));
        if let Some(found) = at.and_then(|at| self.partitions.get_mut(*at)) {
            found.end_met(now_ms);
        }
    }

    /// Cuts one epoch, if one can be cut and is due.
    pub fn cut(&mut self, now_ms: i64, force: Force) -> Option<Epoch> {
        self.now_ms = self.now_ms.max(now_ms);
        let before: Vec<i64> = self.partitions.iter().map(|partition| partition.next).collect();
        let cut = match self.topics.transaction_topic {
            Some(_) => self.cut_whole(now_ms, force),
            None => self.cut_by_time(now_ms, force),
        };
        let passed = self.loading.is_passed(|key, end| self.is_passed(key, end));
        let (taken, transactions) = match cut {
            Some(cut) => cut,
            None if passed => (Vec::new(), 0),
            None => return None,
        };
        let guarantee = match self.topics.transaction_topic {
            Some(_) => Guarantee::Transactional,
            None => Guarantee::PerPartition,
        };
        self.last_cut_ms = now_ms;
        let mut epoch = Epoch::assemble(taken, guarantee);
        epoch.transactions = transactions;
        epoch.passed_by_timeout = std::mem::take(&mut self.transactions.passed_by_timeout);
        for (partition, before) in self.partitions.iter().zip(before) {
            if partition.next != before {
                let key = (Arc::clone(&partition.topic), partition.number);
                epoch.offsets.insert(key, partition.next);
            }
        }
        epoch.loading = self.loading.stamp(passed);
        epoch.state = self.loading.state();
        self.oversized += u64::from(epoch.bytes > self.options.buffer_bytes_max);
        Some(epoch)
    }

    /// Bytes of records that were pushed and are not cut.
    pub fn buffered_bytes(&self) -> usize {
        self.partitions.iter().map(|partition| partition.bytes).sum()
    }

    /// Bytes of what waits that lie in memory and could lie elsewhere.
    pub fn movable_bytes(&self) -> usize {
        self.partitions.iter().map(Partition::movable_bytes).sum()
    }

    /// Offers the contents of all records that wait, and takes equal ones back, which lie elsewhere:
    /// a transaction that is larger than the buffer stays whole. Nothing that is cut depends on it.
    pub fn move_contents<E>(
        &mut self,
        mut elsewhere: impl FnMut(Vec<Bytes>) -> Result<Vec<Bytes>, E>,
    ) -> Result<(), E> {
        for partition in &mut self.partitions {
            partition.move_contents(&mut elsewhere)?;
        }
        Ok(())
    }

    /// The bound of what waits, bytes.
    pub fn buffer_bytes_max(&self) -> usize {
        self.options.buffer_bytes_max
    }

    /// Epochs that outgrew the buffer because a transaction stays whole.
    pub fn oversized(&self) -> u64 {
        self.oversized
    }

    /// True once when a read is finished at the source and its end offsets are needed.
    pub fn wants_end_offsets(&mut self) -> bool {
        self.loading.wants_end_offsets()
    }

    /// The end offsets of all partitions, asked for by `wants_end_offsets`.
    pub fn set_end_offsets(&mut self, ends: BTreeMap<PartitionKey, i64>) {
        self.loading.set_end_offsets(ends, self.now_ms);
    }

    /// What must survive a restart beside the offsets.
    pub fn state(&self) -> CutState {
        self.loading.state()
    }

    pub(super) fn clock(&self, now_ms: i64) -> Clock {
        Clock { now_ms, idle_ms: self.options.idle_ms() }
    }

    fn is_passed(&self, key: &PartitionKey, end: i64) -> bool {
        let Some(partition) = self.index.get(key).and_then(|at| self.partitions.get(*at)) else {
            return true;
        };
        // Offsets of aborted records and markers are never read: an end kept for long is passed.
        let empty = partition.read_on == partition.next;
        let clock = self.clock(self.now_ms);
        partition.next >= end
            || (empty && partition.silent(self.loading.set_ms, clock.idle_ms, clock.now_ms))
    }

    /// Whether an epoch with or without rows is due.
    pub(super) fn is_due(&self, now_ms: i64, force: Force) -> bool {
        let runs = self.partitions.iter().filter_map(|partition| partition.runs.front());
        let runs = runs.map(|run| run.arrived_ms);
        let ends = self.transactions.pending.front().map(|pending| pending.arrived_ms);
        let Some(oldest) = runs.chain(ends).min() else { return force == Force::Yes };
        let rows: usize = self.partitions.iter().map(|partition| partition.rows).sum();
        let quiet = self.loading.is_done() && rows == 0;
        let age = self.options.age_ms().saturating_mul(if quiet { QUIET_AGES } else { 1 });
        let waited = now_ms.saturating_sub(oldest.max(self.last_cut_ms));
        let old = waited >= age
            && (quiet || waited >= age.saturating_mul(BACKLOG_AGES) || !self.is_behind());
        // A full buffer alone is no reason to cut what little is whole, as long as what is read on
        // makes more of it whole: an epoch's own bounds cut that soon.
        let full = self.buffered_bytes() >= self.options.buffer_bytes_max;
        force == Force::Yes || old || full && self.waiting().is_empty()
    }

    /// Whether more waits than an epoch holds, for partitions that are not read to their end.
    fn is_behind(&self) -> bool {
        self.buffered_bytes() >= self.options.bytes_max
            && self.waited_for().iter().any(|at| !self.partitions[*at].at_end())
    }
}

/// Whether one of the topics is that of a table: `<prefix>.schema.table`.
pub(super) fn hosts(topics: &[Arc<str>], table: &str) -> bool {
    let is_host = |prefix: &str| prefix.is_empty() || prefix.ends_with('.');
    topics.iter().any(|topic| topic.strip_suffix(table).is_some_and(is_host))
}
