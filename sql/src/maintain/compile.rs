//! From a model's optimized plan to nodes that can follow changes.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, LogicalPlan, TableScan, Unnest, Window,
};

use super::access::{Finder, common_partition};
use super::beside;
use super::canonical;
use super::interval::{self, Near};
use super::keys::{KeyExprs, physical};
use super::least;
use super::leaves;
use super::near::RangeKey;
use super::node::{Access, AggregateOp, JoinInput, JoinOp, Node, Op, Side, WindowOp};
use super::obstacle::Construct;
use super::operator::{Operator, nullable};
use super::reach::{Reach, Span};
use super::rewrite;
use super::timed::{self, Bound, TimedOp};
use super::totals::Totals;
use crate::error::Result;
use crate::plan::Session;
use crate::plan::clock::reads_time;
use crate::plan::live::{is_relation, reads_other};

/// Makes nodes, inputs before what reads them; equal plans are one node.
pub(super) struct Compiler<'a> {
    pub(super) session: &'a Session,
    pub nodes: Vec<Node>,
    pub plans: Vec<LogicalPlan>,
    known: HashMap<LogicalPlan, usize>,
}

impl<'a> Compiler<'a> {
    pub fn new(session: &'a Session) -> Self {
        Self { session, nodes: Vec::new(), plans: Vec::new(), known: HashMap::new() }
    }

    /// The node of a plan and of everything below it.
    pub async fn node(&mut self, plan: &LogicalPlan) -> Result<usize> {
        if let Some(known) = self.known.get(plan) {
            return Ok(*known);
        }
        if let LogicalPlan::Sort(sort) = plan
            && sort.fetch.is_none()
        {
            return Box::pin(self.node(&sort.input)).await;
        }
        if let LogicalPlan::Subquery(inner) = plan {
            return Box::pin(self.node(&inner.subquery)).await;
        }
        if let LogicalPlan::Join(join) = plan
            && join.join_type == JoinType::Full
        {
            let split = rewrite::split_full(join)?;
            return Box::pin(self.node(&split)).await;
        }
        if let Some(without) = rewrite::rows_without_partner(plan)? {
            return Box::pin(self.node(&without)).await;
        }
        let op = if let Some((why, parts)) = leaves::unit(plan)? {
            self.unit(plan, why, &parts).await?
        } else {
            let mut inputs = Vec::new();
            for input in plan.inputs() {
                inputs.push(Box::pin(self.node(input)).await?);
            }
            if let (LogicalPlan::Filter(filter), [input]) = (plan, inputs.as_mut_slice()) {
                *input = self.groups_kept(filter, *input).await?;
            }
            self.op(plan, &inputs).await?
        };
        let node = self.nodes.len();
        self.nodes.push(Node {
            schema: plan.schema().clone(),
            columns: nullable(plan.schema()),
            op,
            label: label(plan),
        });
        self.plans.push(plan.clone());
        if !reads_other(plan) {
            self.known.insert(plan.clone(), node);
        }
        Ok(node)
    }

