//! Running a planned project over one epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use arrow::array::RecordBatch;
use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::recompute::difference;

use super::follow::{self, Followed};
use super::history::SourceImages;
use super::plan::{Planned, PlannedModel};
use super::report::{Mode, ModelReport, TestReport};
use super::tests;
use super::view::{Changes, View};
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
    /// The time of the epoch before.
    pub before_us: i64,
    /// The last source commit in it; the epoch's time where there is none.
    pub commit_us: i64,
    /// What changed in the sources' current rows, by relation.
    pub changes: Changes,
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
    pub changes: Changes,
}

/// What one model came to.
pub(super) struct Made {
    pub change: Option<ChangeBatch>,
    pub mode: Mode,
    pub reason: String,
    pub rows_read: u64,
}

impl Made {
    pub const fn unchanged() -> Self {
        Self { change: None, mode: Mode::Unchanged, reason: String::new(), rows_read: 0 }
    }

    pub fn by(mode: Mode, reason: impl Into<String>, change: ChangeBatch) -> Self {
        Self { change: Some(change), mode, reason: reason.into(), rows_read: 0 }
    }
}

impl Planned {
    /// Brings every model up to date, in graph order.
    pub async fn run(&self, tables: &mut Tables, input: &Input) -> Result<Output> {
        self.session.set_time(input.time_us);
        let mut output = Output::default();
        for model in &self.models {
            own_table(tables, model);
        }
        for model in &self.models {
            let started = Instant::now();
            let view = View::new(tables, &model.inputs, [&input.changes, &output.changes]);
            let rows_in = view.changed_rows();
            let made = self.model(model, tables, &view, input).await;
            let made = made.map_err(|e| at_model(model, e))?;
            let table = own_table(tables, model);
            let changed = made.change.as_ref().map_or(0, ChangeBatch::len) as u64;
            if let Some(change) = made.change.filter(|c| !c.is_empty()) {
                table.apply(&change, input.epoch)?;
                output.changes.insert(model.name.clone(), change);
            }
            output.models.push(ModelReport {
                name: model.name.clone(),
                layer: model.layer.clone(),
                fingerprint: model.fingerprint.clone(),
                mode: made.mode,
                cost: Some(model.cost),
                proved: None,
                reason: made.reason,
                rows: table.rows() as u64,
                rows_in,
                rows_read: made.rows_read,
                changed,
                micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
                audit: model.lineage.audit.clone(),
            });
        }
        output.tests = tests::run(self, tables, input, &output.changes).await?;
        Ok(output)
    }

    async fn model(
        &self,
        model: &PlannedModel,
        tables: &Tables,
        view: &View<'_>,
        input: &Input,
    ) -> Result<Made> {
        let forced = input.forced.contains(&model.name);
        let touched = view.changed_rows() > 0;
        if let Some(snapshot) = &model.snapshot {
            return self.snapshot(model, snapshot, tables, view, input).await;
        }
        let why = if forced {
            "made anew".to_owned()
        } else if !touched && !model.lineage.by_time {
            return Ok(Made::unchanged());
        } else {
            let table = stored(tables, model)?;
            let (hasher, before) = (table.hasher(), input.before_us);
            match follow::change(&self.session, &model.maintained, view, hasher, before).await? {
                Followed::Change(change, rows_read) => match table.as_stored(change)? {
                    Some(change) => {
                        let mode = Mode::Follow;
                        let change = Some(change);
                        return Ok(Made { change, mode, reason: String::new(), rows_read });
                    }
                    None => broken(model),
                },
                Followed::Full(why) => why,
            }
        };
        model.maintained.forget();
        let fresh = self.whole(model, tables, view).await?;
        let table = stored(tables, model)?;
        let change = difference(table, &fresh, &model.spec.schema, table.hasher())?;
        Ok(Made { rows_read: view.rows(), ..Made::by(Mode::Recompute, why, change) })
    }

    /// A model's query over everything it reads.
    pub async fn whole(
        &self,
        model: &PlannedModel,
        tables: &Tables,
        view: &View<'_>,
    ) -> Result<Vec<RecordBatch>> {
        if model.maintained.is_ordered() {
            return Ok(model.maintained.whole(&self.session, view).await?);
        }
        let names = || model.inputs.iter().map(|i| i.name());
        self.fill(tables, names())?;
        let fresh = self.session.run(&model.query).await;
        self.empty(names());
        Ok(fresh?)
    }

    /// Puts what the lake holds into these relations.
    pub fn fill<'n>(&self, tables: &Tables, names: impl Iterator<Item = &'n str>) -> Result<()> {
        for name in names {
            if let (Some(live), Some(table)) = (self.live(name), tables.relation(name)) {
                live.set(table.scan()?);
            }
        }
        Ok(())
    }

    /// Takes the rows out again: nothing but a run needs them there.
    pub fn empty<'n>(&self, names: impl Iterator<Item = &'n str>) {
        for live in names.filter_map(|name| self.live(name)) {
            live.set(Vec::new());
        }
    }
}

fn own_table<'t>(tables: &'t mut Tables, model: &PlannedModel) -> &'t mut Table {
    let fresh = || Table::fresh(model.spec.clone());
    tables.models.entry(model.name.clone()).or_insert_with(fresh)
}

pub(super) fn stored<'t>(tables: &'t Tables, model: &PlannedModel) -> Result<&'t Table> {
    let table = tables.models.get(&model.name);
    table.ok_or_else(|| Error::bug(format!("model \"{}\" has no table", model.name)))
}

/// Says aloud that the maintenance of a model went wrong; it is made anew, so that its rows are right.
fn broken(model: &PlannedModel) -> String {
    tracing::error!(
        model = model.name,
        "its maintenance retracted a row that is not stored; it is recomputed. This is an error of \
         the engine: please report the model's SQL"
    );
    "its maintenance retracted a row that is not stored".to_owned()
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
