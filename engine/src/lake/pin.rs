//! A table as it is at one moment, for a look beside the epochs.
//!
//! Rows are shared with the table that goes on; only its vectors are copied.

use arrow::array::RecordBatch;
use freshet_sql::rows::RowHasher;

use super::index::RowIndex;
use super::ranges::Ranges;
use super::table::Table;
use crate::error::Result;

impl Table {
    /// The table as it is now, for a look beside the epochs: its rows are shared, and nothing of it
    /// can be found by identity before [`Table::reindex`].
    pub fn pinned(&self) -> Self {
        let files = self
            .files
            .iter()
            .filter(|(_, f)| f.live_rows() > 0)
            .map(|(number, file)| (*number, file.pinned()));
        Self {
            files: files.collect(),
            next_file: self.next_file,
            first_new_file: self.next_file,
            ranges: self.ranges,
            ..Self::fresh(self.spec.clone())
        }
    }

    /// The same, where rows are told apart, and found, by all that the digest covers.
    pub fn pinned_by_digest(&self) -> Result<Self> {
        let mut pinned = self.pinned();
        if self.spec.identity != self.spec.digest {
            pinned.spec.identity.clone_from(&self.spec.digest);
            pinned.hasher = RowHasher::new(&self.spec.schema, self.spec.digest.clone());
            pinned.files.values_mut().for_each(|file| file.identities = None);
        }
        pinned.reindex()?;
        Ok(pinned)
    }

    /// Makes a pinned table's rows findable.
    pub fn reindex(&mut self) -> Result<()> {
        self.index = RowIndex::default();
        self.own_index.clear();
        let numbers: Vec<u32> = self.files.keys().copied().collect();
        for number in numbers {
            let Some(file) = self.files.get(&number) else { continue };
            if file.identities.is_some() {
                self.own_index.push(number);
            } else {
                let identities = self.hasher.hashes(&file.rows)?;
                self.index_file(number, &identities)?;
            }
        }
        Ok(())
    }

    /// Takes the digests from the rows: where a proof said that they are not what changes made them.
    pub fn rehash(&mut self) -> Result<()> {
        self.ranges = Ranges::of(&self.scan()?, &self.hasher, &self.spec.digest)?;
        Ok(())
    }

    /// Whether rows that should be the table's are, without finding one.
    pub fn equals(&self, rows: &[RecordBatch]) -> Result<bool> {
        let fresh = Ranges::of(rows, &self.hasher, &self.spec.digest)?;
        let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        Ok(count == self.rows() && fresh == self.ranges)
    }
}
