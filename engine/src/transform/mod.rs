//! The transform: an epoch's changes to every model's change, in graph order.
//!
//! In: which sources changed, and every transaction's last image of a key. Out: a `ChangeBatch` per
//! model, taken into the lake's tables. Staging, snapshots and marts are one station: a layer is a
//! folder, a materialization a code path. It must never read a clock or storage: rows come from the
//! tables in memory, the time from the epoch.

mod columns;
pub mod folding;
pub mod follow;
pub mod history;
pub mod options;
pub mod plan;
pub mod planned;
pub mod proof;
pub mod report;
pub mod run;
pub mod snapshots;
mod steps;
pub mod taken_over;
pub mod tests;
pub mod view;
