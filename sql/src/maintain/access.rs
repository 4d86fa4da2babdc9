//! How a restriction to some keys commutes with the operators below it, down to the scans.
//!
//! The locality rule: a restriction may pass an operator only where evaluating the operator over
//! restricted inputs gives exactly the restricted output. Where it may not, everything is read.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::keys::KeyExprs;
use super::node::{Access, Node, Op, Side};
use super::obstacle::Construct;
use crate::error::Result;
use crate::plan::clock::reads_time;

/// Finds accesses over nodes that were already made.
pub(super) struct Finder<'a> {
    pub state: &'a SessionState,
    pub nodes: &'a [Node],
    pub plans: &'a [LogicalPlan],
}

impl Finder<'_> {
    /// How the rows of `node` are found by the values of `key`, expressions over its columns.
    pub fn access(&self, node: usize, key: &[Expr]) -> Result<Access> {
        if key.is_empty() {
            return self.everything(node, key, Construct::GlobalAggregate);
        }
        if key.iter().any(reads_time) {
            return self.everything(node, key, Construct::Time);
        }
        let made = &self.nodes[node];
        match &made.op {
            Op::Scan { whole, .. } => {
                let index = KeyExprs::new(self.state, key, whole)?;
                Ok(Access::Index { node, index })
            }
            Op::Constant(_) => {
                let check = KeyExprs::new(self.state, key, &made.schema)?;
                Ok(Access::Everything { node, check, why: Construct::Other })
            }
            Op::Filter { input, .. } => {
                let found = self.through(node, *input, key, Some(key.to_vec()))?;
                self.narrowed(node, found)
            }
            Op::Timed(op) => self.through(node, op.input, key, Some(key.to_vec())),
            Op::Rename { input } => {
                self.through(node, *input, key, self.renamed(node, *input, key))
            }
            Op::Project { input, logical, .. } => {
                let inner = replaced(key, &made.schema, |i| logical.get(i).cloned());
                self.through(node, *input, key, inner)
            }
            Op::Unnest { input, plain, .. } => {
                let below = &self.nodes[*input].schema;
                let column = |i: usize| plain.get(i).copied().flatten().map(|at| column(below, at));
                self.through(node, *input, key, replaced(key, &made.schema, column))
            }
            Op::Union { inputs } => {
                let each = inputs.iter().map(|input| {
                    let key = self.renamed(node, *input, key).unwrap_or_default();
                    self.access(*input, &key)
                });
                Ok(Access::Union { node, inputs: each.collect::<Result<_>>()? })
            }
            Op::Join(join) => self.join(node, key, join.kind, [join.left.node, join.right.node]),
            Op::Aggregate(op) => {
                let LogicalPlan::Aggregate(plan) = &self.plans[node] else {
                    return self.everything(node, key, Construct::Other);
                };
                let group =
                    |i: usize| (i < op.width).then(|| plan.group_expr.get(i).cloned()).flatten();
                match replaced(key, &made.schema, group) {
                    Some(key) => {
                        let input = Box::new(self.access(op.input, &key)?);
                        Ok(Access::Within { node, input })
                    }
                    None => self.everything(node, key, Construct::DerivedKey),
                }
            }
            Op::Window(op) => self.window(node, key, op.input),
            Op::Whole(op) => self.everything(node, key, op.why),
        }
    }

    fn everything(&self, node: usize, key: &[Expr], why: Construct) -> Result<Access> {
        let check = KeyExprs::new(self.state, key, &self.nodes[node].schema)?;
        Ok(Access::Everything { node, check, why })
    }

    fn through(
        &self,
        node: usize,
        input: usize,
        key: &[Expr],
        inner: Option<Vec<Expr>>,
    ) -> Result<Access> {
        match inner {
            Some(inner) => {
                let input = Box::new(self.access(input, &inner)?);
                Ok(Access::Through { node, input })
            }
            None => self.everything(node, key, Construct::DerivedKey),
        }
    }

    /// A filter's rows by an index of these alone, where it asks for the little that is open or
    /// current of what grows with history.
    fn narrowed(&self, node: usize, found: Access) -> Result<Access> {
        let (Access::Through { input, .. }, LogicalPlan::Filter(filter)) =
            (&found, &self.plans[node])
        else {
            return Ok(found);
        };
        let Access::Index { node: scan, index } = input.as_ref() else { return Ok(found) };
        let Op::Scan { whole, .. } = &self.nodes[*scan].op else { return Ok(found) };
        let parts = split_conjunction(&filter.predicate).into_iter();
        let Some(only) = conjunction(parts.filter(|p| is_of_current(p)).cloned()) else {
            return Ok(found);
        };
        let only = if super::mutated("access: a filter's index has the other rows") {
            Expr::Not(Box::new(only))
        } else {
            only
        };
        let index = index.of_rows(self.state, &only, whole)?;
        let input = Box::new(Access::Index { node: *scan, index });
        Ok(Access::Through { node, input })
    }

    /// The key in the input's names: columns correspond by position.
    fn renamed(&self, node: usize, input: usize, key: &[Expr]) -> Option<Vec<Expr>> {
        let below = &self.nodes[input].schema;
        replaced(key, &self.nodes[node].schema, |i| Some(column(below, i)))
    }

    fn join(
        &self,
        node: usize,
        key: &[Expr],
        kind: JoinType,
        inputs: [usize; 2],
    ) -> Result<Access> {
        let schema = &self.nodes[node].schema;
        let check = KeyExprs::new(self.state, key, schema)?;
        let left_width = self.nodes[inputs[0]].schema.fields().len();
        for first in preferred(kind) {
            let (input, offset) = match (first, kind) {
                (Side::Left, _) => (inputs[0], 0),
                (Side::Right, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark) => {
                    (inputs[1], 0)
                }
                (Side::Right, _) => (inputs[1], left_width),
            };
            let below = &self.nodes[input].schema;
            let width = below.fields().len();
            let of_side =
                |i: usize| (i >= offset && i < offset + width).then(|| column(below, i - offset));
            // What a padded row has there must be null, so that it can be told from the others.
            let padded =
                pads(kind, *first) && !super::mutated("access: a padded side's value is its own");
            let mut parts = Vec::new();
            let mut rest = Vec::new();
            for (at, part) in key.iter().enumerate() {
                if part.column_refs().is_empty() || (padded && !is_strict(part)) {
                    continue;
                }
                if let Some(mut found) = replaced(std::slice::from_ref(part), schema, of_side) {
                    parts.push(at);
                    rest.append(&mut found);
                }
            }
            if !parts.is_empty() {
                let by = Box::new(self.access(input, &rest)?);
                return Ok(Access::Join { node, first: *first, by, parts, check });
            }
        }
        self.everything(node, key, Construct::DerivedKey)
    }

    fn window(&self, node: usize, key: &[Expr], input: usize) -> Result<Access> {
        let made = &self.nodes[node];
        let LogicalPlan::Window(plan) = &self.plans[node] else {
            return self.everything(node, key, Construct::Other);
        };
        let below = &self.nodes[input].schema;
        let width = below.fields().len();
        let of_input = |i: usize| (i < width).then(|| column(below, i));
        let Some(inner) = replaced(key, &made.schema, of_input) else {
            return self.everything(node, key, Construct::DerivedKey);
        };
        let by = common_partition(&plan.window_expr);
        let within = inner
            .iter()
            .flat_map(Expr::column_refs)
            .all(|c| by.iter().any(|p| matches!(p, Expr::Column(p) if p == c)));
        let access = self.access(input, &inner)?;
        if within || super::mutated("access: any key is a partition") {
            return Ok(Access::Within { node, input: Box::new(access) });
        }
        let check = KeyExprs::new(self.state, key, &made.schema)?;
        Ok(Access::Partitions { node, rows: Box::new(access), check })
    }
}

