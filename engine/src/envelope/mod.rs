//! The envelope station: bytes in, typed Arrow rows out.
//!
//! It stands right of `source` and left of `epoch`, and works in two phases, because an epoch is
//! cut by source transactions before its rows are decoded:
//!
//! 1. [`parse::Parser::parse`] reads one record's envelope: what happened, to which table, at which
//!    position, in which transaction. The row images stay slices of the record's own buffer.
//! 2. [`rows::RowDecoder`] turns row images of one table into Arrow columns of the declared types
//!    ([`schema::TableSchema`], from the catalog's type words or from the message schema).
//!
//! The station is pure: the same bytes give the same answer. It must never read a clock, do I/O,
//! know the lake, guess a type from a value, round a number, or put a row's value into a message.
//! Unchanged TOAST values are only *marked* here; the lake fills them in epoch order. What can't be
//! decoded is returned as [`change::Malformed`] with a reason, never dropped.

mod boundary;
pub mod change;
pub mod columns;
pub mod connect;
mod encodings;
mod json;
mod lanes;
mod names;
pub mod options;
pub mod parse;
mod placeholder;
mod postgres;
pub mod rows;
pub mod schema;
mod values;
mod wire;
mod wrapping;

#[cfg(test)]
mod bench_tests;
#[cfg(test)]
mod connect_tests;
#[cfg(test)]
mod parse_tests;
#[cfg(test)]
mod rows_tests;
#[cfg(test)]
mod types_tests;
#[cfg(test)]
mod wrapping_tests;

pub use options::Options;