    async fn op(&self, plan: &LogicalPlan, inputs: &[usize]) -> Result<Op> {
        let state = self.session.state();
        match plan {
            LogicalPlan::TableScan(scan) if is_relation(scan) => scan_op(scan),
            // A table function's rows are those of its literals.
            LogicalPlan::TableScan(_) | LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
                Ok(Op::Constant(Operator::new(self.session, plan).await?))
            }
            LogicalPlan::Filter(filter) => {
                if reads_time(&filter.predicate) {
                    return self.timed(plan, filter, inputs).await;
                }
                let predicate = physical(&state, &filter.predicate, filter.input.schema())?;
                Ok(Op::Filter { input: inputs[0], predicate })
            }
            LogicalPlan::Projection(project) => {
                let exprs = project.expr.iter();
                let exprs = exprs.map(|e| physical(&state, e, project.input.schema()));
                Ok(Op::Project {
                    input: inputs[0],
                    exprs: exprs.collect::<Result<_>>()?,
                    logical: project.expr.clone(),
                })
            }
            LogicalPlan::SubqueryAlias(_) => Ok(Op::Rename { input: inputs[0] }),
            LogicalPlan::Union(_) => Ok(Op::Union { inputs: inputs.to_vec() }),
            LogicalPlan::Unnest(unnest) => self.unnest(plan, unnest, inputs[0]).await,
            LogicalPlan::Join(join) => self.join(plan, join, inputs).await,
            LogicalPlan::Aggregate(node) => self.aggregate(node, inputs[0]).await,
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let every = input.schema().iter().map(Expr::from).collect::<Vec<_>>();
                let same = Aggregate::try_new(input.clone(), every, Vec::new())?;
                self.aggregate(&same, inputs[0]).await
            }
            LogicalPlan::Window(window) => self.window(window, inputs[0]).await,
            LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
                self.whole(plan, inputs, Construct::Limit).await
            }
            _ => self.whole(plan, inputs, Construct::Other).await,
        }
    }

    /// A filter on the epoch's time: by its bounds, where each is found by an order over a relation.
    async fn timed(&self, plan: &LogicalPlan, filter: &Filter, inputs: &[usize]) -> Result<Op> {
        let state = self.session.state();
        let schema = filter.input.schema();
        let mut made = Vec::new();
        for (value, time) in timed::bounds(filter).unwrap_or_default() {
            let key = [value];
            let order = RangeKey::new(&KeyExprs::new(&state, &key, schema)?);
            let found = self.finder(&state).access(inputs[0], &key)?.ordered();
            let Some((order, found)) = order.zip(found) else {
                return self.whole(plan, inputs, Construct::Time).await;
            };
            made.push(Bound::new(&state, order, found, &time, filter)?);
        }
        if made.is_empty() {
            return self.whole(plan, inputs, Construct::Time).await;
        }
        let predicate = physical(&state, &filter.predicate, schema)?;
        Ok(Op::Timed(Box::new(TimedOp { input: inputs[0], predicate, bounds: made })))
    }

    /// A grouping, as a filter reads it that keeps but groups of some rows: a node of its own.
    async fn groups_kept(&mut self, filter: &Filter, input: usize) -> Result<usize> {
        let LogicalPlan::Aggregate(plan) = filter.input.as_ref() else { return Ok(input) };
        let Op::Aggregate(known) = &self.nodes[input].op else { return Ok(input) };
        let Some(least) = least::rows_kept(&filter.predicate, plan) else { return Ok(input) };
        let Op::Aggregate(op) = self.aggregate(plan, known.input).await? else { return Ok(input) };
        let (schema, label) = (self.nodes[input].schema.clone(), self.nodes[input].label.clone());
        let (columns, op) = (nullable(&schema), AggregateOp { least: Some(least), ..*op });
        self.nodes.push(Node { schema, columns, op: Op::Aggregate(Box::new(op)), label });
        self.plans.push(filter.input.as_ref().clone());
        Ok(self.nodes.len() - 1)
    }

    fn finder<'f>(&'f self, state: &'f datafusion::execution::context::SessionState) -> Finder<'f> {
        Finder { state, nodes: &self.nodes, plans: &self.plans }
    }

    async fn unnest(&self, plan: &LogicalPlan, unnest: &Unnest, input: usize) -> Result<Op> {
        let taken: Vec<usize> = unnest
            .list_type_columns
            .iter()
            .map(|(at, _)| *at)
            .chain(unnest.struct_type_columns.iter().copied())
            .collect();
        let from = unnest.dependency_indices.iter();
        let plain = from.map(|at| (!taken.contains(at)).then_some(*at)).collect();
        let operator = Operator::new(self.session, plan).await?;
        Ok(Op::Unnest { input, operator, plain })
    }

    async fn join(&self, plan: &LogicalPlan, join: &Join, inputs: &[usize]) -> Result<Op> {
        let state = self.session.state();
        if join.filter.iter().any(reads_time) {
            return self.whole(plan, inputs, Construct::Time).await;
        }
        let side = |node: usize, other: usize, key: Vec<Expr>| -> Result<JoinInput> {
            let schema = &self.nodes[node].schema;
            let near = self.near(join, (node, &key), other)?;
            let access = if key.is_empty() {
                let check = KeyExprs::new(&state, &[], schema)?;
                Access::Everything { node, check, why: Construct::CrossJoin }
            } else {
                self.finder(&state).access(node, &key)?
            };
            let keys = KeyExprs::new(&state, &key, schema)?;
            Ok(JoinInput { node, keys, by_key: access, near })
        };
        let left = side(inputs[0], inputs[1], join.on.iter().map(|(l, _)| l.clone()).collect())?;
        let right = side(inputs[1], inputs[0], join.on.iter().map(|(_, r)| r.clone()).collect())?;
        let main = match join.join_type {
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                Side::Right
            }
            _ => Side::Left,
        };
        Ok(Op::Join(Box::new(JoinOp {
            left,
            right,
            kind: join.join_type,
            main,
            null_equal: join.null_equality == NullEquality::NullEqualsNull,
            null_aware: join.null_aware,
            filtered: join.filter.is_some(),
            operator: Operator::new(self.session, plan).await?,
        })))
    }

    /// One side of a join by its key and an interval, where the join asks for one.
    fn near(
        &self,
        join: &Join,
        (node, key): (usize, &[Expr]),
        other: usize,
    ) -> Result<Option<Near>> {
        let plain = join.null_equality == NullEquality::NullEqualsNothing && !join.null_aware;
        let Some(filter) = join.filter.as_ref().filter(|_| plain && !key.is_empty()) else {
            return Ok(None);
        };
        let (own, partner) = (&self.nodes[node].schema, &self.nodes[other].schema);
        let Some(bounds) = interval::bounds(filter, own, partner) else { return Ok(None) };
        let state = self.session.state();
        let mut key = key.to_vec();
        key.push(bounds.value.clone());
        let found = self.finder(&state).access(node, &key)?.ordered();
        found.map(|access| Near::new(&state, access, &bounds, partner)).transpose()
    }

    async fn aggregate(&self, node: &Aggregate, input: usize) -> Result<Op> {
        let state = self.session.state();
        let plan = LogicalPlan::Aggregate(node.clone());
        if node.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return self.whole(&plan, &[input], Construct::GroupingSets).await;
        }
        let groups = KeyExprs::new(&state, &node.group_expr, node.input.schema())?;
        let by_group = self.finder(&state).access(input, &node.group_expr)?;
        Ok(Op::Aggregate(Box::new(AggregateOp {
            input,
            groups,
            by_group,
            width: node.group_expr.len(),
            ordered: canonical::depends_on_order(node),
            totals: Totals::new(self.session, node).await?,
            least: None,
            operator: Operator::new(self.session, &plan).await?,
        })))
    }

    async fn window(&self, node: &Window, input: usize) -> Result<Op> {
        let state = self.session.state();
        let plan = LogicalPlan::Window(node.clone());
        let by = common_partition(&node.window_expr);
        if by.is_empty() {
            return self.whole(&plan, &[input], Construct::GlobalWindow).await;
        }
        let near = match Span::of(node) {
            Some((order, span)) => {
                let mut key = by.clone();
                key.push(order);
                let places = RangeKey::new(&KeyExprs::new(&state, &key, node.input.schema())?);
                let found = self.finder(&state).access(input, &key)?.ordered();
                let counts = |found: &Access| beside::passes_every_row(found, &self.nodes);
                let found = found.filter(|f| matches!(span, Span::Distance(..)) || counts(f));
                places.zip(found).map(|(key, found)| (Reach { key, span }, found))
            }
            None => None,
        };
        Ok(Op::Window(Box::new(WindowOp {
            input,
            near,
            partition: KeyExprs::new(&state, &by, node.input.schema())?,
            by_partition: self.finder(&state).access(input, &by)?,
            order: canonical::window_order(node),
            operator: Operator::new(self.session, &plan).await?,
        })))
    }
}

