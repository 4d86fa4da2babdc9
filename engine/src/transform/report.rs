//! What an epoch did with each model and test: stored with the decision, shown by status.

use freshet_sql::maintain::Cost;
use serde::{Deserialize, Serialize};

/// How a model or a test was brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// None of its inputs changed.
    Unchanged,
    /// It followed the changes of what it reads.
    Follow,
    /// Its query was run in full and compared with what is stored.
    Recompute,
    /// A snapshot followed every transaction's last image of a key.
    Images,
    /// A snapshot compared the epoch's end with its open versions: one version an epoch at most.
    EpochEnd,
    /// A snapshot was folded anew from the raw events.
    Rebuild,
}

/// One model in one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    /// The model.
    pub name: String,
    /// Its layer: the folder.
    pub layer: String,
    /// Its fingerprint: the compiled SQL, the configuration and the models above.
    pub fingerprint: String,
    /// How it was brought up to date.
    pub mode: Mode,
    /// What a change of its inputs costs at worst, as `freshet explain` says; absent in old epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The last epoch for which a recompute from its inputs gave what was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<u64>,
    /// Why that way, where it is not plain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Rows stored after the epoch.
    pub rows: u64,
    /// Rows that entered and left what it reads.
    #[serde(default)]
    pub rows_in: u64,
    /// Rows of what it reads that were looked at for that, beside the changes themselves.
    #[serde(default)]
    pub rows_read: u64,
    /// Rows that entered and left.
    pub changed: u64,
    /// Time taken, microseconds.
    pub micros: u64,
    /// Columns that say when a row was written: no part of equality and digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audit: Vec<String>,
}

/// One data test in one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    /// dbt's name for it.
    pub name: String,
    /// The model it is about; empty for one of several.
    pub model: String,
    /// `pass`, `warn` or `fail`.
    pub status: Verdict,
    /// Rows that failed.
    pub failures: u64,
    /// How it was brought up to date; absent in old epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Why that way, where it is not plain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Rows of what it reads that were looked at for that, beside the changes themselves.
    #[serde(default)]
    pub rows_read: u64,
    /// Of the test's text: what was counted for another text counts for nothing.
    #[serde(default)]
    pub fingerprint: String,
    /// Time taken in the epoch that last looked at it, microseconds.
    #[serde(default)]
    pub micros: u64,
}

/// A test's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No row failed.
    Pass,
    /// Rows failed, and the test only warns.
    Warn,
    /// Rows failed.
    Fail,
}
