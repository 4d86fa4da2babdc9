//! What a table's log says at a version, and the table that this is.
//!
//! Used at start and by whoever reads the lake beside the engine; the running engine keeps its own
//! list of live files, which no log is listed for.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTableBuilder;
use freshet_sql::plan::types::storable;
use roaring::RoaringBitmap;
use url::Url;

use super::commit::{DataChange, FileEntry, Identity};
use super::file::LiveFile;
use super::log;
use super::parquet::decode;
use super::ranges::Ranges;
use super::room::Room;
use super::spec::TableSpec;
use super::store::Store;
use super::table::Table;
use super::tables::Standing;
use super::vector;
use crate::error::{Error, Result};

/// A table as its log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The table's id.
    pub id: String,
    /// The version that was read.
    pub version: u64,
    /// Its columns, in storable types.
    pub schema: SchemaRef,
    /// Live files.
    pub files: Vec<FileEntry>,
}

/// delta-rs's handle on a table of the lake. A folder it opens by itself, since it must know that
/// listings of a folder come unsorted; a bucket it reads through our one client.
pub fn handle(store: &Store, table: &str) -> Result<DeltaTableBuilder> {
    let bad = || Error::bug(format!("table path \"{table}\" makes no URL"));
    if let Some(folder) = store.folder() {
        let url = Url::from_directory_path(folder.join(table)).map_err(|()| bad())?;
        return DeltaTableBuilder::from_url(url).map_err(|e| failure(table, e));
    }
    let url = Url::parse(&format!("memory:///{table}")).map_err(|_| bad())?;
    let builder = DeltaTableBuilder::from_url(url.clone()).map_err(|e| failure(table, e))?;
    Ok(builder.with_storage_backend(store.objects(), url))
}

/// Reads a table's log up to a version; `None` is the latest.
pub async fn read(store: &Store, table: &str, version: Option<u64>) -> Result<Loaded> {
    if let Some(version) = version
        && let Some(loaded) = log::replayed(store, table, version).await?
    {
        return Ok(loaded);
    }
    by_delta(store, table, version).await
}

/// The same through delta-rs, whatever the log holds.
pub async fn by_delta(store: &Store, table: &str, version: Option<u64>) -> Result<Loaded> {
    let mut builder = handle(store, table)?;
    if let Some(version) = version {
        builder = builder.with_version(version);
    }
    let opened = builder.load().await.map_err(|e| failure(table, e))?;
    let state = opened.snapshot().map_err(|e| failure(table, e))?;
    let mut files = Vec::new();
    for view in state.log_data().iter() {
        let rows = view.num_records().ok_or_else(|| {
            Error::corrupt(format!("a log entry of \"{table}\" does not count its rows"))
        })?;
        files.push(FileEntry {
            path: view.path().into_owned(),
            size: view.size(),
            rows,
            partition: view.partition_values_map().into_values().next().flatten(),
            vector: view.deletion_vector_descriptor(),
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    // delta-rs may answer in views or other units than files are written in.
    let schema = storable(&state.snapshot().arrow_schema());
    Ok(Loaded { id: state.metadata().id().to_owned(), version: state.version(), schema, files })
}

/// The table as it was when `version` was written, rows and index in memory.
///
/// If it was written under other columns it comes back empty: its next entry says the new columns
/// and removes the old files, and whoever asked makes its rows anew.
pub async fn table(
    store: &Store,
    spec: TableSpec,
    version: u64,
    room: Option<&Arc<Room>>,
) -> Result<Table> {
    let mut table = unchecked(store, spec, version, room).await?;
    table.rehash()?;
    Ok(table)
}

/// The same as a decision says that it stands: its digests are those that were kept by the changes,
/// which proofs compare.
pub async fn standing(
    store: &Store,
    spec: TableSpec,
    at: &Standing,
    room: Option<&Arc<Room>>,
) -> Result<Table> {
    let mut table = unchecked(store, spec, at.version, room).await?;
    match at.ranges.as_deref().and_then(Ranges::decode) {
        Some(ranges) if !table.is_restarted() => table.ranges = ranges,
        _ => table.rehash()?,
    }
    Ok(table)
}

async fn unchecked(
    store: &Store,
    spec: TableSpec,
    version: u64,
    room: Option<&Arc<Room>>,
) -> Result<Table> {
    let loaded = read(store, &spec.path, Some(version)).await?;
    let same = loaded.schema.fields() == spec.schema.fields();
    let mut table = Table::fresh(spec);
    table.identity =
        Identity { id: loaded.id, version: Some(version), announce: !same, partition: None };
    if !same {
        table.leave_behind(loaded.files);
        return Ok(table);
    }
    for entry in loaded.files {
        take_file(store, &mut table, entry, room).await?;
    }
    Ok(table)
}

async fn take_file(
    store: &Store,
    table: &mut Table,
    entry: FileEntry,
    room: Option<&Arc<Room>>,
) -> Result<()> {
    let gone = match &entry.vector {
        Some(at) => vector::read(store, &table.spec.path, at).await?,
        None => RoaringBitmap::new(),
    };
    // It is given back when the file is taken in.
    let mut turn = None;
    let mut file = match copy(table, &entry, room).await? {
        Some(file) => file,
        None => {
            if let Some(room) = room {
                turn = room.turn(entry.size).await;
            }
            decoded(store, &table.spec, &entry.path).await?
        }
    };
    file.size = entry.size;
    file.gone = gone;
    file.logged = Some(entry.vector);
    if file.identities.is_some() {
        table.take_indexed(file);
    } else {
        let identities = table.hasher.hashes(&file.rows)?;
        table.take_file(file, &identities)?;
    }
    if let (Some(room), Some(mut last)) = (room, table.files.last_entry()) {
        room.take_in(last.get_mut(), &table.spec.identity)?;
    }
    drop(turn);
    Ok(())
}

/// A file from its local copies; a thread that waits for the disk does nothing else.
async fn copy(
    table: &Table,
    entry: &FileEntry,
    room: Option<&Arc<Room>>,
) -> Result<Option<LiveFile>> {
    let Some(room) = room.filter(|room| room.kept().is_some()).cloned() else { return Ok(None) };
    let (spec, entry) = (table.spec.clone(), entry.clone());
    let found = tokio::task::spawn_blocking(move || room.copy(&spec, &entry)).await;
    Ok(found.unwrap_or_else(|_| {
        tracing::error!(
            table = table.path(),
            "reading a local copy ended in a panic: the lake is read"
        );
        None
    }))
}

/// A file as the lake has it.
async fn decoded(store: &Store, spec: &TableSpec, file: &str) -> Result<LiveFile> {
    let path = format!("{}/{file}", spec.path);
    let body = store.get(&path).await?.ok_or_else(|| {
        Error::corrupt(format!("file \"{path}\" is named by the log and missing"))
            .with_hint("restore it from a backup, or rebuild the lake's models from raw")
    })?;
    let rows = decode(body, &spec.schema, &path)?;
    if u32::try_from(rows.num_rows()).is_err() {
        return Err(Error::corrupt("a file over 2^32 rows"));
    }
    Ok(LiveFile::new(file.to_owned(), rows, DataChange::Rows))
}

pub(super) fn failure(table: &str, error: deltalake::DeltaTableError) -> Error {
    Error::unavailable(format!("cannot read the log of \"{table}\""), error)
}
