//! Nodes that have no local key: they run over all rows of their inputs, and any change reaches all of them.
//!
//! Where the order of rows decides what such a node gives (which of equal rows a limit takes, how floats add
//! up), its inputs are sorted first: the same rows must give the same result, wherever they lay.

use datafusion::logical_expr::LogicalPlan;

use super::canonical::{self, Order};
use super::compile::Compiler;
use super::leaves;
use super::node::{Op, WholeOp};
use super::obstacle::Construct;
use super::operator::Operator;
use crate::error::Result;
use crate::plan::clock::reads_time;

impl Compiler<'_> {
    /// An operator over its inputs' nodes.
    pub(super) async fn whole(
        &self,
        plan: &LogicalPlan,
        inputs: &[usize],
        why: Construct,
    ) -> Result<Op> {
        let operator = Operator::new(self.session, plan).await?;
        let orders = inputs.iter().map(|input| self.order(plan, *input)).collect();
        Ok(Op::Whole(Box::new(WholeOp { inputs: inputs.to_vec(), orders, operator, why })))
    }

    /// What has no nodes within, over the parts of it that have.
    pub(super) async fn unit(
        &mut self,
        plan: &LogicalPlan,
        why: Construct,
        parts: &[LogicalPlan],
    ) -> Result<Op> {
        let mut inputs = Vec::new();
        for part in parts {
            inputs.push(Box::pin(self.node(part)).await?);
        }
        let operator = Operator::over(self.session, plan, parts).await?;
        let reads_time = |node: &LogicalPlan| node.expressions().iter().any(reads_time);
        let why = if leaves::any_above(plan, parts, reads_time)? { Construct::Time } else { why };
        if inputs.is_empty() && why == Construct::Recursion {
            return Ok(Op::Constant(operator));
        }
        let decides = leaves::any_above(plan, parts, depends_on_order)?;
        let every = |input: &usize| canonical::every_column(&self.nodes[*input].columns);
        let orders = if decides {
            inputs.iter().map(every).collect()
        } else {
            vec![Order::new(); inputs.len()]
        };
        Ok(Op::Whole(Box::new(WholeOp { inputs, orders, operator, why })))
    }

    fn order(&self, plan: &LogicalPlan, input: usize) -> Order {
        match plan {
            LogicalPlan::Window(node) => canonical::window_order(node),
            other if depends_on_order(other) => canonical::every_column(&self.nodes[input].columns),
            _ => Order::new(),
        }
    }
}

/// Whether the order of a node's rows decides what it gives.
fn depends_on_order(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::Limit(_) => true,
        LogicalPlan::Sort(sort) => sort.fetch.is_some(),
        LogicalPlan::Window(node) => !canonical::window_order(node).is_empty(),
        LogicalPlan::Aggregate(node) => canonical::depends_on_order(node),
        _ => false,
    }
}
