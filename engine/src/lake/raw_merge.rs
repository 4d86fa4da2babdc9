//! A merge of an append-only table's files: read, written as one, and put into the lake, where no
//! entry names it before an epoch's decision does. It must never change a row.

use arrow::datatypes::SchemaRef;

use super::append::stored;
use super::commit::FileEntry;
use super::parquet::{Effort, FileWriter};
use super::store::Store;
use crate::error::Result;

/// Files of an append-only table to merge.
#[derive(Debug)]
pub struct RawMerge {
    pub(super) path: String,
    pub(super) schema: SchemaRef,
    pub(super) name: String,
    pub(super) partition: Option<String>,
    pub(super) files: Vec<FileEntry>,
}

/// The file that they became.
#[derive(Debug)]
pub struct RawMerged {
    path: String,
    pub(super) of: Vec<FileEntry>,
    pub(super) entry: FileEntry,
}

impl RawMerge {
    /// Relative to the lake.
    pub fn table(&self) -> &str {
        &self.path
    }

    /// Makes the merged file, and puts it into the lake, where no entry names it yet.
    pub async fn run(self, store: &Store) -> Result<RawMerged> {
        let (mut file, mut rows) = (FileWriter::new(&self.schema, Effort::Events)?, 0);
        for entry in &self.files {
            let path = format!("{}/{}", self.path, entry.path);
            file.write(&stored(store, &path, &self.schema).await?)?;
            rows += entry.rows;
        }
        let body = file.finish()?;
        let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
        store.put(&format!("{}/{}", self.path, self.name), body).await?;
        let entry =
            FileEntry { path: self.name, size, rows, partition: self.partition, vector: None };
        Ok(RawMerged { path: self.path, of: self.files, entry })
    }
}

impl RawMerged {
    /// Relative to the lake.
    pub fn table(&self) -> &str {
        &self.path
    }
}
