//! How far the rows of a window see: a distance along its order, or a number of rows on either side.
//!
//! It must never call a reach bounded where a value depends on more of its partition than that.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Window, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};

use super::near::RangeKey;
use super::{mutated, unaliased_ref};

/// Of more rows it is no neighbourhood.
const ROWS_MAX: usize = 1_000;

/// How far a row of a window sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// Back and forward, in units of the order.
    Distance(i64, i64),
    /// So many rows on either side.
    Rows(usize),
}

/// A window's reach along its order.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub key: RangeKey,
    pub span: Span,
}

impl Span {
    /// As far as either sees; `None` where they are told in different units.
    fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Distance(a, b), Self::Distance(c, d)) => {
                Some(Self::Distance(a.max(c), b.max(d)))
            }
            (Self::Rows(a), Self::Rows(b)) => Some(Self::Rows(a.max(b))),
            _ => None,
        }
    }

    /// What all of a window's functions see, if it has a bound; with the first part of the order.
    pub fn of(node: &Window) -> Option<(Expr, Self)> {
        let mut found: Option<(Expr, Self)> = None;
        for expr in &node.window_expr {
            let Expr::WindowFunction(call) = unaliased_ref(expr) else { return None };
            if !is_exact(call, node) {
                return None;
            }
            let order = &call.params.order_by.first()?.expr;
            let kind = order.get_type(node.input.schema().as_ref()).ok()?;
            let seen = of_range(call, &kind).or_else(|| of_rows(call, &kind))?;
            found = Some(match found {
                None => (order.clone(), seen),
                Some((by, known)) if by == *order => (by, known.and(seen)?),
                Some(_) => return None,
            });
        }
        found
    }
}

/// What a frame of a range of the only order sees.
fn of_range(call: &WindowFunction, kind: &DataType) -> Option<Span> {
    let WindowFunctionDefinition::AggregateUDF(_) = &call.fun else { return None };
    let [order] = call.params.order_by.as_slice() else { return None };
    let (before, after) = bounds(&call.params.window_frame, kind)?;
    let forward = order.asc || mutated("range: a falling order rises");
    let (before, after) = if forward { (before, after) } else { (after, before) };
    Some(Span::Distance(before, after))
}

/// What a frame of rows sees, along an order of whole numbers.
fn of_rows(call: &WindowFunction, kind: &DataType) -> Option<Span> {
    let whole = match kind {
        DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
        DataType::Timestamp(unit, _) => *unit == TimeUnit::Microsecond,
        _ => false,
    };
    let rows = rows_seen(call).filter(|rows| whole && *rows <= ROWS_MAX)?;
    Some(Span::Rows(rows))
}

/// Aggregates that give a frame the same value whatever frames came before it.
const EXACT: [&str; 11] = [
    "count",
    "min",
    "max",
    "sum",
    "avg",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "first_value",
    "last_value",
];

/// Whether a call says the same of its frame alone. A float that slides keeps what was added before:
/// its last bits depend on the whole partition, which must be run then.
fn is_exact(call: &WindowFunction, node: &Window) -> bool {
    let WindowFunctionDefinition::AggregateUDF(f) = &call.fun else { return true };
    let adds = matches!(f.name(), "sum" | "avg");
    let float = |e: &Expr| {
        let kind = e.get_type(node.input.schema().as_ref());
        kind.map_or(true, |kind| kind.is_floating())
    };
    EXACT.contains(&f.name()) && !(adds && call.params.args.iter().any(float))
}

fn rows_seen(call: &WindowFunction) -> Option<usize> {
    if let WindowFunctionDefinition::WindowUDF(f) = &call.fun {
        match f.name() {
            "lag" | "lead" => return offset(call),
            "first_value" | "last_value" | "nth_value" => {}
            _ => return None,
        }
    }
    let WindowFrame { units: WindowFrameUnits::Rows, start_bound, end_bound, .. } =
        &call.params.window_frame
    else {
        return None;
    };
    Some(rows_to(start_bound)?.max(rows_to(end_bound)?))
}

/// How far `lag` and `lead` look.
fn offset(call: &WindowFunction) -> Option<usize> {
    if call.params.null_treatment == Some(NullTreatment::IgnoreNulls) {
        return None;
    }
    match call.params.args.get(1).map(unaliased_ref) {
        None => Some(1),
        Some(Expr::Literal(ScalarValue::Int64(Some(by)), _)) => {
            usize::try_from(by.unsigned_abs()).ok()
        }
        Some(_) => None,
    }
}

