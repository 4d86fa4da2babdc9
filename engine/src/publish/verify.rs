//! Comparing a target with the lake, by the target's own hashes, range by range.
//!
//! The lake's side is read as of the epoch that the ledger says; the target's side is computed by
//! the target. Ranges that differ are read key by key, so that what differs has a name. Keys are
//! values: they are printed for whoever asked, and never logged.

use std::collections::BTreeMap;

use super::canonical;
use super::contract::Contract;
use super::lakeside;
use super::moves::Standing;
use super::warehouse::{RangeSum, Warehouse};
use crate::checkpoint::decision::Decision;
use crate::error::Result;
use crate::lake::store::Store;

/// Ranges of a table.
pub const RANGES: u64 = 256;
/// Keys that are named of one table at most.
const KEYS_MAX: usize = 20;

/// How a key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The target lacks it.
    Missing,
    /// Only the target has it.
    Extra,
    /// Its row, or their number, is another.
    Other,
}

/// One table's comparison.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The target's table.
    pub table: String,
    /// Rows in the lake.
    pub lake_rows: u64,
    /// Rows in the target.
    pub target_rows: u64,
    /// Whether counts and hashes are the same in every range.
    pub same: bool,
    /// Ranges that differ.
    pub ranges: usize,
    /// Keys that differ, as canonical texts; not all, if there are many.
    pub keys: Vec<(String, Difference)>,
}

/// Compares every table that the ledger has.
pub async fn verify(
    warehouse: &mut dyn Warehouse,
    store: &Store,
    decision: &Decision,
    contracts: &[Contract],
    standing: &Standing,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for contract in contracts.iter().filter(|c| standing.ledger.contains_key(&c.table)) {
        findings.push(one(warehouse, store, decision, contract).await?);
    }
    Ok(findings)
}

async fn one(
    warehouse: &mut dyn Warehouse,
    store: &Store,
    decision: &Decision,
    contract: &Contract,
) -> Result<Finding> {
    let mut ours = vec![RangeSum::default(); RANGES as usize];
    let mut rows: BTreeMap<u64, Vec<(String, u64)>> = BTreeMap::new();
    for batch in lakeside::rows(store, decision, contract).await? {
        for (key, range, hash) in canonical::of_rows(contract, &batch, RANGES)? {
            if let Some(sum) = ours.get_mut(range as usize) {
                sum.rows += 1;
                sum.hash = sum.hash.wrapping_add(hash);
            }
            rows.entry(range).or_default().push((key, hash));
        }
    }
    let theirs = warehouse.sums(contract, RANGES).await?;
    let differ: Vec<u64> =
        (0..RANGES).filter(|r| ours.get(*r as usize) != theirs.get(*r as usize)).collect();
    let mut keys = Vec::new();
    for range in &differ {
        if keys.len() >= KEYS_MAX {
            break;
        }
        let found = warehouse.hashes(contract, RANGES, *range).await?;
        keys.extend(compare(rows.remove(range).unwrap_or_default(), found));
    }
    keys.truncate(KEYS_MAX);
    let total = |sums: &[RangeSum]| sums.iter().map(|s| s.rows).sum();
    Ok(Finding {
        table: contract.table.clone(),
        lake_rows: total(&ours),
        target_rows: total(&theirs),
        same: differ.is_empty(),
        ranges: differ.len(),
        keys,
    })
}

/// The keys whose rows are not the same on both sides.
fn compare(ours: Vec<(String, u64)>, theirs: Vec<(String, u64)>) -> Vec<(String, Difference)> {
    let mut keys: BTreeMap<String, (Vec<u64>, Vec<u64>)> = BTreeMap::new();
    for (key, hash) in ours {
        keys.entry(key).or_default().0.push(hash);
    }
    for (key, hash) in theirs {
        keys.entry(key).or_default().1.push(hash);
    }
    let mut found = Vec::new();
    for (key, (mut ours, mut theirs)) in keys {
        ours.sort_unstable();
        theirs.sort_unstable();
        if ours != theirs {
            let how = match (ours.is_empty(), theirs.is_empty()) {
                (false, true) => Difference::Missing,
                (true, false) => Difference::Extra,
                _ => Difference::Other,
            };
            found.push((key, how));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_has_a_name() {
        let row = |key: &str, hash| (key.to_owned(), hash);
        let ours = vec![row("a", 1), row("b", 2), row("c", 3), row("d", 4), row("d", 4)];
        let theirs = vec![row("a", 1), row("b", 9), row("d", 4), row("e", 5)];
        let found = compare(ours, theirs);
        let wanted = [
            ("b", Difference::Other),
            ("c", Difference::Missing),
            ("d", Difference::Other),
            ("e", Difference::Extra),
        ];
        assert_eq!(found, wanted.map(|(k, d)| (k.to_owned(), d)));
    }
}
