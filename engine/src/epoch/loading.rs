//! Whether an initial read is under way, and when it is over.
//!
//! While it is, tables arrive one after another in no transaction, so no model may be built. It is
//! over once the offsets that were the ends when the read finished are cut; the epoch that passes
//! them builds everything. Nothing per record is kept here, and no row is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::envelope::change::{Change, ReadMark};

use super::item::PartitionKey;

/// Where an epoch stands to an initial read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// A read is under way: raw only.
    Reading {
        /// Whether models were built before: it is a later read of everything.
        reread: bool,
    },
    /// With this epoch the read is over: build everything.
    Finishing {
        /// Whether models were built before: keys that were not read are gone.
        reread: bool,
    },
    /// No read is under way.
    Done,
}

/// What must survive a restart beside the offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutState {
    /// How far the read is.
    pub phase: Phase,
    /// Whether models were built before this read.
    pub reread: bool,
    /// When the read began, microseconds since 1970 UTC by its first row met.
    pub read_us: Option<i64>,
    /// Topic, partition and the end offset when the read finished; empty until it is known.
    pub ends: Vec<(String, i32, i64)>,
}

/// How far an initial read is. A new pipeline waits for one, or for the first streamed change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Under way, or not begun.
    #[default]
    Reading,
    /// Finished at the source; the end offsets are to be asked for.
    Asking,
    /// Finished at the source; its end offsets are to be passed.
    Ending,
    /// Over.
    Done,
}

/// Follows the marks of a read.
#[derive(Debug, Default)]
pub(super) struct Follower {
    state: CutState,
    asked: bool,
    ends: BTreeMap<PartitionKey, i64>,
    /// When the end offsets were given.
    pub set_ms: i64,
}

impl Follower {
    pub fn resume(state: CutState) -> Self {
        let ends = state.ends.iter().map(|(topic, n, end)| ((Arc::from(topic.as_str()), *n), *end));
        Self { ends: ends.collect(), state, asked: false, set_ms: 0 }
    }

    pub fn state(&self) -> CutState {
        self.state.clone()
    }

    /// Notes a change; `after_read` says that its partition showed a row of this read before.
    pub fn met(&mut self, change: &Change, after_read: bool) {
        match (change.initial, self.state.phase) {
            (ReadMark::Incremental, _) => {}
            (ReadMark::None, Phase::Reading) => {
                if after_read || self.is_after_read(change.commit_us) {
                    self.state.phase = Phase::Asking;
                }
            }
            (ReadMark::None, _) => {}
            (mark, Phase::Done) => {
                self.begin_again(change.commit_us, true);
                self.finish_by(mark);
            }
            (ReadMark::First, Phase::Ending) if self.is_beyond(change) => {
                self.begin_again(change.commit_us, self.state.reread);
            }
            (_, Phase::Ending) => self.extend(change),
            (mark, _) => {
                self.state.read_us.get_or_insert(change.commit_us);
                self.finish_by(mark);
            }
        }
    }

    /// Notes an END: streaming follows a whole read.
    pub fn met_end(&mut self, commit_us: i64) {
        if self.state.phase == Phase::Reading && self.is_after_read(commit_us) {
            self.state.phase = Phase::Asking;
        }
    }

    /// Streamed events of before a read say nothing about its end; those after it do.
    fn is_after_read(&self, commit_us: i64) -> bool {
        self.state.read_us.map_or(!self.state.reread, |read_us| commit_us > read_us)
    }

    fn begin_again(&mut self, commit_us: i64, reread: bool) {
        self.ends.clear();
        self.asked = false;
        self.state =
            CutState { phase: Phase::Reading, reread, read_us: Some(commit_us), ends: Vec::new() };
    }

    fn finish_by(&mut self, mark: ReadMark) {
        if mark == ReadMark::Last {
            self.state.phase = Phase::Asking;
        }
    }

    fn is_beyond(&self, change: &Change) -> bool {
        let key = (Arc::clone(&change.topic), change.partition);
        self.ends.get(&key).is_none_or(|end| change.offset >= *end)
    }

    /// A read row that was on its way when the end offsets were taken.
    fn extend(&mut self, change: &Change) {
        if self.is_beyond(change) {
            let key = (Arc::clone(&change.topic), change.partition);
            self.ends.insert(key, change.offset.saturating_add(1));
            self.write_ends();
        }
    }

    /// True once when the end offsets of all partitions are to be given.
    pub fn wants_end_offsets(&mut self) -> bool {
        self.state.phase == Phase::Asking && !std::mem::replace(&mut self.asked, true)
    }

    pub fn set_end_offsets(&mut self, ends: BTreeMap<PartitionKey, i64>, now_ms: i64) {
        if self.state.phase == Phase::Asking {
            self.ends = ends;
            self.state.phase = Phase::Ending;
            self.set_ms = now_ms;
            self.write_ends();
        }
    }

    fn write_ends(&mut self) {
        let ends = self.ends.iter().map(|((topic, n), end)| (topic.to_string(), *n, *end));
        self.state.ends = ends.collect();
    }

    /// Whether the read is over once the end offsets are passed; `passed` judges one of them.
    pub fn is_passed(&self, passed: impl Fn(&PartitionKey, i64) -> bool) -> bool {
        self.state.phase == Phase::Ending && self.ends.iter().all(|(key, end)| passed(key, *end))
    }

    /// The word for an epoch; with `passed` the read is over.
    pub fn stamp(&mut self, passed: bool) -> Loading {
        let reread = self.state.reread;
        match self.state.phase {
            Phase::Done => Loading::Done,
            Phase::Ending if passed => {
                self.ends.clear();
                self.state = CutState { phase: Phase::Done, ..CutState::default() };
                Loading::Finishing { reread }
            }
            _ => Loading::Reading { reread },
        }
    }

    pub fn is_done(&self) -> bool {
        self.state.phase == Phase::Done
    }
}
