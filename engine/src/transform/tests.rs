//! Data tests: run at every epoch over what changed, their verdicts stored with it.
//!
//! A failing test does not stop the epoch: the tables still equal their models. It holds back what
//! is published, and `catch-up` exits 1.

use std::collections::BTreeSet;

use freshet_sql::project::datatest::Severity;

use super::plan::Planned;
use super::report::{TestReport, Verdict};
use crate::error::Result;

/// Runs every test that reads a changed table; the others keep their verdict.
pub async fn run(
    planned: &Planned,
    changed: &BTreeSet<String>,
    before: &[TestReport],
) -> Result<Vec<TestReport>> {
    let mut reports = Vec::with_capacity(planned.tests.len());
    for test in &planned.tests {
        let known = before.iter().find(|r| r.name == test.name);
        let touched = test.inputs.iter().any(|i| changed.contains(i.name()));
        if let Some(known) = known
            && !touched
        {
            reports.push(known.clone());
            continue;
        }
        let rows = planned.session.run(&test.query).await?;
        let failures = rows.iter().map(|b| b.num_rows() as u64).sum();
        let status = match (failures, test.severity) {
            (0, _) => Verdict::Pass,
            (_, Severity::Warn) => Verdict::Warn,
            (_, Severity::Error) => Verdict::Fail,
        };
        let (name, model) = (test.name.clone(), test.model.clone());
        reports.push(TestReport { name, model, status, failures });
    }
    Ok(reports)
}
