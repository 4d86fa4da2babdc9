//! Windows over a number of rows: a change reaches the rows beside it, not its whole partition.
//!
//! Where a row sees at most `n` rows on either side, a changed row reaches the `n` rows before its
//! place and the `n` after it, and those see `n` more. Rows of one place are taken together, so that how
//! ties fall decides nothing here. Rows whose order is null lie at one end, whichever the query says: who
//! reaches an end reaches them. It must never be used where a filter stands between the window and its
//! relation: rows are counted in the relation.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Window, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};

use super::near::{FIRST, RangeKey, Ranges};
use super::node::{Access, Node, Op};
use super::run::{Run, Stop};
use super::stored::{Stored, When};
use super::{mutated, unaliased_ref};

/// Of more rows it is no neighbourhood.
const ROWS_MAX: usize = 1_000;
/// So many changed rows are always looked beside.
const CHANGED_MIN: usize = 256;
/// A look beside a row costs as much as reading so many rows of a partition.
const ROWS_A_LOOK: usize = 40;

/// How many rows on either side each row sees, if that has a bound; with the first part of the order.
pub(super) fn reach(node: &Window) -> Option<(Expr, usize)> {
    let (mut order, mut rows) = (None, 0);
    for expr in &node.window_expr {
        let Expr::WindowFunction(call) = unaliased_ref(expr) else { return None };
        let first = &call.params.order_by.first()?.expr;
        let whole = match first.get_type(node.input.schema().as_ref()).ok()? {
            DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
            DataType::Timestamp(unit, _) => unit == TimeUnit::Microsecond,
            _ => false,
        };
        if !whole || order.as_ref().is_some_and(|known| known != first) {
            return None;
        }
        order = Some(first.clone());
        if !is_exact(call, node) {
            return None;
        }
        rows = rows.max(rows_seen(call)?);
    }
    Some((order?, rows)).filter(|(_, rows)| *rows <= ROWS_MAX)
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
pub(super) fn is_exact(call: &WindowFunction, node: &Window) -> bool {
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
    Some(distance(start_bound)?.max(distance(end_bound)?))
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

fn distance(bound: &WindowFrameBound) -> Option<usize> {
    match bound {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => match by {
            ScalarValue::UInt64(Some(by)) => usize::try_from(*by).ok(),
            _ => None,
        },
    }
}

/// Whether every row of the relation below is a row that is found.
pub(super) fn passes_every_row(access: &Access, nodes: &[Node]) -> bool {
    match access {
        Access::Range { .. } => true,
        Access::Through { node, input } => {
            let passes = matches!(nodes[*node].op, Op::Project { .. } | Op::Rename { .. });
            passes && passes_every_row(input, nodes)
        }
        _ => false,
    }
}

impl Run<'_> {
    /// Whether looking beside so many changed rows costs less than reading the whole relation: where it
    /// does not, touched partitions cost less too.
    pub fn looks_beside(&self, access: &Access, changed: usize) -> Result<bool, Stop> {
        let (relation, _) = self.below(access)?;
        let rows = self.relations.stored(relation).map_or(0, Stored::rows);
        Ok(changed <= CHANGED_MIN || changed.saturating_mul(ROWS_A_LOOK) < rows)
    }

    /// The relation below, and its order.
    fn below<'a>(&'a self, access: &'a Access) -> Result<(&'a str, &'a RangeKey), Stop> {
        match access {
            Access::Through { input, .. } => self.below(input),
            Access::Range { node, index } => match &self.plan.nodes[*node].op {
                Op::Scan { relation, .. } => Ok((relation, index)),
                _ => Err(Stop::bug()),
            },
            _ => Err(Stop::bug()),
        }
    }

    /// The ranges, and so many rows on either side of each.
    pub fn with_rows_beside(
        &self,
        access: &Access,
        ranges: &Ranges,
        rows: usize,
    ) -> Result<Ranges, Stop> {
        let (relation, index) = self.below(access)?;
        let Some(stored) = self.relations.stored(relation) else { return Ok(ranges.clone()) };
        let each = ranges.iter().flat_map(|(hash, list)| list.iter().map(move |r| (hash, *r)));
        // Beside the nulls lie the rows at either end.
        let asked: Vec<(u64, (i64, i64))> = each
            .flat_map(|(hash, range)| match range {
                Ranges::NULLS => vec![(hash, (FIRST, FIRST)), (hash, (i64::MAX, i64::MAX))],
                range => vec![(hash, range)],
            })
            .collect();
        // One moment is enough: where a row that came lies between, it is a changed one and has a range of
        // its own, which touches this one.
        let beside = stored.beside(index, &asked, rows, When::After)?;
        let mut found = asked.clone();
        for ((_, wide), (from, to)) in found.iter_mut().zip(beside) {
            *wide = (wide.0.min(from), wide.1.max(to));
        }
        if mutated("rows beside: only those that follow") {
            found.iter_mut().zip(&asked).for_each(|((_, wide), (_, own))| wide.0 = own.0);
        }
        let mut all = Vec::with_capacity(found.len() * 2);
        for (hash, (from, to)) in found {
            let at_an_end = from == FIRST || to == i64::MAX;
            if at_an_end && !mutated("rows beside: an end is not beside the nulls") {
                all.push((hash, Ranges::NULLS));
            }
            all.push((hash, (from, to)));
        }
        Ok(Ranges::of(all))
    }
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
                found = reach(window).map(|(_, rows)| rows);
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
            (format!("avg(k) {framed}"), None),
            (format!("stddev(d) {framed}"), None),
            (format!("sum(d) {by})"), None),
            (format!("row_number() {by})"), None),
            (format!("lag(x) ignore nulls {by})"), None),
            ("lag(k) over (partition by t order by x)".to_owned(), None),
        ] {
            assert_eq!(rows(&call).await, wanted, "{call}");
        }
    }
}
