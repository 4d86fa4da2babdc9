//! Scattered changes for `bench lake`: rows made of their key and a version, keys drawn at random.
//!
//! Most change a row that is there; one in twenty deletes it, and a key that is not there is added,
//! so that a table keeps its size.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::maintain::recompute::StoredRows;

use crate::bank::rng::Rng;
use crate::error::Result;
use crate::lake::spec::TableSpec;
use crate::lake::table::Table;

/// One change in so many deletes its row.
const DELETE_EVERY: u64 = 20;

/// What every table holds: eight columns, the first one its key.
pub fn spec(path: String) -> TableSpec {
    let schema = schema();
    let digest = (0..schema.fields().len()).collect();
    TableSpec { path, schema, identity: vec![0], digest, order: Vec::new() }
}

fn schema() -> SchemaRef {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("id", DataType::Int64),
        ("owner_id", DataType::Int64),
        ("kind", DataType::Utf8),
        ("status", DataType::Utf8),
        ("amount", DataType::Decimal128(18, 2)),
        ("opened_on", DataType::Date32),
        ("changed_at", utc),
        ("note", DataType::Utf8),
    ];
    let fields = columns.into_iter().map(|(name, kind)| Field::new(name, kind, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Rows of these keys, as of a version.
pub fn rows(keys: &[i64], version: i64) -> Result<RecordBatch> {
    let word = |key: i64, words: &[&'static str]| {
        words[usize::try_from(key.rem_euclid(words.len() as i64)).unwrap_or(0)]
    };
    let kinds = keys.iter().map(|k| Some(word(*k, &["CHECKING", "SAVINGS", "LOAN"])));
    let statuses = keys.iter().map(|k| Some(word(k + version, &["OPEN", "HELD", "CLOSED"])));
    let amounts: Decimal128Array =
        keys.iter().map(|k| Some(i128::from(k * 31 + version * 7))).collect();
    let times: TimestampMicrosecondArray =
        keys.iter().map(|k| Some(1_700_000_000_000_000 + version * 1_000_000 + k)).collect();
    let notes = keys.iter().map(|k| {
        let mixed = (k + version).wrapping_mul(0x1E37_79B9_7F4A_7C15);
        Some(format!("note {mixed:016x} of {k}"))
    });
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(keys.to_vec())),
        Arc::new(keys.iter().map(|k| Some(k / 2)).collect::<Int64Array>()),
        Arc::new(kinds.collect::<StringArray>()),
        Arc::new(statuses.collect::<StringArray>()),
        Arc::new(amounts.with_precision_and_scale(18, 2)?),
        Arc::new(keys.iter().map(|k| i32::try_from(k % 20_000).ok()).collect::<Date32Array>()),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(notes.collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// A change of `count` random keys below `keys_max`.
pub fn change(
    table: &Table,
    rng: &mut Rng,
    count: usize,
    keys_max: u64,
    version: i64,
) -> Result<ChangeBatch> {
    let mut keys = BTreeSet::new();
    while keys.len() < count {
        keys.insert(i64::try_from(rng.below(keys_max)).unwrap_or(0));
    }
    let keys: Vec<i64> = keys.into_iter().collect();
    let fresh = rows(&keys, version)?;
    let mut places = Vec::with_capacity(count);
    let mut added = Vec::with_capacity(count);
    for (row, identity) in table.hasher().hashes(&fresh)?.into_iter().enumerate() {
        let held = table.find(identity);
        if held.is_empty() || rng.below(DELETE_EVERY) > 0 {
            added.push(row as u64);
        }
        places.extend(held);
    }
    Ok(ChangeBatch { removed: table.take(&places)?, added: take_rows(&fresh, added)? })
}
