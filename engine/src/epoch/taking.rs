//! How records leave the queues: settle, judge, choose, take.
//!
//! The only file that removes records from queues. What it takes it returns; what it leaves keeps
//! its place.

use super::complete::{Choice, Shown, counted};
use super::content::Taken;
use super::cutter::{Cutter, hosts};
use super::fallback;
use super::item::Force;
use super::partitions::Partition;
use super::transactions::Pending;

/// What was taken, and how many transactions end in it.
pub(super) type Cut = (Vec<Taken>, usize);

impl Cutter {
    /// Cuts at transaction boundaries.
    pub(super) fn cut_whole(&mut self, now_ms: i64, force: Force) -> Option<Cut> {
        let idle_end = self.options.lost_ms();
        let boundaries = self.boundaries.and_then(|at| self.partitions.get(at));
        self.transactions.expire(|at| is_lost(boundaries, at, idle_end, now_ms));
        self.settle(now_ms);
        self.judge(now_ms);
        let due = self.is_due(now_ms, force);
        match self.transactions.choose(&self.options, due) {
            Choice::Wait => self.take_rest(due),
            Choice::Free => {
                let mut taken = self.take_free();
                taken.extend(self.take_boundaries(None));
                Some((taken, 0))
            }
            Choice::UpTo(seq) => Some(self.take_up_to(seq)),
        }
    }

    /// Settles all queues, and lets records go whose END was lost.
    fn settle(&mut self, now_ms: i64) {
        let lost_ms = self.options.lost_ms();
        for index in 0..self.partitions.len() {
            while let Some(partition) = self.partitions.get_mut(index) {
                self.transactions.settle(index, partition);
                let blocked = partition.runs.get(partition.settled);
                let Some((key, at)) = blocked.and_then(|run| Some((run.key?, run.arrived_ms)))
                else {
                    break;
                };
                let boundaries = self.boundaries.and_then(|at| self.partitions.get(at));
                if !is_lost(boundaries, at, lost_ms, now_ms) {
                    break;
                }
                self.transactions.recent.remember(key.id, key.commit_us);
                self.transactions.passed_by_timeout += 1;
            }
        }
    }

    /// Marks the longest prefix of complete transactions.
    fn judge(&mut self, now_ms: i64) {
        while let Some(pending) = self.transactions.pending.get(self.transactions.complete) {
            if !counted(pending) {
                match self.shown_by_all(pending, now_ms) {
                    Shown::NotYet => return,
                    Shown::Silent => self.transactions.passed_by_timeout += 1,
                    Shown::Later => {}
                }
            }
            self.transactions.complete += 1;
        }
    }

    fn shown_by_all(&self, pending: &Pending, now_ms: i64) -> Shown {
        let clock = self.clock(now_ms);
        let mut all = Shown::Later;
        let homeless = pending
            .expected
            .iter()
            .any(|table| table.met.is_empty() && !hosts(&self.table_topics, &table.table));
        if homeless {
            if now_ms.saturating_sub(pending.arrived_ms) < clock.idle_ms {
                return Shown::NotYet;
            }
            all = Shown::Silent;
        }
        for (index, partition) in self.partitions.iter().enumerate() {
            if Some(index) == self.boundaries {
                continue;
            }
            match self.transactions.shown(pending, partition, clock) {
                Shown::NotYet => return Shown::NotYet,
                Shown::Silent => all = Shown::Silent,
                Shown::Later => {}
            }
        }
        all
    }

