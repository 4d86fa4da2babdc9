//! One proof, beside the epochs: what it reads is pinned, and it runs on a thread and a session of its own.
//!
//! Models are recomputed from the pinned tables that they read; sources, and histories of their images, are
//! replayed from raw as the lake has it. It must never wait for the line, nor the line for it.

use std::sync::{Arc, Mutex, PoisonError};

use freshet_sql::project::Project;

use super::catalog::{Catalog, SourceTable};
use super::replay::{Rules, replay};
use crate::envelope;
use crate::error::{Error, Result};
use crate::lake;
use crate::lake::append::AppendTable;
use crate::lake::in_order::PART_EVENTS;
use crate::lake::store::Store;
use crate::lake::tables::Tables;
use crate::transform::folding::Folding;
use crate::transform::planned::{Planned, PlannedModel, SourceColumns};
use crate::transform::proof::{self, Proof};

/// What a prover plans, and where it reads.
pub(super) struct Setup {
    pub project: Project,
    pub sources: Vec<SourceColumns>,
    pub lake: lake::options::Options,
    pub envelope: envelope::options::Options,
    /// Its plan, while no proof runs.
    pub planned: Mutex<Option<Planned>>,
}

/// One proof.
pub(super) struct ProofRun {
    name: String,
    pinned: Tables,
    raw: Option<(SourceTable, AppendTable)>,
    epoch: u64,
    time_us: i64,
}

impl ProofRun {
    /// Of a model or a source as it is now; `None` where there is nothing to prove it from, where what a
    /// replay holds is more than epochs have for their own work, and of a history that was taken over:
    /// a prover's plan has none.
    pub(super) fn of(
        name: &str,
        (planned, catalog, tables): (&Planned, &Catalog, &Tables),
        (epoch, time_us): (u64, i64),
    ) -> Option<Self> {
        let model = planned.models.iter().find(|m| m.name == name);
        let mut pinned = Tables::default();
        let inputs = model.filter(|m| m.snapshot.is_none()).map(|m| &m.inputs);
        let inputs = inputs.into_iter().flatten().map(|input| input.name());
        for name in inputs.chain([name]) {
            if let Some(table) = tables.models.get(name) {
                pinned.models.insert(name.to_owned(), table.pinned());
            } else if let Some(table) = tables.source.get(name) {
                pinned.source.insert(name.to_owned(), table.pinned());
            }
        }
        if model.is_some_and(PlannedModel::is_imported) {
            return None;
        }
        let source = match model {
            None => Some(name),
            Some(model) if model.snapshot.is_some() => Some(model.images_of()?),
            Some(_) => None,
        };
        let raw = match source {
            None => None,
            Some(relation) => {
                let (_, source) = catalog.iter().find(|(_, s)| s.relation == relation)?;
                let is_large = tables.room.as_ref().is_some_and(|room| {
                    let of = [relation, name].into_iter().filter_map(|name| tables.relation(name));
                    room.is_beyond_work(of.map(|table| table.all_bytes()).sum())
                });
                let raw = tables.raw.get(&source.folder).filter(|_| !is_large)?;
                Some((source.clone(), raw.pinned()))
            }
        };
        Some(Self { name: name.to_owned(), pinned, raw, epoch, time_us })
    }

    /// Whether all that raw has of a source is read for it.
    pub(super) const fn is_replay(&self) -> bool {
        self.raw.is_some()
    }

    /// Runs it, on a runtime of its own.
    pub(super) fn run(self, setup: &Arc<Setup>) -> Result<Proof> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Error::unavailable("cannot start the prover", e))?;
        runtime.block_on(async {
            let known = setup.planned.lock().unwrap_or_else(PoisonError::into_inner).take();
            let planned = match known {
                Some(planned) => planned,
                None => Planned::new(&setup.project, &setup.sources).await?,
            };
            let made = self.with(setup, &planned).await;
            // After an error its relations may still hold rows.
            if made.is_ok() {
                *setup.planned.lock().unwrap_or_else(PoisonError::into_inner) = Some(planned);
            }
            made
        })
    }

    async fn with(&self, setup: &Setup, planned: &Planned) -> Result<Proof> {
        let unknown = || Error::bug("a proof of what is not known");
        planned.session.set_time(self.time_us);
        let model = planned.models.iter().find(|m| m.name == self.name);
        let Some((source, raw)) = &self.raw else {
            return proof::model(planned, model.ok_or_else(unknown)?, &self.pinned, self.epoch)
                .await;
        };
        // Its own: connections of another runtime would end with it.
        let store = &Store::open(&setup.lake)?;
        let (envelope, dedupe_events) = (&setup.envelope, setup.lake.dedupe_events);
        let rules = Rules { store, envelope, dedupe_events, part_events: PART_EVENTS };
        let folding = model.map(|model| Folding::new(planned, model)).transpose()?;
        let folding = folding.into_iter().collect();
        let mut made = replay(rules, source, Some(raw), folding, self.epoch).await?;
        let fresh = match model {
            Some(_) => made.histories.remove(&self.name).ok_or_else(unknown)?,
            None => made.rows,
        };
        let table = self.pinned.relation(&self.name).ok_or_else(unknown)?;
        proof::proof(&self.name, self.epoch, table, &fresh)
    }
}
