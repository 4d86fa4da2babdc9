//! Where Kafka Connect is, and what the connector is called and told.
//!
//! It must never hold the database's password: Connect fills that in from its own environment.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[connector]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Connect's REST address, `http://host:8083`.
    pub url: String,
    /// The connector's name in Connect.
    #[serde(default = "default_name")]
    pub name: String,
    /// Seconds to wait until it runs.
    #[serde(default = "default_wait_seconds")]
    pub wait_seconds: u64,
    /// Debezium's settings that differ from ours; an empty text takes one of ours out.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

fn default_name() -> String {
    "banking".to_owned()
}

const fn default_wait_seconds() -> u64 {
    60
}
