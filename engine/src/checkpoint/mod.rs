//! The checkpoint: the durable word that an epoch is done.
//!
//! In: an epoch's log entries, offsets and verdicts. Out: one create-if-absent object that names
//! them all, and then the entries themselves. It is what makes many tables move as one: a crash
//! leaves either no epoch or one that [`recover`] completes. It must never put a log entry that no
//! decision names.

pub mod apply;
pub mod decide;
pub mod decision;
pub mod floor;
pub mod lease;
pub mod options;
pub mod recover;
