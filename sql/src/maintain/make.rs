//! What hashes and keys are made by: what was stored by hash means nothing under another make.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};

use super::keys::hashes_of;
use crate::digest::lower64;
use crate::error::Result;
use crate::rows::RowHasher;

/// What this program's hashes and keys are made by, in a number: what was stored by hash under another
/// number means nothing here.
pub fn number() -> Result<u64> {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("freshet"), Some(""), None]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(-7), None, Some(i64::MAX)]));
    let decimals = Decimal128Array::from(vec![Some(-100), None, Some(7)]);
    let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(18, 2)?);
    let columns = vec![("texts", texts), ("numbers", numbers), ("decimals", decimals)];
    let rows = RecordBatch::try_from_iter(columns)?;
    let keys = hashes_of(rows.columns(), rows.num_rows())?;
    let identities = RowHasher::new(&rows.schema(), vec![0, 1, 2]).hashes(&rows)?;
    let (planner, rows_of) = (datafusion::DATAFUSION_VERSION, arrow::ARROW_VERSION);
    let version = (env!("CARGO_PKG_VERSION"), planner, rows_of);
    Ok(lower64(format!("{version:?} {keys:?} {identities:?}").as_bytes()))
}
