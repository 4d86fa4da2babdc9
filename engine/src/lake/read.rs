//! Reading a table's rows as of one version, for whoever looks at the lake beside the engine.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Date32Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::append::epoch_of;
use super::commit::FileEntry;
use super::load::{self, Loaded};
use super::parquet::decode;
use super::store::Store;
use super::vector;
use crate::error::{Error, Result};

/// All live rows of a table at a version, file by file; a partition column comes last.
pub async fn rows(
    store: &Store,
    table: &str,
    version: u64,
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let loaded = load::read(store, table, Some(version)).await?;
    let schema = stored(&loaded);
    let mut batches = Vec::new();
    for entry in loaded.files {
        let part = Part { table: table.to_owned(), schema: schema.clone(), entry };
        batches.push(part.read(store).await?);
    }
    let schema = batches.first().map_or(loaded.schema, RecordBatch::schema);
    Ok((schema, batches))
}

/// Files that an epoch behind `epoch` has written, in that order: each with the epoch that wrote it.
/// A merged file also holds older rows: the caller picks by its own column.
pub async fn files_since(
    store: &Store,
    table: &str,
    version: u64,
    epoch: u64,
) -> Result<Vec<(u64, Part)>> {
    let loaded = load::read(store, table, Some(version)).await?;
    let schema = stored(&loaded);
    let behind = loaded.files.into_iter().map(|f| (epoch_of(&f.path), f));
    let part = |entry| Part { table: table.to_owned(), schema: schema.clone(), entry };
    let mut parts: Vec<(u64, Part)> =
        behind.filter(|(at, _)| *at > epoch).map(|(at, f)| (at, part(f))).collect();
    parts.sort_by_key(|(at, _)| *at);
    Ok(parts)
}

/// One file of a table.
#[derive(Debug)]
pub struct Part {
    table: String,
    schema: SchemaRef,
    entry: FileEntry,
}

impl Part {
    /// Rows in it, dead ones too.
    pub const fn rows(&self) -> usize {
        self.entry.rows
    }

    /// Its live rows; a partition column comes last.
    pub async fn read(&self, store: &Store) -> Result<RecordBatch> {
        let file = &self.entry;
        let path = format!("{}/{}", self.table, file.path);
        let body = store.get(&path).await?;
        let body = body.ok_or_else(|| Error::corrupt(format!("file \"{path}\" is missing")))?;
        let mut batch = decode(body, &self.schema, &path)?;
        if let Some(at) = &file.vector {
            let gone = vector::read(store, &self.table, at).await?;
            let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
            let mask: BooleanArray = (0..rows).map(|row| Some(!gone.contains(row))).collect();
            batch = filter_record_batch(&batch, &mask)?;
        }
        match &file.partition {
            Some(value) => with_date(&batch, value),
            None => Ok(batch),
        }
    }
}

/// The columns that files have: all but a partition's.
fn stored(loaded: &Loaded) -> SchemaRef {
    let mut fields = loaded.schema.fields().to_vec();
    if loaded.files.iter().any(|f| f.partition.is_some()) {
        fields.pop();
    }
    Arc::new(Schema::new(fields))
}

fn with_date(batch: &RecordBatch, value: &str) -> Result<RecordBatch> {
    let text = arrow::array::StringArray::from(vec![value]);
    let date = arrow::compute::cast(&text, &DataType::Date32)?;
    let day =
        date.as_any().downcast_ref::<Date32Array>().filter(|d| d.is_valid(0)).map(|d| d.value(0));
    let days = Date32Array::from(vec![day; batch.num_rows()]);
    let mut fields = batch.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(super::raw::PARTITION, DataType::Date32, true)));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(days));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
