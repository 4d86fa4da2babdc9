//! Reading a table's rows as of one version, for whoever looks at the lake beside the engine.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Date32Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::append::epoch_of;
use super::load;
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
    rows_of(store, table, version, 0).await
}

/// The rows of files that an epoch behind `epoch` has written, and older ones that were merged into
/// them: the caller picks by its own column.
pub async fn rows_since(
    store: &Store,
    table: &str,
    version: u64,
    epoch: u64,
) -> Result<Vec<RecordBatch>> {
    Ok(rows_of(store, table, version, epoch).await?.1)
}

async fn rows_of(
    store: &Store,
    table: &str,
    version: u64,
    epoch: u64,
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let mut loaded = load::read(store, table, Some(version)).await?;
    loaded.files.retain(|f| epoch == 0 || epoch_of(&f.path) > epoch);
    let partition = loaded.files.iter().any(|f| f.partition.is_some());
    let mut fields = loaded.schema.fields().to_vec();
    if partition {
        fields.pop();
    }
    let stored = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for file in &loaded.files {
        let path = format!("{table}/{}", file.path);
        let body = store.get(&path).await?;
        let body = body.ok_or_else(|| Error::corrupt(format!("file \"{path}\" is missing")))?;
        let mut batch = decode(body, &stored, &path)?;
        if let Some(at) = &file.vector {
            let gone = vector::read(store, table, at).await?;
            let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
            let mask: BooleanArray = (0..rows).map(|row| Some(!gone.contains(row))).collect();
            batch = filter_record_batch(&batch, &mask)?;
        }
        batches.push(match &file.partition {
            Some(value) => with_date(&batch, value)?,
            None => batch,
        });
    }
    let schema = batches.first().map_or(loaded.schema, RecordBatch::schema);
    Ok((schema, batches))
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
