//! An append-only Delta table: raw events and dead letters.
//!
//! Rows go in once and are never looked up on the hot path, so nothing of them stays in memory but
//! the list of files.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::commit::{self, Actions, DataChange, FileEntry, Identity, Stamp};
use super::compact::CROWDED;
use super::load;
use super::parquet::{Effort, decode, encode};
use super::raw_merge::{RawMerge, RawMerged};
use super::stage::{Staged, Upload};
use super::store::Store;
use super::table::file_name;
use crate::error::{Error, Result};

/// Files below this are merged; larger ones stay as they are. Events in memory take ten times the
/// room, so this also bounds what a merge holds.
const MERGED_BYTES_MAX: i64 = 4 << 20;

/// The table.
#[derive(Debug)]
pub struct AppendTable {
    path: String,
    schema: SchemaRef,
    identity: Identity,
    files: Vec<FileEntry>,
    actions: Actions,
    uploads: Vec<Upload>,
}

impl AppendTable {
    /// A table that does not exist yet. `schema` is that of its files, without the partition.
    pub fn fresh(path: String, schema: SchemaRef, partition: Option<&'static str>) -> Self {
        Self {
            path,
            schema,
            identity: Identity::fresh(partition),
            files: Vec::new(),
            actions: Actions::default(),
            uploads: Vec::new(),
        }
    }

    /// The table as it was when `version` was written.
    pub async fn load(
        store: &Store,
        path: String,
        schema: SchemaRef,
        partition: Option<&'static str>,
        version: u64,
    ) -> Result<Self> {
        let loaded = load::read(store, &path, Some(version)).await?;
        let mut table = Self::fresh(path, schema, partition);
        table.identity =
            Identity { id: loaded.id, version: Some(version), announce: false, partition };
        table.files = loaded.files;
        Ok(table)
    }

    /// Its files as they are now, to be read beside what comes: of an epoch that is decided.
    pub fn pinned(&self) -> Self {
        let fresh = Self::fresh(self.path.clone(), self.schema.clone(), self.identity.partition);
        Self { files: self.files.clone(), ..fresh }
    }

    /// Relative to the lake.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The latest version; `None` before its first entry.
    pub fn version(&self) -> Option<u64> {
        self.identity.version
    }

    /// Rows in live files.
    pub fn rows(&self) -> usize {
        self.files.iter().map(|f| f.rows).sum()
    }

    fn new_file(&self, partition: Option<&str>, epoch: u64) -> String {
        let name = file_name(epoch);
        match (self.identity.partition, partition) {
            (Some(column), Some(value)) => format!("{column}={value}/{name}"),
            _ => name,
        }
    }