/// The sides by which a restricted join is entered, best first.
const fn preferred(kind: JoinType) -> &'static [Side] {
    match kind {
        JoinType::Inner => &[Side::Left, Side::Right],
        JoinType::Left => &[Side::Left, Side::Right],
        JoinType::Right => &[Side::Right, Side::Left],
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => &[Side::Left],
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => &[Side::Right],
        JoinType::Full => &[],
    }
}

/// Whether a join gives rows that have nulls in place of this side's columns.
pub(super) const fn pads(kind: JoinType, side: Side) -> bool {
    matches!((kind, side), (JoinType::Left, Side::Right) | (JoinType::Right, Side::Left))
}

/// Whether a condition is one by which current rows are told from history: a flag, or no end yet.
fn is_of_current(condition: &Expr) -> bool {
    match condition {
        Expr::Column(_) => true,
        Expr::Not(of) | Expr::IsNull(of) | Expr::IsTrue(of) | Expr::IsNotTrue(of) => {
            matches!(of.as_ref(), Expr::Column(_))
        }
        _ => false,
    }
}

/// Whether it is null where its column is.
pub(super) fn is_strict(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_strict(&alias.expr),
        Expr::Cast(cast) => is_strict(&cast.expr),
        _ => false,
    }
}

/// The partition expressions that all of a window's functions share.
pub(super) fn common_partition(windows: &[Expr]) -> Vec<Expr> {
    let mut shared: Option<Vec<Expr>> = None;
    for window in windows {
        let Expr::WindowFunction(call) = super::unaliased_ref(window) else { return Vec::new() };
        let by = &call.params.partition_by;
        shared = Some(match shared {
            None => by.clone(),
            Some(before) => before.into_iter().filter(|e| by.contains(e)).collect(),
        });
    }
    shared.unwrap_or_default()
}

fn column(schema: &DFSchema, at: usize) -> Expr {
    let (qualifier, field) = schema.qualified_field(at);
    Expr::Column(Column::new(qualifier.cloned(), field.name()))
}

/// The key with each column replaced by what `of` says of its position; `None` where it says none.
fn replaced(
    key: &[Expr],
    schema: &DFSchema,
    of: impl Fn(usize) -> Option<Expr>,
) -> Option<Vec<Expr>> {
    let mut whole = true;
    let made = key
        .iter()
        .map(|part| {
            part.clone().transform_up(|e| {
                let Expr::Column(c) = &e else { return Ok(Transformed::no(e)) };
                let found = schema.maybe_index_of_column(c).and_then(&of);
                match found {
                    Some(found) => Ok(Transformed::yes(super::unaliased(found))),
                    None => {
                        whole = false;
                        Ok(Transformed::no(e))
                    }
                }
            })
        })
        .map(|t| t.map(|t| t.data))
        .collect::<datafusion::error::Result<Vec<_>>>();
    made.ok().filter(|_| whole)
}
