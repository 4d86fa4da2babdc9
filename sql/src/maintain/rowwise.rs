//! Filters and projections over batches, without a plan around them: they are most of what a small
//! epoch runs, and a plan costs more than the rows do.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

use super::run_error;
use crate::error::{Error, Result};

/// The rows for which the predicate holds; null does not.
pub(super) fn filter(rows: &RecordBatch, predicate: &dyn PhysicalExpr) -> Result<RecordBatch> {
    let holds = predicate.evaluate(rows).map_err(run_error)?;
    let holds = holds.into_array(rows.num_rows()).map_err(run_error)?;
    let holds = holds
        .as_boolean_opt()
        .ok_or_else(|| Error::Bug("a filter whose condition is no boolean".to_owned()))?;
    if super::mutated("filter: unknown is true") {
        let holds: BooleanArray = holds.iter().map(|h| Some(h.unwrap_or(true))).collect();
        return Ok(filter_record_batch(rows, &holds)?);
    }
    Ok(filter_record_batch(rows, holds)?)
}

/// Computed columns.
pub(super) fn project(
    rows: &RecordBatch,
    exprs: &[Arc<dyn PhysicalExpr>],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(exprs.len());
    for (expr, field) in exprs.iter().zip(schema.fields()) {
        let value = expr.evaluate(rows).map_err(run_error)?;
        let column = value.into_array(rows.num_rows()).map_err(run_error)?;
        columns.push(if column.data_type() == field.data_type() {
            column
        } else {
            cast(&column, field.data_type())?
        });
    }
    let count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &count)?)
}
