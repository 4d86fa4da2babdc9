//! Running a planned project over one epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::recompute::difference;
use freshet_sql::rows::RowHasher;

use super::history::{SourceImages, at_epoch_end, follow, onto_imported};
use super::plan::{Planned, PlannedModel, PlannedSnapshot};
use super::report::{Mode, ModelReport, TestReport};
use super::tests;
use crate::error::{Error, Result};
use crate::lake::table::Table;
use crate::lake::tables::Tables;

/// What an epoch gives to the models.
#[derive(Debug, Default)]
pub struct Input {
    /// The epoch's number.
    pub epoch: u64,
    /// The epoch's time, microseconds since 1970 UTC.
    pub time_us: i64,
    /// The last source commit in it; the epoch's time where there is none.
    pub commit_us: i64,
    /// Source relations whose current rows changed.
    pub changed: BTreeSet<String>,
    /// Images by source relation.
    pub images: BTreeMap<String, SourceImages>,
    /// Models that must be made anew, whatever changed.
    pub forced: BTreeSet<String>,
    /// For forced snapshots: all images that raw holds, by source relation.
    pub history: BTreeMap<String, SourceImages>,
    /// Verdicts of the epoch before.
    pub verdicts: Vec<TestReport>,
}

/// What the models made of it.
#[derive(Debug, Default)]
pub struct Output {
    /// One per model, in graph order.
    pub models: Vec<ModelReport>,
    /// One per test.
    pub tests: Vec<TestReport>,
    /// Changes of models, by name, empty ones left out.
    pub changes: BTreeMap<String, ChangeBatch>,
}

impl Planned {
    /// Puts what the lake holds into the relations: at start, and after a recovery.
    pub fn fill(&self, tables: &mut Tables) -> Result<()> {
        for (relation, source) in &self.sources {
            if let Some(table) = tables.source.get_mut(relation) {
                source.live.set(table.scan()?);
            }
        }
        for model in &self.models {
            if let Some(table) = tables.models.get_mut(&model.name) {
                model.live.set(table.scan()?);
            }
        }
        Ok(())
    }

    /// Brings every model up to date, in graph order.
    pub async fn run(&self, tables: &mut Tables, input: &Input) -> Result<Output> {
        self.session.set_time(input.time_us);
        let mut changed = input.changed.clone();
        for (relation, source) in &self.sources {
            // A forced model may read what moved in epochs that ran no model: an initial read's.
            let moved = input.changed.contains(relation) || !input.forced.is_empty();
            if moved && let Some(table) = tables.source.get_mut(relation) {
                source.live.set(table.scan()?);
            }
        }
        let mut output = Output::default();
        for model in &self.models {
            let started = Instant::now();
            let made = self.model(model, tables, input, &changed).await;
            let (change, mode, reason) = made.map_err(|e| at_model(model, e))?;
            let table = own_table(tables, model);
            let rows = change.as_ref().map_or(0, ChangeBatch::len) as u64;
            if let Some(change) = change.filter(|c| !c.is_empty()) {
                table.apply(&change, input.epoch)?;
                model.live.set(table.scan()?);
                changed.insert(model.name.clone());
                output.changes.insert(model.name.clone(), change);
            } else if input.forced.contains(&model.name) {
                changed.insert(model.name.clone());
            }
            output.models.push(ModelReport {
                name: model.name.clone(),
                layer: model.layer.clone(),
                fingerprint: model.fingerprint.clone(),
                mode,
                reason,
                rows: table.rows() as u64,
                changed: rows,
                micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
                audit: model.lineage.audit.clone(),
            });
        }
        output.tests = tests::run(self, &changed, &input.verdicts).await?;
        Ok(output)
    }

    async fn model(
        &self,
        model: &PlannedModel,
        tables: &mut Tables,
        input: &Input,
        changed: &BTreeSet<String>,
    ) -> Result<(Option<ChangeBatch>, Mode, String)> {
        let forced = input.forced.contains(&model.name);
        let touched = model.inputs.iter().any(|i| changed.contains(i.name()));
        if let Some(snapshot) = &model.snapshot {
            return self.snapshot(model, snapshot, tables, input, forced, touched).await;
        }
        if !forced && !touched && !model.lineage.by_time {
            return Ok((None, Mode::Unchanged, String::new()));
        }
        let fresh = self.session.run(&model.query).await?;
        let table = own_table(tables, model);
        let change = difference(table, &fresh, &model.spec.schema, table.hasher())?;
        Ok((Some(change), Mode::Recompute, String::new()))
    }

    async fn snapshot(
        &self,
        model: &PlannedModel,
        snapshot: &PlannedSnapshot,
        tables: &mut Tables,
        input: &Input,
        forced: bool,
        touched: bool,
    ) -> Result<(Option<ChangeBatch>, Mode, String)> {
        let queries = match &snapshot.images {
            Ok(queries) => queries,
            Err(reason) => {
                if !forced && !touched {
                    return Ok((None, Mode::Unchanged, String::new()));
                }
                let fresh = self.session.run(&model.query).await?;
                let stored = own_table(tables, model).scan()?;
                let epoch = i64::try_from(input.epoch).unwrap_or(i64::MAX);
                let change =
                    at_epoch_end(snapshot, &fresh, &stored, input.commit_us, epoch).await?;
                return Ok((Some(change), Mode::EpochEnd, reason.clone()));
            }
        };
        let relation = self
            .sources
            .get(&queries.source)
            .map(|s| &s.images)
            .ok_or_else(|| Error::bug("a snapshot of an unknown source"))?;
        if forced {
            let Some(images) = input.history.get(&queries.source) else {
                return Ok((None, Mode::Unchanged, String::new()));
            };
            let change = onto_imported(&self.session, snapshot, queries, relation, images).await?;
            let table = own_table(tables, model);
            let left = untouched(&snapshot.imported, &change, table.hasher())?;
            let fresh = [left, change.added];
            let change = difference(table, &fresh, &model.spec.schema, table.hasher())?;
            return Ok((Some(change), Mode::Rebuild, "folded anew from raw".to_owned()));
        }
        let Some(images) = input.images.get(&queries.source) else {
            return Ok((None, Mode::Unchanged, String::new()));
        };
        let stored: Vec<RecordBatch> = own_table(tables, model).scan()?;
        let change = follow(&self.session, snapshot, queries, relation, images, &stored).await?;
        Ok((Some(change), Mode::Images, String::new()))
    }
}

/// The rows of a history that was taken over which no event has changed.
fn untouched(
    base: &[RecordBatch],
    change: &ChangeBatch,
    hasher: &RowHasher,
) -> Result<RecordBatch> {
    let schema = change.schema();
    let added = concat_batches(&schema, base)?;
    let rest = ChangeBatch { removed: change.removed.clone(), added };
    Ok(rest.consolidate(hasher)?.added)
}

fn own_table<'t>(tables: &'t mut Tables, model: &PlannedModel) -> &'t mut Table {
    let fresh = || Table::fresh(model.spec.clone());
    tables.models.entry(model.name.clone()).or_insert_with(fresh)
}

fn at_model(model: &PlannedModel, error: Error) -> Error {
    match error {
        Error::Failed { message, hint } => Error::Failed {
            message: format!("{}: model \"{}\": {message}", model.location, model.name),
            hint,
        },
        other => other,
    }
}
