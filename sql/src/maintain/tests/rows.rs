//! Random schemas, and rows of them: few distinct values, so that keys meet, and nulls.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::query::{Columns, Kind};
use super::tape::Tape;
use crate::change::ChangeBatch;

const DAY_US: i64 = 86_400_000_000;
const FIRST_DAY: i64 = 19_723;

/// A value; one kind each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Int(i64),
    Text(&'static str),
    Money(i128),
    Time(i64),
    Real(f64),
    Day(i32),
    Flag(bool),
}

/// A row of a table: a value or a null for each column.
pub type Row = Vec<Option<Value>>;

/// The columns that half of all random tables have, and those of tests by hand.
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

/// Columns of a table: those, or some of any kinds after its `id`.
pub fn random_columns(tape: &mut Tape) -> Columns {
    if tape.chance(50) {
        return columns();
    }
    const KINDS: [Kind; 9] = [
        Kind::Int,
        Kind::Text,
        Kind::Money,
        Kind::Time,
        Kind::Int,
        Kind::Day,
        Kind::Flag,
        Kind::Real,
        Kind::Text,
    ];
    let more = 1 + tape.choose(8);
    let others = (0..more).map(|at| (format!("col{at}"), *tape.one_of(&KINDS)));
    [("id".to_owned(), Kind::Int)].into_iter().chain(others).collect()
}

/// A column's type in Arrow, and its name in SQL.
pub fn type_of(kind: Kind) -> (DataType, &'static str) {
    match kind {
        Kind::Int => (DataType::Int64, "bigint"),
        Kind::Text => (DataType::Utf8, "varchar"),
        Kind::Money => (DataType::Decimal128(18, 2), "decimal(18, 2)"),
        Kind::Time => (DataType::Timestamp(TimeUnit::Microsecond, None), "timestamp"),
        Kind::Real => (DataType::Float64, "double"),
        Kind::Day => (DataType::Date32, "date"),
        Kind::Flag => (DataType::Boolean, "boolean"),
    }
}

pub fn schema_of(columns: &Columns) -> SchemaRef {
    let fields = columns.iter().map(|(n, k)| Field::new(n, type_of(*k).0, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A random row, whose first column is this number.
pub fn random(columns: &Columns, id: i64, tape: &mut Tape) -> Row {
    let others = columns.iter().skip(1).map(|(_, kind)| {
        if tape.chance(20) {
            return None;
        }
        Some(match kind {
            Kind::Int => Value::Int(i64::from(tape.choose(6)) - 1),
            Kind::Text => Value::Text(tape.one_of::<&str>(&["a", "b", "c", "A"])),
            Kind::Money => Value::Money(i128::from(tape.choose(6000))),
            Kind::Time => Value::Time(FIRST_DAY * DAY_US + i64::from(tape.choose(9)) * DAY_US / 2),
            Kind::Real => Value::Real(f64::from(tape.choose(1000)) / 7.0 + 1e9),
            Kind::Day => Value::Day(i32::try_from(FIRST_DAY).unwrap() + tape.choose(5) as i32),
            Kind::Flag => Value::Flag(tape.chance(50)),
        })
    });
    let others: Vec<Option<Value>> = others.collect();
    [Some(Value::Int(id))].into_iter().chain(others).collect()
}

pub fn batch(columns: &Columns, rows: &[Row]) -> RecordBatch {
    let column = |at: usize, kind: Kind| -> ArrayRef {
        let values = || rows.iter().map(|row| row[at]);
        macro_rules! array {
            ($array:ty, $kind:ident) => {
                values()
                    .map(|value| match value {
                        Some(Value::$kind(value)) => Some(value),
                        None => None,
                        other => panic!("{other:?} in a column of another kind"),
                    })
                    .collect::<$array>()
            };
        }
        match kind {
            Kind::Int => Arc::new(array!(Int64Array, Int)),
            Kind::Text => Arc::new(array!(StringArray, Text)),
            Kind::Money => {
                Arc::new(array!(Decimal128Array, Money).with_precision_and_scale(18, 2).unwrap())
            }
            Kind::Time => Arc::new(array!(TimestampMicrosecondArray, Time)),
            Kind::Real => Arc::new(array!(Float64Array, Real)),
            Kind::Day => Arc::new(array!(Date32Array, Day)),
            Kind::Flag => Arc::new(array!(BooleanArray, Flag)),
        }
    };
    let arrays = columns.iter().enumerate().map(|(at, (_, kind))| column(at, *kind)).collect();
    RecordBatch::try_new(schema_of(columns), arrays).unwrap()
}

/// Rows that tables have, and the changes that they get.
#[derive(Default)]
pub struct History {
    rows: BTreeMap<String, Vec<Row>>,
    next: i64,
}

impl History {
    /// Random changes of one table: inserts, updates, deletes, exact duplicates.
    pub fn changes(&mut self, table: &str, columns: &Columns, tape: &mut Tape) -> ChangeBatch {
        let rows = self.rows.entry(table.to_owned()).or_default();
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for _ in 0..tape.choose(6) {
            let fresh = rows.is_empty() || tape.choose(3) == 0;
            if fresh {
                self.next += 1;
                let row = random(columns, self.next, tape);
                if tape.chance(15) {
                    rows.push(row.clone());
                    added.push(row.clone());
                }
                rows.push(row.clone());
                added.push(row);
                continue;
            }
            let at = tape.choose(u32::try_from(rows.len()).unwrap_or(1)) as usize;
            let old = rows.swap_remove(at);
            // A row that came in this very epoch never was: it goes without a trace.
            let same = |r: &Row| format!("{r:?}") == format!("{old:?}");
            match added.iter().position(same) {
                Some(fresh) => {
                    added.swap_remove(fresh);
                }
                None => removed.push(old.clone()),
            }
            if tape.choose(3) != 0 {
                let id = tape.choose(u32::try_from(self.next).unwrap_or(1));
                let row = random(columns, 1 + i64::from(id), tape);
                rows.push(row.clone());
                added.push(row);
            }
        }
        ChangeBatch { removed: batch(columns, &removed), added: batch(columns, &added) }
    }
}
