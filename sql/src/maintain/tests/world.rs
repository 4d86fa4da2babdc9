//! Tables, their histories, and the naive store that the real one has to equal.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use crate::change::{ChangeBatch, take_rows};
use crate::error::Result;
use crate::maintain::keys::{KeyExprs, KeySet};
use crate::maintain::near::{FIRST, RangeKey, Ranges};
use crate::maintain::stored::{Relations, Stored, Wanted, When};
use crate::rows::RowHasher;
use hashbrown::HashSet;

/// A relation before and after an epoch.
#[derive(Debug, Clone)]
pub struct Table {
    pub before: RecordBatch,
    pub after: RecordBatch,
    pub change: ChangeBatch,
}

impl Table {
    pub fn empty(schema: &SchemaRef) -> Self {
        let none = RecordBatch::new_empty(schema.clone());
        let change = ChangeBatch::empty(schema.clone());
        Self { before: none.clone(), after: none, change }
    }

    /// Begins an epoch with this change. Its retractions must be rows that are there.
    pub fn change(&mut self, change: ChangeBatch) {
        let schema = self.after.schema();
        let hasher = RowHasher::new(&schema, (0..schema.fields().len()).collect());
        let mut gone: hashbrown::HashMap<u128, usize> = hashbrown::HashMap::new();
        for hash in hasher.hashes(&change.removed).unwrap() {
            *gone.entry(hash).or_default() += 1;
        }
        let mut kept = Vec::new();
        for (row, hash) in hasher.hashes(&self.after).unwrap().into_iter().enumerate() {
            match gone.get_mut(&hash) {
                Some(left) if *left > 0 => *left -= 1,
                _ => kept.push(row as u64),
            }
        }
        assert!(gone.values().all(|left| *left == 0), "a retraction of a row that is not there");
        self.before = self.after.clone();
        let kept = take_rows(&self.after, kept).unwrap();
        self.after = concat_batches(&schema, [&kept, &change.added]).unwrap();
        self.change = change;
    }

    fn at(&self, when: When) -> &RecordBatch {
        match when {
            When::Before => &self.before,
            When::After => &self.after,
        }
    }
}

impl Stored for Table {
    fn rows(&self) -> usize {
        self.after.num_rows()
    }

    fn all(&self, columns: &[usize], when: When) -> Result<Vec<RecordBatch>> {
        Ok(vec![self.at(when).project(columns)?])
    }

    fn with_keys(
        &self,
        index: &KeyExprs,
        keys: &KeySet,
        columns: &[usize],
        when: When,
        wanted: Wanted,
    ) -> Result<Vec<RecordBatch>> {
        let rows = index.keep(self.at(when), keys)?;
        if wanted == Wanted::Every {
            return Ok(vec![rows.project(columns)?]);
        }
        let mut seen = HashSet::new();
        let first = index.hashes(&rows)?.into_iter().zip(0..);
        let first = first.filter(|(hash, _)| seen.insert(*hash)).map(|(_, row)| row);
        Ok(vec![take_rows(&rows, first.collect())?.project(columns)?])
    }

    fn keys_of_at_least(&self, index: &KeyExprs, keys: &KeySet, rows: usize) -> Result<KeySet> {
        let mut enough = HashSet::new();
        for when in [When::Before, When::After] {
            let mut counts: HashMap<u64, usize> = HashMap::new();
            for (hash, _) in index.entries(self.at(when))? {
                *counts.entry(hash).or_default() += 1;
            }
            enough.extend(counts.into_iter().filter(|(_, n)| *n >= rows).map(|(hash, _)| hash));
        }
        keys.with(|hash| enough.contains(&hash))
    }

    fn beside(
        &self,
        index: &RangeKey,
        ranges: &[(u64, (i64, i64))],
        rows: usize,
    ) -> Result<Vec<(i64, i64)>> {
        let mut places = index.places(&self.after)?;
        places.retain(|(_, at)| *at >= FIRST);
        places.sort_unstable();
        let side = |(hash, (from, to)): &(u64, (i64, i64))| {
            let own = || places.iter().filter(|(of, _)| of == hash).map(|(_, at)| *at);
            let below: Vec<i64> = own().filter(|at| at < from).collect();
            let before = below.iter().rev().nth(rows.saturating_sub(1));
            let after = own().filter(|at| at > to).nth(rows.saturating_sub(1));
            match rows {
                0 => (*from, *to),
                _ => (before.copied().unwrap_or(FIRST), after.unwrap_or(i64::MAX)),
            }
        };
        Ok(ranges.iter().map(side).collect())
    }

    fn with_ranges(
        &self,
        index: &RangeKey,
        ranges: &Ranges,
        columns: &[usize],
        when: When,
    ) -> Result<Vec<RecordBatch>> {
        Ok(vec![index.keep(self.at(when), ranges)?.project(columns)?])
    }
}

/// All relations of a case.
#[derive(Debug, Default)]
pub struct World {
    pub tables: BTreeMap<String, Table>,
}

impl Relations for World {
    fn stored(&self, relation: &str) -> Option<&dyn Stored> {
        self.tables.get(relation).map(|t| t as &dyn Stored)
    }

    fn change(&self, relation: &str) -> Option<&ChangeBatch> {
        self.tables.get(relation).map(|t| &t.change)
    }
}
