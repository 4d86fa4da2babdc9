//! The table of transactions that ended and are not cut yet, in END order, and of those open.
//!
//! It knows partitions by number only and holds no records. It must never let a cut fall between
//! a BEGIN and its END: what lies between is an interrupted transaction's redelivery.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::envelope::change::{Op, TxBegin, TxEnd};

use super::item::{Item, TxKey};
use super::partitions::Weight;
use super::recent::Recent;

/// A table's records of one transaction: how many there must be, and which were met.
#[derive(Debug)]
pub(super) struct Expected {
    pub table: Arc<str>,
    pub count: u64,
    pub met: HashSet<u64>,
}

/// A transaction whose END was read.
#[derive(Debug)]
pub(super) struct Pending {
    pub id: i64,
    pub seq: u64,
    pub offset: i64,
    pub arrived_ms: i64,
    pub commit_us: i64,
    pub bytes: usize,
    pub expected: Vec<Expected>,
    /// Counts can't be trusted: only partitions that show a later transaction prove it complete.
    pub recounted: bool,
    /// The END that a cut here must include too.
    pub floor: u64,
    /// Partitions in which it was met.
    pub partitions: Vec<usize>,
    pub weight: Weight,
    /// Rows that its END counts in tables that are read.
    pub declared: usize,
    event_commit_us: Option<i64>,
}

/// A transaction whose END was not read yet.
#[derive(Debug)]
struct Open {
    id: i64,
    begins: u32,
    arrived_ms: i64,
}

/// Where a run belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Wherever it is met.
    Free,
    /// With this END.
    At(u64),
    /// Its END was not read yet.
    Unknown,
}

/// Ended, open and lately cut transactions.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pub pending: VecDeque<Pending>,
    /// How many at the front are complete.
    pub complete: usize,
    /// The last END that was cut, counted from 1.
    pub cut: u64,
    /// What lies before the first pending END in all partitions.
    pub free: Weight,
    pub passed_by_timeout: u64,
    pub recent: Recent,
    open: BTreeMap<i64, Open>,
    ids: HashMap<i64, Vec<u64>>,
}

impl Transactions {
    pub fn begin(&mut self, begin: &TxBegin, offset: i64, now_ms: i64) {
        if let Some(seq) = self.ids.get(&begin.id).and_then(|seqs| seqs.last().copied())
            && let Some(pending) = self.get_mut(seq)
        {
            pending.recounted = true;
        }
        if let Some(open) = self.open.values_mut().find(|open| open.id == begin.id) {
            open.begins += 1;
            return;
        }
        self.open.insert(offset, Open { id: begin.id, begins: 1, arrived_ms: now_ms });
    }

    /// Takes in an END; `is_read` tells the tables that somebody reads.
    pub fn end(
        &mut self,
        end: &TxEnd,
        place: (i64, usize),
        now_ms: i64,
        is_read: impl Fn(&str) -> bool,
    ) {
        let (offset, bytes) = place;
        let seq = self.cut + u64::try_from(self.pending.len()).unwrap_or(u64::MAX) + 1;
        let first = self.open.iter().find(|(_, open)| open.id == end.id).map(|(at, _)| *at);
        let opened = first.and_then(|at| self.open.remove(&at));
        for earlier in self.pending.iter_mut().rev() {
            if first.is_none_or(|first| earlier.offset < first) {
                break;
            }
            earlier.floor = seq;
        }
        let seqs = self.ids.entry(end.id).or_default();
        let expected = end.collections.iter().filter(|(table, _)| is_read(table));
        let declared = expected.clone().map(|(_, count)| *count).sum::<u64>();
        let declared = usize::try_from(declared).unwrap_or(usize::MAX);
        self.pending.push_back(Pending {
            id: end.id,
            seq,
            offset,
            arrived_ms: now_ms,
            commit_us: end.commit_us,
            bytes,
            expected: expected
                .map(|(table, count)| Expected {
                    table: Arc::clone(table),
                    count: *count,
                    met: HashSet::new(),
                })
                .collect(),
            recounted: opened.is_some_and(|open| open.begins > 1)
                || !seqs.is_empty()
                || end.event_count == 0,
            floor: seq,
            partitions: Vec::new(),
            weight: Weight::default(),
            declared,
            event_commit_us: None,
        });
        seqs.push(seq);
    }

