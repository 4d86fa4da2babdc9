//! All tables of a lake, as the running engine holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::append::AppendTable;
use super::commit::Stamp;
use super::dead;
use super::layout;
use super::room::Room;
use super::stage::{Staged, Upload, encode_all};
use super::store::Store;
use super::table::Table;
use crate::error::Result;

/// Objects in flight at a time.
const UPLOADS_AT_ONCE: usize = 16;

/// One table's next log entry: part of a decision.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The table, relative to the lake.
    pub table: String,
    /// The version it makes.
    pub version: u64,
    /// Its exact bytes.
    pub bytes: Bytes,
    /// Files that it names no more, relative to the lake.
    pub removed: Vec<String>,
}

/// Tables by name.
#[derive(Debug)]
pub struct Tables {
    /// Events as they came, by source relation.
    pub raw: BTreeMap<String, AppendTable>,
    /// Current rows, by source relation.
    pub source: BTreeMap<String, Table>,
    /// Models by name.
    pub models: BTreeMap<String, Table>,
    /// Records that could not be decoded.
    pub dead: AppendTable,
    /// How much of them is held in memory; `None` is all.
    pub room: Option<Arc<Room>>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            raw: BTreeMap::new(),
            source: BTreeMap::new(),
            models: BTreeMap::new(),
            dead: AppendTable::fresh(layout::DEAD_LETTERS.to_owned(), dead::schema(), None),
            room: None,
        }
    }
}

/// Where a table stands after an epoch.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Standing {
    /// Its latest version.
    pub version: u64,
    /// Live rows.
    pub rows: u64,
    /// The order-free digest of its rows, as hexadecimal; absent for append-only tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The same by ranges of the key, one after another; it adds up to the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<String>,
}

impl Tables {
    /// The table of a source's current rows or of a model.
    pub fn relation(&self, name: &str) -> Option<&Table> {
        self.models.get(name).or_else(|| self.source.get(name))
    }

    /// What comes from here on belongs to this epoch.
    pub fn begin_epoch(&mut self, epoch: u64) {
        for table in self.relations_mut() {
            table.begin_epoch(epoch);
        }
    }

    /// Current rows and models.
    pub fn relations(&self) -> impl Iterator<Item = &Table> {
        self.source.values().chain(self.models.values())
    }

    /// The same, to change them.
    pub fn relations_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        self.source.values_mut().chain(self.models.values_mut())
    }

    /// Raw events and dead letters.
    pub fn append_only(&self) -> impl Iterator<Item = &AppendTable> {
        self.raw.values().chain([&self.dead])
    }

    /// The same, to change them.
    pub fn append_only_mut(&mut self) -> impl Iterator<Item = &mut AppendTable> {
        self.raw.values_mut().chain([&mut self.dead])
    }

    /// Merges files that are due in every table, at once.
    pub async fn compact(&mut self, store: &Store, merge_files: usize, epoch: u64) -> Result<()> {
        for table in self.relations_mut() {
            table.compact(merge_files, epoch)?;
        }
        for table in self.append_only_mut() {
            if let Some(merge) = table.due(merge_files, epoch) {
                table.install(merge.run(store).await?);
            }
        }
        self.begin_epoch(epoch);
        Ok(())
    }

    /// The log entries of all tables that changed, and the files they name.
    pub fn stage(&mut self, stamp: Stamp) -> Result<(Vec<Entry>, Vec<Upload>)> {
        encode_all(self.relations_mut())?;
        let mut entries = Vec::new();
        let mut uploads = Vec::new();
        let mut take = |table: &str, staged: Option<Staged>| {
            if let Some(Staged { version, bytes, uploads: files, removed }) = staged {
                entries.push(Entry { table: table.to_owned(), version, bytes, removed });
                uploads.extend(files);
            }
        };
        for table in self.append_only_mut() {
            let staged = table.stage(stamp)?;
            take(table.path(), staged);
        }
        for table in self.relations_mut() {
            let staged = table.stage(stamp)?;
            take(table.path(), staged);
        }
        Ok((entries, uploads))
    }

    /// Where every table stands.
    pub fn standing(&self) -> BTreeMap<String, Standing> {
        let mut all = BTreeMap::new();
        for table in self.append_only() {
            if let Some(version) = table.version() {
                let rows = table.rows() as u64;
                let standing = Standing { version, rows, digest: None, ranges: None };
                all.insert(table.path().to_owned(), standing);
            }
        }
        for table in self.relations() {
            if let Some(version) = table.version() {
                let digest = Some(format!("{:016x}", table.digest()));
                let ranges = Some(table.ranges().encode());
                let rows = table.rows() as u64;
                let standing = Standing { version, rows, digest, ranges };
                all.insert(table.path().to_owned(), standing);
            }
        }
        all
    }
}

/// Writes files side by side; none of them is visible before its epoch is decided.
pub async fn upload(store: &Store, uploads: Vec<Upload>) -> Result<()> {
    stream::iter(uploads)
        .map(|file| async move { store.put(&file.path, file.body).await })
        .buffer_unordered(UPLOADS_AT_ONCE)
        .try_collect()
        .await
}
