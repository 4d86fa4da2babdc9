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

/// The layer whose changes are logged and published.
pub const MARTS: &str = "marts";

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

/// The folder of all change logs.
pub fn change_logs() -> String {
    "_freshet/changes".to_owned()
}

/// Who this lake is, told apart from every other.
pub const IDENTITY: &str = "_freshet/lake.json";

/// What a publisher knows of its target, and changes it saved: derived, and may be lost.
pub fn publishing(target: &str) -> String {
    format!("_freshet/publish/{target}")
}

/// History that was taken over from a target: what a snapshot is folded onto.
pub fn imported(snapshot: &str) -> String {
    format!("_freshet/imported/{snapshot}.parquet")
}

/// A proof's findings: both versions of what differs.
pub fn proofs(name: &str, epoch: u64) -> String {
    format!("_freshet/proofs/{name}/epoch-{epoch:010}")
}

/// Models and sources that a proof found wrong and that are still to be made anew, one object each.
pub const REPAIRS: &str = "_freshet/repairs";

/// The wish that a model or a source be made anew.
pub fn repair(name: &str) -> String {
    format!("{REPAIRS}/{name}.txt")
}

/// Epochs at which models were proved by hand, one object each, until the service has read them.
pub const PROVED: &str = "_freshet/proved";

/// The epoch at which `freshet prove` proved a model.
pub fn proved(name: &str) -> String {
    format!("{PROVED}/{name}.txt")
}

/// Why nothing is published for now, one object each.
pub fn holds(target: &str) -> String {
    format!("_freshet/publish/{target}/holds")
}

/// The decision of one epoch.
pub fn decision(epoch: u64) -> String {
    format!("{EPOCHS}/{epoch:020}.json")
}

/// A table's log entry.
pub fn log_entry(table: &str, version: u64) -> String {
    format!("{table}/_delta_log/{version:020}.json")
}
