//! What the epoch station can be told: the bounds of an epoch and of what waits for one.
//!
//! It must never hold a bound that is not named here, nor one without a unit in its name.

use serde::Deserialize;

/// The bounds. Every one has a default; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Rows after which an epoch is cut at the next transaction boundary.
    pub rows_max: usize,
    /// Bytes of records after which an epoch is cut at the next transaction boundary.
    pub bytes_max: usize,
    /// Milliseconds that a record waits at most once it may be cut; four times as long in a backlog,
    /// while partitions that lag are read on.
    pub age_max_ms: u64,
    /// Milliseconds after which a partition at its end no longer holds a transaction back.
    pub idle_partition_ms: u64,
    /// Bytes of waiting records above which partitions that nobody waits for are paused.
    pub buffer_bytes_max: usize,
    /// Milliseconds without an epoch after which an empty one is made, where rows of a model come and
    /// go by time alone.
    pub timer_ms: u64,
    /// The folder for records of a transaction that is larger than the buffer; empty for the
    /// system's own.
    pub spill_dir: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rows_max: 100_000,
            bytes_max: 64 << 20,
            age_max_ms: 1_000,
            idle_partition_ms: 5_000,
            buffer_bytes_max: 256 << 20,
            timer_ms: 10_000,
            spill_dir: String::new(),
        }
    }
}

impl Options {
    pub(super) fn age_ms(&self) -> i64 {
        i64::try_from(self.age_max_ms).unwrap_or(i64::MAX)
    }

    pub(super) fn idle_ms(&self) -> i64 {
        i64::try_from(self.idle_partition_ms).unwrap_or(i64::MAX)
    }

    /// How long a record or a BEGIN may wait for an END that does not come.
    pub(super) fn lost_ms(&self) -> i64 {
        self.idle_ms().saturating_mul(6)
    }
}
