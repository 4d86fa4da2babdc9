//! A keyed Delta table: live files in memory, an index of rows, a digest.
//!
//! A change marks replaced rows in deletion vectors and puts new rows into a file of their own:
//! what is written follows the change. Changes are visible here at once and to others only when the
//! epoch's decision names the entry; if it never does, the table is loaded anew.

use std::collections::BTreeMap;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use deltalake::kernel::DeletionVectorDescriptor;
use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::recompute::StoredRows;
use freshet_sql::rows::RowHasher;
use hashbrown::HashSet;
use roaring::RoaringBitmap;

use super::commit::{self, Actions, DataChange, FileEntry, Identity, Stamp};
use super::index::{Place, RowIndex};
use super::keys::KeyIndexes;
use super::parquet::{Effort, encode};
use super::ranges::Ranges;
use super::vector;
use crate::error::{Error, Result};

/// What a table is to hold.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// Relative to the lake: `marts/dim_customers`.
    pub path: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Columns that tell one row from another: a source's key, or all that are no audit columns.
    pub identity: Vec<usize>,
    /// Columns that the digest covers: all but audit columns.
    pub digest: Vec<usize>,
}

impl TableSpec {
    /// A table without a key: rows are told apart by all but their audit columns.
    pub fn whole_rows(path: String, schema: SchemaRef, audit: &[String]) -> Self {
        let plain: Vec<usize> = (0..schema.fields().len())
            .filter(|i| !audit.contains(schema.field(*i).name()))
            .collect();
        Self { path, schema, identity: plain.clone(), digest: plain }
    }
}

/// A file and which of its rows live.
#[derive(Debug)]
pub(super) struct LiveFile {
    pub path: String,
    pub size: i64,
    pub rows: RecordBatch,
    pub gone: RoaringBitmap,
    /// As the log has it; `None` while no entry names the file.
    pub logged: Option<Option<DeletionVectorDescriptor>>,
    pub change: DataChange,
    /// Where its rows lie by the keys that were asked for.
    pub keys: KeyIndexes,
}

impl LiveFile {
    pub(super) fn new(path: String, rows: RecordBatch, change: DataChange) -> Self {
        let gone = RoaringBitmap::new();
        let keys = KeyIndexes::default();
        Self { path, size: 0, rows, gone, logged: None, change, keys }
    }

    pub(super) fn live_rows(&self) -> usize {
        self.rows.num_rows() - usize::try_from(self.gone.len()).unwrap_or(usize::MAX)
    }

    fn live(&self) -> Result<RecordBatch> {
        self.living(&self.rows)
    }

    /// Some columns of the live rows.
    pub(super) fn live_columns(
        &self,
        columns: &[usize],
    ) -> freshet_sql::error::Result<RecordBatch> {
        let some = self.rows.project(columns)?;
        self.living(&some).map_err(|e| freshet_sql::error::Error::Bug(e.to_string()))
    }

    fn living(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if self.gone.is_empty() {
            return Ok(rows.clone());
        }
        let mask = live_mask(rows.num_rows(), &self.gone);
        filter_record_batch(rows, &mask).map_err(|e| Error::bug(e.to_string()))
    }
}

fn live_mask(rows: usize, gone: &RoaringBitmap) -> BooleanArray {
    let mut mask = vec![true; rows];
    for row in gone {
        if let Some(flag) = mask.get_mut(row as usize) {
            *flag = false;
        }
    }
    mask.into()
}

