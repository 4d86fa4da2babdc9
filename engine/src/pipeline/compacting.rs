//! Merges beside the epochs: begun between two, put in between two.
//!
//! One task at a time makes every merge that is due, and puts its object into the lake, where no
//! entry names it before an epoch's decision does. A merge that fails is made again later; where
//! merges fall far behind, the epoch waits for one. It must never change rows.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::task::JoinHandle;

use super::shares::{self, Share};
use crate::cores;
use crate::error::{Error, Result};
use crate::lake::merge::{Merge, Merged};
use crate::lake::raw_merge::{RawMerge, RawMerged};
use crate::lake::store::Store;
use crate::lake::tables::Tables;

/// Rows of one task's merges, about: what they hold in memory beside the tables.
const TASK_ROWS: usize = 1 << 21;
/// Epochs after which a table whose merge failed is tried again.
const FORGIVEN_EPOCHS: u64 = 100;

/// What one task made.
#[derive(Debug, Default)]
struct Made {
    merged: Vec<Merged>,
    raw: Vec<RawMerged>,
    failed: Vec<(String, Error)>,
}

/// The merges that run.
#[derive(Debug)]
pub struct Compacting {
    merge_files: usize,
    running: Option<JoinHandle<Made>>,
    /// Whether no epoch of this process has looked yet.
    is_first: bool,
    /// Tables whose merge failed, and when.
    failed: BTreeMap<String, u64>,
}

impl Compacting {
    /// Nothing runs yet.
    pub const fn new(merge_files: usize) -> Self {
        Self { merge_files, running: None, is_first: true, failed: BTreeMap::new() }
    }

    /// Puts in what is merged, begins what is due, and begins the epoch. A process's first epoch may
    /// be its only one: it waits for its merges, as any epoch does where they have fallen far behind.
    pub async fn take(&mut self, store: &Store, tables: &mut Tables, epoch: u64) -> Result<()> {
        let waits = self.is_first || self.is_crowded(tables);
        self.is_first = false;
        self.finish(tables, epoch, waits).await?;
        if self.running.is_none() {
            self.begin(store, tables, epoch);
            self.finish(tables, epoch, waits).await?;
        }
        tables.begin_epoch(epoch);
        Ok(())
    }

    fn is_crowded(&self, tables: &Tables) -> bool {
        let bytes_max = tables.merge_max();
        tables.relations().any(|table| table.is_crowded(self.merge_files, bytes_max))
            || tables.append_only().any(|table| table.is_crowded(self.merge_files))
    }

    /// Puts in what a finished task made; waits for one that runs, if asked to.
    async fn finish(&mut self, tables: &mut Tables, epoch: u64, waits: bool) -> Result<()> {
        let Some(task) = self.running.take_if(|task| waits || task.is_finished()) else {
            return Ok(());
        };
        let mut made = task.await.map_err(|_| Error::bug("merging ended in a panic"))?;
        for (table, error) in made.failed.drain(..) {
            tracing::warn!(table, %error, "merging its files failed; it is tried again later");
            self.failed.insert(table, epoch);
        }
        install(tables, made)
    }

    fn begin(&mut self, store: &Store, tables: &Tables, epoch: u64) {
        self.failed.retain(|_, since| epoch < *since + FORGIVEN_EPOCHS);
        let (mut merges, mut rows, bytes_max) = (Vec::new(), 0, tables.merge_max());
        for table in tables.relations().filter(|t| !self.failed.contains_key(t.path())) {
            if rows < TASK_ROWS
                && let Some(merge) = table.due(self.merge_files, bytes_max, epoch)
            {
                rows += merge.rows();
                merges.push(merge);
            }
        }
        let raw = tables.append_only().filter(|t| !self.failed.contains_key(t.path()));
        let raw: Vec<RawMerge> = raw.filter_map(|t| t.due(self.merge_files, epoch)).collect();
        if !merges.is_empty() || !raw.is_empty() {
            let store = store.clone();
            self.running = Some(tokio::spawn(async move { make(&store, merges, raw).await }));
        }
    }

    /// Leaves what runs: nothing names its files.
    pub fn abandon(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

/// Makes each, whatever becomes of the others.
async fn make(store: &Store, merges: Vec<Merge>, raw: Vec<RawMerge>) -> Made {
    let since = Instant::now();
    let mut made = Made::default();
    for merge in merges {
        let table = merge.table().to_owned();
        match merged(store, merge).await {
            Ok(merged) => made.merged.push(merged),
            Err(error) => made.failed.push((table, error)),
        }
    }
    for merge in raw {
        let table = merge.table().to_owned();
        match merge.run(store).await {
            Ok(merged) => made.raw.push(merged),
            Err(error) => made.failed.push((table, error)),
        }
    }
    shares::add(Share::Merge, since);
    made
}

async fn merged(store: &Store, merge: Merge) -> Result<Merged> {
    let mut merged = cores::beside(move || merge.run()).await??;
    merged.put(store).await?;
    Ok(merged)
}

fn install(tables: &mut Tables, made: Made) -> Result<()> {
    for merged in made.merged {
        let table = tables.relations_mut().find(|table| table.path() == merged.table());
        table.map_or(Ok(()), |table| table.install(merged))?;
    }
    for merged in made.raw {
        if let Some(table) = tables.append_only_mut().find(|t| t.path() == merged.table()) {
            table.install(merged);
        }
    }
    Ok(())
}
