//! The bank: one model of a small bank's life, with two outputs.
//!
//! Stands before the line, never on it: it makes what the stations consume. A seed and the times
//! passed in decide everything, so that a run can be repeated to the byte.
//!
//! How a transaction comes about:
//! 1. `teller::Bank::next(now_us)` draws an `activity::Activity` from a weighted mix (`rng`).
//! 2. `visit` turns it into row changes, each applied to the `ledger`: the bank's tables in
//!    memory, with the books (the sum of all balances).
//! 3. The teller returns a `transaction::Transaction`: all or nothing, as the database commits it.
//! 4. Either `sql::write::apply` commits it to a real PostgreSQL,
//! 5. or `debezium::renderer::Renderer` writes the messages that Debezium would have sent for it,
//!    and `faults::Wire` may disturb their delivery as a real chain does.
//!
//! Invariants: no balance is below zero; the books are known after every transaction; ids are
//! never used twice; the same seed gives the same bytes.
//!
//! It must never read a clock or the system's randomness, and never import a station.

pub mod activity;
pub mod debezium;
pub mod faults;
pub mod ledger;
pub mod people;
pub mod rng;
pub mod row;
pub mod sql;
pub mod teller;
pub mod transaction;
pub mod visit;

#[cfg(test)]
mod tests;
