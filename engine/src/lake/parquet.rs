//! Parquet files of the lake: one batch in, one file out, and back.
//!
//! Own reader and writer: files are small and read whole, and rows keep their physical order, which
//! deletion vectors and the index rely on.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array, new_null_array};
use arrow::compute::{cast, concat_batches, take};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};

const READ_ROWS: usize = 65_536;

/// How hard to compress: epochs are written once and soon merged, raw events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Snappy: the hot path.
    Quick,
    /// Zstandard: merged files.
    Small,
    /// Zstandard; texts that hardly repeat and that nobody looks up get no dictionary and no
    /// bounds: raw events.
    Events,
}

/// The columns of [`Effort::Events`] that repeat.
const REPEATING: [&str; 8] =
    ["epoch", "op", "read", "connector", "topic", "partition", "wire", "reason"];

/// A whole file of these rows.
pub fn encode(batch: &RecordBatch, effort: Effort) -> Result<Bytes> {
    let unlike: BTreeSet<usize> = match effort {
        Effort::Events => BTreeSet::new(),
        _ => (0..batch.num_columns()).filter(|at| hardly_repeats(batch.column(*at))).collect(),
    };
    let properties = properties(&batch.schema(), effort, &unlike)?;
    let mut file = FileWriter::with(&batch.schema(), properties)?;
    file.write(batch)?;
    file.finish()
}

/// A file in the making, for rows that are not held all at once.
pub struct FileWriter(ArrowWriter<Vec<u8>>);

impl FileWriter {
    /// An empty file.
    pub fn new(schema: &SchemaRef, effort: Effort) -> Result<Self> {
        Self::with(schema, properties(schema, effort, &BTreeSet::new())?)
    }

    fn with(schema: &SchemaRef, properties: WriterProperties) -> Result<Self> {
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties));
        writer.map(Self).map_err(broken)
    }

    /// Adds rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(broken)
    }

    /// Its bytes.
    pub fn finish(self) -> Result<Bytes> {
        self.0.into_inner().map(Bytes::from).map_err(broken)
    }
}

/// One row of so many is looked at, to tell whether a column repeats.
const LOOKED_AT: usize = 16;
/// Rows beside each other that are looked at.
const NEIGHBOURS: usize = 8;
/// In fewer rows a dictionary costs nothing.
const LOOKED_AT_MIN: usize = 4096;

/// Whether a column's values are about as many as its rows: a dictionary of them is made for nothing.
fn hardly_repeats(column: &ArrayRef) -> bool {
    if column.len() < LOOKED_AT_MIN || column.data_type().is_nested() {
        return false;
    }
    // Some neighbours, some far apart: values repeat in runs or all over.
    let starts = (0..column.len() as u64).step_by(LOOKED_AT * NEIGHBOURS);
    let near = |from: u64| from..(from + NEIGHBOURS as u64).min(column.len() as u64);
    let places = UInt64Array::from_iter_values(starts.flat_map(near));
    let Ok(sample) = take(column, &places, None) else { return false };
    let Ok(converter) = RowConverter::new(vec![SortField::new(sample.data_type().clone())]) else {
        return false;
    };
    let Ok(rows) = converter.convert_columns(&[sample]) else { return false };
    let found: HashSet<_> = rows.iter().collect();
    // A value that is there thrice is found twice in one of sixteen looks.
    found.len() * 100 >= rows.num_rows() * 97
}

fn properties(
    schema: &SchemaRef,
    effort: Effort,
    unlike: &BTreeSet<usize>,
) -> Result<WriterProperties> {
    let zstd = || ZstdLevel::try_new(1).map(Compression::ZSTD).map_err(broken);
    let compression = if effort == Effort::Quick { Compression::SNAPPY } else { zstd()? };
    let mut builder = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by("freshet".to_owned());
    if effort == Effort::Events {
        builder = builder.set_dictionary_enabled(false);
        for field in schema.fields() {
            let column = || ColumnPath::from(field.name().as_str());
            if REPEATING.contains(&field.name().as_str()) {
                builder = builder.set_column_dictionary_enabled(column(), true);
            } else if matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
                let none = EnabledStatistics::None;
                builder = builder.set_column_statistics_enabled(column(), none);
            }
        }
    }
    for at in unlike {
        let column = ColumnPath::from(schema.field(*at).name().as_str());
        builder = builder.set_column_dictionary_enabled(column, false);
    }
    Ok(builder.build())
}

/// All rows of a file in physical order, under this schema: columns by name, absent ones null.
pub fn decode(file: Bytes, schema: &SchemaRef, name: &str) -> Result<RecordBatch> {
    let damaged = |e: &dyn std::fmt::Display| Error::corrupt(format!("file \"{name}\": {e}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&e))?;
    let builder = only(builder, |name| schema.index_of(name).is_ok()).with_batch_size(READ_ROWS);
    let reader = builder.build().map_err(|e| damaged(&e))?;
    let mut batches = Vec::new();
    for batch in reader {
        batches.push(under(&batch.map_err(|e| damaged(&e))?, schema).map_err(|e| damaged(&e))?);
    }
    concat_batches(schema, &batches).map_err(|e| damaged(&e))
}

/// The columns that are wanted, each whole. By place: a name may hold the dot that paths are split at.
pub(super) fn only(
    builder: ParquetRecordBatchReaderBuilder<Bytes>,
    is_wanted: impl Fn(&str) -> bool,
) -> ParquetRecordBatchReaderBuilder<Bytes> {
    let there = builder.schema().fields().iter().enumerate();
    let wanted = there.filter(|(_, field)| is_wanted(field.name()));
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.map(|(at, _)| at));
    builder.with_projection(mask)
}

/// The names of a file's columns.
pub fn columns(file: Bytes, name: &str) -> Result<Vec<String>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|e| Error::corrupt(format!("file \"{name}\": {e}")))?;
    Ok(builder.schema().fields().iter().map(|f| f.name().clone()).collect())
}

/// The same rows under this schema: columns by name, absent ones null.
pub fn under(
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
