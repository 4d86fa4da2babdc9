//! Windows by whole columns, in place of DataFusion's row by row.
//!
//! DataFusion sorts all columns, finds a frame's bounds for each row by comparing scalars, and asks an
//! accumulator for each. Calls that are known here (places, counts, exact sums, extremes,
//! first and last values over rows or ranges) are made for all partitions at once. A node with any
//! other call stays DataFusion's. It must never say anything else than DataFusion would: floats, whose
//! sums depend on the order of additions, are not known.

mod call;
mod exec;
mod frame;
mod groups;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

use exec::ColumnarWindowExec;

/// Puts windows by whole columns where all calls are known. It comes before the rules that give each
/// node the order and partitions that it needs.
#[derive(Debug)]
pub(super) struct ColumnarWindows;

impl PhysicalOptimizerRule for ColumnarWindows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|node| {
            Ok(match known(&node)? {
                Some(known) => Transformed::yes(Arc::new(known) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        });
        Ok(changed?.data)
    }

    fn name(&self) -> &'static str {
        "columnar_windows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn known(node: &Arc<dyn ExecutionPlan>) -> Result<Option<ColumnarWindowExec>> {
    let like = if let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() {
        let in_parts = !window.partition_keys().is_empty();
        let (calls, input) = (window.window_expr().to_vec(), window.input().clone());
        WindowAggExec::try_new(calls, input, in_parts)?
    } else if let Some(window) = node.downcast_ref::<WindowAggExec>() {
        window.clone()
    } else {
        return Ok(None);
    };
    ColumnarWindowExec::of(like)
}
