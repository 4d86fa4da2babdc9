//! Data tests: their failing rows follow what changed, their verdicts are stored with the epoch.
//!
//! A failing test does not stop the epoch: the tables still equal their models. It holds back what
//! is published, and `catch-up` exits 1. Only the number of failing rows is kept, never the rows.

use std::collections::BTreeMap;
use std::time::Instant;

use freshet_sql::plan::full::Way;
use freshet_sql::project::datatest::Severity;
use freshet_sql::rows::RowHasher;

use super::follow::{self, Followed};
use super::planned::{Planned, PlannedTest};
use super::report::{Mode, TestReport, Verdict};
use super::run::{Input, bound, micros};
use super::view::{Changes, View};
use crate::cores;
use crate::error::Result;
use crate::lake::tables::Tables;

/// The verdicts of the epoch before, by test.
#[derive(Debug)]
pub(super) struct Verdicts(BTreeMap<String, TestReport>);

impl Verdicts {
    pub fn new(known: Vec<TestReport>) -> Self {
        Self(known.into_iter().map(|report| (report.name.clone(), report)).collect())
    }

    /// What is known of a test. One of a model that was made anew counts from nothing, if the model
    /// changed or not.
    pub fn known(&self, test: &PlannedTest, input: &Input) -> Option<&TestReport> {
        let made_anew = test.inputs.iter().any(|i| input.forced.contains(i.name()));
        let known = self.0.get(&test.name);
        known.filter(|r| r.fingerprint == test.fingerprint && !made_anew)
    }

    /// A verdict up to date; that of a test that reads nothing changed stays.
    pub fn report(
        &self,
        planned: &Planned,
        test: &PlannedTest,
        tables: &Tables,
        (input, changes): (&Input, &Changes),
    ) -> Result<TestReport> {
        let view = View::new(tables, &test.inputs, [&input.changes, changes]);
        let known = self.known(test, input);
        if let Some(known) = known
            && view.changed_rows() == 0
            && !test.by_time
        {
            return Ok(unchanged(known));
        }
        cores::wait_for(verdict(planned, tables, test, &view, (known, input.before_us)))?
    }
}

fn unchanged(known: &TestReport) -> TestReport {
    let mode = Some(Mode::Unchanged);
    TestReport { mode, reason: String::new(), rows_read: 0, micros: 0, ..known.clone() }
}

async fn verdict(
    planned: &Planned,
    tables: &Tables,
    test: &PlannedTest,
    view: &View<'_>,
    (known, before_us): (Option<&TestReport>, i64),
) -> Result<TestReport> {
    let started = Instant::now();
    let found = match known {
        Some(known) => followed(planned, test, view, (known.failures, before_us)).await?,
        None => Found::Unknown(NOT_COUNTED.to_owned()),
    };
    let (failures, mode, reason, rows_read) = match found {
        Found::Failures(failures, read) => (failures, Mode::Follow, String::new(), read),
        Found::Unknown(why) => {
            let failures = counted(planned, tables, test, view).await?;
            (failures, Mode::Recompute, why, view.rows())
        }
    };
    let status = match (failures, test.severity) {
        (0, _) => Verdict::Pass,
        (_, Severity::Warn) => Verdict::Warn,
        (_, Severity::Error) => Verdict::Fail,
    };
    Ok(TestReport {
        name: test.name.clone(),
        model: test.model.clone(),
        status,
        failures,
        mode: Some(mode),
        reason,
        rows_read,
        fingerprint: test.fingerprint.clone(),
        micros: micros(started),
    })
}

/// Why a test is counted whose failing rows nobody has counted yet.
const NOT_COUNTED: &str = "a first run of this text, or of a model that was made anew";

/// What following a test came to.
enum Found {
    /// Failing rows after the epoch, and how many rows were read for that.
    Failures(u64, u64),
    /// They must be counted: the reason.
    Unknown(String),
}

/// Failing rows after the epoch, from those before it.
async fn followed(
    planned: &Planned,
    test: &PlannedTest,
    view: &View<'_>,
    (before, before_us): (u64, i64),
) -> Result<Found> {
    let schema = test.query.schema();
    let hasher = RowHasher::all_but(&schema, &[]);
    let query = (test.name.as_str(), &test.maintained);
    let (change, read) =
        match follow::change(&planned.session, query, view, &hasher, before_us).await? {
            Followed::Change(change, read) => (change, read),
            Followed::Full(why) => return Ok(Found::Unknown(why)),
        };
    let after = before + change.added.num_rows() as u64;
    Ok(match after.checked_sub(change.removed.num_rows() as u64) {
        Some(after) => Found::Failures(after, read),
        None => {
            tracing::error!(test = test.name, "its maintenance lost count; it is run in full");
            Found::Unknown("more failing rows went than there were".to_owned())
        }
    })
}

/// Failing rows, counted from everything it reads.
pub async fn counted(
    planned: &Planned,
    tables: &Tables,
    test: &PlannedTest,
    view: &View<'_>,
) -> Result<u64> {
    test.maintained.forget();
    let rows = if test.maintained.is_ordered() {
        test.maintained.whole(&planned.session, view).await?
    } else {
        let names = || test.inputs.iter().map(|i| i.name());
        planned.fill(tables, names())?;
        let way = Way { wide: 1, within: bound(tables, names()) };
        let rows = planned.session.run_whole(&test.query, way).await;
        planned.empty(tables, names());
        rows?.0
    };
    Ok(rows.iter().map(|b| b.num_rows() as u64).sum())
}
