//! The continuous prover: one table at a time is made again beside the epochs and compared.
//!
//! Between two epochs the rows of a model and of what it reads are pinned: they are shared, so that
//! costs nothing. The next proof waits several times as long as the one before took, so that it never takes
//! more than a share of one core; what reads all of raw comes once a day. It must never hold up an epoch,
//! and never decide what a table holds: a difference only asks for the table to be made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use freshet_sql::project::Project;
use tokio::task::JoinHandle;

use super::catalog::Catalog;
use super::proof_run::{ProofRun, Setup};
use super::{Pipeline, Settings};
use crate::cores;
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::store::Store;
use crate::lake::tables::{Tables, upload};
use crate::publish::cursor;
use crate::publish::target::TARGETS;
use crate::transform::options::ProofOptions;
use crate::transform::planned::{Planned, SourceColumns};
use crate::transform::proof::Proof;
use crate::transform::run::Input;

/// Between two reads of all that raw has of a source, for one table, also where the first ended in an error:
/// object storage is not read for nothing.
const REPLAY_EVERY: Duration = Duration::from_hours(24);

/// What a proof said and how long it took, if it could be run.
type Done = Result<(Result<Proof>, Duration)>;

/// Runs proofs beside the epochs.
pub struct Proving {
    options: ProofOptions,
    setup: Arc<Setup>,
    /// The table, since when, and its proof.
    running: Option<(String, Instant, JoinHandle<Done>)>,
    next: usize,
    not_before: Option<Instant>,
    /// When tables were last replayed.
    replayed: BTreeMap<String, Instant>,
    proved: BTreeMap<String, u64>,
    /// The epoch at which a model was made anew: what was proved before says nothing of it.
    made: BTreeMap<String, u64>,
}

impl Proving {
    /// A prover of this project, which has proved nothing yet but what the last epoch says.
    pub fn new(
        settings: &Settings,
        project: &Project,
        sources: Vec<SourceColumns>,
        proved: BTreeMap<String, u64>,
    ) -> Self {
        let setup = Setup {
            project: project.clone(),
            sources,
            lake: settings.lake.clone(),
            envelope: settings.envelope.clone(),
            planned: Mutex::default(),
        };
        Self {
            options: settings.proof,
            setup: Arc::new(setup),
            running: None,
            next: 0,
            not_before: None,
            replayed: BTreeMap::new(),
            proved,
            made: BTreeMap::new(),
        }
    }

    /// The epoch at which a model or a source was last proved.
    pub fn epoch_of(&self, name: &str) -> Option<u64> {
        self.proved.get(name).copied()
    }

    /// The same of each of these that was.
    pub fn of<'n>(&self, names: impl Iterator<Item = &'n str>) -> BTreeMap<String, u64> {
        names.filter_map(|name| Some((name.to_owned(), self.epoch_of(name)?))).collect()
    }

    /// Takes what has finished, and begins the next proof if it is time: after an epoch was decided.
    /// A proof that does not hold is given back.
    pub async fn tick(
        &mut self,
        (planned, catalog, tables): (&Planned, &Catalog, &Tables),
        epoch: u64,
        time_us: i64,
    ) -> Option<Proof> {
        let found = self.finished().await;
        let early = self.not_before.is_some_and(|at| Instant::now() < at);
        if self.options.share_percent == 0 || self.running.is_some() || early {
            return found;
        }
        let names = planned.models.iter().map(|m| &m.name).chain(planned.sources.keys());
        let names: Vec<&String> = names.collect();
        for _ in 0..names.len() {
            let name = names[self.next % names.len()];
            self.next = self.next.wrapping_add(1);
            if self.replayed.get(name).is_some_and(|at| at.elapsed() < REPLAY_EVERY) {
                continue;
            }
            let run = ProofRun::of(name, (planned, catalog, tables), (epoch, time_us));
            if let Some(run) = run {
                if run.is_replay() {
                    self.replayed.insert(name.clone(), Instant::now());
                }
                self.begin(name, run);
                break;
            }
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
        self.replayed.retain(|name, _| !names.contains(name));
        self.made.extend(names.iter().map(|name| (name.clone(), epoch)));
    }

    /// The proof that has finished, if it does not hold.
    pub(super) async fn finished(&mut self) -> Option<Proof> {
        let (name, since, task) = self.running.take_if(|(_, _, task)| task.is_finished())?;
        let done = task.await.map_err(|_| Error::bug("a proof ended in a panic")).flatten();
        let (made, took) = done.unwrap_or_else(|error| (Err(error), since.elapsed()));
        let share = self.options.share_percent.clamp(1, 100);
        self.not_before = Some(Instant::now() + took * (100 - share) / share);
        match made {
            Ok(proof) if self.is_past(&proof) => None,
            Ok(proof) if proof.holds() => {
                self.note(&proof.name, proof.epoch);
                None
            }
            Ok(proof) => {
                self.proved.remove(&proof.name);
                Some(proof)
            }
            Err(error) => {
                tracing::warn!(name, %error, "a proof could not be made; it is tried again later");
                None
            }
        }
    }

    /// Whether the table was made anew since.
    fn is_past(&self, proof: &Proof) -> bool {
        self.made.get(&proof.name).is_some_and(|made| proof.epoch < *made)
    }

    fn begin(&mut self, name: &str, run: ProofRun) {
        let setup = self.setup.clone();
        let task = tokio::spawn(cores::beside(move || {
            let since = Instant::now();
            (run.run(&setup), since.elapsed())
        }));
        self.running = Some((name.to_owned(), Instant::now(), task));
    }
}

impl Pipeline {
    /// Whether rows of some model or test come and go by time alone, now that all are built.
    pub fn changes_by_time(&self) -> bool {
        self.planned.models.iter().any(|m| m.lineage.by_time)
            || self.planned.tests.iter().any(|t| t.by_time)
    }

    /// A proof does not hold: both versions are kept, targets are held, the table is made anew.
    pub(super) async fn disproved(&mut self, found: &Proof) -> Result<()> {
        let why = format!("epoch {}: {}", found.epoch, found.summary());
        tracing::error!(model = found.name, epoch = found.epoch, "{why}; it is made anew");
        keep(&self.store, found, &why).await?;
        self.store.put(&layout::repair(&found.name), Bytes::from(why)).await?;
        self.distrust(&found.name).await?;
        self.wished.insert(found.name.clone());
        if let Some(table) = self.tables.models.get_mut(&found.name) {
            table.rehash()?;
            self.forced.insert(found.name.clone());
        } else if let Some(table) = self.tables.source.get_mut(&found.name) {
            table.rehash()?;
            self.stale_sources.insert(found.name.clone());
        }
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
