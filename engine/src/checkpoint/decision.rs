//! A decision: everything that an epoch is, in one object.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::epoch::loading::CutState;
use crate::error::{Error, Result};
use crate::lake::hot::Held;
use crate::lake::tables::{Entry, Standing};
use crate::transform::report::{ModelReport, TestReport, Verdict};

/// The newest format that this engine writes and reads.
const FORMAT: u32 = 2;
/// The first format: it knows no mart without a file of the change log.
const FORMAT_FIRST: u32 = 1;

/// One epoch, decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Decision {
    /// The lowest that says all of it, so that older engines read what they understand: see [`format`].
    pub format: u32,
    /// The epoch's number, from 1.
    pub epoch: u64,
    /// The writer's generation: it grows with each takeover.
    pub generation: u64,
    /// Tells the writer's own object from another's after a lost answer.
    pub nonce: String,
    /// The epoch's time, microseconds since 1970 UTC; never decreases.
    pub time_us: i64,
    /// Commit time of the last source change in it, microseconds; absent in an empty epoch.
    pub last_commit_us: Option<i64>,
    /// What the cut must know to go on from here.
    pub cut: CutState,
    /// Whether cuts follow transactions, or only each partition's order.
    pub guarantee: String,
    /// Next offset to read, by topic and partition.
    pub offsets: BTreeMap<String, BTreeMap<i32, i64>>,
    /// The brokers' ids of the topics that the offsets belong to, where they tell any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topic_ids: BTreeMap<String, String>,
    /// Log entries that this epoch makes.
    pub entries: Vec<DecidedEntry>,
    /// Where every table stands with them.
    pub tables: BTreeMap<String, Standing>,
    /// Models as they were run.
    pub models: Vec<ModelReport>,
    /// The epoch at which each source table was last proved from raw, by its relation's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proved_sources: BTreeMap<String, u64>,
    /// Data tests and their verdicts.
    pub tests: Vec<TestReport>,
    /// Files of the change log.
    pub changes: Vec<String>,
    /// Marts that it made from nothing, without a file of the change log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_nothing: Vec<String>,
    /// Counted so far, over all epochs.
    pub totals: Totals,
    /// What the writer held in memory, and what it had no room for.
    #[serde(default)]
    pub held: Held,
}

/// A table's log entry inside a decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DecidedEntry {
    /// The table, relative to the lake.
    pub table: String,
    /// The version it makes.
    pub version: u64,
    /// Its exact text.
    pub text: String,
}

/// Counters since the lake began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Changes taken in.
    pub events: u64,
    /// Source transactions.
    pub transactions: u64,
    /// Changes dropped as redelivered.
    pub redelivered: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Partitions that were passed by timeout.
    pub passed_by_timeout: u64,
    /// Values filled in that Debezium left out as unchanged.
    pub filled: u64,
    /// Such values for which no earlier row was known: they are null.
    pub unfilled: u64,
    /// Deletes of rows that were not there.
    pub unknown_deletes: u64,
}

/// The format of an epoch that made these marts from nothing. A publisher that knows only the first
/// one would take their changes for none, so it must not read it.
pub const fn format(from_nothing: &[String]) -> u32 {
    if from_nothing.is_empty() { FORMAT_FIRST } else { FORMAT }
}

impl DecidedEntry {
    /// From the lake's entry.
    pub fn from_entry(entry: Entry) -> Result<Self> {
        let text = String::from_utf8(entry.bytes.to_vec())
            .map_err(|_| Error::bug("a log entry is not UTF-8"))?;
        Ok(Self { table: entry.table, version: entry.version, text })
    }

    /// Its bytes.
    pub fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.text.as_bytes())
    }
}

impl Decision {
    /// Data tests of severity error that fail.
    pub fn failed_tests(&self) -> impl Iterator<Item = &TestReport> {
        self.tests.iter().filter(|t| t.status == Verdict::Fail)
    }

    /// As stored.
    pub fn encode(&self) -> Result<Bytes> {
        let text = serde_json::to_vec(self).map_err(|e| Error::bug(format!("decision: {e}")))?;
        Ok(Bytes::from(text))
    }

    /// From what is stored at `path`.
    pub fn decode(body: &[u8], path: &str) -> Result<Self> {
        let decision: Self = serde_json::from_slice(body)
            .map_err(|e| Error::corrupt(format!("decision \"{path}\": {e}")))?;
        if !(FORMAT_FIRST..=FORMAT).contains(&decision.format) {
            return Err(Error::invalid(format!(
                "decision \"{path}\" has format {}, this engine reads {FORMAT_FIRST} to {FORMAT}",
                decision.format
            ))
            .with_hint("use the engine version that wrote it, or a newer one"));
        }
        Ok(decision)
    }
}
