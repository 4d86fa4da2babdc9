//! Columns in one piece, and rows that are alike beside each other.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use hashbrown::HashMap;

/// A column of all batches.
pub(super) fn whole_column(
    column: &Arc<dyn PhysicalExpr>,
    batches: &[RecordBatch],
) -> Result<ArrayRef> {
    let parts = batches.iter().map(|batch| column.evaluate(batch)?.into_array(batch.num_rows()));
    let parts: Vec<ArrayRef> = parts.collect::<Result<_>>()?;
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

/// The numbers of rows that are alike in these columns beside each other, and where each group lies.
pub(super) fn grouped(by: &[ArrayRef], count: u32) -> Result<(Vec<u32>, Vec<Range<usize>>)> {
    if by.is_empty() || count == 0 {
        let all = (count > 0).then_some(0..count as usize);
        return Ok(((0..count).collect(), all.into_iter().collect()));
    }
    let fields = by.iter().map(|column| SortField::new(column.data_type().clone()));
    let keys = RowConverter::new(fields.collect())?.convert_columns(by)?;
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    let mut sizes: Vec<usize> = Vec::new();
    let mut groups = Vec::with_capacity(count as usize);
    for key in &keys {
        let group = *known.entry(key.data()).or_insert(sizes.len());
        if group == sizes.len() {
            sizes.push(0);
        }
        sizes[group] += 1;
        groups.push(group);
    }
    let mut from = 0;
    let ranges = sizes.into_iter().map(|size| {
        from += size;
        from - size..from
    });
    let ranges: Vec<Range<usize>> = ranges.collect();
    let mut next: Vec<usize> = ranges.iter().map(|range| range.start).collect();
    let mut rows = vec![0; count as usize];
    for (row, group) in (0..).zip(groups) {
        rows[next[group]] = row;
        next[group] += 1;
    }
    Ok((rows, ranges))
}
