//! Which transactions are complete, and how far a cut may go.
//!
//! Known limit: an END that arrived while its records were lost, followed by a restart *within*
//! that transaction, can reach its counts with records of two numberings.
//!
//! Completeness by count needs every table that is read; completeness by order needs every
//! partition to have shown a later transaction, or to have been at its end for long. Nothing here
//! takes records out, and nothing may be called complete that a queue still holds unsettled.

use super::item::TxKey;
use super::options::Options;
use super::partitions::{Partition, Weight};
use super::transactions::{Pending, Place, Transactions};

/// What a cut takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Nothing can be cut, or not yet.
    Wait,
    /// Records before the first pending END, up to the bounds.
    Free,
    /// Everything up to this END.
    UpTo(u64),
}

/// What a partition says about a transaction's completeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// A later transaction: nothing more of this one comes.
    Later,
    /// At its end for long: nothing more of this one is believed to come.
    Silent,
    /// Not enough.
    NotYet,
}

impl Transactions {
    /// Settles what can be: gives runs their END, front to back, and counts their records.
    pub fn settle(&mut self, index: usize, partition: &mut Partition) {
        if let Some(last) = partition.settled.checked_sub(1) {
            self.feed_run(partition, last);
        }
        while let Some(run) = partition.runs.get(partition.settled) {
            let before = partition.last_bound(self.cut).max(self.cut);
            let (bound, own) = match run.key.map(|key| self.place(key)) {
                None | Some(Place::Free) => (before, None),
                Some(Place::At(seq)) => (before.max(seq), Some(seq)),
                Some(Place::Unknown) => return,
            };
            if let Some(own) = own {
                self.show(own, bound, index);
            }
            let at = partition.settled;
            if let Some(run) = partition.runs.get_mut(at) {
                (run.bound, run.own) = (bound, own);
            }
            partition.settled += 1;
            self.feed_run(partition, at);
        }
    }

    /// Counts the records that a settled run holds and that were not counted yet.
    fn feed_run(&mut self, partition: &mut Partition, at: usize) {
        let Some(run) = partition.runs.get_mut(at) else { return };
        let more = run.weight.items.saturating_sub(run.fed);
        let mut last_order = 0;
        for item in partition.items.range(partition.fed..partition.fed + more) {
            self.feed(item, run.own, run.bound);
            let order = item.change().and_then(|change| change.tx).map_or(0, |tx| tx.total_order);
            // A total_order that falls within a run: the connector restarted and counted anew.
            if order > 0
                && order < last_order
                && let Some(pending) = run.own.and_then(|own| self.get_mut(own))
            {
                pending.recounted = true;
            }
            last_order = last_order.max(order);
        }
        run.fed += more;
        partition.fed += more;
    }

    /// What a partition says about one pending transaction.
    pub fn shown(&self, of: &Pending, partition: &Partition, clock: Clock) -> Shown {
        let settled = partition.settled;
        let from = partition.runs.partition_point(|run| run.bound <= of.seq);
        let commit_ms = of.commit_us.div_euclid(1_000);
        for (place, run) in partition.runs.iter().enumerate().skip(from) {
            let Some(key) = run.key else { continue };
            if place >= settled && key.id == of.id {
                return Shown::NotYet;
            }
            if key.commit_us.div_euclid(1_000) >= commit_ms && self.is_later(key, of) {
                return Shown::Later;
            }
        }
        match partition.silent(of.arrived_ms, clock.idle_ms, clock.now_ms) {
            true => Shown::Silent,
            false => Shown::NotYet,
        }
    }

    fn is_later(&self, key: TxKey, of: &Pending) -> bool {
        match self.place(key) {
            Place::Free => false,
            Place::At(seq) => seq > of.seq,
            Place::Unknown => true,
        }
    }

    /// Chooses the cut among what is complete.
    pub fn choose(&self, options: &Options, due: bool) -> Choice {
        let full = |sum: Weight| sum.rows >= options.rows_max || sum.bytes >= options.bytes_max;
        if full(self.free) {
            return Choice::Free;
        }
        let open = self.open_from().unwrap_or(i64::MAX);
        // Rows as the ENDs count them: what else was read by now must not move a cut.
        let (mut sum, mut needed, mut choice) = (Weight::default(), 0, Choice::Wait);
        for pending in self.pending.iter().take(self.complete) {
            if pending.offset >= open {
                break;
            }
            sum.add(Weight { rows: pending.declared, ..pending.weight });
            needed = needed.max(pending.floor);
            if needed > pending.seq {
                continue;
            }
            choice = Choice::UpTo(pending.seq);
            if full(sum) {
                return choice;
            }
        }
        match choice {
            _ if !due => Choice::Wait,
            Choice::Wait if self.free.items > 0 => Choice::Free,
            choice => choice,
        }
    }
}

/// The time that was told, and the grace that a silent partition gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub now_ms: i64,
    pub idle_ms: i64,
}

/// Whether the counts of the END are reached in every table that is read.
pub(super) fn counted(pending: &Pending) -> bool {
    let reached = |count: u64, met: usize| u64::try_from(met).unwrap_or(u64::MAX) >= count;
    !pending.recounted && pending.expected.iter().all(|table| reached(table.count, table.met.len()))
}