fn scan_op(scan: &TableScan) -> Result<Op> {
    use datafusion::common::DFSchema;
    let whole = scan.source.schema();
    let columns = scan.projection.clone().unwrap_or_else(|| (0..whole.fields().len()).collect());
    let whole = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &whole)?;
    let relation = scan.table_name.table().to_owned();
    Ok(Op::Scan { relation, columns, whole: Arc::new(whole) })
}

/// A node in a word or two.
fn label(plan: &LogicalPlan) -> String {
    match plan {
        LogicalPlan::TableScan(scan) if is_relation(scan) => {
            format!("scan {}", scan.table_name.table())
        }
        LogicalPlan::TableScan(scan) => format!("rows of {}", scan.table_name.table()),
        LogicalPlan::Projection(_) => "project".to_owned(),
        LogicalPlan::Filter(_) => "filter".to_owned(),
        LogicalPlan::SubqueryAlias(alias) => format!("as {}", alias.alias),
        LogicalPlan::Join(join) => format!("{} join", join.join_type.to_string().to_lowercase()),
        LogicalPlan::Aggregate(node) => {
            let by: Vec<String> = node.group_expr.iter().map(short).collect();
            format!("group by {}", by.join(", "))
        }
        LogicalPlan::Window(node) => {
            let by: Vec<String> = common_partition(&node.window_expr).iter().map(short).collect();
            format!("window by {}", by.join(", "))
        }
        LogicalPlan::Union(_) => "union all".to_owned(),
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => "constant rows".to_owned(),
        LogicalPlan::RecursiveQuery(query) => format!("recursive {}", query.name),
        LogicalPlan::Distinct(_) => "distinct".to_owned(),
        LogicalPlan::Unnest(_) => "unnest".to_owned(),
        LogicalPlan::Limit(_) => "limit".to_owned(),
        LogicalPlan::Sort(_) => "order by .. limit".to_owned(),
        other => other.display().to_string().chars().take(60).collect(),
    }
}

fn short(expr: &Expr) -> String {
    super::unaliased_ref(expr).to_string()
}
