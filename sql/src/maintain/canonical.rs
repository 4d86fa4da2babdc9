//! One order where SQL leaves the order open, so that any way to the rows gives the same bits.
//!
//! Sums of floats depend on the order in which they are added, `row_number()` on how ties fall. Both
//! a full recompute and a maintained group sort such rows by everything they have; rows that are
//! equal in everything can't be told apart by any query.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, LogicalPlan, Projection, Window, WindowFrameUnits,
    WindowFunctionDefinition,
};

use crate::error::Result;

/// Columns to sort by, and how.
pub(super) type Order = Vec<(usize, SortOptions)>;

/// Functions that give the same for their rows in any order, floats apart.
const ORDERLESS: [&str; 16] = [
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "mean",
    "bool_and",
    "bool_or",
    "bit_and",
    "bit_or",
    "bit_xor",
    "median",
    "approx_distinct",
    "grouping",
    "every",
    "any",
];
/// Functions of a row's place among those of its partition: frames and peers mean nothing to them.
const PLACED: [&str; 4] = ["row_number", "ntile", "lag", "lead"];

/// Whether an aggregate's result depends on the order of its rows.
pub(super) fn depends_on_order(node: &Aggregate) -> bool {
    node.aggr_expr.iter().any(|e| match super::unaliased_ref(e) {
        Expr::AggregateFunction(call) => call_depends_on_order(call, node),
        _ => true,
    })
}

fn call_depends_on_order(call: &AggregateFunction, node: &Aggregate) -> bool {
    let name = call.func.name();
    let adds = matches!(name, "sum" | "avg" | "mean");
    !ORDERLESS.contains(&name)
        || (adds && call.params.args.iter().any(|a| float_of(a, node.input.schema())))
}

/// How a window's input is sorted before it runs: by its partition and order, then by all the rest.
/// Empty where peers decide nothing: its functions give the same in any order of ties.
pub(super) fn window_order(node: &Window) -> Order {
    let schema = node.input.schema();
    if !node.window_expr.iter().any(|e| depends_on_peers(super::unaliased_ref(e), node)) {
        return Vec::new();
    }
    let mut order: Order = Vec::new();
    let mut add = |e: &Expr, options: SortOptions| -> Option<()> {
        // A time that is counted in whole numbers is ordered as before.
        let e = if let Expr::Cast(cast) = e { cast.expr.as_ref() } else { e };
        let Expr::Column(c) = e else { return None };
        let at = schema.maybe_index_of_column(c)?;
        if !order.iter().any(|(known, _)| *known == at) {
            order.push((at, options));
        }
        Some(())
    };
    let first = node.window_expr.first().map(super::unaliased_ref);
    if let Some(Expr::WindowFunction(call)) = first {
        for by in &call.params.partition_by {
            let _ = add(by, SortOptions::default());
        }
        for by in &call.params.order_by {
            let options = SortOptions { descending: !by.asc, nulls_first: by.nulls_first };
            let _ = add(&by.expr, options);
        }
    }
    for at in 0..schema.fields().len() {
        if !order.iter().any(|(known, _)| *known == at) {
            order.push((at, SortOptions::default()));
        }
    }
    order
}

/// Whether a function over a range or groups of peers depends on the order among them.
fn depends_on_peers(expr: &Expr, node: &Window) -> bool {
    let Expr::WindowFunction(call) = expr else { return true };
    if call.params.window_frame.units == WindowFrameUnits::Rows {
        return call.params.args.iter().any(|a| float_of(a, node.input.schema()));
    }
    match &call.fun {
        WindowFunctionDefinition::WindowUDF(f) => {
            matches!(f.name(), "first_value" | "last_value" | "nth_value")
        }
        WindowFunctionDefinition::AggregateUDF(f) => {
            !ORDERLESS.contains(&f.name())
                || call.params.args.iter().any(|a| float_of(a, node.input.schema()))
        }
    }
}

fn float_of(expr: &Expr, schema: &DFSchema) -> bool {
    let kind = expr.get_type(schema);
    kind.map_or(true, |k| matches!(k, DataType::Float16 | DataType::Float32 | DataType::Float64))
}

