//! Planning a project against its sources' columns: once, before a byte of Kafka is read.
//!
//! Names, types, audit columns and the way each snapshot follows its source are settled here, with
//! file, line and column where one of them is wrong.

use std::collections::BTreeMap;

use datafusion::logical_expr::LogicalPlan;
use freshet_sql::error::Location;
use freshet_sql::lineage::reads_time_anywhere as reads_time;
use freshet_sql::lineage::{Lineage, lineage};
use freshet_sql::maintain::Maintained;
use freshet_sql::maintain::images::{PerImage, SEQ, per_image};
use freshet_sql::maintain::place;
use freshet_sql::plan::failure::PlanFailure;
use freshet_sql::plan::live::relations;
use freshet_sql::plan::{Prepared, Session, inline_scans};
use freshet_sql::project::datatest::DataTest;
use freshet_sql::project::model::{Materialized, Model};
use freshet_sql::project::snapshot::SnapshotConfig;
use freshet_sql::project::{Project, model::Node};

use super::columns::{reject_duplicates, snapshot_spec};
use super::planned::{
    ImageQueries, Planned, PlannedModel, PlannedSnapshot, PlannedSource, PlannedTest, SourceColumns,
};
use super::steps::steps;
use super::taken_over::TakenOver;
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::spec::TableSpec;

/// The relation that holds a source's images.
fn image_relation(source: &str) -> String {
    format!("{source}__images")
}

/// A failure with the place in the model's own text.
fn located(failure: PlanFailure, place: impl Fn(u32, u32) -> Location, top: &Location) -> Error {
    let location = failure.at.map_or_else(
        || top.clone(),
        |(line, column)| {
            place(u32::try_from(line).unwrap_or(1), u32::try_from(column).unwrap_or(1))
        },
    );
    let error = Error::invalid(format!("{location}: {}", failure.message));
    match failure.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Refuses a relation that is read by its bare name: nothing would tell that it comes first, nor what of it
/// changed.
fn declared(
    plan: &LogicalPlan,
    depends_on: &[Node],
    sql: &str,
    locate: impl Fn(u32, u32) -> Location,
    top: &Location,
) -> Result<()> {
    let reads = relations(plan)?;
    let bare = reads.iter().find(|name| !depends_on.iter().any(|known| known.name() == *name));
    let Some(name) = bare else { return Ok(()) };
    let at = place::name(sql, name).map(|(line, column)| (line.into(), column.into()));
    let message = format!("`{name}` is read by its bare name");
    let hint = format!(
        "write {{{{ ref('{name}') }}}}, or source(..), so that what changes in it is followed"
    );
    Err(located(PlanFailure { message, at, hint: Some(hint) }, locate, top))
}

impl Planned {
    /// Plans every model and test of a project.
    pub async fn new(project: &Project, sources: &[SourceColumns]) -> Result<Self> {
        let session = Session::new()?;
        let mut planned = BTreeMap::new();
        for source in sources {
            let live = session.add(&source.relation, source.schema.clone())?;
            let mut fields = source.schema.fields().to_vec();
            let number = arrow::datatypes::DataType::Int64;
            fields.push(std::sync::Arc::new(arrow::datatypes::Field::new(SEQ, number, false)));
            let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
            let images = session.add(&image_relation(&source.relation), schema)?;
            planned.insert(source.relation.clone(), PlannedSource { live, images });
        }
        let mut planner =
            Planner { session: &session, sources, audit: BTreeMap::new(), plans: BTreeMap::new() };
        let mut models = Vec::new();
        for model in project.models.iter().filter(|m| m.is_stored()) {
            models.push(planner.model(model).await?);
        }
        let mut tests = Vec::new();
        for test in &project.tests {
            tests.push(plan_test(&session, test).await?);
        }
        let steps = steps(&models, &tests);
        Ok(Self { session, sources: planned, models, tests, steps })
    }
}

async fn plan_test(session: &Session, test: &DataTest) -> Result<PlannedTest> {
    let place = |line, column| test.locate(line, column);
    let plan =
        session.plan(&test.sql).await.map_err(|failure| located(failure, place, &test.location))?;
    declared(&plan, &test.depends_on, &test.sql, place, &test.location)?;
    let by_time = reads_time(&plan);
    let query = session.prepare(plan)?;
    Ok(PlannedTest {
        name: test.name.clone(),
        model: test.model.clone(),
        severity: test.severity,
        inputs: test.depends_on.clone(),
        maintained: Maintained::new(session, &query).await?,
        fingerprint: format!("{:016x}", freshet_sql::digest::lower64(test.sql.as_bytes())),
        by_time,
        query,
    })
}

struct Planner<'a> {
    session: &'a Session,
    sources: &'a [SourceColumns],
    audit: BTreeMap<String, Vec<String>>,
    plans: BTreeMap<String, LogicalPlan>,
}

