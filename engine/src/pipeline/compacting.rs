//! Merges beside the epochs: begun between two, put in between two.
//!
//! One task at a time makes every merge that is due, and puts its object into the lake, where no
//! entry names it before an epoch's decision does. A merge that fails is made again later; where
//! merges fall far behind, the epoch waits for one. It must never change rows.

use std::time::Instant;

use tokio::task::JoinHandle;

use super::shares::{self, Share};
use crate::error::{Error, Result};
use crate::lake::append::{AppendTable, RawMerge, RawMerged};
use crate::lake::merge::{Merge, Merged};
use crate::lake::store::Store;
use crate::lake::table::Table;
use crate::lake::tables::Tables;

/// What one task made.
#[derive(Debug, Default)]
struct Made {
    merged: Vec<Merged>,
    raw: Vec<RawMerged>,
}

/// The merges that run.
#[derive(Debug)]
pub struct Compacting {
    merge_files: usize,
    running: Option<JoinHandle<Result<Made>>>,
}

impl Compacting {
    /// Nothing runs yet.
    pub const fn new(merge_files: usize) -> Self {
        Self { merge_files, running: None }
    }

    /// Puts in what is merged, begins what is due, and begins the epoch.
    pub async fn take(&mut self, store: &Store, tables: &mut Tables, epoch: u64) -> Result<()> {
        let crowded = tables.relations().any(|table| table.is_crowded(self.merge_files));
        if let Some(task) = self.running.take_if(|task| crowded || task.is_finished()) {
            match task.await.map_err(|_| Error::bug("a merge ended in a panic"))? {
                Ok(made) => install(tables, made)?,
                Err(error) => {
                    tracing::warn!(%error, "merging files failed; it is tried again later");
                }
            }
        }
        if self.running.is_none() {
            self.begin(store, tables, epoch);
        }
        tables.begin_epoch(epoch);
        Ok(())
    }

    fn begin(&mut self, store: &Store, tables: &Tables, epoch: u64) {
        let due = |table: &Table| table.due(self.merge_files, epoch);
        let merges: Vec<Merge> = tables.relations().filter_map(due).collect();
        let due = |table: &AppendTable| table.due(self.merge_files, epoch);
        let raw = tables.raw.values().chain([&tables.dead]);
        let raw: Vec<RawMerge> = raw.filter_map(due).collect();
        if merges.is_empty() && raw.is_empty() {
            return;
        }
        let store = store.clone();
        self.running = Some(tokio::spawn(async move { make(&store, merges, raw).await }));
    }

    /// Leaves what runs: nothing names its files.
    pub fn abandon(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

async fn make(store: &Store, merges: Vec<Merge>, raw: Vec<RawMerge>) -> Result<Made> {
    let since = Instant::now();
    let mut made = Made::default();
    for merge in merges {
        let merged = tokio::task::spawn_blocking(move || merge.run()).await;
        let mut merged = merged.map_err(|_| Error::bug("a merge ended in a panic"))??;
        merged.put(store).await?;
        made.merged.push(merged);
    }
    for merge in raw {
        made.raw.push(merge.run(store).await?);
    }
    shares::add(Share::Merge, since);
    Ok(made)
}

fn install(tables: &mut Tables, made: Made) -> Result<()> {
    for merged in made.merged {
        let table = tables.relations_mut().find(|table| table.path() == merged.table());
        table.map_or(Ok(()), |table| table.install(merged))?;
    }
    for merged in made.raw {
        let mut all = tables.raw.values_mut().chain([&mut tables.dead]);
        if let Some(table) = all.find(|table| table.path() == merged.table()) {
            table.install(merged);
        }
    }
    Ok(())
}
