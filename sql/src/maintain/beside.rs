//! Windows over a number of rows: a change reaches the rows beside it, not its whole partition.
//!
//! Where a row sees at most `n` rows on either side, a changed row reaches the `n` rows before its
//! place and the `n` after it, before the epoch and after it, and those see `n` more. Rows of one place
//! are taken together, so that how ties fall decides nothing here. Rows whose order is null lie at
//! one end, whichever the query says: who reaches an end reaches them. It must never be used where a
//! filter stands between the window and its relation: rows are counted in the relation.

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
        rows = rows.max(rows_seen(call)?);
    }
    Some((order?, rows)).filter(|(_, rows)| *rows <= ROWS_MAX)
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
        let mut moments = vec![When::Before, When::After];
        if mutated("rows beside: those before the epoch are not asked") {
            moments.remove(0);
        }
        if mutated("rows beside: those after the epoch are not asked") {
            moments.truncate(1);
        }
        let mut found = asked.clone();
        for when in moments {
            let beside = stored.beside(index, &asked, rows, when)?;
            for ((_, wide), (from, to)) in found.iter_mut().zip(beside) {
                *wide = (wide.0.min(from), wide.1.max(to));
            }
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
