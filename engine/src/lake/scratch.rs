//! A table that nobody stores: for what is made anew beside the one that stands.
//!
//! It is looked up like a table and never written. Rows that were replaced don't stay: when they outnumber
//! the living, those are moved together. So what it holds follows the table, not what came by.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use freshet_sql::change::ChangeBatch;

use super::index::Place;
use super::table::{Table, TableSpec};
use crate::error::Result;

/// Replaced rows below this are not worth moving the others.
const REPLACED_MIN: usize = 131_072;

/// The table.
#[derive(Debug)]
pub struct Scratch {
    table: Table,
    replaced: usize,
}

impl Scratch {
    /// Without a row.
    pub fn new(spec: TableSpec) -> Self {
        Self { table: Table::fresh(spec), replaced: 0 }
    }

    /// What it holds. It counts no digest.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Takes a change in, as [`Table::apply_at`] does; places that were known before are not any more.
    pub fn apply(&mut self, change: &ChangeBatch, gone: &[Place]) -> Result<()> {
        self.table.apply_uncounted(change, gone)?;
        self.replaced += change.removed.num_rows();
        if self.replaced > self.table.rows().max(REPLACED_MIN) {
            let files = std::mem::take(&mut self.table.files);
            self.table = Table::fresh(self.table.spec.clone());
            self.replaced = 0;
            for (_, file) in files {
                let added = file.live()?;
                let removed = RecordBatch::new_empty(added.schema());
                self.table.apply_uncounted(&ChangeBatch { removed, added }, &[])?;
            }
        }
        Ok(())
    }

    /// Its rows.
    pub fn into_rows(self) -> Result<Vec<RecordBatch>> {
        let files: BTreeMap<_, _> = self.table.files;
        files.into_values().map(|file| file.live()).collect()
    }
}
