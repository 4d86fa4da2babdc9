//! Copies for a quick start, written beside the epochs: one job at a time.
//!
//! A copy that can't be written costs the next start some seconds and nothing else: it is told, and
//! tried again later. It must never hold an epoch up.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use super::Pipeline;
use crate::cores;
use crate::error::Result;
use crate::lake::keep::Keep;
use crate::lake::tables::Tables;

/// Epochs after which copies are tried again where they failed.
const FORGIVEN_EPOCHS: u64 = 100;

/// The job that runs, and what the last one left.
#[derive(Debug, Default)]
pub struct Keeping {
    running: Option<JoinHandle<Result<()>>>,
    /// Ends the running job early.
    stop: Arc<AtomicBool>,
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
        self.begin(tables, epoch, Keep::run_beside);
    }

    /// Does every job that is due, at once: for a stop that nobody waits for.
    pub async fn all(&mut self, tables: &mut Tables, epoch: u64) {
        self.stop();
        self.finish(epoch).await;
        while self.begin(tables, epoch, Keep::run) {
            self.finish(epoch).await;
        }
    }

    /// Whether there was a job to begin.
    fn begin(
        &mut self,
        tables: &mut Tables,
        epoch: u64,
        run: impl FnOnce(Keep) -> Result<()> + Send + 'static,
    ) -> bool {
        if epoch < self.quiet_until {
            return false;
        }
        let Some(job) = tables.keep(&self.swept) else { return false };
        self.swept = job.live();
        self.stop = job.stop();
        self.running = Some(tokio::spawn(async move { cores::beside(move || run(job)).await? }));
        true
    }

    /// Tells the job that runs beside the epochs to end without the copy in hand.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the job that runs.
    pub async fn finish(&mut self, epoch: u64) {
        let Some(job) = self.running.take() else { return };
        let failed = match job.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the job ended in a panic".to_owned(),
        };
        self.swept.clear();
        tracing::warn!(error = failed, "a restart will read more of the lake; tried again later");
        self.quiet_until = epoch + FORGIVEN_EPOCHS;
    }
}

impl Pipeline {
    /// Beside rows nothing is believed that a wrong model was made by: indexes by key and local copies,
    /// its own and those of what it reads.
    /// A merge that runs carries them over into its file: it is left.
    pub(super) async fn distrust(&mut self, model: &str) -> Result<()> {
        self.compacting.abandon();
        self.keeping.stop();
        self.keeping.finish(self.last.as_ref().map_or(0, |d| d.epoch)).await;
        let planned = self.planned.models.iter().filter(|m| m.name == model);
        let inputs = planned.flat_map(|m| m.inputs.iter().map(|input| input.name()));
        for name in inputs.chain([model]) {
            let Tables { source, models, room, .. } = &mut self.tables;
            let Some(table) = models.get_mut(name).or_else(|| source.get_mut(name)) else {
                continue;
            };
            if let Some(room) = room {
                room.forget_copies(table.path())?;
            }
            table.forget_indexes();
        }
        Ok(())
    }
}
