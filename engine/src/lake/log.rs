//! A table's live files at a version, read from its last checkpoint and the entries since.
//!
//! What removed is told for an hour, so that at some epochs a second most of a checkpoint is of files
//! that are gone; only those that live are read here, and entries are read side by side. It reads what
//! this program writes: where it finds anything else it says nothing, and delta-rs reads the log. It
//! must never list a folder, and never guess.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{Int32Type, Int64Type, Schema};
use bytes::Bytes;
use deltalake::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake::kernel::{DeletionVectorDescriptor, StructType};
use freshet_sql::plan::types::storable;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use super::commit::FileEntry;
use super::layout;
use super::load::Loaded;
use super::parquet::only;
use super::store::Store;
use crate::error::Result;

/// Entries that are read at a time.
const READ_AT_ONCE: usize = 16;
/// With more entries behind the checkpoint something is wrong with it.
const ENTRIES_MAX: u64 = 20_000;

/// `_last_checkpoint`: one whole file, not in parts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastCheckpoint {
    version: u64,
    parts: Option<u64>,
    v2_checkpoint: Option<serde_json::Value>,
}

/// One line of an entry, as far as it is about files or columns.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    add: Option<Added>,
    remove: Option<Removed>,
    meta_data: Option<Meta>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    path: String,
    size: i64,
    stats: Option<String>,
    #[serde(default)]
    partition_values: BTreeMap<String, Option<String>>,
    deletion_vector: Option<DeletionVectorDescriptor>,
}

#[derive(Deserialize)]
struct Removed {
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    id: String,
    schema_string: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_records: usize,
}

/// What the log has said so far.
#[derive(Default)]
struct Replayed {
    meta: Option<Meta>,
    files: BTreeMap<String, FileEntry>,
}

/// The table at a version; `None` where its log holds what this program does not write.
pub async fn replayed(store: &Store, table: &str, version: u64) -> Result<Option<Loaded>> {
    let mut so_far = Replayed::default();
    let mut next = 0;
    let last = store.get(&format!("{table}/_delta_log/_last_checkpoint")).await?;
    if let Some(last) = last {
        let Ok(last) = serde_json::from_slice::<LastCheckpoint>(&last) else { return Ok(None) };
        let is_one = last.parts.is_none() && last.v2_checkpoint.is_none();
        if !is_one || last.version > version {
            return Ok(None);
        }
        let path = format!("{table}/_delta_log/{:020}.checkpoint.parquet", last.version);
        let Some(body) = store.get(&path).await? else { return Ok(None) };
        if so_far.checkpoint(body).is_none() {
            return Ok(None);
        }
        next = last.version + 1;
    }
    if version.saturating_sub(next) > ENTRIES_MAX {
        return Ok(None);
    }
    let read = |at: u64| async move { store.get(&layout::log_entry(table, at)).await };
    let mut entries = stream::iter(next..=version).map(read).buffered(READ_AT_ONCE);
    while let Some(entry) = entries.try_next().await? {
        if entry.and_then(|bytes| so_far.entry(&bytes)).is_none() {
            return Ok(None);
        }
    }
    Ok(so_far.loaded(version))
}

impl Replayed {
    fn entry(&mut self, bytes: &Bytes) -> Option<()> {
        let mut added = Vec::new();
        for line in std::str::from_utf8(bytes).ok()?.lines().filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_str(line).ok()?;
            if let Some(meta) = line.meta_data {
                self.meta = Some(meta);
            }
            if let Some(removed) = line.remove {
                // An Add of this entry may be of the same file with another vector.
                self.files.remove(&removed.path)?;
            }
            added.extend(line.add);
        }
        added.into_iter().try_for_each(|file| self.add(file))
    }

    fn add(&mut self, file: Added) -> Option<()> {
        let stats: Stats = serde_json::from_str(file.stats.as_deref()?).ok()?;
        // Names that the log escapes are not ours.
        if file.path.contains('%') {
            return None;
        }
        let entry = FileEntry {
            path: file.path.clone(),
            size: file.size,
            rows: stats.num_records,
            partition: file.partition_values.into_values().next().flatten(),
            vector: file.deletion_vector,
        };
        self.files.insert(file.path, entry).is_none().then_some(())
    }

    fn checkpoint(&mut self, body: Bytes) -> Option<()> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(body).ok()?;
        let builder = only(builder, |name| ["add", "metaData"].contains(&name));
        for batch in builder.build().ok()? {
            self.checkpoint_rows(&batch.ok()?)?;
        }
        Some(())
    }

    fn checkpoint_rows(&mut self, batch: &RecordBatch) -> Option<()> {
        let meta = batch.column_by_name("metaData")?.as_struct_opt()?;
        if let Some(row) = (0..batch.num_rows()).find(|row| meta.is_valid(*row)) {
            let (id, schema_string) = (text(meta, "id", row)?, text(meta, "schemaString", row)?);
            self.meta = Some(Meta { id: id?, schema_string: schema_string? });
        }
        let add = batch.column_by_name("add")?.as_struct_opt()?;
        for row in (0..batch.num_rows()).filter(|row| add.is_valid(*row)) {
            let size = add.column_by_name("size")?.as_primitive_opt::<Int64Type>()?;
            self.add(Added {
                path: text(add, "path", row)??,
                size: size.value(row),
                stats: text(add, "stats", row)?,
                partition_values: partition(add, row)?,
                deletion_vector: vector(add, row)?,
            })?;
        }
        Some(())
    }

    fn loaded(self, version: u64) -> Option<Loaded> {
        let meta = self.meta?;
        let columns: StructType = serde_json::from_str(&meta.schema_string).ok()?;
        let schema: Schema = (&columns).try_into_arrow().ok()?;
        let files = self.files.into_values().collect();
        Some(Loaded { id: meta.id, version, schema: storable(&schema), files })
    }
}

/// A text of a struct's row: `None` where there is no such column, `Some(None)` where it is null.
fn text(of: &StructArray, name: &str, row: usize) -> Option<Option<String>> {
    let column = of.column_by_name(name)?.as_string_opt::<i32>()?;
    Some(column.is_valid(row).then(|| column.value(row).to_owned()))
}

fn partition(add: &StructArray, row: usize) -> Option<BTreeMap<String, Option<String>>> {
    let values = add.column_by_name("partitionValues")?.as_map_opt()?.value(row);
    let (keys, values) = (values.column(0), values.column(1));
    let (keys, values) = (keys.as_string_opt::<i32>()?, values.as_string_opt::<i32>()?);
    let value = |at: usize| values.is_valid(at).then(|| values.value(at).to_owned());
    Some((0..keys.len()).map(|at| (keys.value(at).to_owned(), value(at))).collect())
}

fn vector(add: &StructArray, row: usize) -> Option<Option<DeletionVectorDescriptor>> {
    let Some(of) = add.column_by_name("deletionVector") else { return Some(None) };
    let of = of.as_struct_opt()?;
    if of.is_null(row) {
        return Some(None);
    }
    let offset = of.column_by_name("offset")?.as_primitive_opt::<Int32Type>()?;
    let size = of.column_by_name("sizeInBytes")?.as_primitive_opt::<Int32Type>()?;
    let cardinality = of.column_by_name("cardinality")?.as_primitive_opt::<Int64Type>()?;
    Some(Some(DeletionVectorDescriptor {
        storage_type: text(of, "storageType", row)??.parse().ok()?,
        path_or_inline_dv: text(of, "pathOrInlineDv", row)??,
        offset: offset.is_valid(row).then(|| offset.value(row)),
        size_in_bytes: size.value(row),
        cardinality: cardinality.value(row),
    }))
}
