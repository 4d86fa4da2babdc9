//! Groups that a `having count(..) > n` leaves out: of those with fewer rows nothing is read.
//!
//! Tests of uniqueness are of this kind, and nearly all of their groups have one row. It must never leave out
//! a group that has enough rows at either moment.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, Operator};

use super::delta::Delta;
use super::keys::KeySet;
use super::node::{Access, AggregateOp, Op};
use super::run::{Run, Stop};
use super::totals::REMEMBERED_ROWS_MIN;
use super::{mutated, unaliased_ref};

/// How many rows a group has at least that this predicate over an aggregate keeps; `None` where it says
/// nothing of that, or more than whose groups are never remembered.
pub(super) fn rows_kept(predicate: &Expr, node: &Aggregate) -> Option<usize> {
    let all = split_conjunction(predicate).into_iter().filter_map(|part| rows_of(part, node));
    all.max().filter(|least| (2..=REMEMBERED_ROWS_MIN).contains(least)).map(|least| least as usize)
}

/// The same of one comparison with a number.
fn rows_of(part: &Expr, node: &Aggregate) -> Option<i128> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = part else { return None };
    let (column, op, number) = match (unaliased_ref(left), unaliased_ref(right)) {
        (Expr::Column(column), Expr::Literal(number, _)) => (column, *op, number),
        (Expr::Literal(number, _), Expr::Column(column)) => (column, op.swap()?, number),
        _ => return None,
    };
    let at = node.schema.maybe_index_of_column(column)?.checked_sub(node.group_expr.len())?;
    // Whatever is counted, distinct or not, there are as many rows at least.
    match unaliased_ref(node.aggr_expr.get(at)?) {
        Expr::AggregateFunction(call) if call.func.name() == "count" => {}
        _ => return None,
    }
    let number = match number {
        ScalarValue::Int64(Some(number)) => i128::from(*number),
        ScalarValue::Int32(Some(number)) => i128::from(*number),
        _ => return None,
    };
    match op {
        Operator::Gt => Some(number + 1),
        Operator::GtEq | Operator::Eq => Some(number),
        _ => None,
    }
}

impl Run<'_> {
    /// The rows of a grouping's change whose groups may have so many rows, before the epoch or after it.
    pub fn of_at_least(
        &self,
        op: &AggregateOp,
        least: usize,
        change: &Arc<Delta>,
    ) -> Result<Arc<Delta>, Stop> {
        let keys = if mutated("having: a group that only loses rows is left out") {
            op.groups.set(&change.added)?
        } else {
            op.groups.set(change.both())?
        };
        let least =
            if mutated("having: a row more than that is asked for") { least + 1 } else { least };
        let large = self.keys_of_at_least(&op.by_group, &keys, least)?;
        let is_all = large.len() == keys.len();
        if is_all && !mutated("having: a group that only loses rows is left out") {
            return Ok(change.clone());
        }
        let kept = |rows: &[RecordBatch]| -> Result<Vec<RecordBatch>, Stop> {
            let kept = rows.iter().map(|batch| op.groups.keep(batch, &large));
            Ok(kept.collect::<crate::error::Result<_>>()?)
        };
        Ok(Arc::new(Delta { removed: kept(&change.removed)?, added: kept(&change.added)? }))
    }

    /// Of these keys those with so many rows at one of the two moments, and any of which that is not known.
    fn keys_of_at_least(
        &self,
        access: &Access,
        keys: &KeySet,
        least: usize,
    ) -> Result<KeySet, Stop> {
        match access {
            // What passes these is as many rows, or fewer.
            Access::Through { node, input }
                if matches!(
                    self.plan.nodes[*node].op,
                    Op::Filter { .. } | Op::Project { .. } | Op::Rename { .. }
                ) =>
            {
                self.keys_of_at_least(input, keys, least)
            }
            Access::Index { node, index } => {
                let Op::Scan { relation, .. } = &self.plan.nodes[*node].op else {
                    return Err(Stop::bug());
                };
                Ok(self.stored(relation)?.keys_of_at_least(index, keys, least)?)
            }
            _ => Ok(keys.clone()),
        }
    }
}
