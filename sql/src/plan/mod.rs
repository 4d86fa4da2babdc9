//! From SQL text to rows: the one place where a DataFusion session is built.
//!
//! A [`Session`] holds every relation of the project as a [`LiveTable`], so that a model is planned
//! once and run at every epoch. Nothing here knows where rows are stored, and nothing asks a clock:
//! `current_timestamp` is the epoch's time.

pub mod clock;
mod copied;
pub(crate) mod dates;
pub mod failure;
pub mod full;
mod inline;
pub mod live;
pub mod refuse;
mod rules;
mod shared;
pub mod types;
mod unnest;
mod windows;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::execution::TaskContext;
use datafusion::execution::context::{SessionContext, SessionState};
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;

use crate::error::{Error, Result};
use crate::maintain::canonical;
use crate::maintain::keys::KeyExprs;
pub use inline::inline_scans;

use clock::EpochClock;
use failure::PlanFailure;
use live::LiveTable;

/// Rows a query hands over at a time.
const BATCH_ROWS: usize = 8192;

/// The relations of a project and the epoch's time, ready to plan and run SQL.
pub struct Session {
    context: SessionContext,
    clock: EpochClock,
    /// What kept plans run in: made once, since it copies every function's name.
    task: Arc<TaskContext>,
}

/// A query that was planned once: run it at every epoch.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// As the text says, before any rewriting: what lineage reads.
    pub logical: LogicalPlan,
    optimized: LogicalPlan,
    schema: SchemaRef,
}

impl Prepared {
    /// The columns of its rows, in types that every station can store.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// What runs: what maintenance is derived from.
    pub fn optimized(&self) -> &LogicalPlan {
        &self.optimized
    }
}

impl Session {
    /// An empty session. One partition per query: models run side by side instead.
    pub fn new() -> Result<Self> {
        let mut config = SessionConfig::new()
            .with_target_partitions(1)
            .with_batch_size(BATCH_ROWS)
            .with_information_schema(false);
        let options = config.options_mut();
        options.sql_parser.parse_float_as_decimal = true;
        options.sql_parser.map_string_types_to_utf8view = false;
        options.sql_parser.collect_spans = true;
        options.execution.time_zone = Some("+00:00".to_owned());
        // A subquery as a join is maintained like any other; a kept plan must not learn filters.
        options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        options.optimizer.enable_dynamic_filter_pushdown = false;
        options.optimizer.enable_join_dynamic_filter_pushdown = false;
        options.optimizer.enable_topk_dynamic_filter_pushdown = false;
        options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
        let context = SessionContext::new_with_state(rules::state(config));
        let clock = EpochClock::default();
        clock.register(&context);
        refuse::register(&context);
        let task = context.task_ctx();
        Ok(Self { context, clock, task })
    }

    /// Sets what `current_timestamp` answers: microseconds since 1970 UTC.
    pub fn set_time(&self, epoch_us: i64) {
        self.clock.set(epoch_us);
    }

    /// Runs something at another time, on this thread alone.
    pub fn at_time<T>(&self, epoch_us: i64, then: impl FnOnce() -> T) -> T {
        self.clock.at(epoch_us, then)
    }

    /// What `current_timestamp` answers.
    pub fn time_us(&self) -> i64 {
        self.clock.get()
    }

    /// Adds or replaces a relation; its rows are set through the handle.
    pub fn add(&self, name: &str, schema: SchemaRef) -> Result<LiveTable> {
        let table = LiveTable::new(schema);
        self.context.deregister_table(quoted(name))?;
        self.context.register_table(quoted(name), Arc::new(table.clone()))?;
        Ok(table)
    }

