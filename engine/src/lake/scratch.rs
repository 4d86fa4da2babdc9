//! A table that nobody stores: for what is made anew beside the one that stands.
//!
//! It is looked up like a table and never written. Its files are merged as they come, without those rows
//! that were replaced: what it holds, and what a look costs, follows the table and not what came by.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use freshet_sql::change::ChangeBatch;

use super::index::Place;
use super::spec::TableSpec;
use super::table::Table;
use crate::error::Result;

/// Files of one size that are merged.
const MERGED_FILES: usize = 8;

/// The table.
#[derive(Debug)]
pub struct Scratch(Table);

impl Scratch {
    /// Without a row.
    pub fn new(spec: TableSpec) -> Self {
        Self(Table::fresh(spec))
    }

    /// What it holds. It counts no digest.
    pub const fn table(&self) -> &Table {
        &self.0
    }

    /// Takes a change in, as [`Table::apply_at`] does; places that were known before are not any more.
    pub fn apply(&mut self, change: &ChangeBatch, gone: &[Place]) -> Result<()> {
        self.0.apply_uncounted(change, gone)?;
        while let Some(merge) = self.0.due(MERGED_FILES, usize::MAX, 0) {
            self.0.install(merge.unwritten()?)?;
        }
        Ok(())
    }

    /// Its rows.
    pub fn into_rows(self) -> Result<Vec<RecordBatch>> {
        let files: BTreeMap<_, _> = self.0.files;
        files.into_values().map(|file| file.live()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    fn rows(values: impl Iterator<Item = (i64, i64)>) -> RecordBatch {
        let (keys, values): (Vec<i64>, Vec<i64>) = values.unzip();
        let fields = ["key", "value"].map(|name| Field::new(name, DataType::Int64, true));
        let columns = [keys, values].map(|values| Arc::new(Int64Array::from(values)) as _);
        RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns.to_vec()).unwrap()
    }

    #[test]
    fn rows_that_were_replaced_do_not_stay() {
        const ROWS: i64 = 5_000;
        let of = |value: i64| rows((0..ROWS).map(|key| (key, value)));
        let schema = of(0).schema();
        let (path, identity, digest) = ("t".to_owned(), vec![0], vec![0, 1]);
        let mut scratch = Scratch::new(TableSpec { path, schema, identity, digest, order: vec![] });
        let none = RecordBatch::new_empty(scratch.table().schema());
        scratch.apply(&ChangeBatch { removed: none, added: of(0) }, &[]).unwrap();
        for value in 1..=100 {
            let change = ChangeBatch { removed: of(value - 1), added: of(value) };
            scratch.apply(&change, &[]).unwrap();
            let files = scratch.0.files.values();
            let held: usize = files.map(|file| file.rows.num_rows()).sum();
            assert!(held as i64 <= 3 * ROWS, "{held} rows are held of {ROWS}");
            assert!(scratch.table().file_count() <= 3 * MERGED_FILES);
        }
        let left = scratch.into_rows().unwrap();
        let left: Vec<RecordBatch> = left.into_iter().filter(|rows| rows.num_rows() > 0).collect();
        assert_eq!(left, [of(100)]);
    }
}
