//! The node: collects its input, adds one column for each call, and gives the rows as they came.
//!
//! DataFusion's own node, which it holds, says how rows must be partitioned. Unlike it this one needs
//! no order: it finds one of the rows' numbers, so that no other column is moved.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    PlanProperties, SendableRecordBatchStream,
};
use futures::{TryStreamExt, stream};

use super::call::Call;
use super::frame::Places;

/// A window whose calls are all known.
#[derive(Debug, Clone)]
pub(super) struct ColumnarWindowExec {
    like: Arc<WindowAggExec>,
    calls: Arc<[Call]>,
    properties: Arc<PlanProperties>,
}

impl ColumnarWindowExec {
    /// The same as DataFusion's node, if every call is known.
    pub fn of(like: WindowAggExec) -> Result<Option<Self>> {
        let schema = like.input().schema();
        let calls = like.window_expr().iter().map(|e| Call::of(e.as_ref(), &schema));
        let calls: Option<Vec<Call>> = calls.collect::<Result<_>>()?;
        calls.map(|calls| Self::with(like, calls.into())).transpose()
    }

    fn with(like: WindowAggExec, calls: Arc<[Call]>) -> Result<Self> {
        let known = like.input().equivalence_properties().clone();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(like.schema()).extend(known)?,
            like.input().output_partitioning().clone(),
            EmissionType::Final,
            like.input().boundedness(),
        );
        Ok(Self { like: Arc::new(like), calls, properties: Arc::new(properties) })
    }

    fn over(&self, like: &Arc<dyn ExecutionPlan>) -> Result<Self> {
        let like = like.downcast_ref::<WindowAggExec>().ok_or_else(|| {
            DataFusionError::Internal(format!("not a {}", type_name::<WindowAggExec>()))
        })?;
        Self::with(like.clone(), self.calls.clone())
    }
}

/// The same batches with the calls' columns.
fn with_calls(
    calls: &[Call],
    batches: Vec<RecordBatch>,
    schema: &SchemaRef,
) -> Result<Vec<RecordBatch>> {
    let mut added = Vec::with_capacity(calls.len());
    let mut places: Option<Places> = None;
    for call in calls {
        let known = match places.take().filter(|p| p.are_those_of(call)) {
            Some(known) => known,
            None => Places::of(call, &batches)?,
        };
        added.push(call.column(&batches, &known)?);
        places = Some(known);
    }
    let mut from = 0;
    let with = |batch: RecordBatch| {
        let own = added.iter().map(|column| column.slice(from, batch.num_rows()));
        let columns = batch.columns().iter().cloned().chain(own).collect();
        from += batch.num_rows();
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    };
    batches.into_iter().map(with).collect()
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
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        self.input_distribution_requirements().into_per_child()
    }

    fn input_distribution_requirements(
        &self,
    ) -> datafusion::physical_plan::InputDistributionRequirements {
        self.like.input_distribution_requirements()
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
        let keeps = matches!(options.children_properties, ChildrenPropertiesMode::Keep);
        let over = self.over(&Arc::clone(&self.like).replace_children(children, options)?)?;
        let properties = if keeps { self.properties.clone() } else { over.properties };
        Ok(Arc::new(Self { properties, ..over }))
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
        let mut input = self.like.input().execute(partition, context)?;
        let (calls, schema) = (self.calls.clone(), self.schema());
        let made = async move {
            let mut batches = Vec::new();
            while let Some(batch) = input.try_next().await? {
                batches.push(batch);
            }
            // Of no rows there is nothing to say.
            batches.retain(|batch| batch.num_rows() > 0);
            if !batches.is_empty() {
                batches = with_calls(&calls, batches, &schema)?;
            }
            Ok::<_, DataFusionError>(stream::iter(batches.into_iter().map(Ok)))
        };
        let rows = stream::once(made).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), Box::pin(rows))))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.like.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.like.statistics_from_inputs(inputs, args)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