    /// The same in a schema of its own, as `schema.name` in SQL.
    pub fn add_in(
        &self,
        schema: Option<&str>,
        name: &str,
        columns: SchemaRef,
    ) -> Result<LiveTable> {
        let Some(schema) = schema else { return self.add(name, columns) };
        let catalog = self.context.catalog("datafusion");
        let catalog =
            catalog.ok_or_else(|| Error::Bug("a session without a catalog".to_owned()))?;
        if catalog.schema(schema).is_none() {
            catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()))?;
        }
        let table = LiveTable::new(columns);
        let place = TableReference::partial(schema.to_owned(), name.to_owned());
        self.context.register_table(place, Arc::new(table.clone()))?;
        Ok(table)
    }

    /// Adds a scalar function, or puts it in place of another of its name.
    pub fn add_function(&self, function: ScalarUDF) {
        self.context.register_udf(function);
    }

    /// The relations that a query names: schema, where it gives one, and name.
    pub fn names_in(
        &self,
        sql: &str,
    ) -> std::result::Result<Vec<(Option<String>, String)>, PlanFailure> {
        let (state, statement) = self.parsed(sql)?;
        let names = state.resolve_table_references(&statement)?;
        let split =
            |name: TableReference| (name.schema().map(str::to_owned), name.table().to_owned());
        Ok(names.into_iter().map(split).collect())
    }

    fn parsed(&self, sql: &str) -> std::result::Result<(SessionState, Statement), PlanFailure> {
        let state = self.context.state();
        let dialect = state.config_options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect)?;
        Ok((state, statement))
    }

    /// The plan that only reads this relation.
    pub async fn scan(&self, name: &str) -> Result<LogicalPlan> {
        Ok(self.context.table(quoted(name)).await?.into_unoptimized_plan())
    }

    /// Plans SQL text: syntax, names and types are checked here.
    pub async fn plan(&self, sql: &str) -> std::result::Result<LogicalPlan, PlanFailure> {
        let (state, statement) = self.parsed(sql)?;
        if let Some(failure) = refuse::misread(&statement) {
            return Err(failure);
        }
        match state.statement_to_plan(statement).await? {
            LogicalPlan::Ddl(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::Statement(_) => Err(PlanFailure {
                message: "expected one select statement".to_owned(),
                at: None,
                hint: Some("write the rows as a query; the engine creates the table".to_owned()),
            }),
            query => Ok(query),
        }
    }

    /// Optimizes a plan for many runs; its columns are cast to storable types.
    pub fn prepare(&self, logical: LogicalPlan) -> Result<Prepared> {
        let schema = types::storable(logical.schema().as_arrow());
        let stored = types::cast_plan(logical.clone(), &schema)?;
        let optimized = self.context.state().optimize(&unnest::guarded(stored)?)?;
        let optimized = canonical::break_ties(unnest::unguarded(optimized)?)?;
        Ok(Prepared { logical, optimized, schema })
    }

    /// The key that these columns of a schema make, by position.
    pub fn key(&self, schema: &SchemaRef, columns: &[usize]) -> Result<KeyExprs> {
        let named = DFSchema::try_from(schema.clone())?;
        let column = |at: &usize| Expr::Column(Column::new_unqualified(schema.field(*at).name()));
        let exprs: Vec<Expr> = columns.iter().map(column).collect();
        KeyExprs::new(&self.context.state(), &exprs, &named)
    }

    /// The same, of the rows in which another column is null.
    pub fn key_of_open(
        &self,
        schema: &SchemaRef,
        columns: &[usize],
        end: usize,
    ) -> Result<KeyExprs> {
        let named = DFSchema::try_from(schema.clone())?;
        let end = Expr::Column(Column::new_unqualified(schema.field(end).name())).is_null();
        self.key(schema, columns)?.of_rows(&self.context.state(), &end, &named)
    }

    /// What expressions are compiled with.
    pub(crate) fn state(&self) -> SessionState {
        self.context.state()
    }

    /// What a plan runs in.
    pub(crate) fn task(&self) -> Arc<TaskContext> {
        self.task.clone()
    }

    /// The physical plan of an optimized one.
    pub(crate) async fn physical(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        let state = self.context.state();
        Ok(state.query_planner().create_physical_plan(plan, &state).await?)
    }

    /// Plans and runs once.
    pub async fn query(&self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let plan = self.plan(sql).await.map_err(|e| Error::failed_nowhere(e.message))?;
        let prepared = self.prepare(plan)?;
        let rows = self.run(&prepared).await?;
        Ok((prepared.schema(), rows))
    }
}

/// The reference that names exactly this relation, whatever letters it has.
pub fn quoted(name: &str) -> TableReference {
    TableReference::bare(name.to_owned())
}
