//! Row identity: a 128-bit hash of a row's columns, equal for equal rows, nulls included.
//!
//! The lake's indexes and the differ compare rows by it. At ten million rows the chance that two
//! different rows collide is about 1e-25; nothing else may be used to compare rows.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use twox_hash::XxHash3_128;

use crate::error::Result;

/// Hashes the same columns of many batches of one schema.
#[derive(Debug, Clone)]
pub struct RowHasher {
    columns: Vec<usize>,
    fields: Vec<SortField>,
}

impl RowHasher {
    /// Over these column positions of `schema`.
    pub fn new(schema: &Schema, columns: Vec<usize>) -> Self {
        let fields =
            columns.iter().map(|c| SortField::new(schema.field(*c).data_type().clone())).collect();
        Self { columns, fields }
    }

    /// Over every column that `skip` does not name.
    pub fn all_but(schema: &SchemaRef, skip: &[String]) -> Self {
        let columns = (0..schema.fields().len())
            .filter(|i| !skip.contains(schema.field(*i).name()))
            .collect();
        Self::new(schema, columns)
    }

    /// The positions of the columns that take part.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// One hash per row.
    pub fn hashes(&self, batch: &RecordBatch) -> Result<Vec<u128>> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        if self.columns.is_empty() {
            return Ok(vec![0; batch.num_rows()]);
        }
        let converter = RowConverter::new(self.fields.clone())?;
        let columns: Vec<_> = self.columns.iter().map(|c| batch.column(*c).clone()).collect();
        let rows = converter.convert_columns(&columns)?;
        Ok(rows.iter().map(|row| XxHash3_128::oneshot(row.as_ref())).collect())
    }
}
