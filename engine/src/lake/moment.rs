//! A table as maintenance reads it: before the epoch or after it, by key or whole.
//!
//! What an epoch adds lies in files of its own and what it removes is in its change, so that both
//! moments are there at once without a copy. It must never show anything between them.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::interleave_record_batch;
use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::keys::{KeyExprs, KeySet};
use freshet_sql::maintain::near::{RangeKey, Ranges};
use freshet_sql::maintain::stored::{Stored, Wanted, When};

use super::file::LiveFile;
use super::index::Place;
use super::keys::KeyIndex;
use super::table::Table;
use crate::error::Error;

/// A table in an epoch: as it was before, and as it is with the epoch's change.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The table, with the change.
    pub table: &'a Table,
    /// The change; `None` where there is none.
    pub change: Option<&'a ChangeBatch>,
}

impl Moment<'_> {
    /// Files at this moment: what an epoch adds lies in files of its own.
    pub(super) fn is_of(&self, file: u32, when: When) -> bool {
        when == When::After || file < self.table.first_new_file
    }

    /// The files of this moment that have living rows.
    pub(super) fn files_at(&self, when: When) -> impl Iterator<Item = (u32, &LiveFile)> {
        let files = self.table.files.iter().map(|(number, file)| (*number, file));
        files.filter(move |(number, file)| self.is_of(*number, when) && file.live_rows() > 0)
    }

    /// Rows that were there only before.
    pub(super) fn removed(&self, when: When) -> Option<&RecordBatch> {
        let removed = &self.change?.removed;
        (when == When::Before && removed.num_rows() > 0).then_some(removed)
    }
}

impl Stored for Moment<'_> {
    fn rows(&self) -> usize {
        self.table.rows()
    }

    fn all(&self, columns: &[usize], when: When) -> freshet_sql::error::Result<Vec<RecordBatch>> {
        let mut all = Vec::new();
        for (_, file) in self.files_at(when) {
            all.push(file.live_columns(columns)?);
        }
        if let Some(removed) = self.removed(when) {
            all.push(removed.project(columns)?);
        }
        Ok(all)
    }

    fn with_keys(
        &self,
        index: &KeyExprs,
        keys: &KeySet,
        columns: &[usize],
        when: When,
        wanted: Wanted,
    ) -> freshet_sql::error::Result<Vec<RecordBatch>> {
        let mut hashes: Vec<u64> = keys.hashes().collect();
        hashes.sort_unstable();
        let found = self.find(when, |file| {
            let (by, mut rows, mut left) = (file.index(index)?, Vec::new(), Vec::new());
            by.in_turn(
                &hashes,
                |hash| *hash,
                |hash| {
                    let of_key = by.rows(*hash);
                    if wanted == Wanted::Every {
                        rows.extend(of_key);
                        return;
                    }
                    let first = of_key.iter().find(|row| !file.gone.contains(**row));
                    first.map_or_else(|| left.push(*hash), |row| rows.push(*row));
                },
            );
            if wanted != Wanted::Every {
                hashes = left;
            }
            Ok(rows)
        })?;
        let kept = |removed: &RecordBatch| index.keep(removed, keys);
        self.taken(&found, columns, when, kept)
    }

    fn keys_of_at_least(
        &self,
        index: &KeyExprs,
        keys: &KeySet,
        rows: usize,
    ) -> freshet_sql::error::Result<KeySet> {
        self.keys_of_rows(index, keys, rows)
    }

    fn beside(
        &self,
        index: &RangeKey,
        ranges: &[(u64, (i64, i64))],
        rows: usize,
    ) -> freshet_sql::error::Result<Vec<(i64, i64)>> {
        self.rows_beside(index, ranges, rows)
    }

    fn with_ranges(
        &self,
        index: &RangeKey,
        ranges: &Ranges,
        columns: &[usize],
        when: When,
    ) -> freshet_sql::error::Result<Vec<RecordBatch>> {
        let lists: Vec<_> = ranges.iter().collect();
        let found = self.find(when, |file| {
            let (by, mut rows) = (file.ranges(index)?, Vec::new());
            by.in_turn(
                &lists,
                |(hash, _)| *hash,
                |(hash, list)| {
                    for interval in *list {
                        rows.extend_from_slice(by.rows_between(*hash, *interval));
                    }
                },
            );
            Ok(rows)
        })?;
        let kept = |removed: &RecordBatch| index.keep(removed, ranges);
        self.taken(&found, columns, when, kept)
    }
}

