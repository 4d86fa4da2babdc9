//! A table as it is at one moment, for a look beside the epochs.
//!
//! Rows are shared with the table that goes on; only its vectors are copied.

use arrow::array::RecordBatch;

use super::index::RowIndex;
use super::ranges::Ranges;
use super::table::{LiveFile, Table};
use crate::error::Result;

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
        let hashed =
            self.files.iter().map(|(number, f)| Ok((*number, self.hasher.hashes(&f.rows)?)));
        for (number, identities) in hashed.collect::<Result<Vec<_>>>()? {
            self.index_file(number, &identities)?;
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
