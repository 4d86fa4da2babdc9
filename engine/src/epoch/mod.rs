//! The epoch station: parsed records in, bounded epochs out, cut at source transactions.
//!
//! It stands right of `envelope` and left of `lake`. Partitions bring records each in its own
//! order; a topic of BEGIN and END records says in which order the source committed. A cut after
//! the k-th END is one offset per partition: each stops before its first record of a transaction
//! that is not among the k. How one cut is found:
//!
//! 1. [`cutter::Cutter::push`] queues a record as part of a *run*: neighbours of one transaction.
//! 2. Runs are settled, front to back: a run belongs to its transaction's END, but never before
//!    the run in front of it. Redelivered runs of a cut transaction belong where they are met.
//! 3. A transaction is complete when the tables that we read have shown the counts of its END, or
//!    every partition has shown a later one (`transactions.rs`, `complete.rs`).
//! 4. Of the longest prefix of complete ENDs the bounds choose one; no cut falls between a BEGIN
//!    and its END, so that an interrupted transaction and its redelivery stay one piece.
//!
//! Where the source gives no boundaries, `fallback.rs` cuts by txId and commit time, and says so.
//! `loading.rs` follows initial reads. A transaction larger than the buffer stays whole:
//! [`cutter::Cutter::move_contents`] lets its records' contents lie on disk meanwhile.
//!
//! The station is a pure function of what was pushed and of the times it was told: it must never
//! read a clock, do I/O, decode a row, drop a record, or put a row's value into a message.

mod complete;
pub mod content;
pub mod cutter;
mod fallback;
pub mod item;
pub mod loading;
pub mod options;
mod partitions;
mod recent;
mod taking;
mod transactions;
mod waits;

#[cfg(test)]
mod tests;

pub use options::Options;
