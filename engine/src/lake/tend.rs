//! Tending a table's log: Delta checkpoints, and old entries and files that nobody needs.
//!
//! Runs beside the epochs and may fail without harm: what it does not do now it does later. It must
//! never delete a file that the latest version names, and never commit.

use super::load::{failure, handle};
use super::store::Store;
use crate::error::Result;

/// Entries kept below a checkpoint, for readers that started before it.
const ENTRIES_KEPT: u64 = 200;

/// Writes a Delta checkpoint of `version`, then deletes entries far below it.
pub async fn checkpoint(store: &Store, table: &str, version: u64, keep_from: u64) -> Result<()> {
    let opened =
        handle(store, table)?.with_version(version).load().await.map_err(|e| failure(table, e))?;
    deltalake::checkpoints::create_checkpoint(&opened, None)
        .await
        .map_err(|e| failure(table, e))?;
    let keep_from = keep_from.min(version.saturating_sub(ENTRIES_KEPT));
    for object in store.list(&format!("{table}/_delta_log")).await? {
        let name = object.location.filename().unwrap_or_default();
        let number = name.split('.').next().and_then(|digits| digits.parse::<u64>().ok());
        if number.is_some_and(|number| number < keep_from) {
            store.delete(object.location.as_ref()).await?;
        }
    }
    Ok(())
}
