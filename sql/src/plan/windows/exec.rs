//! The node: collects its sorted input, adds one column for each call.
//!
//! What it needs of its input and what it promises is what DataFusion's own node says, which it holds.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PlanProperties,
    SendableRecordBatchStream,
};
use futures::{TryStreamExt, stream};

use super::call::Call;
use super::frame::Places;

/// A window whose calls are all known.
#[derive(Debug, Clone)]
pub(super) struct ColumnarWindowExec {
    like: Arc<WindowAggExec>,
    calls: Arc<[Call]>,
}

impl ColumnarWindowExec {
    /// The same as DataFusion's node, if every call is known.
    pub fn of(like: WindowAggExec) -> Result<Option<Self>> {
        let schema = like.input().schema();
        let calls = like.window_expr().iter().map(|e| Call::of(e.as_ref(), &schema));
        let calls: Option<Vec<Call>> = calls.collect::<Result<_>>()?;
        Ok(calls.map(|calls| Self { like: Arc::new(like), calls: calls.into() }))
    }

    fn over(&self, like: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let like = like.downcast_ref::<WindowAggExec>().ok_or_else(|| {
            DataFusionError::Internal(format!("not a {}", type_name::<WindowAggExec>()))
        })?;
        Ok(Arc::new(Self { like: Arc::new(like.clone()), calls: self.calls.clone() }))
    }
}

/// Adds the calls' columns to rows that are sorted by partition and order.
fn with_calls(calls: &[Call], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let mut columns = batch.columns().to_vec();
    let mut places: Option<Places> = None;
    for call in calls {
        let known = match places.take().filter(|p| p.are_those_of(call)) {
            Some(known) => known,
            None => Places::of(call, batch)?,
        };
        columns.push(call.column(batch, &known)?);
        places = Some(known);
    }
    Ok(columns)
}

impl DisplayAs for ColumnarWindowExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Columnar")?;
        self.like.fmt_as(kind, f)
    }
}

impl ExecutionPlan for ColumnarWindowExec {
    fn name(&self) -> &'static str {
        "ColumnarWindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.like.properties()
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(
        &self,
    ) -> datafusion::physical_plan::InputDistributionRequirements {
        self.like.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.like.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.like.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.like.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(&Arc::clone(&self.like).replace_children(children, options)?)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut input = self.like.input().execute(partition, context.clone())?;
        let (calls, schema) = (self.calls.clone(), self.schema());
        let rows_max = context.session_config().batch_size().max(1);
        let made = async move {
            let consumer = MemoryConsumer::new("ColumnarWindowExec");
            let reservation = consumer.register(context.memory_pool());
            let mut batches = Vec::new();
            while let Some(batch) = input.try_next().await? {
                // The rows once as they came and once in one piece.
                reservation.try_grow(2 * batch.get_array_memory_size())?;
                batches.push(batch);
            }
            let all = concat_batches(&input.schema(), &batches)?;
            drop(batches);
            let columns = with_calls(&calls, &all)?;
            let all = RecordBatch::try_new(schema, columns)?;
            let pieces = (0..all.num_rows()).step_by(rows_max);
            let pieces = pieces.map(move |at| {
                let _held = &reservation;
                Ok(all.slice(at, rows_max.min(all.num_rows() - at)))
            });
            Ok::<_, DataFusionError>(stream::iter(pieces))
        };
        let rows = stream::once(made).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), Box::pin(rows))))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
