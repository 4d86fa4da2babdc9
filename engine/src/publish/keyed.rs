//! A net change by key: deletes, updates, inserts, or all rows of the keys that it touches.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::rows::RowHasher;
use hashbrown::HashMap;

use super::moves::{KeyedChange, Move};
use crate::error::Result;

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
    let before =
        (rows.num_rows() + change.removed.num_rows()).saturating_sub(change.added.num_rows());
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
        let change =
            ChangeBatch { removed: rows(&[(1, 1), (2, 1)]), added: rows(&[(2, 2), (3, 1)]) };
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
