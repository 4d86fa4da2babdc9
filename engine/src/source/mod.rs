//! The source station: Kafka partitions in, records at their coordinates out.
//!
//! The first on the line. Offsets are ours: partitions are assigned by what the checkpoint stored,
//! no group is joined, nothing is committed to Kafka. A record's way: `topics` says which topics
//! are read, `client` speaks to the brokers, `lane` drains one partition into `arena`'s chunks,
//! `kafka` takes turns among the lanes; `gap` and `fault` decide what an odd offset or an error
//! means. `capture` reads the same records from a file, `embedded` is a broker of our own for the
//! demo and the tests.
//!
//! rdkafka is used in this folder alone. The station must never jump over a record, never decode
//! one, and never log a value.

mod arena;
pub mod capture;
mod client;
pub mod embedded;
mod fault;
pub mod fill;
mod gap;
mod identity;
pub mod kafka;
mod lane;
pub mod options;
mod properties;
pub mod record;
pub mod topic_ids;
mod topics;
mod watch;

#[cfg(test)]
mod kafka_tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use record::Record;
use topic_ids::TopicIds;

/// A topic's name and a partition's number in it.
pub type TopicPartition = (Arc<str>, i32);

/// One thing that a source tells.
#[derive(Debug, Clone)]
pub enum Polled {
    /// The next record of its partition.
    Record(Record),
    /// The partition has no further record now. Told again after each later record that is again
    /// the last. It is the only sure sign: offsets of transaction markers and compacted records
    /// are never met, so a position may stay below the end offset for ever.
    AtEnd {
        /// The topic.
        topic: Arc<str>,
        /// The partition within the topic.
        partition: i32,
    },
    /// A partition is read from `offset` on. Told once per partition, before its first record:
    /// at the start for those that exist, later for those that appear.
    Assigned {
        /// The topic.
        topic: Arc<str>,
        /// The partition within the topic.
        partition: i32,
        /// The first offset that will be read.
        offset: i64,
    },
}

/// How far one partition's reader is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition within the topic.
    pub partition: i32,
    /// The offset after the last record handed out.
    pub position: i64,
    /// The last stable offset as last heard, a few seconds old; `None` before the first word.
    pub end: Option<i64>,
    /// Nothing was left at the last look.
    pub at_end: bool,
}

impl Lag {
    /// Records to go, at most: markers and compacted records are counted too. `None` if unknown.
    pub fn records(&self) -> Option<i64> {
        if self.at_end { Some(0) } else { self.end.map(|end| (end - self.position).max(0)) }
    }
}

/// Where records come from: Kafka, or a capture of it.
pub trait Source: Send {
    /// What came since the last call, at once if there is something, else within `wait`; empty if
    /// nothing came. Each partition's records are in order. Blocks: call it on its own thread.
    ///
    /// Errors are final: `Unavailable` (open anew later), `Corrupt` (records are gone or damaged),
    /// `Invalid` (not allowed to read). What was polled before stays good.
    fn poll(&mut self, wait: Duration) -> Result<Vec<Polled>>;

    /// Hands out nothing more of `partitions` until they are resumed. What was read ahead is kept
    /// within the memory bound. Unknown partitions are ignored.
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Goes on with paused `partitions`.
    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// The end of each assigned partition now: the last stable offset. Asks the brokers.
    fn end_offsets(&mut self) -> Result<BTreeMap<TopicPartition, i64>>;

    /// Compares the topics' ids with those that the stored offsets belong to, now and whenever a
    /// topic appears, and adds what is new. A source without ids does nothing.
    ///
    /// Errors: `Corrupt` where a topic was created anew.
    fn know(&mut self, _: TopicIds) -> Result<()> {
        Ok(())
    }

    /// Every assigned partition's lag as last heard. Asks nobody.
    fn lag(&mut self) -> Vec<Lag>;
}