/// The plan with ties broken wherever a function counts rows rather than values.
pub(crate) fn break_ties(plan: LogicalPlan) -> Result<LogicalPlan> {
    let broken = plan.transform_up(|node| match node {
        LogicalPlan::Window(window) => Ok(Transformed::yes(with_places(window)?)),
        LogicalPlan::Aggregate(node) => {
            let columns: Vec<Expr> = node.input.schema().iter().map(Expr::from).collect();
            let calls = node.aggr_expr.iter().map(|e| collected(e, &columns)).collect();
            let made = Aggregate::try_new(node.input, node.group_expr, calls)?;
            Ok(Transformed::yes(LogicalPlan::Aggregate(made)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(broken.data)
}

/// A window node with ties broken. A node is sorted for its first call alone: where breaking them gave
/// its calls more orders than one, each order has a node of its own.
fn with_places(node: Window) -> datafusion::error::Result<LogicalPlan> {
    let schema = node.input.schema();
    let mut columns: Vec<Expr> = schema.iter().map(Expr::from).collect();
    let mut orders: Vec<Vec<Expr>> = Vec::new();
    for call in &node.window_expr {
        let call = super::numbers::counted(&placed(call, &columns), schema);
        match orders.iter_mut().find(|of| order_of(&of[0]) == order_of(&call)) {
            Some(of) => of.push(call),
            None => orders.push(vec![call]),
        }
    }
    // What is sorted by a longer order is sorted for one that it begins with.
    orders.sort_by_key(|of| std::cmp::Reverse(order_of(&of[0]).map_or(0, |(_, by)| by.len())));
    let mixed = orders.len() > 1;
    columns.extend(node.schema.iter().skip(schema.fields().len()).map(Expr::from));
    let mut plan = node.input;
    for calls in orders {
        plan = Arc::new(LogicalPlan::Window(Window::try_new(calls, plan)?));
    }
    if mixed {
        return Ok(LogicalPlan::Projection(Projection::try_new(columns, plan)?));
    }
    Ok(Arc::unwrap_or_clone(plan))
}

/// What a window call is divided and ordered by.
fn order_of(call: &Expr) -> Option<(&[Expr], &[Sort])> {
    let Expr::WindowFunction(call) = super::unaliased_ref(call) else { return None };
    Some((&call.params.partition_by, &call.params.order_by))
}

/// A window call over an order without ties, under its old name.
fn placed(expr: &Expr, columns: &[Expr]) -> Expr {
    let Expr::WindowFunction(call) = super::unaliased_ref(expr) else { return expr.clone() };
    let WindowFunction { fun, params } = call.as_ref();
    let name = match fun {
        WindowFunctionDefinition::WindowUDF(f) => f.name().to_owned(),
        WindowFunctionDefinition::AggregateUDF(f) => f.name().to_owned(),
    };
    let by_rows = params.window_frame.units == WindowFrameUnits::Rows;
    let ranks = matches!(name.as_str(), "rank" | "dense_rank" | "percent_rank" | "cume_dist");
    if ranks || !(PLACED.contains(&name.as_str()) || by_rows) {
        return expr.clone();
    }
    let mut call = call.as_ref().clone();
    let known: Vec<Expr> = call.params.order_by.iter().map(|s| s.expr.clone()).collect();
    let rest =
        columns.iter().filter(|c| !known.contains(c) && !call.params.partition_by.contains(c));
    let rest: Vec<_> = rest.map(|c| c.clone().sort(true, false)).collect();
    call.params.order_by.extend(rest);
    under_its_name(expr, Expr::WindowFunction(Box::new(call)))
}

/// An aggregate call with `order by` over an order without ties, under its old name.
fn collected(expr: &Expr, columns: &[Expr]) -> Expr {
    let Expr::AggregateFunction(call) = super::unaliased_ref(expr) else { return expr.clone() };
    if call.params.order_by.is_empty() {
        return expr.clone();
    }
    let mut call = call.clone();
    let known: Vec<Expr> = call.params.order_by.iter().map(|s| s.expr.clone()).collect();
    let rest = columns.iter().filter(|c| !known.contains(c));
    let rest: Vec<_> = rest.map(|c| c.clone().sort(true, false)).collect();
    call.params.order_by.extend(rest);
    under_its_name(expr, Expr::AggregateFunction(call))
}

pub(super) fn under_its_name(before: &Expr, after: Expr) -> Expr {
    let (qualifier, name) = before.qualified_name();
    let renamed = after.qualified_name();
    if renamed == (qualifier.clone(), name.clone()) {
        return after;
    }
    after.alias_qualified(qualifier, name)
}

/// All rows as one batch, sorted by these columns.
pub(super) fn sorted(
    rows: &[RecordBatch],
    schema: &SchemaRef,
    order: &[(usize, SortOptions)],
) -> Result<RecordBatch> {
    let all = concat_batches(schema, rows)?;
    let fields = order.iter().map(|(c, options)| {
        SortField::new_with_options(schema.field(*c).data_type().clone(), *options)
    });
    let converter = RowConverter::new(fields.collect())?;
    let columns: Vec<_> = order.iter().map(|(c, _)| all.column(*c).clone()).collect();
    let keys = converter.convert_columns(&columns)?;
    let mut places: Vec<u32> = (0..u32::try_from(all.num_rows()).unwrap_or(u32::MAX)).collect();
    places.sort_unstable_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
    Ok(take_record_batch(&all, &UInt32Array::from(places))?)
}

/// Every column, ascending.
pub(super) fn every_column(schema: &SchemaRef) -> Order {
    (0..schema.fields().len()).map(|c| (c, SortOptions::default())).collect()
}
