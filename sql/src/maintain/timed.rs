//! Filters on the epoch's time: rows that come and go though nothing changed them.
//!
//! Between two epochs a bound such as `current_timestamp - interval '7 days'` moves from one value to
//! another; only rows whose own value lies between the two, both ends included, can change sides.
//! They are found by an order over the relation, as they were and as they are.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, Operator as Comparison};
use datafusion::physical_expr::PhysicalExpr;

use super::delta::Delta;
use super::keys::physical;
use super::mutated;
use super::near::{RangeKey, Ranges};
use super::node::Access;
use super::run::{Run, Stop};
use super::stored::When;
use super::{rowwise, run_error};
use crate::error::{Error, Result};
use crate::plan::clock::reads_time;

/// A filter of which some conditions compare a value of the row with a time.
#[derive(Debug)]
pub(super) struct TimedOp {
    pub input: usize,
    /// The whole condition, at whatever time the clock says.
    pub predicate: Arc<dyn PhysicalExpr>,
    pub bounds: Vec<Bound>,
}

/// One bound: the value's order among all rows, how rows are found by it, and what it is compared to.
#[derive(Debug)]
pub(super) struct Bound {
    pub key: RangeKey,
    pub access: Access,
    time: Arc<dyn PhysicalExpr>,
}

impl Bound {
    pub fn new(
        state: &SessionState,
        key: RangeKey,
        access: Access,
        time: &Expr,
        filter: &Filter,
    ) -> Result<Self> {
        Ok(Self { key, access, time: physical(state, time, filter.input.schema())? })
    }

    /// The bound at the clock's present time, in units of the value's order.
    fn at(&self, like: &RecordBatch) -> Result<Option<i64>> {
        let time = self.time.evaluate(like).map_err(run_error)?.into_array(1).map_err(run_error)?;
        let time = cast(&time, &DataType::Int64)?;
        let time = time
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| Error::Bug("a bound that is no time".to_owned()))?;
        Ok(time.iter().next().flatten())
    }
}

/// Value and time of each condition that reads the time; `None` if one of them has another shape.
pub(super) fn bounds(filter: &Filter) -> Option<Vec<(Expr, Expr)>> {
    let timed = split_conjunction(&filter.predicate).into_iter().filter(|e| reads_time(e));
    timed.map(|e| bound(e, filter)).collect()
}

fn bound(condition: &Expr, filter: &Filter) -> Option<(Expr, Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let ordered =
        matches!(op, Comparison::Lt | Comparison::LtEq | Comparison::Gt | Comparison::GtEq);
    let is_time = |e: &Expr| reads_time(e) && e.column_refs().is_empty();
    let is_value = |e: &Expr| !reads_time(e) && !e.column_refs().is_empty();
    let (value, time) = if is_value(left) && is_time(right) {
        (left, right)
    } else if is_value(right) && is_time(left) {
        (right, left)
    } else {
        return None;
    };
    let schema = filter.input.schema().as_ref();
    let (kind, other) = (value.get_type(schema).ok()?, time.get_type(schema).ok()?);
    let fits = matches!(kind, DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Date32);
    (ordered && fits && kind == other).then(|| (value.as_ref().clone(), time.as_ref().clone()))
}

impl Run<'_> {
    /// The rows of its input that a timed filter keeps at a moment.
    pub fn timed(
        &self,
        op: &TimedOp,
        rows: &[RecordBatch],
        when: When,
    ) -> std::result::Result<Vec<RecordBatch>, Stop> {
        let when = if mutated("time: it was always now") { When::After } else { when };
        self.at_time(when, || {
            let kept = rows.iter().map(|b| rowwise::filter(b, op.predicate.as_ref()));
            Ok(kept.collect::<Result<_>>()?)
        })
    }

    /// What a timed filter gives and no longer gives.
    pub async fn timed_change(&self, op: &TimedOp) -> std::result::Result<Delta, Stop> {
        let change = self.settled(op.input).await?;
        let columns = self.plan.nodes[op.input].columns.clone();
        let one = arrow::array::RecordBatchOptions::new().with_row_count(Some(1));
        let fields = columns.fields().iter();
        let nulls = fields.map(|f| arrow::array::new_null_array(f.data_type(), 1)).collect();
        let like =
            RecordBatch::try_new_with_options(columns.clone(), nulls, &one).map_err(Error::from)?;
        let mut crossed: Vec<(&Bound, Ranges)> = Vec::new();
        let mut made = Delta::default();
        for bound in &op.bounds {
            let before = self.at_time(When::Before, || Ok(bound.at(&like)?))?;
            let after = self.at_time(When::After, || Ok(bound.at(&like)?))?;
            let (Some(before), Some(after)) = (before, after) else {
                return Err(Stop::full("a bound that is null"));
            };
            if before == after || mutated("time: nothing crosses a bound") {
                continue;
            }
            let ranges = Ranges::everywhere(before.min(after), before.max(after));
            for when in [When::Before, When::After] {
                let rows = self.fetch_near(&bound.access, &ranges, when).await?;
                let rows =
                    rows.iter().map(|b| bound.key.keep(b, &ranges)).collect::<Result<_>>()?;
                let rows = self.timed(op, &outside(rows, &crossed)?, when)?;
                match when {
                    When::Before => made.removed.extend(rows),
                    When::After => made.added.extend(rows),
                }
            }
            crossed.push((bound, ranges));
        }
        // Changed rows that crossed a bound are among those already.
        let removed = outside(change.removed.clone(), &crossed)?;
        let added = outside(change.added.clone(), &crossed)?;
        made.removed.extend(self.timed(op, &removed, When::Before)?);
        made.added.extend(self.timed(op, &added, When::After)?);
        Ok(made)
    }
}

/// The rows that lie in none of these ranges.
fn outside(rows: Vec<RecordBatch>, crossed: &[(&Bound, Ranges)]) -> Result<Vec<RecordBatch>> {
    let mut rows = rows;
    for (bound, ranges) in crossed {
        rows = rows.iter().map(|b| bound.key.drop(b, ranges)).collect::<Result<_>>()?;
    }
    Ok(rows)
}
