//! Full runs of a query: over everything, in partitions, or within a bound of memory.
//!
//! A run that could hold more than its bound is made in one partition, where sorts, groupings and windows
//! go to disk; a hash join can't go there: its query is run without the bound then. Two traps of DataFusion
//! 55.2 shape this: partitions that spill can wait for each other forever, so several never may; and joins
//! by sorting, which could spill, keep rows whose further condition is null. It must never give other rows
//! for want of memory, nor stop an epoch for it.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionConfig;

use super::rules::own_rules;
use super::{Prepared, Session, shared, types};
use crate::error::{Error, Result};

/// What bounded runs may hold in memory, all together, and where the rest goes.
#[derive(Debug, Clone)]
pub struct Bound {
    runtime: Arc<RuntimeEnv>,
    bytes: usize,
}

/// A sort keeps this share of a bound for merging what it put on disk.
const MERGED_SHARE: usize = 64;

impl Bound {
    /// So many bytes; files of what does not fit are made in this folder, which is there.
    pub fn new(bytes: usize, folder: &Path) -> Result<Self> {
        let folders = DiskManagerMode::Directories(vec![folder.to_owned()]);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(folders));
        Ok(Self { runtime: runtime.build_arc()?, bytes })
    }
}

/// How a full run is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way<'b> {
    /// Partitions, each a task of the runtime that runs it; one or none where a query depends on the
    /// order of its rows.
    pub wide: usize,
    /// What it may hold, in one partition then; without one what it needs.
    pub within: Option<&'b Bound>,
}

/// Whether a run had the memory that it wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Yes, with what it put on disk.
    Within,
    /// No: it was run without the bound.
    Beyond,
    /// It failed within the bound for another reason, a full disk for one, and was run without it.
    Broken,
}

impl Fit {
    fn of(error: &DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Beyond,
            _ => Self::Broken,
        }
    }
}

impl Session {
    /// Runs a prepared query over what the relations hold now.
    pub async fn run(&self, query: &Prepared) -> Result<Vec<RecordBatch>> {
        Ok(self.run_whole(query, Way::default()).await?.0)
    }

    /// The same in some way.
    pub async fn run_whole(
        &self,
        query: &Prepared,
        way: Way<'_>,
    ) -> Result<(Vec<RecordBatch>, Fit)> {
        let conform = |batches: Vec<RecordBatch>| {
            batches.into_iter().map(|b| types::conform(&b, &query.schema)).collect::<Result<_>>()
        };
        let mut fit = Fit::Within;
        if let Some(bound) = way.within {
            match rows_of(&self.within(bound), &query.optimized).await {
                Ok(made) => return Ok((conform(made)?, fit)),
                Err(why) => fit = Fit::of(&why),
            }
        }
        match rows_of(&self.freely(way.wide), &query.optimized).await {
            // What was refused as parts, in partitions or by columns may run as it is; what fails so
            // fails again.
            Err(_) if !cfg!(test) => {
                let plain = self.plainly();
                let physical = plain.query_planner().create_physical_plan(&query.optimized, &plain);
                let made = collect(physical.await.map_err(run_error)?, self.task()).await;
                Ok((conform(made.map_err(run_error)?)?, fit))
            }
            made => Ok((conform(made.map_err(run_error)?)?, fit)),
        }
    }

    fn freely(&self, wide: usize) -> SessionState {
        let state = self.context.state();
        if wide <= 1 {
            return state;
        }
        let config = state.config().clone().with_target_partitions(wide);
        rebuilt(state, config).build()
    }

    /// With DataFusion's own windows, which can go to disk.
    fn plainly(&self) -> SessionState {
        let state = self.context.state();
        let config = state.config().clone();
        rebuilt(state, config).with_physical_optimizer_rules(own_rules()).build()
    }

    fn within(&self, bound: &Bound) -> SessionState {
        let state = self.context.state();
        let mut config = state.config().clone();
        let kept = &mut config.options_mut().execution.sort_spill_reservation_bytes;
        *kept = (*kept).min(bound.bytes / MERGED_SHARE);
        let builder = rebuilt(state, config).with_physical_optimizer_rules(own_rules());
        builder.with_runtime_env(bound.runtime.clone()).build()
    }
}

fn rebuilt(state: SessionState, config: SessionConfig) -> SessionStateBuilder {
    // The catalogs are those that there are.
    let config = config.with_create_default_catalog_and_schema(false);
    SessionStateBuilder::new_from_existing(state).with_config(config)
}

/// The rows of an optimized plan; what occurs in it again is run once.
async fn rows_of(
    state: &SessionState,
    plan: &LogicalPlan,
) -> std::result::Result<Vec<RecordBatch>, DataFusionError> {
    let (reading, parts) = shared::split(plan)?;
    for part in parts {
        let rows = Box::pin(rows_of(state, &part.plan)).await?;
        let columns = part.rows.columns();
        let same = |b: &RecordBatch| types::conform(b, &columns);
        let rows = rows.iter().map(same).collect::<Result<_>>();
        part.rows.set(rows.map_err(|e| DataFusionError::External(Box::new(e)))?);
    }
    let physical = state.query_planner().create_physical_plan(&reading, state).await?;
    collect(physical, state.task_ctx()).await
}

fn run_error(error: DataFusionError) -> Error {
    Error::failed_nowhere(error.strip_backtrace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::row_texts;
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    const ROWS: i64 = 60_000;

    fn rows() -> RecordBatch {
        let text = |n: i64| format!("a rather long text that takes room {}", n * 7919 % 100_003);
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ROWS).map(|n| n % 4001)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(text)));
        RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap()
    }

    async fn made(sql: &str, wide: usize, bytes: usize) -> (Vec<String>, Fit) {
        let session = Session::new().unwrap();
        session.add("r", rows().schema()).unwrap().set(vec![rows()]);
        let query = session.prepare(session.plan(sql).await.unwrap()).unwrap();
        let folder = std::env::temp_dir();
        let bound = Bound::new(bytes, &folder).unwrap();
        let way = Way { wide, within: Some(&bound) };
        let (rows, fit) = session.run_whole(&query, way).await.unwrap();
        let every: Vec<usize> = (0..query.schema().fields().len()).collect();
        let texts = rows.iter().flat_map(|batch| row_texts(batch, &every).unwrap());
        let mut texts: Vec<String> = texts.collect();
        texts.sort_unstable();
        (texts, fit)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_does_not_fit_gives_the_same_rows() {
        let grouped = "select t, count(*) as c, max(n) as m from r group by t";
        let joined = "select a.t as t, b.t as u from r a join r b on a.t = b.t";
        let placed = "select t, row_number() over (partition by n order by t) as p from r";
        for (sql, wide, bytes, fit) in [
            (grouped, 1, 64 << 20, Fit::Within),
            (grouped, 2, 3 << 20, Fit::Within),
            (placed, 1, 64 << 20, Fit::Within),
            (placed, 2, 6 << 20, Fit::Within),
            (joined, 1, 64 << 20, Fit::Within),
            (joined, 2, 1 << 20, Fit::Beyond),
        ] {
            let free = made(sql, 1, usize::MAX).await;
            let bounded = made(sql, wide, bytes).await;
            assert_eq!(bounded.1, fit, "{sql} in {wide} and {bytes}");
            assert!(free.0 == bounded.0 && !free.0.is_empty(), "{sql} in {bytes}");
        }
    }
}
