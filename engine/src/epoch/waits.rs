//! Which partitions a cut waits for, and which should be paused meanwhile.
//!
//! Only advice: nothing here changes what is cut. A partition that is waited for is never paused,
//! so that a transaction bigger than the buffer stays whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::complete::Shown;
use super::cutter::Cutter;
use super::fallback;
use super::item::PartitionKey;

impl Cutter {
    /// The partitions that must be read on so that a cut becomes possible.
    pub fn waiting(&self) -> Vec<PartitionKey> {
        self.names(&self.waited_for())
    }

    /// The partitions to pause while others catch up; none while the buffer is in its bound.
    pub fn paused(&self) -> Vec<PartitionKey> {
        if self.buffered_bytes() < self.options.buffer_bytes_max {
            return Vec::new();
        }
        let waited = self.waited_for();
        let rest = (0..self.partitions.len()).filter(|index| !waited.contains(index));
        self.names(&rest.collect())
    }

    fn names(&self, which: &BTreeSet<usize>) -> Vec<PartitionKey> {
        let partitions = which.iter().filter_map(|index| self.partitions.get(*index));
        partitions.map(|found| (Arc::clone(&found.topic), found.number)).collect()
    }

    pub(super) fn waited_for(&self) -> BTreeSet<usize> {
        if self.topics.transaction_topic.is_none() {
            return self.waited_without_boundaries();
        }
        let clock = self.clock(self.now_ms);
        let table = self.transactions.pending.get(self.transactions.complete);
        let mut waited = BTreeSet::new();
        for (index, partition) in self.partitions.iter().enumerate() {
            if Some(index) == self.boundaries {
                let blocked = |p: &super::partitions::Partition| p.settled < p.runs.len();
                let is_waited = self.transactions.open_from().is_some()
                    || self.partitions.iter().any(blocked)
                    || self.transactions.pending.is_empty();
                if is_waited {
                    waited.insert(index);
                }
            } else if let Some(pending) = table
                && self.transactions.shown(pending, partition, clock) == Shown::NotYet
            {
                waited.insert(index);
            }
        }
        waited
    }

    fn waited_without_boundaries(&self) -> BTreeSet<usize> {
        let clock = self.clock(self.now_ms);
        let horizon = fallback::horizon(&self.partitions, clock);
        let partitions = self.partitions.iter().enumerate();
        let behind = partitions.filter(|(_, partition)| {
            horizon != i64::MAX && partition.last_commit_us.unwrap_or(i64::MIN) <= horizon
        });
        behind.map(|(index, _)| index).collect()
    }
}
