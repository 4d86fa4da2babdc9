//! The lake: the only durable state. Delta tables on object storage, looked up by key.
//!
//! In: an epoch's changes. Out: new Parquet files, deletion vectors, and the exact bytes of each
//! table's next log entry. It never commits by itself: nothing here writes into a `_delta_log`
//! before `checkpoint` has decided the epoch, so a file that no entry names does not exist.
//! Indexes and cached rows are derived and may be lost; after any failure the lake is loaded anew.

pub mod append;
mod beside;
pub mod changelog;
pub mod cold;
pub mod commit;
pub mod compact;
#[cfg(test)]
mod compact_tests;
mod counted;
pub mod current;
pub mod dead;
pub mod dedupe;
mod file;
pub mod half_written;
pub mod hot;
pub mod in_order;
#[cfg(test)]
mod in_order_tests;
pub mod index;
pub mod keep;
#[cfg(test)]
mod keep_tests;
pub mod kept;
mod key_indexes;
pub mod keys;
pub mod layout;
pub mod load;
pub mod log;
pub mod merge;
pub mod moment;
pub mod options;
mod order;
pub mod parquet;
pub mod pin;
pub mod ranges;
pub mod raw;
pub mod raw_merge;
pub mod read;
pub mod remember;
pub mod room;
pub mod scratch;
pub mod spec;
pub mod stage;
pub mod store;
pub mod table;
pub mod tables;
pub mod tend;
pub mod vector;
