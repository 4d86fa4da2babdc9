//! What a materialization makes of a query's rows.
//!
//! A table, view or incremental model is its query's rows: `maintain` keeps it. A snapshot is a fold
//! over events: [`snapshot`] keeps it.

pub mod snapshot;
pub mod versions;