    /// Where a run of this transaction belongs, as far as is known.
    pub fn place(&self, key: TxKey) -> Place {
        if self.recent.holds(key) {
            return Place::Free;
        }
        let Some(seqs) = self.ids.get(&key.id) else { return Place::Unknown };
        let commit_ms = key.commit_us.div_euclid(1_000);
        let same = seqs.iter().find(|seq| {
            let pending = self.get(**seq);
            pending.is_some_and(|pending| pending.commit_us.div_euclid(1_000) == commit_ms)
        });
        same.or(seqs.first()).map_or(Place::Unknown, |seq| Place::At(*seq))
    }

    pub fn get(&self, seq: u64) -> Option<&Pending> {
        self.pending.get(usize::try_from(seq.checked_sub(self.cut + 1)?).ok()?)
    }

    pub fn get_mut(&mut self, seq: u64) -> Option<&mut Pending> {
        self.pending.get_mut(usize::try_from(seq.checked_sub(self.cut + 1)?).ok()?)
    }

    /// Notes that a partition shows a run of the END `own`, which is cut with `bound`.
    pub fn show(&mut self, own: u64, bound: u64, partition: usize) {
        if let Some(pending) = self.get_mut(own)
            && !pending.partitions.contains(&partition)
        {
            pending.partitions.push(partition);
            pending.floor = pending.floor.max(bound);
        }
    }

    /// Counts one settled record for its transaction, and its weight for the END it is cut with.
    pub fn feed(&mut self, item: &Item, own: Option<u64>, bound: u64) {
        match self.get_mut(bound) {
            Some(pending) => pending.weight.add(Weight::of(item)),
            None => self.free.add(Weight::of(item)),
        }
        let Some(change) = item.change().filter(|change| change.op != Op::Truncate) else { return };
        let (Some(tx), Some(pending)) = (change.tx, own.and_then(|own| self.get_mut(own))) else {
            return;
        };
        if tx.id != pending.id {
            return;
        }
        pending.event_commit_us.get_or_insert(change.commit_us);
        let mut table = pending.expected.iter_mut().filter(|table| table.table == change.table);
        let is_new = table.next().is_some_and(|table| table.met.insert(tx.total_order));
        // A first delivery behind a later transaction: neither may be cut without the other.
        if is_new || pending.recounted {
            pending.floor = pending.floor.max(bound);
        }
    }

    /// Offsets of ENDs from this on can't be cut: an earlier BEGIN is open.
    pub fn open_from(&self) -> Option<i64> {
        self.open.first_key_value().map(|(offset, _)| *offset)
    }

    /// Lets BEGINs go whose END does not come; `is_lost` judges by their arrival.
    pub fn expire(&mut self, is_lost: impl Fn(i64) -> bool) {
        while let Some(first) = self.open.first_entry().filter(|at| is_lost(at.get().arrived_ms)) {
            first.remove();
            self.passed_by_timeout += 1;
        }
    }

    /// Forgets the ENDs up to `seq`: they are cut. Returns their bytes.
    pub fn cut_to(&mut self, seq: u64) -> usize {
        let mut bytes = 0;
        while let Some(pending) = self.pending.pop_front_if(|front| front.seq <= seq) {
            bytes += pending.bytes;
            self.cut = pending.seq;
            self.complete = self.complete.saturating_sub(1);
            let seqs = self.ids.remove(&pending.id).unwrap_or_default();
            let left: Vec<u64> = seqs.into_iter().filter(|other| *other > seq).collect();
            if !left.is_empty() {
                self.ids.insert(pending.id, left);
            }
            self.recent.remember(pending.id, pending.event_commit_us.unwrap_or(pending.commit_us));
        }
        self.free = Weight::default();
        bytes
    }
}
