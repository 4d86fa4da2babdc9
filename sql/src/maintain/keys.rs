//! Keys: expressions over a relation's columns, and the values that they take.
//!
//! Sets of these are compared by a 64-bit hash, nulls equal to nulls. Two keys with one hash cost a needless
//! look at some rows and nothing else: every rule gives the same answer for a set with more keys.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::boolean::and;
use arrow::compute::{concat, filter_record_batch, prep_null_mask_filter, take};
use datafusion::common::DFSchema;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use hashbrown::HashSet;

pub use super::key_set::KeySet;
use super::run_error;
use crate::error::Result;
use crate::plan::dates;

/// What rows are found by: some expressions over the columns of one relation.
#[derive(Debug, Clone)]
pub struct KeyExprs {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    /// Rows for which this does not hold are not found by it.
    only: Option<Arc<dyn PhysicalExpr>>,
    /// The same for the same expressions over the same relation, whichever model asks.
    pub name: Arc<str>,
}

impl KeyExprs {
    /// Over the columns of `schema`.
    pub fn new(state: &SessionState, exprs: &[Expr], schema: &DFSchema) -> Result<Self> {
        let compiled = exprs
            .iter()
            .map(|e| physical(state, e, schema))
            .collect::<Result<Vec<Arc<dyn PhysicalExpr>>>>()?;
        let name = compiled.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Ok(Self { exprs: compiled, only: None, name: name.into() })
    }

    /// The same of the rows alone for which this holds.
    pub(crate) fn of_rows(
        &self,
        state: &SessionState,
        only: &Expr,
        schema: &DFSchema,
    ) -> Result<Self> {
        let only = physical(state, only, schema)?;
        let name = format!("{} where {only}", self.name).into();
        Ok(Self { exprs: self.exprs.clone(), only: Some(only), name })
    }

    /// Whether some rows are not found by it.
    pub const fn is_of_some(&self) -> bool {
        self.only.is_some()
    }

    /// Its last part, and the key of the others.
    pub(super) fn split_last(&self) -> Option<(Self, Arc<dyn PhysicalExpr>)> {
        let (last, rest) = self.exprs.split_last()?;
        let name = rest.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Some((Self { exprs: rest.to_vec(), only: None, name: name.into() }, last.clone()))
    }

    /// Whether there is but one key, that of every row.
    pub fn is_everything(&self) -> bool {
        self.exprs.is_empty()
    }

    fn columns(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.exprs
            .iter()
            .map(|e| e.evaluate(rows)?.into_array(rows.num_rows()))
            .collect::<datafusion::error::Result<_>>()
            .map_err(run_error)
    }

    /// The hash and the place of each row that is found by it.
    pub fn entries(&self, rows: &RecordBatch) -> Result<Vec<(u64, u32)>> {
        let hashes = self.hashes(rows)?.into_iter().zip(0u32..);
        let Some(found) = self.found(rows)? else { return Ok(hashes.collect()) };
        Ok(hashes.filter(|(_, row)| found.value(*row as usize)).collect())
    }

    /// Which rows are found by it; `None` where all are.
    fn found(&self, rows: &RecordBatch) -> Result<Option<BooleanArray>> {
        let Some(only) = &self.only else { return Ok(None) };
        let found = only.evaluate(rows).and_then(|found| found.into_array(rows.num_rows()));
        let found = found.map_err(run_error)?;
        let found = found.as_boolean();
        let null_is_no = found.null_count() > 0;
        Ok(Some(if null_is_no { prep_null_mask_filter(found) } else { found.clone() }))
    }

    /// One hash a row.
    pub fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u64>> {
        hashes_of(&self.columns(rows)?, rows.num_rows())
    }

