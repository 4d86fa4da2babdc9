//! The continuous prover: one model at a time is recomputed beside the epochs and compared.
//!
//! Between two epochs the rows of a model and of what it reads are pinned: they are shared, so that
//! costs nothing. The recompute runs in a thread of its own over a session of its own, and the next
//! one waits several times as long as it took, so that it never takes more than a share of one core.
//! It must never hold up an epoch, and never decide what a table holds: a difference only asks for
//! the model to be made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use freshet_sql::project::Project;
use tokio::task::JoinHandle;

use super::Pipeline;
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::store::Store;
use crate::lake::tables::{Tables, upload};
use crate::publish::cursor;
use crate::publish::target::TARGETS;
use crate::transform::options::ProofOptions;
use crate::transform::plan::{Planned, PlannedModel, SourceColumns};
use crate::transform::proof::{self, Proof};
use crate::transform::run::Input;

/// What the last finished proof said.
type Done = (Result<Proof>, Duration);

/// Runs proofs beside the epochs.
pub struct Proving {
    options: ProofOptions,
    project: Arc<Project>,
    sources: Vec<SourceColumns>,
    own: Arc<Mutex<Option<Planned>>>,
    running: Option<JoinHandle<Done>>,
    next: usize,
    not_before: Option<Instant>,
    proved: BTreeMap<String, u64>,
    /// The epoch at which a model was made anew: what was proved before says nothing of it.
    made: BTreeMap<String, u64>,
}

impl Proving {
    /// A prover of this project, which has proved nothing yet but what the last epoch says.
    pub fn new(
        options: ProofOptions,
        project: &Project,
        sources: Vec<SourceColumns>,
        proved: BTreeMap<String, u64>,
    ) -> Self {
        Self {
            options,
            project: Arc::new(project.clone()),
            sources,
            own: Arc::default(),
            running: None,
            next: 0,
            not_before: None,
            proved,
            made: BTreeMap::new(),
        }
    }

    /// The epoch at which each model was last proved.
    pub fn proved(&self) -> &BTreeMap<String, u64> {
        &self.proved
    }

    /// Takes what has finished, and begins the next proof if it is time: after an epoch was decided.
    /// A proof that does not hold is given back.
    pub async fn tick(
        &mut self,
        planned: &Planned,
        tables: &Tables,
        epoch: u64,
        time_us: i64,
    ) -> Option<Proof> {
        let found = self.finished().await;
        let early = self.not_before.is_some_and(|at| Instant::now() < at);
        if self.options.share_percent == 0 || self.running.is_some() || early {
            return found;
        }
        let provable = |m: &&PlannedModel| m.snapshot.is_none();
        let models: Vec<&PlannedModel> = planned.models.iter().filter(provable).collect();
        if let Some(model) = models.get(self.next % models.len().max(1)) {
            self.next = self.next.wrapping_add(1);
            self.begin(model, tables, epoch, time_us);
        }
        found
    }

    /// A model was proved at this epoch.
    pub fn note(&mut self, name: &str, epoch: u64) {
        if self.made.get(name).is_some_and(|made| epoch < *made) {
            return;
        }
        let known = self.proved.entry(name.to_owned()).or_default();
        *known = epoch.max(*known);
    }

    /// What was proved of models that are made anew says nothing of them any more.
    pub fn forget(&mut self, names: &BTreeSet<String>, epoch: u64) {
        self.proved.retain(|name, _| !names.contains(name));
        self.made.extend(names.iter().map(|name| (name.clone(), epoch)));
    }

    /// The proof that has finished, if it does not hold.
    pub(super) async fn finished(&mut self) -> Option<Proof> {
        let task = self.running.take_if(|task| task.is_finished())?;
        let (made, took) = task.await.ok()?;
        let share = self.options.share_percent.clamp(1, 100);
        self.not_before = Some(Instant::now() + took * (100 - share) / share);
        match made {
            Ok(proof) if proof.holds() => {
                self.note(&proof.name, proof.epoch);
                None
            }
            Ok(proof) => {
                self.proved.remove(&proof.name);
                Some(proof)
            }
            Err(error) => {
                tracing::warn!(%error, "a proof could not be made; it is tried again later");
                None
            }
        }
    }

