//! The relations that a plan reads at any depth, for what has no nodes within.
//!
//! A recursion's parts read its working rows, and a subquery's parts the rows around it: by themselves
//! they mean nothing. Such a plan runs whole over its relations, and none of them may be overlooked.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};

use super::obstacle::Construct;
use crate::error::Result;
use crate::plan::live::LiveTable;

/// Whether this is a relation of the project, and no table function or working rows.
pub(super) fn is_relation(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|table| table.is::<LiveTable>())
}

/// Why a plan is run whole over its relations, if it must be.
pub(super) fn alone(plan: &LogicalPlan) -> Option<Construct> {
    match plan {
        LogicalPlan::RecursiveQuery(_) => Some(Construct::Recursion),
        other if other.expressions().iter().any(has_subquery) => Some(Construct::CrossJoin),
        _ => None,
    }
}

/// Scans of relations, in subqueries too; equal ones once.
pub(super) fn scans(plan: &LogicalPlan) -> Result<Vec<LogicalPlan>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && is_relation(scan)
            && !found.contains(node)
        {
            found.push(node.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
        ))
    })
    .unwrap_or(true)
}
