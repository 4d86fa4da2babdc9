//! Plans put into each other: a model's in place of the scan that reads it.

use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::types;
use crate::error::Result;

/// A plan in which each scan of a relation named by `inline` is replaced by that plan.
pub fn inline_scans(
    plan: LogicalPlan,
    inline: &dyn Fn(&str) -> Option<LogicalPlan>,
) -> Result<LogicalPlan> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let replaced = plan.transform_up(|node| {
        let LogicalPlan::TableScan(scan) = &node else {
            return Ok(Transformed::no(node));
        };
        let Some(inner) = inline(scan.table_name.table()) else {
            return Ok(Transformed::no(node));
        };
        let stored = types::storable(inner.schema().as_arrow());
        let cast =
            types::cast_plan(inner, &stored).map_err(|e| DataFusionError::External(Box::new(e)))?;
        let named = LogicalPlanBuilder::from(cast).alias(scan.table_name.clone())?.build()?;
        Ok(Transformed::yes(named))
    })?;
    Ok(replaced.data)
}
