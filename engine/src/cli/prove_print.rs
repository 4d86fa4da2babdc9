//! What `freshet prove` found, as text and as JSON.
//!
//! It names the keys of rows that differ, since somebody asked at a terminal; it must never log them, nor
//! tell any other value.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::json;

use crate::checkpoint::decision::Decision;
use crate::error::Result;
use crate::lake::layout;
use crate::lake::ranges::RANGES;
use crate::lake::table::Table;
use crate::transform::proof::Proof;

/// Keys that are named; both versions of all of them lie in the lake.
const NAMED_KEYS_MAX: usize = 20;

/// What one proof came to.
pub struct Told {
    /// The table's layer.
    pub layer: String,
    /// What was found.
    pub proof: Proof,
    seconds: f64,
    /// The columns that rows are known by, and what they hold in those that differ.
    by: Vec<String>,
    keys: Vec<String>,
    keys_in_all: usize,
}

impl Told {
    /// Of a table and a proof that began then.
    pub fn new(layer: &str, proof: Proof, table: &Table, started: Instant) -> Result<Self> {
        // Of a table without a key any column may be somebody's name.
        let columns = table.spec().known_by().unwrap_or_default();
        let schema = table.schema();
        let keys = if columns.is_empty() { BTreeSet::new() } else { proof.keys(columns)? };
        Ok(Self {
            layer: layer.to_owned(),
            seconds: started.elapsed().as_secs_f64(),
            by: columns.iter().map(|at| schema.field(*at).name().clone()).collect(),
            keys_in_all: keys.len(),
            keys: keys.into_iter().take(NAMED_KEYS_MAX).collect(),
            proof,
        })
    }

    /// What differs, in a sentence without a value.
    pub fn summary(&self) -> String {
        let ranges = self.proof.ranges.len();
        format!("{}, in {ranges} of {RANGES} ranges of its key", self.proof.summary())
    }

    /// For people.
    pub fn text(&self) -> String {
        let name = format!("{}.{}", self.layer, self.proof.name);
        if self.proof.holds() {
            return format!(
                "{name:<40} {:>12} rows  proved at epoch {} in {:.2} s\n",
                self.proof.rows, self.proof.epoch, self.seconds
            );
        }
        format!(
            "{name:<40} {:>12} rows  DIFFERS\n  {}{}\n  both versions: {}; pushes are held; it is \
             made anew by the service with one of its next epochs\n",
            self.proof.rows,
            self.summary(),
            self.keys_text(),
            layout::proofs(&self.proof.name, self.proof.epoch)
        )
    }

    fn keys_text(&self) -> String {
        if self.keys.is_empty() {
            return String::new();
        }
        let more = match self.keys_in_all - self.keys.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("\n  {}: {}{more}", self.by.join("|"), self.keys.join(", "))
    }

    /// For programs.
    pub fn as_json(&self, decision: &Decision) -> serde_json::Value {
        json!({
            "layer": self.layer,
            "name": self.proof.name,
            "epoch": decision.epoch,
            "rows": self.proof.rows,
            "proved": self.proof.holds(),
            "too_many": self.proof.difference.removed.num_rows(),
            "missing": self.proof.difference.added.num_rows(),
            "ranges": self.proof.ranges,
            "key": self.by,
            "keys": self.keys,
            "keys_in_all": self.keys_in_all,
            "seconds": self.seconds,
        })
    }
}