    fn take_up_to(&mut self, seq: u64) -> Cut {
        let mut taken = Vec::new();
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            while partition.settled > 0
                && partition.runs.front().is_some_and(|run| run.bound <= seq)
                && let Some((run, items)) = partition.take_run()
            {
                let bound = i64::try_from(run.bound).unwrap_or(i64::MAX);
                taken.push(Taken { bound, partition: index, items });
            }
        }
        let ends = self.transactions.pending.iter().take_while(|pending| pending.seq <= seq);
        let transactions = ends.count();
        let offset = self.transactions.get(seq).map(|pending| pending.offset);
        let bytes = self.transactions.cut_to(seq);
        if let Some(topic) = self.boundaries.and_then(|at| self.partitions.get_mut(at)) {
            topic.bytes = topic.bytes.saturating_sub(bytes);
        }
        taken.extend(self.take_boundaries(offset));
        (taken, transactions)
    }

    /// Takes what stands before the first pending END, from every partition its share.
    fn take_free(&mut self) -> Vec<Taken> {
        let (free, cut) = (self.transactions.free, self.transactions.cut);
        let share = |items: usize| {
            let by_rows = items.saturating_mul(self.options.rows_max) / free.rows.max(1);
            let by_bytes = items.saturating_mul(self.options.bytes_max) / free.bytes.max(1);
            by_rows.min(by_bytes).clamp(1, items.max(1))
        };
        let mut taken = Vec::new();
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            let settled = partition.runs.iter().take(partition.settled);
            let ready = settled.take_while(|run| run.bound <= cut);
            let mut left: usize = ready.map(|run| run.weight.items).sum();
            left = if left == 0 { 0 } else { share(left) };
            while left > 0
                && let Some(run) = partition.runs.front()
            {
                let bound = i64::try_from(run.bound).unwrap_or(i64::MAX);
                let items = if run.weight.items <= left {
                    partition.take_run().map_or_else(Vec::new, |(_, items)| items)
                } else {
                    partition.take_part(left)
                };
                left = left.saturating_sub(items.len().max(1));
                for item in &items {
                    self.transactions.free.sub(super::partitions::Weight::of(item));
                }
                taken.push(Taken { bound, partition: index, items });
            }
        }
        taken
    }

    /// Moves the transaction topic to after the END that was cut, or to where it was read if no
    /// transaction is left open; returns what else stood there.
    fn take_boundaries(&mut self, end: Option<i64>) -> Option<Taken> {
        let at = self.boundaries?;
        let idle = self.transactions.pending.is_empty() && self.transactions.open_from().is_none();
        let topic = self.partitions.get_mut(at)?;
        let next = if idle { topic.read_on } else { end.map_or(topic.next, |end| end + 1) };
        topic.next = topic.next.max(next);
        let before = topic.items.iter().take_while(|item| item.offset < topic.next).count();
        let items = topic.drain(before);
        Some(Taken { bound: i64::MAX, partition: at, items })
            .filter(|taken| !taken.items.is_empty())
    }

    /// Where nothing else can be cut: what stands alone in the transaction topic.
    fn take_rest(&mut self, due: bool) -> Option<Cut> {
        let topic = self.boundaries.and_then(|at| self.partitions.get(at))?;
        let (before, waiting) = (topic.next, !topic.items.is_empty());
        if !due || !waiting {
            return None;
        }
        let taken: Vec<Taken> = self.take_boundaries(None).into_iter().collect();
        let moved = self.boundaries.and_then(|at| self.partitions.get(at))?.next != before;
        moved.then_some((taken, 0))
    }

    /// Cuts by txId and commit time.
    pub(super) fn cut_by_time(&mut self, now_ms: i64, force: Force) -> Option<Cut> {
        let due = self.is_due(now_ms, force);
        let clock = self.clock(now_ms);
        let fronts = fallback::choose(&self.partitions, &self.options, clock, due)?;
        let (mut taken, mut transactions) = (Vec::new(), 0);
        for (index, (partition, front)) in self.partitions.iter_mut().zip(fronts).enumerate() {
            for bound in front {
                let Some((run, items)) = partition.take_run() else { break };
                transactions += usize::from(run.key.is_some());
                taken.push(Taken { bound, partition: index, items });
            }
        }
        Some((taken, transactions))
    }
}

/// Whether what arrived then can't be ended any more: the transaction topic was at its end since.
fn is_lost(topic: Option<&Partition>, arrived_ms: i64, lost_ms: i64, now_ms: i64) -> bool {
    match topic {
        Some(topic) => topic.silent(arrived_ms, lost_ms, now_ms),
        None => now_ms.saturating_sub(arrived_ms) >= lost_ms,
    }
}
