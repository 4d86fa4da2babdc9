//! `freshet prove`: every table recomputed from what it is made of, and compared.
//!
//! Sources are worked in anew from raw, histories folded anew from raw, models run over their
//! inputs, all as of the lake's last epoch. It needs no lease and changes no table. What differs
//! holds the targets, is kept in both versions, and is made anew by the service at one of its next epochs.
//! What holds is told to the service too. What can't be proved is said, with the reason: never left out.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;

use super::args::Prove;
use super::explain::{project_of, unknown};
use super::prove_print::Told;
use super::{line, unprintable};
use crate::checkpoint::decision::Decision;
use crate::checkpoint::recover;
use crate::config::Config;
use crate::envelope;
use crate::epoch::loading::Phase;
use crate::error::{Error, Result};
use crate::lake::in_order::PART_EVENTS;
use crate::lake::spec::TableSpec;
use crate::lake::store::Store;
use crate::lake::table::Table;
use crate::lake::{layout, load, raw, tables::Tables};
use crate::pipeline::catalog::{Catalog, SourceTable};
use crate::pipeline::load::take_imports;
use crate::pipeline::proving;
use crate::pipeline::replay::{Replayed, Rules, replay};
use crate::transform::folding::Folding;
use crate::transform::planned::{Planned, PlannedModel};
use crate::transform::proof;

