//! A push as data: which rows each target table gets, and what the ledger will say.
//!
//! Pure: from what the target says of itself and what waits to a [`Push`], or to the reason why not.
//! It must never decide to overwrite rows that are not ours.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::rows::RowHasher;
use hashbrown::HashMap;

use super::contract::Contract;
use crate::error::Result;

/// Where a mart stands: in the lake, or as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerRow {
    /// The epoch.
    pub epoch: u64,
    /// The Delta table's version.
    pub version: u64,
    /// Rows.
    pub rows: u64,
    /// The order-free hash, hexadecimal.
    pub hash: String,
    /// The writer's generation.
    pub generation: u64,
}

/// What a target says of itself.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Whether ledger and lock are there.
    pub installed: bool,
    /// The lake that pushes here; `None` before the first push.
    pub lake: Option<String>,
    /// The generation of the last writer.
    pub generation: u64,
    /// By target table.
    pub ledger: BTreeMap<String, LedgerRow>,
    /// Tables that are there.
    pub tables: BTreeMap<String, TableFacts>,
}

impl Standing {
    /// The epoch that the target holds; `None` before the first push.
    pub fn pushed(&self) -> Option<u64> {
        self.ledger.values().map(|row| row.epoch).max()
    }
}

/// A target's table as it is.
#[derive(Debug, Clone, Default)]
pub struct TableFacts {
    /// Names in capitals, and types; `None` for one that no contract knows.
    pub columns: Vec<(String, Option<super::contract::ColumnType>)>,
    /// Rows.
    pub rows: u64,
}

/// How a table gets its rows.
#[derive(Debug, Clone)]
pub enum Move {
    /// All rows are replaced.
    Overwrite {
        /// The mart.
        rows: Vec<RecordBatch>,
        /// Why.
        reason: String,
    },
    /// Each key of the change has at most one row before and after.
    Merge(KeyedChange),
    /// All rows with these keys are replaced.
    Replace {
        /// One row a key: the key's columns alone count.
        keys: RecordBatch,
        /// Every row that has one of them.
        rows: RecordBatch,
        /// Rows that have one of them in the target now.
        before: usize,
    },
}

/// A change by key.
#[derive(Debug, Clone)]
pub struct KeyedChange {
    /// Rows whose keys leave.
    pub deletes: RecordBatch,
    /// Rows whose keys stay, as they are now.
    pub updates: RecordBatch,
    /// Rows whose keys are new.
    pub inserts: RecordBatch,
}

/// One table of a push.
#[derive(Debug, Clone)]
pub struct TableMove {
    /// The table.
    pub contract: Contract,
    /// What is done.
    pub what: Move,
    /// What is true of it afterwards.
    pub after: LedgerRow,
}

/// Rows of RAW to append.
#[derive(Debug, Clone)]
pub struct RawMove {
    /// The target table.
    pub table: String,
    /// The JSON text and the time in microseconds, one row an event.
    pub rows: Vec<RecordBatch>,
    /// What is true of it afterwards: `rows` are those appended.
    pub after: LedgerRow,
}

/// A push: all of it is one transaction.
#[derive(Debug, Clone)]
pub struct Push {
    /// Names it: the target's ledger keeps it, so that a lost answer can be told from a lost push.
    pub id: String,
    /// The lake.
    pub lake: String,
    /// The writer's generation.
    pub generation: u64,
    /// The epoch that the target must hold; `None` for none.
    pub from: Option<u64>,
    /// The epoch it holds afterwards.
    pub to: u64,
    /// Time of that epoch, microseconds.
    pub time_us: i64,
    /// The last source commit up to it, microseconds.
    pub commit_us: Option<i64>,
    /// Source offsets, as JSON.
    pub offsets: String,
    /// Tables that change.
    pub tables: Vec<TableMove>,
    /// Tables that do not: their ledger rows move on.
    pub unchanged: Vec<(String, LedgerRow)>,
    /// RAW.
    pub raw: Vec<RawMove>,
}

impl Push {
    /// Rows that it sends.
    pub fn rows_sent(&self) -> usize {
        let raw = self.raw.iter().flat_map(|r| &r.rows).map(RecordBatch::num_rows);
        self.tables.iter().map(|t| t.what.rows_sent()).sum::<usize>() + raw.sum::<usize>()
    }

    /// Every ledger row that it writes.
    pub fn ledger(&self) -> Vec<(String, LedgerRow)> {
        let moved = self.tables.iter().map(|t| (t.contract.table.clone(), t.after.clone()));
        let raw = self.raw.iter().map(|r| (r.table.clone(), r.after.clone()));
        moved.chain(self.unchanged.iter().cloned()).chain(raw).collect()
    }
}

