//! A table as it is at one moment, for a look beside the epochs.
//!
//! Rows are shared with the table that goes on; only its vectors are copied.

use arrow::array::RecordBatch;

use super::index::{Place, RowIndex};
use super::ranges::Ranges;
use super::table::{LiveFile, Table};
use crate::error::{Error, Result};

impl Table {
    /// The table as it is now, for a look beside the epochs: its rows are shared, and nothing of it
    /// can be found by identity before [`Table::reindex`].
    pub fn pinned(&self) -> Self {
        let files = self.files.iter().filter(|(_, f)| f.live_rows() > 0).map(|(number, file)| {
            let mut copy = LiveFile::new(file.path.clone(), file.rows.clone(), file.change);
            copy.gone.clone_from(&file.gone);
            (*number, copy)
        });
        Self {
            files: files.collect(),
            next_file: self.next_file,
            first_new_file: self.next_file,
            ranges: self.ranges,
            ..Self::fresh(self.spec.clone())
        }
    }

    /// Makes a pinned table's rows findable.
    pub fn reindex(&mut self) -> Result<()> {
        self.index = RowIndex::default();
        for (number, file) in &self.files {
            for (row, identity) in self.hasher.hashes(&file.rows)?.into_iter().enumerate() {
                let row = u32::try_from(row).map_err(|_| Error::bug("a file over 2^32 rows"))?;
                if !file.gone.contains(row) {
                    self.index.insert(identity, Place { file: *number, row });
                }
            }
        }
        Ok(())
    }

    /// Whether rows that should be the table's are, without finding one.
    pub fn equals(&self, rows: &[RecordBatch]) -> Result<bool> {
        let fresh = Ranges::of(rows, &self.hasher, &self.spec.digest)?;
        let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        Ok(count == self.rows() && fresh == self.ranges)
    }
}
