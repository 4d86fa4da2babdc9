//! A snapshot's versions as rows: base columns from where they lie, added columns made here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::interleave;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use md5::{Digest, Md5};

use super::snapshot::SnapshotSpec;
use crate::error::{Error, Result};
use crate::project::snapshot::HardDeletes;

/// Where a version's base columns lie.
#[derive(Debug, Clone, Copy)]
pub enum Base {
    /// In the stored versions.
    Stored(usize),
    /// In the query's rows.
    Fresh(usize),
}

/// One version of a key.
#[derive(Debug, Clone)]
pub struct Version {
    /// Where its base columns lie.
    pub base: Base,
    /// Hash of the compared columns.
    pub compare: u128,
    /// When its row was last updated, microseconds.
    pub updated: i64,
    /// Start, microseconds, inclusive.
    pub from: i64,
    /// End, microseconds, exclusive; `None` while open.
    pub to: Option<i64>,
    /// The source transaction that opened it.
    pub tx: i64,
    /// Whether it says that the key is deleted.
    pub deleted: bool,
    /// Its row among the stored versions, if it is one of them.
    pub stored_id: Option<usize>,
}

impl Version {
    /// The same version, ended.
    #[must_use]
    pub fn closed_at(self, at: i64) -> Self {
        Self { to: Some(at), ..self }
    }
}

/// The versions as rows of the stored schema.
pub fn assemble(
    spec: &SnapshotSpec,
    stored: &RecordBatch,
    rows: &RecordBatch,
    versions: &[Version],
) -> Result<RecordBatch> {
    let places: Vec<(usize, usize)> = versions
        .iter()
        .map(|v| match v.base {
            Base::Stored(row) => (0, row),
            Base::Fresh(row) => (1, row),
        })
        .collect();
    let schema = spec.schema();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for i in 0..spec.query.fields().len() {
        columns.push(interleave(&[stored.column(i).as_ref(), rows.column(i).as_ref()], &places)?);
    }
    columns.push(scd_ids(spec, stored, versions, &columns)?);
    columns.push(Arc::new(times(versions.iter().map(|v| Some(v.updated)))));
    columns.push(Arc::new(times(versions.iter().map(|v| Some(v.from)))));
    columns.push(Arc::new(times(versions.iter().map(|v| v.to))));
    if spec.hard_deletes == HardDeletes::NewRecord {
        let said = versions.iter().map(|v| Some(if v.deleted { "True" } else { "False" }));
        columns.push(Arc::new(said.collect::<StringArray>()));
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn times(values: impl Iterator<Item = Option<i64>>) -> TimestampMicrosecondArray {
    values.collect()
}

/// A stored version keeps its id; a new one's is the MD5 of its key, start and transaction, so that
/// any replay names it alike.
fn scd_ids(
    spec: &SnapshotSpec,
    stored: &RecordBatch,
    versions: &[Version],
    base: &[ArrayRef],
) -> Result<ArrayRef> {
    let options = FormatOptions::default();
    let keys = spec
        .unique_key
        .iter()
        .map(|k| ArrayFormatter::try_new(base[*k].as_ref(), &options))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let known = stored
        .column_by_name(&spec.names.scd_id)
        .and_then(|c| c.as_any().downcast_ref::<StringArray>())
        .ok_or_else(|| Error::Bug("stored versions have no scd id".to_owned()))?;
    let mut ids: Vec<String> = Vec::with_capacity(versions.len());
    for (row, version) in versions.iter().enumerate() {
        if let Some(stored_row) = version.stored_id {
            ids.push(known.value(stored_row).to_owned());
            continue;
        }
        let mut hash = Md5::new();
        for key in &keys {
            hash.update(key.value(row).to_string());
            hash.update(b"|");
        }
        hash.update(format!("{}|{}|{}", version.from, version.tx, version.deleted));
        ids.push(hexadecimal(&hash.finalize()));
    }
    Ok(Arc::new(StringArray::from(ids)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |of: u8| char::from_digit(u32::from(of), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
