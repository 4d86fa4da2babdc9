//! The Parquet files of a push: a mart's columns in capitals, and what is done with each row.
//!
//! Snappy, since that is what every loader of Parquet reads. It must never leave a column out.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;

use super::text::OPERATION;
use crate::error::Result;
use crate::lake::parquet::{Effort, FileWriter};
use crate::publish::moves::Move;

/// Rows of one file at most.
const ROWS_MAX: usize = 1_000_000;

/// A file, and how many rows it has.
pub struct LoadFile {
    /// Its bytes.
    pub body: Bytes,
    /// Its rows.
    pub rows: usize,
}

/// The files of one table.
pub fn of_move(what: &Move) -> Result<Vec<LoadFile>> {
    let mut parts: Vec<(&str, &RecordBatch)> = Vec::new();
    match what {
        Move::Overwrite { rows, .. } => parts.extend(rows.iter().map(|b| ("U", b))),
        Move::Merge(change) => {
            parts.push(("D", &change.deletes));
            parts.push(("U", &change.updates));
            parts.push(("U", &change.inserts));
        }
        Move::Replace { keys, rows, .. } => {
            parts.push(("D", keys));
            parts.push(("U", rows));
        }
    }
    let marked: Result<Vec<RecordBatch>> = parts.into_iter().map(|(op, b)| mark(op, b)).collect();
    files(&marked?)
}

/// Files of these rows, as they are; none for no rows.
pub fn files(batches: &[RecordBatch]) -> Result<Vec<LoadFile>> {
    let mut files = Vec::new();
    let mut open: Option<(FileWriter, usize)> = None;
    for batch in batches.iter().filter(|b| b.num_rows() > 0) {
        let mut at = 0;
        while at < batch.num_rows() {
            let (mut writer, rows) = match open.take() {
                Some(open) => open,
                None => (FileWriter::new(&batch.schema(), Effort::Quick)?, 0),
            };
            let part = (batch.num_rows() - at).min(ROWS_MAX - rows);
            writer.write(&batch.slice(at, part))?;
            at += part;
            let rows = rows + part;
            if rows == ROWS_MAX {
                files.push(LoadFile { body: writer.finish()?, rows });
            } else {
                open = Some((writer, rows));
            }
        }
    }
    if let Some((writer, rows)) = open {
        files.push(LoadFile { body: writer.finish()?, rows });
    }
    Ok(files)
}

fn mark(operation: &str, batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let capitals =
        |f: &Arc<Field>| Field::new(f.name().to_uppercase(), f.data_type().clone(), true);
    let mut fields: Vec<Field> = schema.fields().iter().map(capitals).collect();
    fields.push(Field::new(OPERATION, DataType::Utf8, false));
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec![operation; batch.num_rows()])));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
