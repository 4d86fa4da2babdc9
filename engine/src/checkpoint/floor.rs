//! The floor: the epoch at or below which no decision may appear any more.
//!
//! Raised before old decisions are deleted, so that a writer that slept through a takeover can't
//! find its epoch's name free again.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::store::Store;

#[derive(Debug, Serialize, Deserialize)]
struct Floor {
    epoch: u64,
}

/// The floor, if one was ever raised.
pub async fn read(store: &Store) -> Result<Option<u64>> {
    let Some(body) = store.get(layout::FLOOR).await? else { return Ok(None) };
    let floor: Floor = serde_json::from_slice(&body)
        .map_err(|e| Error::corrupt(format!("\"{}\": {e}", layout::FLOOR)))?;
    Ok(Some(floor.epoch))
}

/// Raises the floor to `epoch`, then deletes the decisions at and below it.
pub async fn prune(store: &Store, epoch: u64) -> Result<()> {
    let body = serde_json::to_vec(&Floor { epoch }).map_err(|e| Error::bug(e.to_string()))?;
    store.put(layout::FLOOR, Bytes::from(body)).await?;
    let limit = layout::decision(epoch);
    for object in store.list(layout::EPOCHS).await? {
        if object.location.as_ref() <= limit.as_str() {
            store.delete(object.location.as_ref()).await?;
        }
    }
    Ok(())
}
