//! Work beside the epochs: Delta checkpoints, old log entries and files, old decisions.
//!
//! One task at a time; what it fails to do is logged and done later. Never on the epoch's path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::checkpoint::decision::Decision;
use crate::checkpoint::floor;
use crate::lake::options::Options;
use crate::lake::store::Store;
use crate::lake::tables::Entry;
use crate::lake::tend::Unnamed;
use crate::lake::{changelog, layout, tend};

/// Epochs between two prunings of decisions.
const PRUNE_EPOCHS: u64 = 100;

/// What is due, and what runs.
#[derive(Debug)]
pub struct Tending {
    checkpoint_commits: u64,
    decisions_kept: u64,
    retention_minutes: u64,
    done: BTreeMap<String, u64>,
    /// Decisions up to here were pruned, or are being.
    pruned: u64,
    unnamed: Arc<Mutex<Unnamed>>,
    /// Files that entries removed since the last sweep, and when.
    removed: Arc<std::sync::Mutex<Vec<(String, i64)>>>,
    running: Option<JoinHandle<()>>,
}

impl Tending {
    /// Nothing is due yet.
    pub fn new(options: &Options, decisions_kept: u64) -> Self {
        let checkpoint_commits = options.checkpoint_commits.max(1);
        Self {
            checkpoint_commits,
            decisions_kept,
            retention_minutes: options.retention_minutes,
            done: BTreeMap::new(),
            pruned: 0,
            unnamed: Arc::default(),
            removed: Arc::default(),
            running: None,
        }
    }

    /// Waits for what runs.
    pub async fn finish(&mut self) {
        if let Some(running) = self.running.take()
            && running.await.is_err()
        {
            tracing::warn!("tending the lake ended early");
        }
    }

    fn due(&mut self, decision: &Decision) -> Vec<(String, u64)> {
        let mut due = Vec::new();
        for (table, standing) in &decision.tables {
            // A process may commit but once: what the version before it left due is due.
            let before = standing.version.saturating_sub(1);
            let done = self
                .done
                .entry(table.clone())
                .or_insert_with(|| before - before % self.checkpoint_commits);
            if standing.version >= *done + self.checkpoint_commits {
                *done = standing.version;
                due.push((table.clone(), standing.version));
            }
        }
        due
    }

    /// Takes from an epoch's entries which files they remove.
    pub fn note(&self, entries: &mut [Entry], now_ms: i64) {
        let removed = entries.iter_mut().flat_map(|entry| std::mem::take(&mut entry.removed));
        self.removed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(removed.map(|path| (path, now_ms)));
    }

    /// Starts what is due after an epoch, unless the last of it still runs.
    pub fn start(&mut self, store: &Store, decision: &Decision) {
        let now_ms = decision.time_us / 1000;
        if self.running.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let due = self.due(decision);
        let floor = decision.epoch.saturating_sub(self.decisions_kept);
        let prune = (floor >= self.pruned + PRUNE_EPOCHS).then_some(floor);
        if due.is_empty() && prune.is_none() {
            return;
        }
        self.pruned = prune.unwrap_or(self.pruned);
        let (store, unnamed) = (store.clone(), self.unnamed.clone());
        let (minutes, removed) = (self.retention_minutes, self.removed.clone());
        self.running = Some(tokio::spawn(async move {
            let mut failed = BTreeSet::new();
            for (table, version) in due {
                let mut unnamed = unnamed.lock().await;
                unnamed.take(std::mem::take(
                    &mut *removed.lock().unwrap_or_else(PoisonError::into_inner),
                ));
                let done = tend::tend(&store, &table, version, minutes, now_ms, &mut unnamed).await;
                if let Err(error) = done {
                    failed.insert(format!("{table}: {error}"));
                }
            }
            if let Some(floor) = prune
                && let Err(error) = prune_decisions(&store, floor).await
            {
                failed.insert(error.to_string());
            }
            for what in failed {
                tracing::warn!(%what, "tending the lake failed; it is tried again later");
            }
        }));
    }
}

async fn prune_decisions(store: &Store, epoch: u64) -> crate::error::Result<()> {
    floor::prune(store, epoch).await?;
    changelog::prune(store, epoch).await?;
    tracing::debug!(epoch, folder = layout::EPOCHS, "decisions pruned");
    Ok(())
}