fn rows_to(bound: &WindowFrameBound) -> Option<usize> {
    match bound {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => match by {
            ScalarValue::UInt64(Some(by)) => usize::try_from(*by).ok(),
            _ => None,
        },
    }
}

/// How far a range frame goes back and forward, in units of the order; `None` where it has no bound.
fn bounds(frame: &WindowFrame, kind: &DataType) -> Option<(i64, i64)> {
    if frame.units != WindowFrameUnits::Range {
        return None;
    }
    let before = match &frame.start_bound {
        WindowFrameBound::Preceding(by) => distance(by, kind)?,
        WindowFrameBound::CurrentRow => 0,
        WindowFrameBound::Following(_) => return None,
    };
    let after = match &frame.end_bound {
        WindowFrameBound::Following(by) => distance(by, kind)?,
        WindowFrameBound::CurrentRow => 0,
        WindowFrameBound::Preceding(_) => return None,
    };
    Some((before, after))
}

/// A distance below zero looks the other way, and a day is no number of hours where clocks are moved.
fn distance(by: &ScalarValue, kind: &DataType) -> Option<i64> {
    let far = match (by, kind) {
        (
            ScalarValue::IntervalMonthDayNano(Some(v)),
            DataType::Timestamp(TimeUnit::Microsecond, zone),
        ) if v.months == 0 && (v.days == 0 || has_even_days(zone.as_deref())) => {
            // A remainder of nanoseconds lies between two places of the order: one more is enough.
            let micros = v.nanoseconds.div_euclid(1000) + i64::from(v.nanoseconds % 1000 != 0);
            i64::from(v.days).checked_mul(86_400_000_000)?.checked_add(micros)
        }
        (ScalarValue::Int64(Some(v)), DataType::Int64) => Some(*v),
        (ScalarValue::Int32(Some(v)), DataType::Int32) => Some(i64::from(*v)),
        _ => None,
    };
    far.filter(|far| *far >= 0)
}

fn has_even_days(zone: Option<&str>) -> bool {
    matches!(zone, None | Some("UTC" | "Z" | "+00:00" | "+00"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    use datafusion::logical_expr::LogicalPlan;

    use super::*;
    use crate::plan::Session;

    async fn rows(call: &str) -> Option<usize> {
        let session = Session::new().unwrap();
        let kinds = [("k", DataType::Int64), ("t", DataType::Int64), ("x", DataType::Float64)];
        let mut fields: Vec<Field> = kinds.map(|(n, kind)| Field::new(n, kind, true)).to_vec();
        fields.push(Field::new("d", DataType::Decimal128(12, 2), true));
        session.add("r", Arc::new(Schema::new(fields))).unwrap();
        let sql = format!("select {call} as c from r");
        let query = session.prepare(session.plan(&sql).await.unwrap()).unwrap();
        let mut found = None;
        let walked = query.optimized().apply(|node| {
            if let LogicalPlan::Window(window) = node {
                found = match Span::of(window) {
                    Some((_, Span::Rows(rows))) => Some(rows),
                    _ => None,
                };
            }
            Ok(TreeNodeRecursion::Continue)
        });
        walked.unwrap();
        found
    }

    #[tokio::test]
    async fn only_what_a_frame_alone_decides_has_a_reach() {
        let by = "over (partition by k order by t";
        let framed = format!("{by} rows between 3 preceding and 1 following)");
        for (call, wanted) in [
            (format!("lag(x) {by})"), Some(1)),
            (format!("lead(x, 4) {by})"), Some(4)),
            (format!("lag(x, -2) {by} desc)"), Some(2)),
            (format!("max(x) {framed}"), Some(3)),
            (format!("sum(d) {framed}"), Some(3)),
            (format!("first_value(x) {framed}"), Some(3)),
            // What slides over floats remembers what it slid over.
            (format!("sum(x) {framed}"), None),
            (format!("stddev(d) {framed}"), None),
            (format!("sum(d) {by})"), None),
            (format!("row_number() {by})"), None),
            ("lag(k) over (partition by t order by x)".to_owned(), None),
        ] {
            assert_eq!(rows(&call).await, wanted, "{call}");
        }
    }
}
