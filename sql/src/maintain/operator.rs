//! One relational operator as a physical plan that is made once and run at every epoch.
//!
//! Its inputs are slots: whatever batches stand in them when it runs. An operator must never run
//! twice at one time: its plan holds state between the start and the end of a run.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};

use super::run_error;
use crate::error::Result;
use crate::plan::live::is_relation;
use crate::plan::{Session, types};

/// The batches that an operator's next run reads in one place.
#[derive(Debug)]
struct Slot {
    schema: SchemaRef,
    rows: Mutex<Vec<RecordBatch>>,
}

#[derive(Debug, Clone)]
struct SlotStream(Arc<Slot>);

impl PartitionStream for SlotStream {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.0.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stream = futures::stream::iter(rows.into_iter().map(Ok));
        Box::pin(RecordBatchStreamAdapter::new(self.0.schema.clone(), stream))
    }
}

/// An operator, ready to run over whatever its slots hold.
#[derive(Debug)]
pub(super) struct Operator {
    plan: Arc<dyn ExecutionPlan>,
    slots: Vec<Arc<Slot>>,
    schema: SchemaRef,
    running: futures::lock::Mutex<()>,
}

impl Operator {
    /// Makes the plan of `node` with a slot in place of each of its inputs.
    pub async fn new(session: &Session, node: &LogicalPlan) -> Result<Self> {
        let mut slots = Vec::new();
        let mut inputs = Vec::new();
        for input in node.inputs() {
            let slot =
                Arc::new(Slot { schema: positional(input.schema()), rows: Mutex::default() });
            inputs.push(scan_slot(&slot, input.schema())?);
            slots.push(slot);
        }
        let plan = if inputs.is_empty() {
            node.clone()
        } else {
            node.with_new_exprs(node.expressions(), inputs)?
        };
        Self::of(session, &plan, slots).await
    }

    /// The same with a slot in place of each of these parts, at any depth.
    pub async fn over(
        session: &Session,
        node: &LogicalPlan,
        parts: &[LogicalPlan],
    ) -> Result<Self> {
        let slot = |part: &LogicalPlan| {
            // What lies above keeps the columns that it was planned with, down to their nulls; only of a
            // relation's own rows is it sure that none is null.
            let stored = matches!(part, LogicalPlan::TableScan(_));
            let fields = part.schema().fields().iter().enumerate();
            let fields = fields.map(|(i, f)| {
                Field::new(format!("c{i}"), f.data_type().clone(), f.is_nullable() || !stored)
            });
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            Arc::new(Slot { schema, rows: Mutex::default() })
        };
        let slots: Vec<Arc<Slot>> = parts.iter().map(slot).collect();
        let plan = node.clone().transform_down_with_subqueries(|part| {
            // A recursion's working rows may have a relation's name.
            let works = matches!(&part, LogicalPlan::TableScan(scan) if !is_relation(scan));
            let Some(at) = parts.iter().position(|known| !works && *known == part) else {
                return Ok(Transformed::no(part));
            };
            let slot = scan_slot(&slots[at], part.schema())
                .map_err(|error| DataFusionError::External(Box::new(error)))?;
            Ok(Transformed::new(slot, true, TreeNodeRecursion::Jump))
        })?;
        Self::of(session, &plan.data, slots).await
    }

    async fn of(session: &Session, plan: &LogicalPlan, slots: Vec<Arc<Slot>>) -> Result<Self> {
        Ok(Self {
            plan: session.physical(plan).await?,
            slots,
            schema: nullable(plan.schema()),
            running: futures::lock::Mutex::new(()),
        })
    }

    /// Runs it over these inputs, in the order of the node's.
    pub async fn run(
        &self,
        session: &Session,
        inputs: &[&[RecordBatch]],
    ) -> Result<Vec<RecordBatch>> {
        let _alone = self.running.lock().await;
        for (slot, rows) in self.slots.iter().zip(inputs) {
            let rows = rows.iter().filter(|r| r.num_rows() > 0);
            let renamed =
                rows.map(|r| types::conform(r, &slot.schema)).collect::<Result<Vec<_>>>()?;
            *slot.rows.lock().unwrap_or_else(PoisonError::into_inner) = renamed;
        }
        let plan = reset_plan_states(self.plan.clone()).map_err(run_error)?;
        let made = collect(plan, session.task()).await.map_err(run_error);
        for slot in &self.slots {
            slot.rows.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let made = made?.into_iter().filter(|b| b.num_rows() > 0);
        made.map(|b| types::conform(&b, &self.schema)).collect()
    }
}

/// The columns of a node, each of which may be null.
pub(super) fn nullable(schema: &DFSchema) -> SchemaRef {
    let fields = schema.fields().iter();
    Arc::new(Schema::new(
        fields.map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect::<Vec<_>>(),
    ))
}

/// Columns named by their position: names alone need not be distinct.
fn positional(schema: &DFSchema) -> SchemaRef {
    let fields = schema.fields().iter().enumerate();
    Arc::new(Schema::new(
        fields
            .map(|(i, f)| Field::new(format!("c{i}"), f.data_type().clone(), true))
            .collect::<Vec<_>>(),
    ))
}

/// A scan of the slot under the names that the node above knows its input's columns by.
fn scan_slot(slot: &Arc<Slot>, schema: &DFSchema) -> Result<LogicalPlan> {
    let stream: Arc<dyn PartitionStream> = Arc::new(SlotStream(slot.clone()));
    let table = StreamingTable::try_new(slot.schema.clone(), vec![stream])?;
    let scan = LogicalPlanBuilder::scan("slot", provider_as_source(Arc::new(table)), None)?;
    let names: Vec<Expr> = schema
        .iter()
        .enumerate()
        .map(|(i, (qualifier, field))| {
            let column = Expr::Column(Column::new(Some("slot"), format!("c{i}")));
            column.alias_qualified(qualifier.cloned(), field.name())
        })
        .collect();
    Ok(scan.project(names)?.build()?)
}