    fn begin(&mut self, model: &PlannedModel, tables: &Tables, epoch: u64, time_us: i64) {
        let mut pinned = Tables::default();
        let names = model.inputs.iter().map(|i| i.name()).chain([model.name.as_str()]);
        for name in names {
            if let Some(table) = tables.models.get(name) {
                pinned.models.insert(name.to_owned(), table.pinned());
            } else if let Some(table) = tables.source.get(name) {
                pinned.source.insert(name.to_owned(), table.pinned());
            }
        }
        let (project, sources) = (self.project.clone(), self.sources.clone());
        let (own, name) = (self.own.clone(), model.name.clone());
        self.running = Some(tokio::task::spawn_blocking(move || {
            let since = Instant::now();
            let made = prove(&own, &project, &sources, &name, &pinned, epoch, time_us);
            (made, since.elapsed())
        }));
    }
}

impl Pipeline {
    /// Whether rows of some model or test come and go by time alone, now that all are built.
    pub fn changes_by_time(&self) -> bool {
        self.planned.models.iter().any(|m| m.lineage.by_time)
            || self.planned.tests.iter().any(|t| t.by_time)
    }

    /// A proof does not hold: both versions are kept, targets are held, the model is made anew.
    pub(super) async fn disproved(&mut self, found: &Proof) -> Result<()> {
        let why = format!("epoch {}: {}", found.epoch, found.summary());
        tracing::error!(model = found.name, epoch = found.epoch, "{why}; it is made anew");
        keep(&self.store, found, &why).await?;
        self.store.put(&layout::repair(&found.name), Bytes::from(why)).await?;
        self.distrust(&found.name).await?;
        if let Some(table) = self.tables.models.get_mut(&found.name) {
            table.rehash()?;
        }
        self.wished.insert(found.name.clone());
        self.forced.insert(found.name.clone());
        self.planned.add_readers(&mut self.forced);
        Ok(())
    }

    /// Models that were made anew equal their recompute: what held them is over.
    pub(super) async fn repaired(&mut self, input: &Input) -> Result<()> {
        let (done, left) =
            std::mem::take(&mut self.wished).into_iter().partition(|n| input.forced.contains(n));
        self.wished = left;
        let done: BTreeSet<String> = done;
        for name in &done {
            hold_all(&self.store, name, None).await?;
            self.store.delete(&layout::repair(name)).await?;
            tracing::info!(model = name, "made anew after a proof that did not hold");
        }
        Ok(())
    }
}

/// Keeps both versions of what differs, and holds every target because of it.
pub async fn keep(store: &Store, found: &Proof, why: &str) -> Result<()> {
    upload(store, found.files()?).await?;
    hold_all(store, &found.name, Some(why)).await
}

async fn hold_all(store: &Store, name: &str, why: Option<&str>) -> Result<()> {
    for target in TARGETS {
        cursor::hold(store, target, &format!("proof-{name}"), why).await?;
    }
    Ok(())
}

/// In a thread of its own, with a runtime of its own: nothing of it waits for the line.
fn prove(
    own: &Mutex<Option<Planned>>,
    project: &Project,
    sources: &[SourceColumns],
    name: &str,
    pinned: &Tables,
    epoch: u64,
    time_us: i64,
) -> Result<Proof> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| Error::unavailable("cannot start the prover", e))?;
    runtime.block_on(async {
        let known = own.lock().unwrap_or_else(PoisonError::into_inner).take();
        let planned = match known {
            Some(planned) => planned,
            None => Planned::new(project, sources).await?,
        };
        planned.session.set_time(time_us);
        let model = planned.models.iter().find(|m| m.name == name);
        let model = model.ok_or_else(|| Error::bug("a proof of an unknown model"))?;
        let made = proof::model(&planned, model, pinned, epoch).await;
        // After an error its relations may still hold rows.
        if made.is_ok() {
            *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(planned);
        }
        made
    })
}
