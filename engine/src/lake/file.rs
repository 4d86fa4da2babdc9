//! A live file of a keyed table: its rows, which of them live, and where they lie by key.
//!
//! Rows are on the heap or mapped from a local copy; both read alike. What is gone is only marked, so
//! that a file never changes once it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use deltalake::kernel::DeletionVectorDescriptor;
use freshet_sql::plan::live::Piece;
use roaring::RoaringBitmap;

use super::cold::Cold;
use super::commit::{DataChange, FileEntry};
use super::kept::{Found, Home, Kept, Of};
use super::key_indexes::KeyIndexes;
use super::keys::KeyIndex;
use super::spec::TableSpec;
use crate::error::{Error, Result};

/// From so many rows on a file has an index of identities of its own, which can be merged and mapped;
/// rows of smaller files stand in the table's.
pub(super) const OWN_INDEX_ROWS: usize = if cfg!(test) { 40 } else { 32_768 };

/// A file and which of its rows live.
#[derive(Debug)]
pub(super) struct LiveFile {
    pub path: String,
    pub size: i64,
    pub rows: RecordBatch,
    pub gone: RoaringBitmap,
    /// How many were gone when a merge put it in.
    pub settled: u64,
    /// As the log has it; `None` while no entry names the file.
    pub logged: Option<Option<DeletionVectorDescriptor>>,
    pub change: DataChange,
    /// Its object while that waits for its entry; empty once it is in the lake.
    pub body: Option<Bytes>,
    /// Where its rows lie by the keys that were asked for.
    pub keys: KeyIndexes,
    /// Where its rows lie by identity; `None` where the table's index has them.
    pub identities: Option<Arc<KeyIndex>>,
    /// The epoch that found rows in it last.
    pub used: AtomicU64,
    /// Bytes that its rows hold on the heap, and on disk once they are mapped.
    heap: usize,
    mapped: usize,
    /// Where its copies for a quick start lie, if they are kept.
    home: Option<Arc<Home>>,
}

impl LiveFile {
    pub(super) fn new(path: String, rows: RecordBatch, change: DataChange) -> Self {
        Self {
            path,
            size: 0,
            heap: rows.get_array_memory_size(),
            mapped: 0,
            rows,
            gone: RoaringBitmap::new(),
            settled: 0,
            logged: None,
            change,
            body: None,
            keys: KeyIndexes::default(),
            identities: None,
            used: AtomicU64::new(0),
            home: None,
        }
    }

    /// A file of the lake whose rows were found in a local copy.
    pub(super) fn found(path: String, found: Found) -> Self {
        let (heap, mapped) = if found.mapped { (0, found.bytes) } else { (found.bytes, 0) };
        Self { heap, mapped, ..Self::new(path, found.rows, DataChange::Rows) }
    }

    /// Gives it a place for copies.
    pub(super) fn settle(&mut self, kept: &Kept, spec: &TableSpec) {
        if self.home.is_none() {
            self.settle_at(kept.home(&spec.path, &self.path));
        }
    }

    /// The same with a place of which it is known what lies there.
    pub(super) fn settle_at(&mut self, home: Option<Arc<Home>>) {
        self.home = home;
        self.keys.settle(self.home.clone());
    }

    pub(super) fn forget_indexes(&mut self) {
        self.keys = KeyIndexes::default();
        self.home = None;
    }

    pub(super) fn home(&self) -> Option<Arc<Home>> {
        self.home.clone()
    }

    /// Bytes of its rows, wherever they lie.
    pub(super) const fn row_bytes(&self) -> usize {
        self.heap + self.mapped
    }

    /// The same rows for a look beside the epochs.
    pub(super) fn pinned(&self) -> Self {
        let gone = self.gone.clone();
        let mut keys = KeyIndexes::new(self.keys.all());
        keys.settle(self.home.clone());
        let (path, rows) = (self.path.clone(), self.rows.clone());
        let identities = self.identities.clone();
        Self { gone, keys, identities, ..Self::new(path, rows, self.change) }
    }

    /// As the log names it, with this vector.
    pub(super) fn entry(&self, vector: Option<DeletionVectorDescriptor>) -> FileEntry {
        let (path, size, rows) = (self.path.clone(), self.size, self.rows.num_rows());
        FileEntry { path, size, rows, partition: None, vector }
    }

    pub(super) fn live_rows(&self) -> usize {
        self.rows.num_rows() - usize::try_from(self.gone.len()).unwrap_or(usize::MAX)
    }

    /// The places of rows that live.
    pub(super) fn living_rows(&self) -> impl Iterator<Item = u32> {
        living(&self.rows, &self.gone)
    }

    pub(super) fn live(&self) -> Result<RecordBatch> {
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

    /// All rows, and which of them live.
    pub(super) fn piece(&self) -> Piece {
        let live = (!self.gone.is_empty()).then(|| live_mask(self.rows.num_rows(), &self.gone));
        Piece { rows: self.rows.clone(), live }
    }

    fn living(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if self.gone.is_empty() {
            return Ok(rows.clone());
        }
        let mask = live_mask(rows.num_rows(), &self.gone);
        filter_record_batch(rows, &mask).map_err(|e| Error::bug(e.to_string()))
    }

    /// Bytes of rows and indexes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let identities = self.identities.as_ref().map_or(0, |index| index.heap_bytes());
        self.heap + identities + self.keys.heap_bytes()
    }

    /// Bytes of rows that lie on disk.
    pub(super) const fn cold_bytes(&self) -> usize {
        self.mapped
    }

    /// Notes that an epoch found rows here.
    pub(super) fn touch(&self, epoch: u64) {
        self.used.store(epoch, Ordering::Relaxed);
    }

    /// Moves rows and indexes to disk.
    pub(super) fn cool(&mut self, cold: &Cold, identity: &[usize]) -> Result<()> {
        let home = self.home.clone();
        if self.heap > 0 {
            self.rows = cold.moved((home.as_deref(), &Of::Rows), &self.rows)?;
            self.mapped = std::mem::take(&mut self.heap);
        }
        if let Some(index) = &self.identities {
            let of = Of::Identities(identity.to_vec());
            self.identities = Some(index.cooled(cold, (home.as_deref(), &of))?);
        }
        self.keys.cool(cold)
    }
}

/// The places of a file's rows that live.
pub(super) fn living(rows: &RecordBatch, gone: &RoaringBitmap) -> impl Iterator<Item = u32> {
    let rows = u32::try_from(rows.num_rows()).unwrap_or(u32::MAX);
    (0..rows).filter(|row| !gone.contains(*row))
}

fn live_mask(rows: usize, gone: &RoaringBitmap) -> BooleanArray {
    let mut mask = BooleanBufferBuilder::new(rows);
    mask.append_n(rows, true);
    for row in gone.iter().map(|row| row as usize).take_while(|row| *row < rows) {
        mask.set_bit(row, false);
    }
    mask.finish().into()
}
