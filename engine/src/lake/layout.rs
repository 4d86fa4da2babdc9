//! The lake's layout: every path, in one place, relative to the lake's root.

/// Events of a source table as they came: `raw/customers`.
pub fn raw(table: &str) -> String {
    format!("raw/{table}")
}

/// Current rows of a source table: `source/customers`.
pub fn source(table: &str) -> String {
    format!("source/{table}")
}

/// A model's rows: `marts/dim_customers`.
pub fn model(layer: &str, name: &str) -> String {
    format!("{layer}/{name}")
}

/// Records that could not be decoded.
pub const DEAD_LETTERS: &str = "_freshet/dead_letters";

/// The decisions, one object an epoch.
pub const EPOCHS: &str = "_freshet/epochs";

/// The lowest epoch whose decision is still kept.
pub const FLOOR: &str = "_freshet/floor.json";

/// Who may decide epochs, on object storage.
pub const LEASE: &str = "_freshet/lease.json";

/// The change log of one model at one epoch.
pub fn changes(layer: &str, name: &str, epoch: u64) -> String {
    format!("_freshet/changes/{layer}/{name}/{epoch:020}.parquet")
}

/// The folder of a model's change log.
pub fn change_log(layer: &str, name: &str) -> String {
    format!("_freshet/changes/{layer}/{name}")
}

/// The decision of one epoch.
pub fn decision(epoch: u64) -> String {
    format!("{EPOCHS}/{epoch:020}.json")
}

/// A table's log entry.
pub fn log_entry(table: &str, version: u64) -> String {
    format!("{table}/_delta_log/{version:020}.json")
}
