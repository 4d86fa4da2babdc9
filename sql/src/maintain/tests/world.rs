//! Tables, their histories, and the naive store that the real one has to equal.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::query::{Columns, Kind};
use super::tape::Tape;
use crate::change::{ChangeBatch, take_rows};
use crate::error::Result;
use crate::maintain::keys::{KeyExprs, KeySet};
use crate::maintain::near::{FIRST, RangeKey, Ranges};
use crate::maintain::stored::{Relations, Stored, Wanted, When};
use crate::rows::RowHasher;
use hashbrown::HashSet;

/// The columns that every random table has.
pub fn columns() -> Columns {
    [
        ("id", Kind::Int),
        ("k", Kind::Int),
        ("g", Kind::Text),
        ("d", Kind::Money),
        ("i", Kind::Int),
        ("ts", Kind::Time),
        ("x", Kind::Real),
    ]
    .into_iter()
    .map(|(name, kind)| (name.to_owned(), kind))
    .collect()
}

fn kind_type(kind: Kind) -> DataType {
    match kind {
        Kind::Int => DataType::Int64,
        Kind::Text => DataType::Utf8,
        Kind::Money => DataType::Decimal128(18, 2),
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
        Kind::Real => DataType::Float64,
    }
}

pub fn schema() -> SchemaRef {
    let fields = columns().into_iter().map(|(n, k)| Field::new(n, kind_type(k), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// One random row: few distinct values, so that keys meet, and nulls.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: i64,
    pub k: Option<i64>,
    pub g: Option<&'static str>,
    pub d: Option<i128>,
    pub i: Option<i64>,
    pub ts: Option<i64>,
    pub x: Option<f64>,
}

impl Row {
    /// Of these values alone: the others are null.
    pub fn of(id: i64, k: Option<i64>) -> Self {
        Self { id, k, g: None, d: None, i: None, ts: None, x: None }
    }

    pub fn random(id: i64, tape: &mut Tape) -> Self {
        const DAY: i64 = 86_400_000_000;
        let null = |tape: &mut Tape| tape.chance(20);
        let k = (!null(tape)).then(|| i64::from(tape.choose(5)));
        let g = (!null(tape)).then(|| *tape.one_of(&["a", "b", "c", "A"]));
        let d = (!null(tape)).then(|| i128::from(tape.choose(6000)));
        let i = (!null(tape)).then(|| i64::from(tape.choose(6)) - 2);
        let at = 1_704_067_200_000_000 + i64::from(tape.choose(9)) * DAY / 2;
        let ts = (!null(tape)).then_some(at);
        let x = (!null(tape)).then(|| f64::from(tape.choose(1000)) / 7.0 + 1e9);
        Self { id, k, g, d, i, ts, x }
    }
}

pub fn batch(rows: &[Row]) -> RecordBatch {
    let money: Decimal128Array = rows.iter().map(|r| r.d).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| Some(r.id)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.k).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.g).collect::<StringArray>()),
        Arc::new(money.with_precision_and_scale(18, 2).unwrap()),
        Arc::new(rows.iter().map(|r| r.i).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.ts).collect::<TimestampMicrosecondArray>()),
        Arc::new(rows.iter().map(|r| r.x).collect::<Float64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

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
