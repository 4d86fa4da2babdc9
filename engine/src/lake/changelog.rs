//! The change log: each mart's change of each epoch, beside the table.
//!
//! Publishing, proofs and subscribers read it instead of comparing tables. A file is named by the
//! decision of its epoch; one that no decision names does not exist. A large mart that an epoch made
//! from nothing has none: it would be the table once more, and the decision names the mart instead.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use bytes::Bytes;
use freshet_sql::change::{ChangeBatch, WEIGHT_COLUMN};

use super::layout;
use super::parquet::{Effort, decode, encode};
use super::stage::Upload;
use super::store::Store;
use crate::error::Result;

/// A change of fewer rows is written however it came about.
const FROM_NOTHING_ROWS_MIN: usize = 65_536;

/// Whether a change is the whole of a large table, which has so many rows with it.
pub fn is_from_nothing(change: &ChangeBatch, rows: usize) -> bool {
    let added = change.added.num_rows();
    added >= FROM_NOTHING_ROWS_MIN && added == rows && change.removed.num_rows() == 0
}

/// The file that holds this change: the model's columns and `_weight`.
pub fn file(layer: &str, model: &str, epoch: u64, change: &ChangeBatch) -> Result<Upload> {
    let rows = change.weighted()?;
    let body = encode(&rows, Effort::Quick)?;
    Ok(Upload { path: layout::changes(layer, model, epoch), body })
}

/// A change from its file, under the model's columns; `None` where there is no such file, or where it
/// lacks one of them.
pub async fn read(store: &Store, path: &str, schema: &SchemaRef) -> Result<Option<ChangeBatch>> {
    let Some(body) = store.get(path).await? else { return Ok(None) };
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(WEIGHT_COLUMN, DataType::Int64, true)));
    if !has_columns(&body, &fields, path)? {
        return Ok(None);
    }
    let rows = decode(body, &Arc::new(Schema::new(fields)), path)?;
    let Some((weights, columns)) = rows.columns().split_last() else { return Ok(None) };
    let weights = weights.as_primitive::<Int64Type>();
    let rows = arrow::array::RecordBatch::try_new(schema.clone(), columns.to_vec())?;
    let side = |sign: i64| -> Result<_> {
        let mask: BooleanArray = weights.iter().map(|w| Some(w == Some(sign))).collect();
        Ok(filter_record_batch(&rows, &mask)?)
    };
    Ok(Some(ChangeBatch { removed: side(-1)?, added: side(1)? }))
}

/// Whether a file has all of these columns: one that was written under another model has not.
fn has_columns(body: &Bytes, fields: &[Arc<Field>], path: &str) -> Result<bool> {
    let stored = super::parquet::columns(body.clone(), path)?;
    Ok(fields.iter().all(|f| stored.iter().any(|name| name == f.name())))
}

/// Deletes what no reader can need any more: files of epochs whose decisions are gone.
pub async fn prune(store: &Store, epoch: u64) -> Result<()> {
    let folder = layout::change_logs();
    for object in store.list(&folder).await? {
        let path = object.location.to_string();
        let name = path.rsplit('/').next().unwrap_or("");
        let number = name.split('.').next().and_then(|digits| digits.parse::<u64>().ok());
        if number.is_some_and(|number| number <= epoch) {
            store.delete(&path).await?;
        }
    }
    Ok(())
}
