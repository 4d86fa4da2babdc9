//! The lake's side of a push: who the lake is, and the rows of a mart as of one epoch.
//!
//! Reads committed facts alone. It must never write into a table.

use arrow::array::RecordBatch;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::contract::Contract;
use super::moves::LedgerRow;
use crate::checkpoint::decision::Decision;
use crate::error::{Error, Result};
use crate::lake::parquet::under;
use crate::lake::store::{Created, Store};
use crate::lake::{layout, read};

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    id: String,
}

/// The lake's id: made once, told apart from every other lake's.
pub async fn identity(store: &Store) -> Result<String> {
    let made = Identity { id: uuid::Uuid::new_v4().to_string() };
    loop {
        if let Some(body) = store.get(layout::IDENTITY).await? {
            let found: Identity = serde_json::from_slice(&body)
                .map_err(|e| Error::corrupt(format!("\"{}\": {e}", layout::IDENTITY)))?;
            return Ok(found.id);
        }
        let body = serde_json::to_vec(&made).map_err(|e| Error::bug(e.to_string()))?;
        if store.create(layout::IDENTITY, Bytes::from(body)).await? == Created::New {
            return Ok(made.id);
        }
    }
}

/// Where a mart stands after an epoch; a mart that no entry made yet is empty.
pub fn standing(decision: &Decision, contract: &Contract, generation: u64) -> LedgerRow {
    let table = decision.tables.get(&contract.path);
    LedgerRow {
        epoch: decision.epoch,
        version: table.map_or(0, |t| t.version),
        rows: table.map_or(0, |t| t.rows),
        hash: table.and_then(|t| t.digest.clone()).unwrap_or_else(|| "0".to_owned()),
        generation,
    }
}

/// All rows of a mart as of an epoch, under its contract's columns.
pub async fn rows(
    store: &Store,
    decision: &Decision,
    contract: &Contract,
) -> Result<Vec<RecordBatch>> {
    let Some(table) = decision.tables.get(&contract.path) else { return Ok(Vec::new()) };
    let (_, batches) = read::rows(store, &contract.path, table.version).await?;
    let same = |b: &RecordBatch| Ok(under(b, &contract.schema)?);
    batches.iter().map(same).collect()
}