impl LiveFile {
    pub(super) fn index(&self, by: &KeyExprs) -> freshet_sql::error::Result<Arc<KeyIndex>> {
        let rows = self.rows.num_rows();
        let fits = |found: usize| found == rows || (found < rows && by.is_of_some());
        self.keys.get((&by.name, &fits), || KeyIndex::new(by, &self.rows))
    }

    pub(super) fn ranges(&self, by: &RangeKey) -> freshet_sql::error::Result<Arc<KeyIndex>> {
        let fits = |found: usize| found == self.rows.num_rows();
        self.keys.get((&by.name, &fits), || KeyIndex::ordered(by, &self.rows))
    }
}

impl Moment<'_> {
    /// The living rows that a file's index gives, file by file.
    fn find(
        &self,
        when: When,
        mut rows: impl FnMut(&LiveFile) -> freshet_sql::error::Result<Vec<u32>>,
    ) -> freshet_sql::error::Result<Vec<Place>> {
        let mut found = Vec::new();
        for (number, file) in self.files_at(when) {
            let living = rows(file)?.into_iter().filter(|row| !file.gone.contains(*row));
            let before = found.len();
            found.extend(living.map(|row| Place { file: number, row }));
            if found.len() > before {
                file.touch(self.table.epoch);
            }
        }
        Ok(found)
    }

    /// The rows at these places, and those of the removed ones that were asked for too.
    fn taken(
        &self,
        found: &[Place],
        columns: &[usize],
        when: When,
        kept: impl Fn(&RecordBatch) -> freshet_sql::error::Result<RecordBatch>,
    ) -> freshet_sql::error::Result<Vec<RecordBatch>> {
        let mut all = Vec::new();
        if !found.is_empty() {
            all.push(self.table.take_columns(found, columns).map_err(pure)?);
        }
        if let Some(removed) = self.removed(when) {
            all.push(kept(removed)?.project(columns)?);
        }
        Ok(all)
    }
}

fn pure(error: Error) -> freshet_sql::error::Error {
    freshet_sql::error::Error::Bug(error.to_string())
}

impl Table {
    /// What comes from here on belongs to this epoch.
    pub fn begin_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.first_new_file = self.next_file;
    }

    /// Some columns of the rows at these places, as one batch.
    pub fn take_columns(
        &self,
        places: &[Place],
        columns: &[usize],
    ) -> crate::error::Result<RecordBatch> {
        let mut numbers: Vec<u32> = places.iter().map(|p| p.file).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut batches = Vec::with_capacity(numbers.len());
        for number in &numbers {
            let file = self.files.get(number);
            let file = file.ok_or_else(|| Error::bug("a place in a file that is not live"))?;
            batches.push(file.rows.project(columns)?);
        }
        if columns.is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
            let schema = Arc::new(arrow::datatypes::Schema::empty());
            return Ok(RecordBatch::try_new_with_options(schema, Vec::new(), &options)?);
        }
        if places.is_empty() {
            let schema = self.spec.schema.project(columns)?;
            return Ok(RecordBatch::new_empty(Arc::new(schema)));
        }
        let indices: Vec<(usize, usize)> = places
            .iter()
            .map(|p| (numbers.binary_search(&p.file).unwrap_or(0), p.row as usize))
            .collect();
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        Ok(interleave_record_batch(&batches, &indices)?)
    }

    /// The change with its removed rows as they are stored, audit columns too; `None` where one of
    /// them is not there.
    pub fn as_stored(&self, change: ChangeBatch) -> crate::error::Result<Option<ChangeBatch>> {
        let mut taken = hashbrown::HashSet::new();
        let mut places = Vec::with_capacity(change.removed.num_rows());
        for identity in self.hasher.hashes(&change.removed)? {
            let free = self.places(identity).into_iter().find(|place| taken.insert(*place));
            let Some(place) = free else { return Ok(None) };
            places.push(place);
        }
        let removed = self.take(&places)?;
        Ok(Some(ChangeBatch { removed, added: change.added }))
    }
}