impl Move {
    /// Rows that it sends.
    pub fn rows_sent(&self) -> usize {
        match self {
            Self::Overwrite { rows, .. } => rows.iter().map(RecordBatch::num_rows).sum(),
            Self::Merge(change) => change.len(),
            Self::Replace { keys, rows, .. } => keys.num_rows() + rows.num_rows(),
        }
    }
}

impl KeyedChange {
    /// Rows: each key of the change is one.
    pub fn len(&self) -> usize {
        self.deletes.num_rows() + self.updates.num_rows() + self.inserts.num_rows()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A net change by key; `None` if a key has two rows on one side of it.
pub fn by_key(change: &ChangeBatch, key: &[usize]) -> Result<Option<KeyedChange>> {
    let hasher = RowHasher::new(&change.schema(), key.to_vec());
    let mut removed: HashMap<u128, u64> = HashMap::with_capacity(change.removed.num_rows());
    for (row, hash) in hasher.hashes(&change.removed)?.into_iter().enumerate() {
        if removed.insert(hash, row as u64).is_some() {
            return Ok(None);
        }
    }
    let (mut updates, mut inserts) = (Vec::new(), Vec::new());
    let mut seen = hashbrown::HashSet::with_capacity(change.added.num_rows());
    for (row, hash) in hasher.hashes(&change.added)?.into_iter().enumerate() {
        if !seen.insert(hash) {
            return Ok(None);
        }
        let list = if removed.remove(&hash).is_some() { &mut updates } else { &mut inserts };
        list.push(row as u64);
    }
    let mut deletes: Vec<u64> = removed.into_values().collect();
    deletes.sort_unstable();
    Ok(Some(KeyedChange {
        deletes: take_rows(&change.removed, deletes)?,
        updates: take_rows(&change.added, updates)?,
        inserts: take_rows(&change.added, inserts)?,
    }))
}

/// All rows of the keys that a change touches, for marts where a key has several.
pub fn whole_keys(change: &ChangeBatch, key: &[usize], mart: &[RecordBatch]) -> Result<Move> {
    let schema = change.schema();
    let hasher = RowHasher::new(&schema, key.to_vec());
    let both = concat_batches(&schema, [&change.removed, &change.added])?;
    let mut touched: HashMap<u128, u64> = HashMap::new();
    for (row, hash) in hasher.hashes(&both)?.into_iter().enumerate() {
        touched.entry(hash).or_insert(row as u64);
    }
    let mut picked = Vec::new();
    for batch in mart {
        let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?;
        let hashes = hasher.hashes(&batch)?;
        let here = hashes.iter().enumerate().filter(|(_, h)| touched.contains_key(*h));
        picked.push(take_rows(&batch, here.map(|(row, _)| row as u64).collect())?);
    }
    let rows = concat_batches(&schema, &picked)?;
    let mut firsts: Vec<u64> = touched.into_values().collect();
    firsts.sort_unstable();
    let before = (rows.num_rows() + change.removed.num_rows())
        .saturating_sub(change.added.num_rows());
    Ok(Move::Replace { keys: take_rows(&both, firsts)?, rows, before })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use std::sync::Arc;

    fn rows(pairs: &[(i64, i64)]) -> RecordBatch {
        let column = |side: fn(&(i64, i64)) -> i64| -> ArrayRef {
            Arc::new(pairs.iter().map(side).collect::<Int64Array>())
        };
        RecordBatch::try_from_iter(vec![("k", column(|p| p.0)), ("v", column(|p| p.1))]).unwrap()
    }

    #[test]
    fn a_change_by_key_is_deletes_updates_and_inserts() {
        let change = ChangeBatch { removed: rows(&[(1, 1), (2, 1)]), added: rows(&[(2, 2), (3, 1)]) };
        let keyed = by_key(&change, &[0]).unwrap().unwrap();
        assert_eq!(keyed.deletes, rows(&[(1, 1)]));
        assert_eq!(keyed.updates, rows(&[(2, 2)]));
        assert_eq!(keyed.inserts, rows(&[(3, 1)]));
    }

    #[test]
    fn keys_with_several_rows_are_replaced_whole() {
        let change = ChangeBatch { removed: rows(&[(1, 1)]), added: rows(&[(1, 2), (1, 3)]) };
        assert!(by_key(&change, &[0]).unwrap().is_none());
        let mart = [rows(&[(1, 2), (2, 9)]), rows(&[(1, 3), (1, 7)])];
        let Move::Replace { keys, rows: sent, before } = whole_keys(&change, &[0], &mart).unwrap()
        else {
            panic!("not by keys")
        };
        assert_eq!((keys.num_rows(), before), (1, 2));
        assert_eq!(sent, rows(&[(1, 2), (1, 3), (1, 7)]));
    }
}
