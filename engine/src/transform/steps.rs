//! Which models and tests run side by side.
//!
//! A model is due when all that it reads is up to date, and so is a test: tests run beside the models
//! of later steps, so that no core waits where a step has few. Nothing may be due in the step of what
//! it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use freshet_sql::change::ChangeBatch;
use freshet_sql::project::model::Node;

use super::planned::{Planned, PlannedModel, PlannedTest};
use super::report::{ModelReport, TestReport};
use super::run::{Input, Output, input_bytes, input_rows, micros, stored};
use super::tests::Verdicts;
use super::view::Changes;
use crate::cores;
use crate::error::Result;
use crate::lake::tables::Tables;

/// After models of which one adds so many rows to a model there may be more than fits.
const LARGE_ROWS: usize = 16_384;

/// A model's change, and how it was come by.
type Applied = (ChangeBatch, ModelReport);

/// Something to bring up to date, by its place in the plan.
#[derive(Debug, Clone, Copy)]
pub(super) enum Job {
    Model(usize),
    Test(usize),
}

/// What is due at once: places of models and of tests.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub models: Vec<usize>,
    pub tests: Vec<usize>,
}

/// What is done of an epoch so far, by place.
#[derive(Default)]
pub(super) struct Done {
    models: Vec<(usize, ModelReport)>,
    tests: Vec<(usize, TestReport)>,
    changes: Changes,
}

impl Done {
    pub fn output(mut self) -> Output {
        self.models.sort_by_key(|(at, _)| *at);
        self.tests.sort_by_key(|(at, _)| *at);
        Output {
            models: self.models.into_iter().map(|(_, report)| report).collect(),
            tests: self.tests.into_iter().map(|(_, report)| report).collect(),
            changes: self.changes,
        }
    }
}

impl Planned {
    /// What a job reads, where it is known before that it reads all of it.
    fn read_whole(&self, job: Job, input: &Input, verdicts: &Verdicts) -> Option<&[Node]> {
        match job {
            Job::Model(at) => {
                let model = &self.models[at];
                input.forced.contains(&model.name).then_some(&model.inputs)
            }
            Job::Test(at) => {
                let test = &self.tests[at];
                verdicts.known(test, input).is_none().then_some(&test.inputs)
            }
        }
    }

    /// Room for those of these jobs that read everything.
    fn make_room(
        &self,
        jobs: &[Job],
        tables: &mut Tables,
        input: &mut Input,
        verdicts: &Verdicts,
        done: &mut Done,
    ) -> Result<()> {
        let whole = jobs.iter().filter_map(|job| self.read_whole(*job, input, verdicts));
        let read: BTreeSet<&str> = whole.flatten().map(Node::name).collect();
        if read.is_empty() {
            return Ok(());
        }
        let bytes = input_bytes(tables, read.into_iter());
        // What went to disk since the last time is not held beside it while room is counted.
        tables.hold_once(input.changes.iter_mut().chain(&mut done.changes));
        tables.make_room_for(bytes)?;
        tables.hold_once(input.changes.iter_mut().chain(&mut done.changes));
        Ok(())
    }

    /// Does jobs of which none needs another, and takes the models' changes in.
    pub(super) fn side_by_side(
        &self,
        jobs: Vec<Job>,
        tables: &mut Tables,
        input: &mut Input,
        verdicts: &Verdicts,
        done: &mut Done,
    ) -> Result<()> {
        self.make_room(&jobs, tables, input, verdicts, done)?;
        let (mut made, mut told) = (Vec::new(), Vec::new());
        {
            let (tables, input, changes) = (&*tables, &*input, &done.changes);
            let whole = |job: &Job| {
                let inputs = self.read_whole(*job, input, verdicts);
                inputs.map_or(0, |inputs| input_rows(tables, inputs))
            };
            let work = |job: Job| match job {
                Job::Model(at) => {
                    let made = self.report(&self.models[at], tables, changes, input)?;
                    Ok((Some((at, made)), None))
                }
                Job::Test(at) => {
                    let test = &self.tests[at];
                    let told = verdicts.report(self, test, tables, (input, changes))?;
                    Ok((None, Some((at, told))))
                }
            };
            for (model, test) in cores::run_largest_first(jobs, whole, work)? {
                made.extend(model);
                told.extend(test);
            }
        }
        done.tests.extend(told);
        let applied = self.apply(tables, made, input.epoch)?;
        let is_large = applied.iter().any(|(_, change, _)| change.added.num_rows() >= LARGE_ROWS);
        for (at, change, mut report) in applied {
            let model = &self.models[at];
            report.rows = stored(tables, model)?.rows() as u64;
            if !change.is_empty() {
                done.changes.insert(model.name.clone(), change);
            }
            done.models.push((at, report));
        }
        if is_large {
            tables.make_room_once(&mut done.changes)?;
        }
        Ok(())
    }

    /// Takes changes into their tables, side by side.
    fn apply(
        &self,
        tables: &mut Tables,
        made: Vec<(usize, Applied)>,
        epoch: u64,
    ) -> Result<Vec<(usize, ChangeBatch, ModelReport)>> {
        let mut made: BTreeMap<&str, (usize, Applied)> =
            made.into_iter().map(|(at, m)| (self.models[at].name.as_str(), (at, m))).collect();
        let own = tables.models.iter_mut();
        let work = own.filter_map(|(name, table)| Some((table, made.remove(name.as_str())?)));
        cores::run(work.collect(), |(table, (at, (change, mut report)))| {
            let started = Instant::now();
            table.apply(&change, epoch)?;
            report.micros += micros(started);
            Ok((at, change, report))
        })
    }
}

/// Models and tests by step: each reads only models of steps before its own.
pub(super) fn steps(models: &[PlannedModel], tests: &[PlannedTest]) -> Vec<Step> {
    let mut step_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut steps: Vec<Step> = Vec::new();
    for (at, model) in models.iter().enumerate() {
        let step = after(&step_of, &model.inputs);
        step_of.insert(&model.name, step);
        of(&mut steps, step).models.push(at);
    }
    for (at, test) in tests.iter().enumerate() {
        of(&mut steps, after(&step_of, &test.inputs)).tests.push(at);
    }
    steps
}

fn of(steps: &mut Vec<Step>, step: usize) -> &mut Step {
    steps.resize_with(steps.len().max(step + 1), Step::default);
    &mut steps[step]
}

/// The step in which all of these are up to date: sources are in the first.
fn after(step_of: &BTreeMap<&str, usize>, inputs: &[Node]) -> usize {
    let above = inputs.iter().filter_map(|input| step_of.get(input.name()));
    above.max().map_or(0, |step| step + 1)
}
