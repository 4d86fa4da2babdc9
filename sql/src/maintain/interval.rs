//! Joins that ask for an interval beside their equality, as facts do of the versions of a history:
//! `l.k = r.k and l.at >= r.began and (l.at < r.ended or r.ended is null)`.
//!
//! A changed row then reaches rows of the other side that lie within its bounds, not all of its key.
//! Bounds are taken as closed and a null bound as open: what is found too much, the join itself drops.
//! It must never find less than the join's condition lets through.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator as Word};
use datafusion::physical_expr::PhysicalExpr;

use super::fetch::Fetched;
use super::keys::{KeyExprs, KeySet, physical};
use super::near::Ranges;
use super::node::{Access, JoinOp, Side};
use super::run::{Run, Stop};
use super::stored::When;
use super::{mutated, run_error};
use crate::error::{Error, Result};

/// What one comparison says of a side's value: the other side's expressions are its bounds.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// The value that is bounded.
    pub value: Expr,
    low: Option<Expr>,
    high: Option<Expr>,
    /// Whether a null value passes.
    nulls: bool,
}

/// One side's rows by key and interval.
#[derive(Debug)]
pub(super) struct Near {
    access: Access,
    low: Option<Arc<dyn PhysicalExpr>>,
    high: Option<Arc<dyn PhysicalExpr>>,
    nulls: bool,
}

/// Bounds of one side's values by the other's, from the conditions of a join; the best of them.
pub(super) fn bounds(filter: &Expr, own: &DFSchema, other: &DFSchema) -> Option<Bounds> {
    let mut found: Vec<Bounds> = Vec::new();
    for conjunct in split_conjunction(filter) {
        for one in compared(conjunct, own, other) {
            match found.iter_mut().find(|f| f.value == one.value) {
                // A second bound of one end says nothing more, of nulls neither.
                Some(known) if one.low.is_some() && known.low.is_none() => {
                    (known.low, known.nulls) = (one.low, known.nulls && one.nulls);
                }
                Some(known) if one.high.is_some() && known.high.is_none() => {
                    (known.high, known.nulls) = (one.high, known.nulls && one.nulls);
                }
                Some(_) => {}
                None => found.push(one),
            }
        }
    }
    // Both ends are best; of one, the lower: what changes is mostly late.
    found.into_iter().max_by_key(|b| (b.low.is_some() && b.high.is_some(), b.low.is_some()))
}

/// A comparison of one side with the other, or that or a null.
fn compared(conjunct: &Expr, own: &DFSchema, other: &DFSchema) -> Vec<Bounds> {
    match conjunct {
        Expr::Between(between) if !between.negated => {
            let word = |op, bound: &Expr| {
                let (left, right) = (between.expr.clone(), Box::new(bound.clone()));
                compared(&Expr::BinaryExpr(BinaryExpr { left, op, right }), own, other)
            };
            let mut both = word(Word::GtEq, &between.low);
            both.extend(word(Word::LtEq, &between.high));
            both
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Word::Or, right }) => {
            let (null, rest) = match (left.as_ref(), right.as_ref()) {
                (Expr::IsNull(null), rest) | (rest, Expr::IsNull(null)) => (null.as_ref(), rest),
                _ => return Vec::new(),
            };
            let mut made = compared(rest, own, other);
            for bounds in &mut made {
                let bound = bounds.low.as_ref().or(bounds.high.as_ref());
                if bounds.value != *null && bound != Some(null) || bounds.nulls {
                    return Vec::new();
                }
                bounds.nulls = bounds.value == *null;
            }
            made
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (forward, backward) = match op {
                Word::Gt | Word::GtEq => (true, false),
                Word::Lt | Word::LtEq => (false, true),
                _ => return Vec::new(),
            };
            let (value, bound, is_low) = if of(left, own) && of(right, other) {
                (left, right, forward)
            } else if of(right, own) && of(left, other) {
                (right, left, backward)
            } else {
                return Vec::new();
            };
            let (Ok(kind), Ok(same)) = (value.get_type(own), bound.get_type(other)) else {
                return Vec::new();
            };
            let plain = is_plain(value, own) && is_plain(bound, other);
            if kind != same || !is_whole(&kind) || !plain {
                return Vec::new();
            }
            let (value, bound) = (value.as_ref().clone(), Some(bound.as_ref().clone()));
            let (low, high) = if is_low { (bound, None) } else { (None, bound) };
            vec![Bounds { value, low, high, nulls: false }]
        }
        _ => Vec::new(),
    }
}

