//! A merge of an append-only table's files: read, written as one, and put into the lake, where no
//! entry names it before an epoch's decision does. It must never change a row.

use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::append::body_of;
use super::commit::FileEntry;
use super::parquet::{Effort, FileWriter, decode};
use super::store::Store;
use crate::cores;
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

    /// Makes the merged file, beside the epochs, and puts it into the lake, where no entry names it yet.
    pub async fn run(self, store: &Store) -> Result<RawMerged> {
        let mut parts = Vec::with_capacity(self.files.len());
        for entry in &self.files {
            let path = format!("{}/{}", self.path, entry.path);
            parts.push((body_of(store, &path).await?, path));
        }
        let schema = self.schema.clone();
        let body = cores::beside(move || merged(&schema, parts)).await??;
        let (size, rows) = (body.len(), self.files.iter().map(|file| file.rows).sum());
        store.put(&format!("{}/{}", self.path, self.name), body).await?;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let entry =
            FileEntry { path: self.name, size, rows, partition: self.partition, vector: None };
        Ok(RawMerged { path: self.path, of: self.files, entry })
    }
}

/// One file of the rows of these, file by file.
fn merged(schema: &SchemaRef, parts: Vec<(Bytes, String)>) -> Result<Bytes> {
    let mut file = FileWriter::new(schema, Effort::Events)?;
    for (body, path) in parts {
        file.write(&decode(body, schema, &path)?)?;
    }
    file.finish()
}

impl RawMerged {
    /// Relative to the lake.
    pub fn table(&self) -> &str {
        &self.path
    }
}
