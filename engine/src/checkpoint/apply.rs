//! Applying: the decided bytes become log entries, all tables side by side.

use futures::{StreamExt, TryStreamExt, stream};

use super::decision::{DecidedEntry, Decision};
use crate::error::{Error, Result};
use crate::failpoint;
use crate::lake::layout;
use crate::lake::store::{Created, Store};

const ENTRIES_AT_ONCE: usize = 16;

/// What a log entry that was there already means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The decided bytes: it was put before.
    Same,
    /// Other bytes: someone else writes to this table.
    Foreign,
}

/// Compares an existing entry with the decided one.
pub fn compare(decided: &[u8], found: &[u8]) -> Found {
    if decided == found { Found::Same } else { Found::Foreign }
}

/// Puts every entry of a decision that is not there yet.
pub async fn apply(store: &Store, decision: &Decision) -> Result<()> {
    stream::iter(&decision.entries)
        .map(|entry| put(store, decision.epoch, entry))
        .buffer_unordered(ENTRIES_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    failpoint::hit("applied");
    Ok(())
}

async fn put(store: &Store, epoch: u64, entry: &DecidedEntry) -> Result<()> {
    let path = layout::log_entry(&entry.table, entry.version);
    let created = store.create(&path, entry.bytes()).await?;
    failpoint::hit("entry-put");
    if created == Created::New {
        return Ok(());
    }
    let found = store.get(&path).await?.unwrap_or_default();
    match compare(entry.text.as_bytes(), &found) {
        Found::Same => Ok(()),
        Found::Foreign => Err(Error::corrupt(format!(
            "\"{path}\" was not written by this lake: epoch {epoch} decided other bytes for it"
        ))
        .with_hint(
            "another program commits to this table; stop it, move that log entry away, and start \
             again: the decided entry is put in its place",
        )),
    }
}
