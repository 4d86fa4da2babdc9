//! The source station's options: which cluster, which topics, how much memory.
//!
//! What was typed is checked here and in `properties`; nothing here talks to a broker. It must
//! never hold a secret: those are named by environment variable or file, and read at the start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// `[kafka]` of the configuration. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The brokers to begin with: `host:port`, separated by commas.
    pub brokers: String,
    /// The topics to read. One that does not exist yet is waited for.
    #[serde(default)]
    pub topics: Vec<String>,
    /// A regular expression; topics whose whole name matches are read too. Names that begin with
    /// two underscores are Kafka's or Connect's own, and never match.
    #[serde(default)]
    pub topic_pattern: Option<String>,
    /// The connector's `topic.prefix`. Without `topics` and `topic_pattern`, every topic under it
    /// is read.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The topic of transaction boundaries; `<prefix>.transaction` where a prefix is given.
    #[serde(default)]
    pub transaction_topic: Option<String>,
    /// The name under which brokers see us. No group is joined and nothing is committed.
    #[serde(default = "default_group_id")]
    pub group_id: String,
    /// librdkafka's properties, for security above all. Secrets are refused here.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Property -> the environment variable that holds its value.
    #[serde(default)]
    pub properties_from_env: BTreeMap<String, String>,
    /// Property -> the file that holds its value; line ends at its end are cut off.
    #[serde(default)]
    pub properties_from_file: BTreeMap<String, PathBuf>,
    /// Bytes that may be read ahead of the line, over all partitions.
    #[serde(default = "default_queue_bytes_max")]
    pub queue_bytes_max: u64,
    /// Records handed on at once, at most.
    #[serde(default = "default_batch_records")]
    pub batch_records: usize,
    /// Milliseconds between two looks for new topics and partitions.
    #[serde(default = "default_discovery_interval_ms")]
    pub discovery_interval_ms: u64,
    /// Milliseconds without any broker after which the source gives up.
    #[serde(default = "default_unavailable_after_ms")]
    pub unavailable_after_ms: u64,
    /// Milliseconds that the start waits for the brokers' ids of the topics, by which a topic that
    /// was created anew is noticed; 0 asks for none, and forgets those that are known.
    #[serde(default = "default_topic_ids_wait_ms")]
    pub topic_ids_wait_ms: u32,
}

fn default_group_id() -> String {
    "freshet".to_owned()
}

const fn default_queue_bytes_max() -> u64 {
    128 << 20
}

const fn default_batch_records() -> usize {
    8_192
}

const fn default_discovery_interval_ms() -> u64 {
    10_000
}

const fn default_unavailable_after_ms() -> u64 {
    30_000
}

const fn default_topic_ids_wait_ms() -> u32 {
    3_000
}

impl Options {
    /// The defaults with these brokers, and no topics yet.
    pub fn at(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topics: Vec::new(),
            topic_pattern: None,
            prefix: None,
            transaction_topic: None,
            group_id: default_group_id(),
            properties: BTreeMap::new(),
            properties_from_env: BTreeMap::new(),
            properties_from_file: BTreeMap::new(),
            queue_bytes_max: default_queue_bytes_max(),
            batch_records: default_batch_records(),
            discovery_interval_ms: default_discovery_interval_ms(),
            unavailable_after_ms: default_unavailable_after_ms(),
            topic_ids_wait_ms: default_topic_ids_wait_ms(),
        }
    }

    /// The topic of transaction boundaries, if there is one.
    pub fn transaction_topic(&self) -> Option<String> {
        let implied = || self.prefix.as_ref().map(|prefix| format!("{prefix}.transaction"));
        self.transaction_topic.clone().or_else(implied)
    }
}