/// A file that the epoch must write before it is decided.
#[derive(Debug)]
pub struct Upload {
    /// Relative to the lake.
    pub path: String,
    /// Its bytes.
    pub body: Bytes,
}

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
            ranges: Ranges::default(),
            hasher,
            dropped: Vec::new(),
        }
    }

    /// Relative to the lake.
    pub fn path(&self) -> &str {
        &self.spec.path
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
        if change.is_empty() {
            return Ok(());
        }
        let removed = self.hasher.hashes(&change.removed)?;
        let added = self.hasher.hashes(&change.added)?;
        self.ranges.change(change, [&removed, &added], &self.spec.digest)?;
        for identity in removed {
            let place = self.index.take(identity).ok_or_else(|| {
                Error::bug(format!("a change of \"{}\" retracts a row it lacks", self.spec.path))
            })?;
            self.mark(place);
        }
        if change.added.num_rows() > 0 {
            let rows = RecordBatch::try_new(self.schema(), change.added.columns().to_vec())
                .map_err(|e| Error::bug(format!("change of \"{}\": {e}", self.spec.path)))?;
            self.append(rows, &added, epoch)?;
        }
        Ok(())
    }

    /// Whether its stored columns were others: it is empty and must be made anew.
    pub fn is_restarted(&self) -> bool {
        self.identity.announce && self.identity.version.is_some()
    }

    /// Files of other columns: the next entry removes them.
    pub(super) fn leave_behind(&mut self, files: Vec<FileEntry>) {
        self.dropped.extend(files.into_iter().map(|file| (file, DataChange::Rows)));
    }

    fn mark(&mut self, place: Place) {
        if let Some(file) = self.files.get_mut(&place.file) {
            file.gone.insert(place.row);
        }
    }

    fn append(&mut self, rows: RecordBatch, identities: &[u128], epoch: u64) -> Result<()> {
        let path = format!("part-{epoch:010}-{}.parquet", uuid::Uuid::new_v4());
        self.take_file(LiveFile::new(path, rows, DataChange::Rows), identities)
    }

    /// Takes a file in whose rows have these identities; those that are gone are not indexed.
    pub(super) fn take_file(&mut self, file: LiveFile, identities: &[u128]) -> Result<()> {
        let number = self.next_file;
        self.next_file += 1;
        self.files.insert(number, file);
        self.index_file(number, identities)
    }

    /// Makes the living rows of a file findable.
    pub(super) fn index_file(&mut self, number: u32, identities: &[u128]) -> Result<()> {
        let Some(file) = self.files.get(&number) else { return Ok(()) };
        self.index.reserve(file.live_rows());
        for (row, identity) in identities.iter().enumerate() {
            let row = u32::try_from(row).map_err(|_| Error::bug("a file over 2^32 rows"))?;
            if !file.gone.contains(row) {
                self.index.insert(*identity, Place { file: number, row });
            }
        }
        Ok(())
    }

    fn drop_file(&mut self, number: u32, change: DataChange) {
        if let Some(file) = self.files.remove(&number)
            && let Some(vector) = file.logged
        {
            let rows = file.rows.num_rows();
            let entry =
                FileEntry { path: file.path, size: file.size, rows, partition: None, vector };
            self.dropped.push((entry, change));
        }
    }

    /// Merges live rows of these files into one; nothing but their place changes.
    pub(super) fn merge(&mut self, numbers: &[u32], epoch: u64) -> Result<()> {
        let mut batches = Vec::new();
        for number in numbers {
            if let Some(file) = self.files.get(number) {
                batches.push(file.live()?);
            }
        }
        let merged =
            concat_batches(&self.schema(), &batches).map_err(|e| Error::bug(e.to_string()))?;
        let mut from: Vec<Place> = Vec::with_capacity(merged.num_rows());
        for number in numbers {
            let Some(file) = self.files.get(number) else { continue };
            let rows = u32::try_from(file.rows.num_rows()).unwrap_or(u32::MAX);
            let live = (0..rows).filter(|row| !file.gone.contains(*row));
            from.extend(live.map(|row| Place { file: *number, row }));
        }
        let number = self.next_file;
        self.next_file += 1;
        for (row, identity) in self.hasher.hashes(&merged)?.into_iter().enumerate() {
            let row = u32::try_from(row).map_err(|_| Error::bug("a file over 2^32 rows"))?;
            self.index.repoint(identity, from[row as usize], Place { file: number, row });
        }
        for number in numbers {
            self.drop_file(*number, DataChange::Layout);
        }
        if merged.num_rows() > 0 {
            let path = format!("part-{epoch:010}-{}.parquet", uuid::Uuid::new_v4());
            self.files.insert(number, LiveFile::new(path, merged, DataChange::Layout));
        }
        Ok(())
    }

    /// The table's next log entry and the files it names, if it changed since the last one.
    pub fn stage(&mut self, stamp: Stamp) -> Result<Option<(u64, Bytes, Vec<Upload>)>> {
        let mut uploads = Vec::new();
        let mut actions = Actions { adds: Vec::new(), removes: std::mem::take(&mut self.dropped) };
        let empty: Vec<u32> =
            self.files.iter().filter(|(_, f)| f.live_rows() == 0).map(|(n, _)| *n).collect();
        for number in empty {
            self.drop_file(number, DataChange::Rows);
        }
        actions.removes.append(&mut self.dropped);
        let mut packer = vector::Packer::new(&self.spec.path);
        for file in self.files.values_mut() {
            stage_file(&self.spec.path, file, &mut actions, &mut uploads, &mut packer)?;
        }
        uploads.extend(packer.finish().into_iter().map(|(path, body)| Upload { path, body }));
        let nothing = actions.adds.is_empty() && actions.removes.is_empty();
        if nothing && !self.identity.announce {
            return Ok(None);
        }
        let version = self.identity.next_version();
        let bytes = commit::entry(&self.identity, &self.spec.schema, actions, stamp)?;
        self.identity.version = Some(version);
        self.identity.announce = false;
        Ok(Some((version, bytes, uploads)))
    }
}

