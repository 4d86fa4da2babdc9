//! Parquet files of the lake: one batch in, one file out, and back.
//!
//! Own reader and writer: files are small and read whole, and rows keep their physical order, which
//! deletion vectors and the index rely on.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::error::{Error, Result};

const READ_ROWS: usize = 65_536;

/// How hard to compress: epochs are written once and soon merged, raw events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Snappy: the hot path.
    Quick,
    /// Zstandard: merged files and raw events.
    Small,
}

/// A whole file of these rows.
pub fn encode(batch: &RecordBatch, effort: Effort) -> Result<Bytes> {
    let compression = match effort {
        Effort::Quick => Compression::SNAPPY,
        Effort::Small => Compression::ZSTD(ZstdLevel::try_new(1).map_err(broken)?),
    };
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("freshet".to_owned())
        .build();
    let mut file = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).map_err(broken)?;
    writer.write(batch).map_err(broken)?;
    writer.close().map_err(broken)?;
    Ok(Bytes::from(file))
}

/// All rows of a file in physical order, under this schema: columns by name, absent ones null.
pub fn decode(file: Bytes, schema: &SchemaRef, name: &str) -> Result<RecordBatch> {
    let damaged = |e: &dyn std::fmt::Display| Error::corrupt(format!("file \"{name}\": {e}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&e))?;
    let reader = builder.with_batch_size(READ_ROWS).build().map_err(|e| damaged(&e))?;
    let mut batches = Vec::new();
    for batch in reader {
        batches.push(under(&batch.map_err(|e| damaged(&e))?, schema).map_err(|e| damaged(&e))?);
    }
    concat_batches(schema, &batches).map_err(|e| damaged(&e))
}

fn under(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, arrow::error::ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns = columns.collect::<std::result::Result<Vec<ArrayRef>, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn broken(error: parquet::errors::ParquetError) -> Error {
    Error::bug(format!("parquet: {error}"))
}
