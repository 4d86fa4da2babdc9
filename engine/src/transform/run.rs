//! Running a planned project over one epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use arrow::array::RecordBatch;
use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::recompute::difference;
use freshet_sql::plan::full::{Bound, Fit, Way};
use freshet_sql::project::model::Node;

use super::follow::{self, Followed};
use super::history::SourceImages;
use super::planned::{Planned, PlannedModel};
use super::report::{Mode, ModelReport, TestReport};
use super::steps::{Done, Job};
use super::tests::Verdicts;
use super::view::{Changes, View};
use crate::cores;
use crate::error::{Error, Result};
use crate::lake::table::Table;
use crate::lake::tables::Tables;

/// A full recompute of fewer rows stays on its core.
const WIDE_ROWS: u64 = 100_000;

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
    /// For forced snapshots: their versions, folded anew from raw.
    pub history: BTreeMap<String, Vec<RecordBatch>>,
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
    /// Brings every model and verdict up to date: step by step, what is due in one side by side.
    /// History and verdicts are taken out of what the epoch gives.
    pub async fn run(&self, tables: &mut Tables, input: &mut Input) -> Result<Output> {
        self.session.set_time(input.time_us);
        for model in &self.models {
            own_table(tables, model);
        }
        let verdicts = Verdicts::new(std::mem::take(&mut input.verdicts));
        let mut done = Done::default();
        for (at, step) in self.steps.iter().enumerate() {
            // Of those that are made anew and do not fit one is made at a time, and goes to disk before
            // the next. (Of one that is recomputed since too much changed nobody knows before.)
            let is_large = |at: &&usize| self.is_large(&self.models[**at], tables, input);
            let (large, others): (Vec<&usize>, Vec<&usize>) =
                step.models.iter().partition(is_large);
            for at in large {
                self.side_by_side(vec![Job::Model(*at)], tables, input, &verdicts, &mut done)?;
            }
            let others = others.into_iter().map(|at| Job::Model(*at));
            let jobs = others.chain(step.tests.iter().map(|at| Job::Test(*at))).collect();
            self.side_by_side(jobs, tables, input, &verdicts, &mut done)?;
            let later = || self.steps[at + 1..].iter().flat_map(|step| &step.models);
            input.history.retain(|name, _| later().any(|at| self.models[*at].name == *name));
        }
        Ok(done.output())
    }

    /// Whether a model is made anew over more than what is left for the work.
    fn is_large(&self, model: &PlannedModel, tables: &Tables, input: &Input) -> bool {
        let names = model.inputs.iter().map(|input| input.name());
        input.forced.contains(&model.name) && bound(tables, names).is_some()
    }

    /// One model's change, and how it was come by.
    pub(super) fn report(
        &self,
        model: &PlannedModel,
        tables: &Tables,
        changes: &Changes,
        input: &Input,
    ) -> Result<(ChangeBatch, ModelReport)> {
        let started = Instant::now();
        let view = View::new(tables, &model.inputs, [&input.changes, changes]);
        let made = cores::wait_for(self.model(model, tables, &view, input))?;
        let made = made.map_err(|e| at_model(model, e))?;
        let change = made.change.unwrap_or_else(|| ChangeBatch::empty(model.spec.schema.clone()));
        let report = ModelReport {
            name: model.name.clone(),
            layer: model.layer.clone(),
            fingerprint: model.fingerprint.clone(),
            mode: made.mode,
            cost: Some(model.cost),
            proved: None,
            reason: made.reason,
            rows: 0,
            rows_in: view.changed_rows(),
            rows_read: made.rows_read,
            changed: change.len() as u64,
            micros: micros(started),
            audit: model.lineage.audit.clone(),
        };
        Ok((change, report))
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
            match follow::change(
                &self.session,
                (&model.name, &model.maintained),
                view,
                hasher,
                before,
            )
            .await?
            {
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
        let fresh = self.whole(model, tables, view, wide(view)).await?;
        let table = stored(tables, model)?;
        let change = difference(table, fresh, &model.spec.schema, table.hasher())?;
        Ok(Made { rows_read: view.rows(), ..Made::by(Mode::Recompute, why, change) })
    }

    /// A model's query over everything it reads; on more cores than one no time but the epoch's is
    /// known.
    pub async fn whole(
        &self,
        model: &PlannedModel,
        tables: &Tables,
        view: &View<'_>,
        cores: usize,
    ) -> Result<Vec<RecordBatch>> {
        if model.maintained.is_ordered() {
            return Ok(model.maintained.whole(&self.session, view).await?);
        }
        let names = || model.inputs.iter().map(|i| i.name());
        self.fill(tables, names())?;
        let within = bound(tables, names());
        let made = if cores > 1 && within.is_none() && model.maintained.is_wide() {
            let way = Way { wide: cores, within };
            cores::wait_wide(self.session.run_whole(&model.query, way))
        } else {
            Ok(self.session.run_whole(&model.query, Way { wide: 1, within }).await)
        };
        self.empty(tables, names());
        let (fresh, fit) = made??;
        tell(model, fit);
        Ok(fresh)
    }

    /// Puts what the lake holds into these relations.
    pub fn fill<'n>(&self, tables: &Tables, names: impl Iterator<Item = &'n str>) -> Result<()> {
        for name in names {
            if let (Some(live), Some(table)) = (self.live(name), tables.relation(name)) {
                live.hold(|| Ok::<_, Error>(table.pieces()))?;
            }
        }
        Ok(())
    }

    /// Takes the rows out again: nothing but a run needs them there.
    pub fn empty<'n>(&self, tables: &Tables, names: impl Iterator<Item = &'n str>) {
        for name in names {
            if let (Some(live), Some(_)) = (self.live(name), tables.relation(name)) {
                live.release();
            }
        }
    }
}

/// Rows that a query in full reads.
pub(super) fn input_rows(tables: &Tables, inputs: &[Node]) -> u64 {
    let tables = inputs.iter().filter_map(|input| tables.relation(input.name()));
    tables.map(|table| table.rows() as u64).sum()
}

/// Bytes of these relations, wherever they lie.
pub(super) fn input_bytes<'n>(tables: &Tables, names: impl Iterator<Item = &'n str>) -> usize {
    names.filter_map(|name| tables.relation(name)).map(Table::all_bytes).sum()
}

/// What a run over these relations may hold.
pub(super) fn bound<'t, 'n>(
    tables: &'t Tables,
    names: impl Iterator<Item = &'n str>,
) -> Option<&'t Bound> {
    tables.room.as_deref()?.work(input_bytes(tables, names))
}

fn tell(model: &PlannedModel, fit: Fit) {
    let model = &model.name;
    match fit {
        Fit::Within => {}
        Fit::Beyond => tracing::warn!(
            model,
            "a full run needs more memory than memory.bytes_max leaves for it, and was made beyond it; \
             raise memory.bytes_max if the machine has more"
        ),
        Fit::Broken => tracing::warn!(
            model,
            "a full run could not put rows on disk, and was made beyond memory.bytes_max; see that \
             memory.cold_dir can be written and has room"
        ),
    }
}

/// The cores that a query over all of this is run on.
pub(super) fn wide(view: &View<'_>) -> usize {
    if view.rows() < WIDE_ROWS { 1 } else { cores::count() }
}

/// Time taken so far, as reports have it.
pub(super) fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
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
