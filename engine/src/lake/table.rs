//! A keyed Delta table: its live files, where their rows lie, a digest.
//!
//! A change marks replaced rows in deletion vectors and puts new rows into a file of their own:
//! what is written follows the change. Changes are visible here at once and to others only when the
//! epoch's decision names the entry; if it never does, the table is loaded anew.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use freshet_sql::change::ChangeBatch;
use freshet_sql::plan::live::Piece;
use freshet_sql::rows::RowHasher;

use super::commit::{DataChange, FileEntry, Identity};
use super::file::LiveFile;
use super::index::{Place, RowIndex};
use super::keys::AHEAD_KEYS;
use super::ranges::{Marks, Ranges};
use super::spec::TableSpec;
use crate::cores;
use crate::error::{Error, Result};

/// Rows that one core hashes at a time.
const PIECE_ROWS: usize = 16_384;

/// The table.
#[derive(Debug)]
pub struct Table {
    pub(super) spec: TableSpec,
    pub(super) identity: Identity,
    pub(super) files: BTreeMap<u32, LiveFile>,
    pub(super) next_file: u32,
    /// Files from this one on came in the running epoch.
    pub(super) first_new_file: u32,
    pub(super) index: RowIndex,
    /// Files that have an index of identities of their own.
    pub(super) own_index: Vec<u32>,
    /// The running epoch.
    pub(super) epoch: u64,
    pub(super) ranges: Ranges,
    pub(super) hasher: RowHasher,
    pub(super) dropped: Vec<(FileEntry, DataChange)>,
}

impl Table {
    /// A table that does not exist yet.
    pub fn fresh(spec: TableSpec) -> Self {
        let hasher = RowHasher::new(&spec.schema, spec.identity.clone());
        Self {
            spec,
            identity: Identity::fresh(None),
            files: BTreeMap::new(),
            next_file: 0,
            first_new_file: 0,
            index: RowIndex::default(),
            own_index: Vec::new(),
            epoch: 0,
            ranges: Ranges::default(),
            hasher,
            dropped: Vec::new(),
        }
    }

    /// Relative to the lake.
    pub fn path(&self) -> &str {
        &self.spec.path
    }

    /// What it is to hold.
    pub const fn spec(&self) -> &TableSpec {
        &self.spec
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        self.spec.schema.clone()
    }

    /// Live rows.
    pub fn rows(&self) -> usize {
        self.files.values().map(LiveFile::live_rows).sum()
    }

    /// The digest of its live rows.
    pub fn digest(&self) -> u64 {
        self.ranges.digest()
    }

    /// The same by ranges of the identity.
    pub fn ranges(&self) -> Ranges {
        self.ranges
    }

    /// The latest version; `None` before its first entry.
    pub fn version(&self) -> Option<u64> {
        self.identity.version
    }

    /// What tells rows apart.
    pub fn hasher(&self) -> &RowHasher {
        &self.hasher
    }

    /// Live files.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// All live rows, file by file.
    pub fn scan(&self) -> Result<Vec<RecordBatch>> {
        self.files.values().map(LiveFile::live).collect()
    }

    /// The same, for queries that read some of their columns.
    pub fn pieces(&self) -> Vec<Piece> {
        self.files.values().map(LiveFile::piece).collect()
    }

    /// The rows at these places, as one batch.
    pub fn take(&self, places: &[Place]) -> Result<RecordBatch> {
        let every: Vec<usize> = (0..self.spec.schema.fields().len()).collect();
        self.take_columns(places, &every)
    }

    /// The file's rows and the row in them, without a copy.
    pub(super) fn row(&self, place: Place) -> Option<(&RecordBatch, usize)> {
        self.files.get(&place.file).map(|file| (&file.rows, place.row as usize))
    }

    /// Takes a change in: its removed rows must be here.
    pub fn apply(&mut self, change: &ChangeBatch, epoch: u64) -> Result<()> {
        self.apply_at(change, &[], epoch)
    }

    /// The same, where it is known where the removed rows lie.
    pub fn apply_at(&mut self, change: &ChangeBatch, gone: &[Place], epoch: u64) -> Result<()> {
        if change.is_empty() {
            return Ok(());
        }
        let removed = self.marks(&change.removed)?;
        let added = self.marks(&change.added)?;
        self.ranges.change([&removed, &added]);
        self.replace(change, [removed.identities, added.identities], gone, epoch)
    }

    /// The same without the digest, which stays as it was.
    pub(super) fn apply_uncounted(&mut self, change: &ChangeBatch, gone: &[Place]) -> Result<()> {
        let told = [self.hasher.hashes(&change.removed)?, self.hasher.hashes(&change.added)?];
        self.replace(change, told, gone, 0)
    }

    fn replace(
        &mut self,
        change: &ChangeBatch,
        [removed, added]: [Vec<u128>; 2],
        gone: &[Place],
        epoch: u64,
    ) -> Result<()> {
        for (row, identity) in removed.iter().enumerate() {
            if row % AHEAD_KEYS == 0 && gone.len() < removed.len() {
                self.read_ahead(&removed[row..removed.len().min(row + AHEAD_KEYS)]);
            }
            self.forget(*identity, gone.get(row).copied()).ok_or_else(|| {
                Error::bug(format!("a change of \"{}\" retracts a row it lacks", self.spec.path))
            })?;
        }
        if change.added.num_rows() > 0 {
            let rows = RecordBatch::try_new(self.schema(), change.added.columns().to_vec())
                .map_err(|e| Error::bug(format!("change of \"{}\": {e}", self.spec.path)))?;
            self.append(rows, &added, epoch)?;
        }
        Ok(())
    }

    /// What tells each of these rows, on every core where there are many.
    fn marks(&self, rows: &RecordBatch) -> Result<Marks> {
        let pieces = (0..rows.num_rows()).step_by(PIECE_ROWS);
        let pieces = pieces.map(|at| rows.slice(at, PIECE_ROWS.min(rows.num_rows() - at)));
        let of = |piece: RecordBatch| Marks::of(&piece, &self.hasher, &self.spec.digest);
        if rows.num_rows() <= PIECE_ROWS {
            return of(rows.clone());
        }
        let mut all = Marks::default();
        for piece in cores::run(pieces.collect(), of)? {
            all.identities.extend(piece.identities);
            all.digests.extend(piece.digests);
        }
        Ok(all)
    }

    /// Whether its stored columns were others: it is empty and must be made anew.
    pub fn is_restarted(&self) -> bool {
        self.identity.announce && self.identity.version.is_some()
    }

    /// Files of other columns: the next entry removes them.
    pub(super) fn leave_behind(&mut self, files: Vec<FileEntry>) {
        self.dropped.extend(files.into_iter().map(|file| (file, DataChange::Rows)));
    }

    fn append(&mut self, rows: RecordBatch, identities: &[u128], epoch: u64) -> Result<()> {
        self.take_file(LiveFile::new(file_name(epoch), rows, DataChange::Rows), identities)
    }
}

/// A new file's name, in which its epoch can be read.
pub(super) fn file_name(epoch: u64) -> String {
    format!("part-{epoch:010}-{}.parquet", uuid::Uuid::new_v4())
}
