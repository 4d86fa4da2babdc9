//! The change log: each mart's change of each epoch, beside the table.
//!
//! Publishing, proofs and subscribers read it instead of comparing tables. A file is named by the
//! decision of its epoch; one that no decision names does not exist.

use freshet_sql::change::ChangeBatch;

use super::layout;
use super::parquet::{Effort, encode};
use super::table::Upload;
use crate::error::Result;

/// The file that holds this change: the model's columns and `_weight`.
pub fn file(layer: &str, model: &str, epoch: u64, change: &ChangeBatch) -> Result<Upload> {
    let rows = change.weighted()?;
    let body = encode(&rows, Effort::Quick)?;
    Ok(Upload { path: layout::changes(layer, model, epoch), body })
}
