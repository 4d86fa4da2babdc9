//! What epochs of `freshet bench epoch` wrote, read from their log entries.
//!
//! Rows, files and vectors of tables by key; raw events are counted apart, and so is what merges wrote
//! anew: a file that an earlier epoch began. It must never count a file again whose vector alone is new.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::checkpoint::decision::Decision;

/// Sums over epochs.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Written {
    pub(super) rows: u64,
    pub(super) file_bytes: u64,
    pub(super) raw_rows: u64,
    pub(super) raw_bytes: u64,
    pub(super) merged_rows: u64,
    pub(super) merged_bytes: u64,
    pub(super) vectors: u64,
    pub(super) vector_bytes: u64,
}

#[derive(Deserialize)]
struct Action {
    add: Option<Add>,
    remove: Option<Remove>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    size: u64,
    data_change: bool,
    stats: Option<String>,
    deletion_vector: Option<Vector>,
}

#[derive(Deserialize)]
struct Remove {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    size_in_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_records: u64,
}

/// The epoch that a file's name tells.
fn begun(path: &str) -> Option<u64> {
    let name = path.rsplit('/').next()?.strip_prefix("part-")?;
    name.split('-').next()?.parse().ok()
}

impl Written {
    pub(super) fn note(&mut self, decision: &Decision) {
        for entry in &decision.entries {
            let lines = entry.text.lines().filter_map(|line| serde_json::from_str(line).ok());
            let actions: Vec<Action> = lines.collect();
            let known: BTreeSet<&str> =
                actions.iter().filter_map(|a| Some(a.remove.as_ref()?.path.as_str())).collect();
            for add in actions.iter().filter_map(|action| action.add.as_ref()) {
                if let Some(vector) = &add.deletion_vector {
                    self.vectors += 1;
                    self.vector_bytes += vector.size_in_bytes;
                }
                if !known.contains(add.path.as_str()) {
                    let merged = !add.data_change || begun(&add.path) != Some(decision.epoch);
                    self.file(add, merged, entry.table.starts_with("raw/"));
                }
            }
        }
    }

    fn file(&mut self, add: &Add, merged: bool, raw: bool) {
        let stats = add.stats.as_deref().and_then(|text| serde_json::from_str::<Stats>(text).ok());
        let rows = stats.map_or(0, |stats| stats.num_records);
        let (sum, bytes) = match (merged, raw) {
            (true, _) => (&mut self.merged_rows, &mut self.merged_bytes),
            (false, true) => (&mut self.raw_rows, &mut self.raw_bytes),
            (false, false) => (&mut self.rows, &mut self.file_bytes),
        };
        *sum += rows;
        *bytes += add.size;
    }

    /// Of one epoch on average.
    pub(super) fn told(&self, epochs: u64) -> String {
        let each = |sum: u64| sum / epochs.max(1);
        let kib = |sum: u64| each(sum) >> 10;
        format!(
            "{} rows in {} KiB of files, {} vectors of {} KiB; raw {} rows in {} KiB; merged {} rows in \
             {} KiB",
            each(self.rows),
            kib(self.file_bytes),
            each(self.vectors),
            kib(self.vector_bytes),
            each(self.raw_rows),
            kib(self.raw_bytes),
            each(self.merged_rows),
            kib(self.merged_bytes),
        )
    }

    pub(super) fn as_json(&self, epochs: u64) -> serde_json::Value {
        let each = |sum: u64| sum as f64 / epochs.max(1) as f64;
        serde_json::json!({
            "rows": each(self.rows),
            "file_bytes": each(self.file_bytes),
            "raw_rows": each(self.raw_rows),
            "raw_bytes": each(self.raw_bytes),
            "merged_rows": each(self.merged_rows),
            "merged_bytes": each(self.merged_bytes),
            "vectors": each(self.vectors),
            "vector_bytes": each(self.vector_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_its_epoch() {
        assert_eq!(begun("date=2026-01-02/part-0000000042-51d8f9f7-41c4.parquet"), Some(42));
        assert_eq!(begun("other.parquet"), None);
    }
}
