//! A relation whose rows change between runs while plans that scan it are kept.
//!
//! Rows are swapped whole: a running query keeps what it started with, so it never sees half a change.
//! Several queries may read the same rows side by side: the last one to leave takes them out.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::copied::CopiedExec;

type Rows = Arc<Vec<Piece>>;

/// Some rows: those of a batch that live.
#[derive(Debug, Clone)]
pub struct Piece {
    /// All of them.
    pub rows: RecordBatch,
    /// Which of them are meant; all where it does not say. Only the columns that a query reads are
    /// taken together.
    pub live: Option<BooleanArray>,
}

impl From<RecordBatch> for Piece {
    fn from(rows: RecordBatch) -> Self {
        Self { rows, live: None }
    }
}

impl Piece {
    fn of(&self, columns: Option<&Vec<usize>>) -> Result<RecordBatch, ArrowError> {
        let rows = match columns {
            Some(columns) => self.rows.project(columns)?,
            None => self.rows.clone(),
        };
        self.live.as_ref().map_or(Ok(rows.clone()), |live| filter_record_batch(&rows, live))
    }
}

/// Rows, and how many queries hold them there.
#[derive(Debug, Default)]
struct Held {
    rows: Rows,
    holders: usize,
}

/// A handle on the relation: clones share the rows.
#[derive(Debug, Clone)]
pub struct LiveTable {
    schema: SchemaRef,
    held: Arc<RwLock<Held>>,
    alone: Arc<futures::lock::Mutex<()>>,
}

impl LiveTable {
    /// An empty relation of this schema.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, held: Arc::default(), alone: Arc::default() }
    }

    /// The relation's columns.
    pub fn columns(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Replaces all rows; the batches must have the relation's schema.
    pub fn set(&self, batches: Vec<RecordBatch>) {
        let pieces = batches.into_iter().map(Piece::from).collect();
        self.held.write().unwrap_or_else(PoisonError::into_inner).rows = Arc::new(pieces);
    }

    /// Puts rows there until every holder has released them; holders must mean the same rows.
    pub fn hold<E>(
        &self,
        pieces: impl FnOnce() -> std::result::Result<Vec<Piece>, E>,
    ) -> std::result::Result<(), E> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.holders == 0 {
            held.rows = Arc::new(pieces()?);
        }
        held.holders += 1;
        Ok(())
    }

    /// The end of a [`LiveTable::hold`].
    pub fn release(&self) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.holders = held.holders.saturating_sub(1);
        if held.holders == 0 {
            held.rows = Rows::default();
        }
    }

    /// Waits until nobody else is alone with it: for rows that each user sets anew.
    pub async fn alone(&self) -> futures::lock::MutexGuard<'_, ()> {
        self.alone.lock().await
    }

    fn rows(&self) -> Rows {
        self.held.read().unwrap_or_else(PoisonError::into_inner).rows.clone()
    }
}

/// Whether a scan reads a relation of the project, and no table function or working rows.
pub(crate) fn is_relation(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|table| table.is::<LiveTable>())
}

/// Whether a plan reads something else too, in subqueries or out: then its equal may be another, since
/// scans of functions are equal whatever their arguments.
pub(crate) fn reads_other(plan: &LogicalPlan) -> bool {
    let mut reads = false;
    let looked = plan.apply_with_subqueries(|node| {
        reads |= matches!(node, LogicalPlan::TableScan(scan) if !is_relation(scan));
        Ok(if reads { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    reads || looked.is_err()
}

/// Scans of the project's relations, in subqueries too; equal ones once.
pub(crate) fn scans(plan: &LogicalPlan) -> Result<Vec<LogicalPlan>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if matches!(node, LogicalPlan::TableScan(scan) if is_relation(scan))
            && !found.contains(node)
        {
            found.push(node.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The relations that a plan reads, in subqueries too.
pub fn relations(plan: &LogicalPlan) -> crate::error::Result<BTreeSet<String>> {
    let name = |scan: LogicalPlan| match scan {
        LogicalPlan::TableScan(scan) => Some(scan.table_name.table().to_owned()),
        _ => None,
    };
    Ok(scans(plan)?.into_iter().filter_map(name).collect())
}

#[async_trait::async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows();
        let rows: Vec<RecordBatch> =
            rows.iter().map(|piece| piece.of(projection)).collect::<Result<_, _>>()?;
        let partitions = match session.config().target_partitions() {
            0 | 1 => vec![rows],
            wide => dealt(&rows, wide),
        };
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let plan = MemorySourceConfig::try_new_exec(&partitions, schema, None)?;
        let limit = session.runtime_env().memory_pool.memory_limit();
        Ok(if matches!(limit, MemoryLimit::Finite(_)) { Arc::new(CopiedExec(plan)) } else { plan })
    }
}

/// Rows to a partition at a time: a stored file is one batch, however large.
const DEALT_ROWS: usize = if cfg!(test) { 3 } else { 65_536 };

/// The rows in so many partitions, about as large; nothing is copied.
fn dealt(rows: &[RecordBatch], partitions: usize) -> Vec<Vec<RecordBatch>> {
    let mut dealt = vec![Vec::new(); partitions];
    let pieces = rows.iter().flat_map(|batch| {
        let starts = (0..batch.num_rows()).step_by(DEALT_ROWS);
        starts.map(|at| batch.slice(at, DEALT_ROWS.min(batch.num_rows() - at)))
    });
    for (at, piece) in pieces.enumerate() {
        dealt[at % partitions].push(piece);
    }
    dealt
}