/// Proves and prints.
pub async fn run(options: &Prove, config: impl Fn() -> Result<Config>) -> Result<ExitCode> {
    let project = project_of(options.models.as_deref(), &config)?;
    let lake = line::lake_options(options.lake.as_deref(), &config)?;
    let envelope = config().map(|c| c.envelope).unwrap_or_default();
    let store = Store::open_existing(&lake)?;
    let Some(decision) = recover::latest(&store).await? else {
        return Err(Error::invalid(format!("the lake {} has no epoch", store.name())));
    };
    if decision.cut.phase != Phase::Done {
        let what = "everything is being read from the source: models follow when that is done";
        return Err(Error::invalid(what).with_hint("prove again then; `freshet status` tells"));
    }
    let catalog = Catalog::of(&project, &envelope)?;
    let mut planned = Planned::new(&project, &catalog.columns()).await?;
    take_imports(&store, &mut planned).await?;
    if let Some(name) = &options.model
        && !planned.models.iter().any(|m| m.name == *name)
    {
        return Err(unknown(&planned, name));
    }
    let unprovable = unprovable(&planned);
    if let Some(name) = &options.model
        && let Some(why) = unprovable.get(name)
    {
        return Err(Error::invalid(format!("snapshot \"{name}\" can't be proved: {why}")));
    }
    let dedupe_events = lake.dedupe_events;
    let prover = Prover { store, decision, catalog, planned, envelope, dedupe_events };
    let told = prover.all(options.model.as_deref()).await?;
    for one in &told {
        prover.keep(one).await?;
    }
    let unprovable = unprovable.into_iter().filter(|_| options.model.is_none());
    let text = if options.json {
        let list: Vec<_> = told.iter().map(|t| t.as_json(&prover.decision)).collect();
        let not: serde_json::Map<String, _> = unprovable.map(|(n, why)| (n, json!(why))).collect();
        format!("{}\n", json!({"epoch": prover.decision.epoch, "proofs": list, "unprovable": not}))
    } else {
        let not = unprovable.map(|(name, why)| format!("{name:<40} can't be proved: {why}\n"));
        told.iter().map(Told::text).chain(not).collect()
    };
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(unprintable)?;
    let holds = told.iter().all(|t| t.proof.holds());
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Snapshots of which no recompute can tell the rows, with the reason.
fn unprovable(planned: &Planned) -> BTreeMap<String, String> {
    let reason = |m: &PlannedModel| {
        let why = m.snapshot.as_ref()?.images.as_ref().err()?;
        Some((m.name.clone(), format!("its versions depend on when epochs were cut, since {why}")))
    };
    planned.models.iter().filter_map(reason).collect()
}

struct Prover {
    store: Store,
    decision: Decision,
    catalog: Catalog,
    planned: Planned,
    envelope: envelope::options::Options,
    dedupe_events: usize,
}

impl Prover {
    async fn all(&self, only: Option<&str>) -> Result<Vec<Told>> {
        self.planned.session.set_time(self.decision.time_us);
        let (mut told, mut histories) = (Vec::new(), BTreeMap::new());
        for (_, source) in self.catalog.iter() {
            told.extend(self.source(source, only, &mut histories).await?);
        }
        for model in &self.planned.models {
            if only.is_some_and(|name| name != model.name) {
                continue;
            }
            match histories.remove(&model.name) {
                Some(history) => told.push(history),
                None if model.snapshot.is_some() => {}
                None => told.extend(self.model(model).await?),
            }
        }
        Ok(told)
    }

    /// A source, and beside it the histories that are folded from its images: raw is read once for all.
    async fn source(
        &self,
        source: &SourceTable,
        only: Option<&str>,
        histories: &mut BTreeMap<String, Told>,
    ) -> Result<Option<Told>> {
        let started = Instant::now();
        let epoch = self.decision.epoch;
        let stands = |path: &str| self.decision.tables.contains_key(path);
        let asked = |m: &&PlannedModel| only.is_none_or(|name| name == m.name);
        let folds = self.planned.models.iter().filter(|m| m.folds(&source.relation));
        let folds = folds.filter(asked).filter(|m| stands(&m.spec.path));
        let folds: Vec<&PlannedModel> = folds.collect();
        if folds.is_empty() && (only.is_some() || !stands(&source.spec().path)) {
            return Ok(None);
        }
        let folding = folds.iter().map(|m| Folding::new(&self.planned, m));
        let folding = folding.collect::<Result<Vec<_>>>()?;
        let Some(mut made) = self.replayed(source, folding).await? else { return Ok(None) };
        for model in folds {
            let fresh = made.histories.remove(&model.name).unwrap_or_default();
            let Some(own) = self.table(&model.spec).await? else { continue };
            let proof = proof::proof(&model.name, epoch, &own, &fresh)?;
            let told = Told::new(&model.layer, proof, &own, started)?;
            histories.insert(model.name.clone(), told);
        }
        if only.is_some() {
            return Ok(None);
        }
        let Some(table) = self.table(&source.spec()).await? else { return Ok(None) };
        let proof = proof::proof(&source.relation, epoch, &table, &made.rows)?;
        Told::new("source", proof, &table, started).map(Some)
    }

    /// A model that is no snapshot.
    async fn model(&self, model: &PlannedModel) -> Result<Option<Told>> {
        let started = Instant::now();
        let mut tables = Tables::default();
        let Some(own) = self.table(&model.spec).await? else { return Ok(None) };
        tables.models.insert(model.name.clone(), own);
        self.inputs(model, &mut tables).await?;
        let proof = proof::model(&self.planned, model, &tables, self.decision.epoch).await?;
        let own = tables.models.get(&model.name);
        let own = own.ok_or_else(|| Error::bug("a table that was just read"))?;
        Ok(Some(Told::new(&model.layer, proof, own, started)?))
    }

    async fn inputs(&self, model: &PlannedModel, tables: &mut Tables) -> Result<()> {
        for name in model.inputs.iter().map(|i| i.name()) {
            if let Some(above) = self.planned.models.iter().find(|m| m.name == name) {
                tables.models.insert(name.to_owned(), self.input(&above.spec).await?);
            } else if let Some((_, source)) = self.catalog.iter().find(|(_, s)| s.relation == name)
            {
                tables.source.insert(name.to_owned(), self.input(&source.spec()).await?);
            }
        }
        Ok(())
    }

    /// What no epoch wrote yet has no rows.
    async fn input(&self, spec: &TableSpec) -> Result<Table> {
        Ok(self.table(spec).await?.unwrap_or_else(|| Table::fresh(spec.clone())))
    }

    async fn table(&self, spec: &TableSpec) -> Result<Option<Table>> {
        let Some(standing) = self.decision.tables.get(&spec.path) else { return Ok(None) };
        Ok(Some(load::table(&self.store, spec.clone(), standing.version, None).await?))
    }

    /// A source as raw has it, as of the epoch, and the histories that are folded from it.
    async fn replayed(
        &self,
        source: &SourceTable,
        folding: Vec<Folding<'_>>,
    ) -> Result<Option<Replayed>> {
        let path = layout::raw(&source.folder);
        let Some(standing) = self.decision.tables.get(&path) else { return Ok(None) };
        let table = raw::table(&self.store, path, standing.version).await?;
        let (store, envelope, dedupe_events) = (&self.store, &self.envelope, self.dedupe_events);
        let rules = Rules { store, envelope, dedupe_events, part_events: PART_EVENTS };
        Ok(Some(replay(rules, source, Some(&table), folding, self.decision.epoch).await?))
    }

    /// Tells the service what holds. Of what does not, keeps both versions, holds every target that was
    /// ever pushed to, and asks for the repair.
    async fn keep(&self, told: &Told) -> Result<()> {
        if told.proof.holds() {
            let epoch = Bytes::from(told.proof.epoch.to_string());
            let told = self.store.put(&layout::proved(&told.proof.name), epoch).await;
            let _ = told.inspect_err(|e| tracing::warn!(%e, "the service is not told what holds"));
            return Ok(());
        }
        let why = format!("epoch {}: {}", told.proof.epoch, told.summary());
        proving::keep(&self.store, &told.proof, &why).await?;
        self.store.put(&layout::repair(&told.proof.name), Bytes::from(why)).await
    }
}