impl Planner<'_> {
    async fn model(&mut self, model: &Model) -> Result<PlannedModel> {
        let place = |line, column| model.locate(line, column);
        let plan = self
            .session
            .plan(&model.sql)
            .await
            .map_err(|failure| located(failure, place, &model.location))?;
        declared(&plan, &model.depends_on, &model.sql, place, &model.location)?;
        let here = |e: freshet_sql::error::Error| self.at_model(model, e);
        let audit_of = |name: &str| self.audit.get(name).cloned().unwrap_or_default();
        let lineage = lineage(&plan, &audit_of).map_err(here)?;
        let query = self.session.prepare(plan.clone()).map_err(here)?;
        reject_duplicates(&query.schema()).map_err(here)?;
        let maintained = Maintained::new(self.session, &query).await.map_err(here)?;
        self.plans.insert(model.name.clone(), plan.clone());
        let snapshot = match &model.materialized {
            Materialized::Snapshot(config) => {
                Some(self.snapshot(model, config, &query, &lineage, plan).await?)
            }
            _ => None,
        };
        let schema = snapshot.as_ref().map_or_else(|| query.schema(), |s| s.spec.schema());
        let path = layout::model(&model.layer, &model.name);
        let by = match &model.materialized {
            Materialized::Snapshot(config) => &config.unique_key,
            _ => &model.unique_key,
        };
        let spec = TableSpec::whole_rows(path, schema.clone(), &lineage.audit).in_order_of(by);
        self.audit.insert(model.name.clone(), lineage.audit.clone());
        Ok(PlannedModel {
            name: model.name.clone(),
            layer: model.layer.clone(),
            inputs: model.depends_on.clone(),
            fingerprint: format!("{:016x}", model.fingerprint),
            live: self.session.add(&model.name, schema)?,
            cost: maintained.explain().cost(),
            query,
            maintained,
            spec,
            lineage,
            snapshot,
            location: model.location.clone(),
        })
    }

    fn at_model(&self, model: &Model, error: freshet_sql::error::Error) -> Error {
        match error.location() {
            Some(_) => error.into(),
            None => {
                let at = model.location.clone();
                let (message, hint) = match error {
                    freshet_sql::error::Error::Invalid { message, hint, .. }
                    | freshet_sql::error::Error::Failed { message, hint, .. } => (message, hint),
                    bug @ freshet_sql::error::Error::Bug(_) => return bug.into(),
                };
                let error = Error::invalid(format!("{at}: {message}"));
                match hint {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                }
            }
        }
    }

    async fn snapshot(
        &self,
        model: &Model,
        config: &SnapshotConfig,
        query: &Prepared,
        lineage: &Lineage,
        plan: LogicalPlan,
    ) -> Result<PlannedSnapshot> {
        let here = |e: freshet_sql::error::Error| self.at_model(model, e);
        let spec = snapshot_spec(model, config, query, lineage)?;
        let inline = |name: &str| self.plans.get(name).filter(|_| name != model.name).cloned();
        let mut composed = plan;
        for _ in 0..self.plans.len() {
            composed = inline_scans(composed, &inline).map_err(here)?;
        }
        let mut scans = BTreeMap::new();
        for source in self.sources {
            let scan = self.session.scan(&image_relation(&source.relation)).await.map_err(here)?;
            scans.insert(source.relation.as_str(), (scan, source.key.clone()));
        }
        let scan = |name: &str| scans.get(name).cloned();
        let found = per_image(&composed, &config.unique_key, &scan).map_err(here)?;
        let images = match found {
            Err(reason) => Err(reason),
            Ok(PerImage { query, keys, source }) => Ok(ImageQueries {
                rows: self.session.prepare(query).map_err(here)?,
                keys: self.session.prepare(keys).map_err(here)?,
                source,
            }),
        };
        let key = self.session.key(&spec.schema(), &spec.unique_key).map_err(here)?;
        let end = spec.schema().index_of(&spec.names.valid_to).unwrap_or_default();
        let open = self.session.key_of_open(&spec.schema(), &spec.unique_key, end);
        let key_of_open = open.map_err(here)?;
        let alone = spec.key_schema();
        let every: Vec<usize> = (0..alone.fields().len()).collect();
        let key_alone = self.session.key(&alone, &every).map_err(here)?;
        let taken_over = TakenOver::default();
        Ok(PlannedSnapshot { spec, key, key_of_open, key_alone, images, taken_over })
    }
}
