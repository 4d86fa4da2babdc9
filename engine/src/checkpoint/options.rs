//! How an instance proves that the lake is its own.

use serde::Deserialize;

/// `[checkpoint]` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Seconds after which an instance that stopped renewing its lease may be replaced (object
    /// storage; a local lake is locked by the operating system instead).
    pub lease_seconds: u64,
    /// Decisions kept below the latest one.
    pub decisions_kept: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { lease_seconds: 15, decisions_kept: 1000 }
    }
}
