//! Where the time goes: nanoseconds per station, since the process began.
//!
//! Counted by batch and by epoch, never by record, so that counting costs nothing. Shares of work
//! that runs side by side add up to more than the clock shows. It must never decide anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Asking the source for records; its waiting for them is in it.
    Poll,
    /// Reading envelopes.
    Parse,
    /// The reading thread waits until the loop takes what it read.
    HeldBack,
    /// The loop waits for records.
    Starved,
    /// Putting records in order and cutting epochs.
    Cut,
    /// Putting merged files in.
    Compact,
    /// Merging files beside the epochs.
    Merge,
    /// Raw events as rows and files.
    Raw,
    /// Rows decoded, deduplicated and worked into the current ones.
    Current,
    /// Models.
    Transform,
    /// Files, vectors and log entries of keyed tables.
    Encode,
    /// Files to the lake.
    Upload,
    /// The decision.
    Decide,
    /// Log entries.
    Apply,
}

/// Every share, in the order of the line.
pub const ALL: [Share; 14] = [
    Share::Poll,
    Share::Parse,
    Share::HeldBack,
    Share::Starved,
    Share::Cut,
    Share::Compact,
    Share::Merge,
    Share::Raw,
    Share::Current,
    Share::Transform,
    Share::Encode,
    Share::Upload,
    Share::Decide,
    Share::Apply,
];

static NANOS: [AtomicU64; ALL.len()] = [const { AtomicU64::new(0) }; ALL.len()];

impl Share {
    /// As printed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Parse => "parse",
            Self::HeldBack => "held_back",
            Self::Starved => "starved",
            Self::Cut => "cut",
            Self::Compact => "compact",
            Self::Merge => "merge",
            Self::Raw => "raw",
            Self::Current => "current",
            Self::Transform => "transform",
            Self::Encode => "encode",
            Self::Upload => "upload",
            Self::Decide => "decide",
            Self::Apply => "apply",
        }
    }
}

/// Adds the time since `since`.
pub fn add(share: Share, since: Instant) {
    let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
    NANOS[share as usize].fetch_add(nanos, Ordering::Relaxed);
}

/// Times a piece of work.
pub fn time<T>(share: Share, work: impl FnOnce() -> T) -> T {
    let since = Instant::now();
    let made = work();
    add(share, since);
    made
}

/// Nanoseconds so far, in the order of [`ALL`].
pub fn nanos() -> [u64; ALL.len()] {
    ALL.map(|share| NANOS[share as usize].load(Ordering::Relaxed))
}
