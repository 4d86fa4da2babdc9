//! What runs in one piece, and the parts below it that are nodes again.
//!
//! A recursion's parts read its working rows, a subquery's parts the rows around it, and a limit reads an
//! order: by themselves they mean nothing. Of the relations that such a piece reads none may be overlooked.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::obstacle::Construct;
use crate::error::Result;
use crate::plan::live::scans;

/// Why a plan is run in one piece, if it must be, and the parts of it that are not.
pub(super) fn unit(plan: &LogicalPlan) -> Result<Option<(Construct, Vec<LogicalPlan>)>> {
    Ok(match plan {
        LogicalPlan::RecursiveQuery(_) => Some((Construct::Recursion, scans(plan)?)),
        // A limit takes from what is sorted, so its order is no node of its own.
        LogicalPlan::Limit(limit) => {
            below_sort(&limit.input).map(|part| (Construct::Limit, vec![part.clone()]))
        }
        other if other.expressions().iter().any(has_subquery) => {
            Some((Construct::CrossJoin, scans(plan)?))
        }
        _ => None,
    })
}

/// What is sorted, where nothing lies between that loses the order.
fn below_sort(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Sort(sort) => Some(&sort.input),
        LogicalPlan::Projection(node) => below_sort(&node.input),
        LogicalPlan::SubqueryAlias(node) => below_sort(&node.input),
        _ => None,
    }
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

/// Whether any node of a piece is so, in subqueries too; its parts are nodes of their own.
pub(super) fn any_above(
    plan: &LogicalPlan,
    parts: &[LogicalPlan],
    is_so: impl Fn(&LogicalPlan) -> bool,
) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if parts.contains(node) {
            return Ok(TreeNodeRecursion::Jump);
        }
        found |= is_so(node);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
