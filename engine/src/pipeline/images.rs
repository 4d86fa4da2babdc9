//! What a source's changes came to, as the transform takes it: images with their numbers.
//!
//! Numbers ascend in the order in which changes were taken in; it must never part or reorder them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use freshet_sql::change::take_rows;
use freshet_sql::maintain::images;

use crate::error::Result;
use crate::lake::current::{Image, Resolved};
use crate::transform::history::{Fact, SourceImages};

/// Images as the transform takes them, numbered.
pub(super) fn numbered(resolved: &Resolved, number: impl Fn(usize) -> i64) -> Result<SourceImages> {
    let rows = resolved.images.iter().map(|i| i.row as u64).collect();
    let rows = take_rows(&resolved.rows, rows)?;
    let numbers: Int64Array = resolved.images.iter().map(|i| Some(number(i.place))).collect();
    let mut numbers: Vec<i64> = numbers.values().to_vec();
    // A truncate gives one image a key, all at one place: they stay in order and apart.
    for i in 1..numbers.len() {
        if numbers[i] <= numbers[i - 1] {
            numbers[i] = numbers[i - 1] + 1;
        }
    }
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(images::SEQ, DataType::Int64, false)));
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(numbers)));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let facts = resolved.images.iter().map(|i| {
        let Image { at_us, tx, deleted, created, .. } = *i;
        Fact { at_us, tx, deleted, created }
    });
    let facts = facts.collect();
    Ok(SourceImages { rows, facts })
}
