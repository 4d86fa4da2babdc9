//! The one type both crates speak: an epoch's change to a relation.
//!
//! Every model's result leaves the transform station as a [`ChangeBatch`]; the lake, the change
//! log and publishing read nothing else. It must never hold both a row and its own retraction
//! once [`ChangeBatch::consolidate`] has run.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::Result;
use crate::rows::RowHasher;

/// All rows of these batches as one batch, column by column: no more than one column is held twice.
pub fn gathered(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<RecordBatch> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let mut parts: Vec<_> =
        batches.into_iter().map(|batch| batch.into_parts().1.into_iter()).collect();
    if parts.is_empty() {
        return Ok(RecordBatch::new_empty(schema.clone()));
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for _ in schema.fields() {
        let column: Vec<ArrayRef> = parts.iter_mut().filter_map(Iterator::next).collect();
        let column: Vec<&dyn Array> = column.iter().map(AsRef::as_ref).collect();
        columns.push(concat(&column)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// The weight column that [`ChangeBatch::weighted`] appends.
pub const WEIGHT_COLUMN: &str = "_weight";

/// Rows that left a relation (weight -1) and rows that entered it (weight +1), same schema.
///
/// A retraction removes exactly one copy; an update is a retraction and an addition.
#[derive(Debug, Clone)]
pub struct ChangeBatch {
    /// Rows with weight -1, as they were stored.
    pub removed: RecordBatch,
    /// Rows with weight +1.
    pub added: RecordBatch,
}

impl ChangeBatch {
    /// No change to a relation of this schema.
    pub fn empty(schema: SchemaRef) -> Self {
        Self {
            removed: RecordBatch::new_empty(schema.clone()),
            added: RecordBatch::new_empty(schema),
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of either weight.
    pub fn len(&self) -> usize {
        self.removed.num_rows() + self.added.num_rows()
    }

    /// The relation's schema.
    pub fn schema(&self) -> SchemaRef {
        self.added.schema()
    }

    /// This change and then another one: what came and went again never was. A row that went and came
    /// back stays on both sides. `hasher` tells the rows that are stored apart.
    pub fn then(self, next: &Self, hasher: &RowHasher) -> Result<Self> {
        let mut came: hashbrown::HashMap<u128, Vec<usize>> = hashbrown::HashMap::new();
        for (row, hash) in hasher.hashes(&self.added)?.into_iter().enumerate() {
            came.entry(hash).or_default().push(row);
        }
        let mut gone_again = hashbrown::HashSet::new();
        let mut removed = Vec::new();
        for (row, hash) in hasher.hashes(&next.removed)?.into_iter().enumerate() {
            match came.get_mut(&hash).and_then(Vec::pop) {
                Some(added) => {
                    gone_again.insert(added);
                }
                None => removed.push(row as u64),
            }
        }
        let stayed = (0..self.added.num_rows()).filter(|row| !gone_again.contains(row));
        let stayed = take_rows(&self.added, stayed.map(|row| row as u64).collect())?;
        let removed = take_rows(&next.removed, removed)?;
        let schema = self.schema();
        Ok(Self {
            removed: concat_batches(&schema, [&self.removed, &removed])?,
            added: concat_batches(&schema, [&stayed, &next.added])?,
        })
    }

    /// Cancels rows that are both removed and added, by the columns of `hasher`.
    pub fn consolidate(self, hasher: &RowHasher) -> Result<Self> {
        let removed = hasher.hashes(&self.removed)?;
        let added = hasher.hashes(&self.added)?;
        let mut open: hashbrown::HashMap<u128, usize> = hashbrown::HashMap::new();
        for hash in &removed {
            *open.entry(*hash).or_default() += 1;
        }
        let mut cancelled: hashbrown::HashMap<u128, usize> = hashbrown::HashMap::new();
        let mut keep_added = Vec::with_capacity(added.len());
        for (row, hash) in added.iter().enumerate() {
            match open.get_mut(hash) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    *cancelled.entry(*hash).or_default() += 1;
                }
                _ => keep_added.push(row as u64),
            }
        }
        if cancelled.is_empty() {
            return Ok(self);
        }
        let keep_removed =
            removed.iter().enumerate().filter_map(|(row, hash)| match cancelled.get_mut(hash) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    None
                }
                _ => Some(row as u64),
            });
        Ok(Self {
            removed: take_rows(&self.removed, keep_removed.collect())?,
            added: take_rows(&self.added, keep_added)?,
        })
    }

    /// One batch with a trailing `_weight` column (Int64, -1 or +1): the change log's shape.
    pub fn weighted(&self) -> Result<RecordBatch> {
        let schema = self.schema();
        let rows = concat_batches(&schema, [&self.removed, &self.added])?;
        let weights: Int64Array = std::iter::repeat_n(-1, self.removed.num_rows())
            .chain(std::iter::repeat_n(1, self.added.num_rows()))
            .collect();
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(WEIGHT_COLUMN, DataType::Int64, false)));
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns.push(Arc::new(weights));
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

/// The rows at these positions, in this order.
pub fn take_rows(batch: &RecordBatch, rows: Vec<u64>) -> Result<RecordBatch> {
    Ok(take_record_batch(batch, &arrow::array::UInt64Array::from(rows))?)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    fn batch(of: &[i64]) -> RecordBatch {
        let texts: StringArray = of.iter().map(|n| (n % 3 > 0).then(|| n.to_string())).collect();
        let numbers = Int64Array::from(of.to_vec());
        let columns = vec![("n", Arc::new(numbers) as ArrayRef), ("t", Arc::new(texts))];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
            .unwrap()
    }

    #[test]
    fn gathered_rows_are_those_of_all_batches_in_their_order() {
        let schema = batch(&[]).schema();
        for batches in [vec![], vec![batch(&[3, 1])], vec![batch(&[5, 6]), batch(&[]), batch(&[4])]]
        {
            let wanted = concat_batches(&schema, &batches).unwrap();
            assert_eq!(gathered(&schema, batches).unwrap(), wanted);
        }
        assert!(gathered(&schema, vec![batch(&[1]).project(&[0]).unwrap()]).is_err());
    }
}