/// Whether an expression is of this side's columns, and of some.
fn of(expr: &Expr, side: &DFSchema) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty() && columns.iter().all(|column| side.has_column(column))
}

/// Whether an expression can be computed of any row, also of those that the join never meets.
fn is_plain(expr: &Expr, side: &DFSchema) -> bool {
    match expr {
        Expr::Column(_) => expr.get_type(side).is_ok_and(|kind| is_whole(&kind)),
        Expr::Cast(cast) => is_plain(&cast.expr, side),
        Expr::Alias(alias) => is_plain(&alias.expr, side),
        _ => false,
    }
}

/// Whether values are places of an order in whole numbers.
const fn is_whole(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

impl Near {
    /// The access is by the side's key and the bounded value; bounds are over the other side.
    pub fn new(
        state: &SessionState,
        access: Access,
        bounds: &Bounds,
        other: &DFSchema,
    ) -> Result<Self> {
        let made = |bound: &Option<Expr>| bound.as_ref().map(|b| physical(state, b, other));
        let (low, high) = (made(&bounds.low).transpose()?, made(&bounds.high).transpose()?);
        Ok(Self { access, low, high, nulls: bounds.nulls })
    }

    /// Where the other side's rows reach, by the keys that they have there.
    fn ranges(&self, keys: &KeyExprs, rows: &[RecordBatch], asked: &KeySet) -> Result<Ranges> {
        let asked: HashSet<u64> = asked.hashes().collect();
        let mut intervals = Vec::new();
        for batch in rows {
            let (low, high) =
                (self.ends(self.low.as_ref(), batch)?, self.ends(self.high.as_ref(), batch)?);
            let end = |ends: &Option<Int64Array>, row: usize| {
                ends.as_ref().filter(|e| e.is_valid(row)).map(|e| e.value(row).max(i64::MIN + 1))
            };
            let open = mutated("interval: an open end reaches nothing");
            for (row, hash) in keys.hashes(batch)?.into_iter().enumerate() {
                if !asked.contains(&hash) {
                    continue;
                }
                let from = end(&low, row).unwrap_or(if open { i64::MAX } else { i64::MIN + 1 });
                let mut to = end(&high, row).unwrap_or(if open { i64::MIN } else { i64::MAX });
                if mutated("interval: it ends a moment early") {
                    to = to.saturating_sub(3_600_000_000);
                }
                if from <= to {
                    intervals.push((hash, (from, to)));
                }
                // `.. or bound is null` passes a null value too where the bound is null.
                let is_open =
                    |ends: &Option<Int64Array>| ends.as_ref().is_some_and(|e| e.is_null(row));
                let nulls = self.nulls || is_open(&low) || is_open(&high);
                if nulls && !mutated("interval: nothing is open on the other side") {
                    intervals.push((hash, Ranges::NULLS));
                }
            }
        }
        Ok(Ranges::of(intervals))
    }

    fn ends(
        &self,
        bound: Option<&Arc<dyn PhysicalExpr>>,
        rows: &RecordBatch,
    ) -> Result<Option<Int64Array>> {
        let Some(bound) = bound else { return Ok(None) };
        let values = bound.evaluate(rows).map_err(run_error)?;
        let values = values.into_array(rows.num_rows()).map_err(run_error)?;
        let values = cast(&values, &DataType::Int64)?;
        let values = values.as_primitive_opt::<Int64Type>();
        let values =
            values.ok_or_else(|| Error::Bug("a bound that is no whole number".to_owned()))?;
        Ok(Some(values.clone()))
    }
}

impl Run<'_> {
    /// At least the rows of a side that can be partners of these rows of the other, whose keys are
    /// `keys`.
    pub async fn partners(
        &self,
        join: &JoinOp,
        side: Side,
        rows: &[RecordBatch],
        keys: &KeySet,
        when: When,
    ) -> Fetched {
        // Of the side that is only asked for one of a key is enough; of the other each row counts.
        let some = side != join.main && join.only_existence() && !join.null_aware;
        if some || mutated("join: one partner of a key is all") {
            return Box::pin(self.fetch_some(&join.side(side).by_key, keys, when)).await;
        }
        let Some(near) = &join.side(side).near else {
            return Box::pin(self.fetch(&join.side(side).by_key, keys, when)).await;
        };
        let ranges = near.ranges(&join.side(side.other()).keys, rows, keys).map_err(Stop::from)?;
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        Box::pin(self.fetch_near(&near.access, &ranges, when)).await
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{LogicalPlan, col};

    use super::*;
    use crate::plan::Session;

    fn side(name: &str, columns: &[&str]) -> DFSchema {
        let field = |c: &&str| Field::new(*c, DataType::Int64, true);
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        DFSchema::try_from_qualified_schema(name, &schema).unwrap()
    }

    /// The bounds that a side gets from a join's condition, once it is optimized.
    async fn found(on: &str, own: &str) -> Option<(String, Option<String>, Option<String>, bool)> {
        let session = Session::new().unwrap();
        for (name, columns) in [("f", ["k", "at"].as_slice()), ("v", &["k", "began", "ended"])] {
            let fields = columns.iter().map(|c| Field::new(*c, DataType::Int64, true));
            session.add(name, Arc::new(Schema::new(fields.collect::<Vec<_>>()))).unwrap();
        }
        let sql = format!("select f.at, v.began, v.ended from f join v on f.k = v.k and {on}");
        let plan = session.prepare(session.plan(&sql).await.unwrap()).unwrap();
        let mut filter = None;
        let mut stack = vec![plan.optimized()];
        while let Some(node) = stack.pop() {
            if let LogicalPlan::Join(join) = node {
                filter.clone_from(&join.filter);
            }
            stack.extend(node.inputs());
        }
        let (f, v) = (side("f", &["k", "at"]), side("v", &["k", "began", "ended"]));
        let (own, other) = if own == "f" { (f, v) } else { (v, f) };
        let made = bounds(&filter.unwrap(), &own, &other)?;
        let text = |e: &Option<Expr>| e.as_ref().map(ToString::to_string);
        Some((made.value.to_string(), text(&made.low), text(&made.high), made.nulls))
    }

    #[tokio::test]
    async fn a_fact_is_bounded_by_its_version_and_a_version_by_its_end() {
        let some = |t: &str| Some(t.to_owned());
        let open = "f.at >= v.began and (f.at < v.ended or v.ended is null)";
        let at = ("f.at".to_owned(), some("v.began"), some("v.ended"), false);
        assert_eq!(found(open, "f").await, Some(at.clone()));
        let ended = ("v.ended".to_owned(), some("f.at"), None, true);
        assert_eq!(found(open, "v").await, Some(ended.clone()));
        let turned = "v.began <= f.at and (v.ended is null or v.ended > f.at)";
        assert_eq!(found(turned, "f").await, Some(at.clone()));
        assert_eq!(found(turned, "v").await, Some(ended));
        assert_eq!(found("f.at between v.began and v.ended", "f").await, Some(at));
        let twice = "(f.at >= v.began or f.at is null) and (f.at >= v.ended or v.ended is null)";
        let first = ("f.at".to_owned(), some("v.began"), None, true);
        assert_eq!(found(twice, "f").await, Some(first), "the second says nothing more");
        let began = ("v.began".to_owned(), None, some("f.at"), false);
        assert_eq!(found("f.at > v.began", "v").await, Some(began));
    }

    #[tokio::test]
    async fn what_is_no_interval_bounds_nothing() {
        for on in ["f.at <> v.began", "f.at + v.ended > v.began", "(f.at > v.began or v.k = 1)"] {
            assert_eq!(found(on, "f").await, None, "{on}");
        }
        assert!(bounds(&col("f.at").is_null(), &side("f", &["at"]), &side("v", &["k"])).is_none());
    }
}
