//! Copies for a quick start, written beside the epochs: one job at a time.
//!
//! A copy that can't be written costs the next start some seconds and nothing else: it is told, and
//! tried again later. It must never hold an epoch up.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::error::Result;
use crate::lake::tables::Tables;

/// Epochs after which copies are tried again where they failed.
const FORGIVEN_EPOCHS: u64 = 100;

/// The job that runs, and what the last one left.
#[derive(Debug, Default)]
pub struct Keeping {
    running: Option<JoinHandle<Result<()>>>,
    /// Files whose copies stayed.
    swept: BTreeSet<Arc<Path>>,
    quiet_until: u64,
}

impl Keeping {
    /// Begins the next job, if one is due and none runs.
    pub async fn take(&mut self, tables: &mut Tables, epoch: u64) {
        if self.running.as_ref().is_some_and(|job| !job.is_finished()) {
            return;
        }
        self.finish(epoch).await;
        if epoch < self.quiet_until {
            return;
        }
        if let Some(job) = tables.keep(&self.swept) {
            self.swept = job.live();
            self.running = Some(tokio::task::spawn_blocking(move || job.run()));
        }
    }

    /// Does every job that is due, at once: for a stop that nobody waits for.
    pub async fn all(&mut self, tables: &mut Tables, epoch: u64) {
        loop {
            self.take(tables, epoch).await;
            if self.running.is_none() {
                return;
            }
            self.finish(epoch).await;
        }
    }

    /// Waits for the job that runs.
    pub async fn finish(&mut self, epoch: u64) {
        let Some(job) = self.running.take() else { return };
        let failed = match job.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the job ended in a panic".to_owned(),
        };
        tracing::warn!(error = failed, "a restart will read more of the lake; tried again later");
        self.quiet_until = epoch + FORGIVEN_EPOCHS;
    }
}