fn stage_file(
    table: &str,
    file: &mut LiveFile,
    actions: &mut Actions,
    uploads: &mut Vec<Upload>,
    packer: &mut vector::Packer<'_>,
) -> Result<()> {
    let told = file.logged.as_ref().map(|d| d.as_ref().map_or(0, |d| d.cardinality));
    let gone = i64::try_from(file.gone.len()).unwrap_or(i64::MAX);
    if told == Some(gone) {
        return Ok(());
    }
    if file.logged.is_none() {
        let effort = if file.change == DataChange::Layout { Effort::Small } else { Effort::Quick };
        let body = encode(&file.rows, effort)?;
        file.size = i64::try_from(body.len()).unwrap_or(i64::MAX);
        uploads.push(Upload { path: format!("{table}/{}", file.path), body });
    }
    let named = |vector| FileEntry {
        path: file.path.clone(),
        size: file.size,
        rows: file.rows.num_rows(),
        partition: None,
        vector,
    };
    if let Some(before) = &file.logged {
        actions.removes.push((named(before.clone()), DataChange::Rows));
    }
    let vector = if file.gone.is_empty() { None } else { Some(packer.add(&file.gone)?) };
    let change = if file.logged.is_some() { DataChange::Rows } else { file.change };
    actions.adds.push((named(vector.clone()), change));
    file.logged = Some(vector);
    Ok(())
}

impl StoredRows for Table {
    type Place = Place;

    fn find(&self, identity: u128) -> Vec<Place> {
        self.index.places(identity)
    }

    fn all_but(&self, keep: &HashSet<Place>) -> Vec<Place> {
        let mut places = Vec::new();
        for (number, file) in &self.files {
            let rows = u32::try_from(file.rows.num_rows()).unwrap_or(u32::MAX);
            let live = (0..rows).filter(|row| !file.gone.contains(*row));
            let here = live.map(|row| Place { file: *number, row });
            places.extend(here.filter(|place| !keep.contains(place)));
        }
        places
    }

    fn rows_at(&self, places: &[Place]) -> freshet_sql::error::Result<RecordBatch> {
        self.take(places).map_err(|e| freshet_sql::error::Error::Bug(e.to_string()))
    }
}