    /// Adds rows that belong to one value of the partition column.
    pub fn append(
        &mut self,
        rows: &RecordBatch,
        partition: Option<&str>,
        epoch: u64,
    ) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let body = encode(rows, Effort::Events)?;
        self.add(body, rows.num_rows(), partition, epoch);
        Ok(())
    }

    fn add(&mut self, body: Bytes, rows: usize, partition: Option<&str>, epoch: u64) {
        let path = self.new_file(partition, epoch);
        let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
        let partition = partition.map(str::to_owned);
        let entry = FileEntry { path, size, rows, partition, vector: None };
        self.uploads.push(Upload { path: format!("{}/{}", self.path, entry.path), body });
        self.files.push(entry.clone());
        self.actions.adds.push((entry, DataChange::Rows));
    }

    /// The merge that is due, if one is: small files of one partition value.
    pub fn due(&self, merge_files: usize, epoch: u64) -> Option<RawMerge> {
        let files = self.crowded(merge_files.max(2))?;
        let partition = files.first().and_then(|f| f.partition.clone());
        let (path, schema) = (self.path.clone(), self.schema.clone());
        let name = self.new_file(partition.as_deref(), epoch);
        Some(RawMerge { path, schema, name, partition, files })
    }

    /// Puts a merged file in the place of those it was made of.
    pub fn install(&mut self, merged: RawMerged) {
        self.files.retain(|f| !merged.of.iter().any(|d| d.path == f.path));
        let gone = merged.of.into_iter().map(|f| (f, DataChange::Layout));
        self.actions.removes.extend(gone);
        self.files.push(merged.entry.clone());
        self.actions.adds.push((merged.entry, DataChange::Layout));
    }

    /// Whether merges have fallen far behind.
    pub fn is_crowded(&self, merge_files: usize) -> bool {
        let most = merge_files.max(2) * CROWDED;
        self.files.len() >= most
            && self.classes(merge_files.max(2)).values().any(|files| files.len() >= most)
    }

    fn crowded(&self, merge_files: usize) -> Option<Vec<FileEntry>> {
        let mut classes = self.classes(merge_files).into_values();
        let due = classes.find(|files| files.len() >= merge_files)?;
        Some(due.into_iter().cloned().collect())
    }

    /// Small files by partition and size class.
    fn classes(&self, merge_files: usize) -> BTreeMap<(Option<&str>, u32), Vec<&FileEntry>> {
        let mut classes: BTreeMap<(Option<&str>, u32), Vec<&FileEntry>> = BTreeMap::new();
        let staged = |f: &FileEntry| self.actions.adds.iter().any(|(a, _)| a.path == f.path);
        for file in self.files.iter().filter(|f| f.size < MERGED_BYTES_MAX && !staged(f)) {
            let kib = usize::try_from(file.size / 16_384).unwrap_or(0).max(1);
            classes
                .entry((file.partition.as_deref(), kib.ilog(merge_files)))
                .or_default()
                .push(file);
        }
        classes
    }

    /// The next log entry, if anything was added.
    pub fn stage(&mut self, stamp: Stamp) -> Result<Option<Staged>> {
        let actions = std::mem::take(&mut self.actions);
        if actions.adds.is_empty() && !(self.identity.announce && self.identity.version.is_none()) {
            return Ok(None);
        }
        let mut columns = self.schema.fields().to_vec();
        if let Some(name) = self.identity.partition {
            let kind = arrow::datatypes::DataType::Date32;
            columns.push(std::sync::Arc::new(arrow::datatypes::Field::new(name, kind, true)));
        }
        let schema = arrow::datatypes::Schema::new(columns);
        let version = self.identity.next_version();
        let removed = actions.removed(&self.path);
        let bytes = commit::entry(&self.identity, &schema, actions, stamp)?;
        self.identity.version = Some(version);
        self.identity.announce = false;
        let uploads = std::mem::take(&mut self.uploads);
        Ok(Some(Staged { version, bytes, uploads, removed }))
    }

    /// Its live files from the newest back until they hold so many rows, relative to the lake.
    pub fn newest(&self, rows: usize) -> Vec<String> {
        let mut entries: Vec<&FileEntry> = self.files.iter().collect();
        entries.sort_by_key(|f| std::cmp::Reverse(epoch_of(&f.path)));
        let mut held = 0;
        let within = entries.into_iter().take_while(|entry| {
            let before = held;
            held += entry.rows;
            before < rows
        });
        within.map(|entry| format!("{}/{}", self.path, entry.path)).collect()
    }

    /// Its live files, those of the running epoch included.
    pub(super) fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// A file of the running epoch, which is not in the lake yet.
    pub(super) fn unwritten(&self, path: &str) -> Option<&Bytes> {
        self.uploads.iter().find(|upload| upload.path == path).map(|upload| &upload.body)
    }

    /// Reads every live file, one after the other: they may not fit all at once.
    pub async fn read_each(
        &self,
        store: &Store,
        mut take: impl FnMut(RecordBatch) -> Result<()> + Send,
    ) -> Result<()> {
        for entry in &self.files {
            take(self.read(store, entry).await?)?;
        }
        Ok(())
    }

    pub(super) async fn read(&self, store: &Store, entry: &FileEntry) -> Result<RecordBatch> {
        let path = format!("{}/{}", self.path, entry.path);
        match self.unwritten(&path) {
            Some(body) => decode(body.clone(), &self.schema, &path),
            None => stored(store, &path, &self.schema).await,
        }
    }
}

pub(super) async fn stored(store: &Store, path: &str, schema: &SchemaRef) -> Result<RecordBatch> {
    let body = store.get(path).await?;
    let body = body.ok_or_else(|| {
        Error::corrupt(format!("file \"{path}\" is missing")).with_hint(
            "if this read took longer than lake.retention_minutes, a merge has replaced the file: raise that \
             and run it again; else the lake has lost it",
        )
    })?;
    decode(body, schema, path)
}

/// The epoch that wrote a file, from its name `part-EPOCH-..`.
pub(super) fn epoch_of(path: &str) -> u64 {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('-').nth(1).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