    /// The keys of all these rows.
    pub fn set<'r>(&self, rows: impl IntoIterator<Item = &'r RecordBatch>) -> Result<KeySet> {
        let mut set = KeySet { columns: Vec::new(), hashes: HashSet::new() };
        let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.exprs.len()];
        for batch in rows {
            let columns = self.columns(batch)?;
            let mut fresh = Vec::new();
            for (row, hash) in hashes_of(&columns, batch.num_rows())?.into_iter().enumerate() {
                if set.hashes.insert(hash) {
                    fresh.push(u32::try_from(row).unwrap_or(u32::MAX));
                }
            }
            let fresh = UInt32Array::from(fresh);
            for (part, column) in parts.iter_mut().zip(&columns) {
                part.push(take(column, &fresh, None)?);
            }
        }
        set.columns = parts.iter().map(|p| concat_all(p)).collect::<Result<_>>()?;
        Ok(set)
    }

    /// The rows whose key is in the set, of those that are found by it.
    pub fn keep(&self, rows: &RecordBatch, keys: &KeySet) -> Result<RecordBatch> {
        let hashes = self.hashes(rows)?;
        let mut mask: BooleanArray = hashes.iter().map(|h| Some(keys.contains(*h))).collect();
        if let Some(found) = self.found(rows)? {
            mask = and(&mask, &found)?;
        }
        Ok(filter_record_batch(rows, &mask)?)
    }
}

/// An expression that runs over batches of this schema.
pub(super) fn physical(
    state: &SessionState,
    expr: &Expr,
    schema: &DFSchema,
) -> Result<Arc<dyn PhysicalExpr>> {
    let expr = super::unaliased(expr.clone());
    let made = datafusion::physical_expr::create_physical_expr(
        &expr,
        schema,
        state.execution_props(),
        &Default::default(),
    )?;
    Ok(dates::by_division(made)?)
}

fn concat_all(parts: &[ArrayRef]) -> Result<ArrayRef> {
    let list: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    match parts {
        [] => Ok(arrow::array::new_empty_array(&arrow::datatypes::DataType::Null)),
        [one] => Ok(one.clone()),
        _ => Ok(concat(&list)?),
    }
}

/// 2^64 by the golden ratio.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
const NULL_TURN: u32 = 23;

pub(super) fn hashes_of(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![0; rows];
    if !columns.is_empty() {
        create_hashes(columns, &RandomState::with_seed(0x66_72_65_73), &mut hashes)
            .map_err(run_error)?;
    }
    // A null leaves a hash as it was: keys that have their nulls in other places would be one.
    for (at, column) in (1u64..).zip(columns) {
        let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) else {
            continue;
        };
        for (hash, valid) in hashes.iter_mut().zip(&nulls) {
            if !valid {
                *hash = (*hash ^ at).wrapping_mul(ODD).rotate_left(NULL_TURN);
            }
        }
    }
    Ok(hashes)
}

/// A key's name without the positions that its columns have inside.
pub(super) fn named(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    let mut rest = key;
    while let Some(at) = rest.find('@') {
        text.push_str(&rest[..at]);
        rest = rest[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};

    use super::*;

    #[test]
    fn nulls_in_other_places_are_another_key() {
        let rows = [
            [Some(1), None, Some(2)],
            [Some(1), Some(2), None],
            [None, Some(1), Some(2)],
            [None, None, Some(2)],
            [None, Some(2), None],
            [Some(2), None, None],
            [None, None, None],
        ];
        let column = |at: usize| -> ArrayRef {
            Arc::new(rows.iter().map(|row| row[at]).collect::<Int64Array>())
        };
        let hashes = hashes_of(&[column(0), column(1), column(2)], rows.len()).unwrap();
        let apart: HashSet<u64> = hashes.iter().copied().collect();
        assert_eq!(apart.len(), rows.len(), "{hashes:?}");
    }

    #[test]
    fn both_zeros_are_one_key() {
        let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0]));
        let hashes = hashes_of(&[zeros], 2).unwrap();
        assert_eq!(hashes[0], hashes[1], "as queries group and join them");
    }
}
