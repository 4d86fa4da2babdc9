//! A model's plan as maintenance sees it: operators with what each needs to follow its inputs.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchemaRef, JoinType};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use super::canonical::Order;
use super::interval::Near;
use super::keys::KeyExprs;
use super::near::RangeKey;
use super::obstacle::Construct;
use super::operator::Operator;
use super::reach::Reach;
use super::stored::Relations;
use super::timed::TimedOp;
use super::totals::Totals;

/// Nodes, inputs first; the last but not always only root is `root`.
#[derive(Debug)]
pub(super) struct Nodes {
    pub nodes: Vec<Node>,
    pub root: usize,
}

impl Nodes {
    /// Whether each changed row is looked at, and nothing else.
    pub fn is_row_by_row(&self) -> bool {
        let mut ops = self.nodes.iter().map(|node| &node.op);
        ops.all(|op| match op {
            Op::Scan { .. } | Op::Constant(_) | Op::Filter { .. } | Op::Project { .. } => true,
            Op::Rename { .. } | Op::Union { .. } | Op::Unnest { .. } => true,
            Op::Timed(_) | Op::Join(_) | Op::Aggregate(_) | Op::Window(_) | Op::Whole(_) => false,
        })
    }

    /// Rows that entered and left each of the relations that are read, in the order of their names.
    pub fn changed_rows(&self, relations: &dyn Relations) -> Vec<u64> {
        let scans = self.nodes.iter().filter_map(|node| match &node.op {
            Op::Scan { relation, .. } => Some(relation.as_str()),
            _ => None,
        });
        let names: BTreeSet<&str> = scans.collect();
        let rows = |name| relations.change(name).map_or(0, |change| change.len() as u64);
        names.into_iter().map(rows).collect()
    }
}

/// One operator. Its inputs stand before it in the list of nodes.
#[derive(Debug)]
pub(super) struct Node {
    /// Its output as the planner names it.
    pub schema: DFSchemaRef,
    /// The same as Arrow has it, each column nullable.
    pub columns: SchemaRef,
    /// What it does.
    pub op: Op,
    /// Short, for people.
    pub label: String,
}

/// What an operator does.
#[derive(Debug)]
pub(super) enum Op {
    /// Reads columns of a relation.
    Scan { relation: String, columns: Vec<usize>, whole: DFSchemaRef },
    /// Rows that never change.
    Constant(Operator),
    /// Keeps some rows.
    Filter { input: usize, predicate: Arc<dyn PhysicalExpr> },
    /// Keeps rows by the epoch's time.
    Timed(Box<TimedOp>),
    /// Computes columns, row by row.
    Project { input: usize, exprs: Vec<Arc<dyn PhysicalExpr>>, logical: Vec<Expr> },
    /// Gives columns other names.
    Rename { input: usize },
    /// All rows of all inputs.
    Union { inputs: Vec<usize> },
    /// A row for each element of a list.
    Unnest { input: usize, operator: Operator, plain: Vec<Option<usize>> },
    /// Rows of one input with those of another.
    Join(Box<JoinOp>),
    /// One row a group.
    Aggregate(Box<AggregateOp>),
    /// Columns over the rows of a partition.
    Window(Box<WindowOp>),
    /// What has no local key: any change can reach every row.
    Whole(Box<WholeOp>),
}

/// An operator over all rows of its inputs.
#[derive(Debug)]
pub(super) struct WholeOp {
    pub inputs: Vec<usize>,
    /// How each input is sorted first; not at all where its order decides nothing.
    pub orders: Vec<Order>,
    pub operator: Operator,
    pub why: Construct,
}

/// One of a join's two inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// A join: linear in its main side, by key in the other.
#[derive(Debug)]
pub(super) struct JoinOp {
    pub left: JoinInput,
    pub right: JoinInput,
    pub kind: JoinType,
    /// The side whose rows each give their own rows, whatever its other rows are.
    pub main: Side,
    /// Whether null equals null.
    pub null_equal: bool,
    /// `not in`: a null on the other side empties it.
    pub null_aware: bool,
    /// Whether more than the equality decides who are partners.
    pub filtered: bool,
    pub operator: Operator,
}

/// One side of a join.
#[derive(Debug)]
pub(super) struct JoinInput {
    pub node: usize,
    pub keys: KeyExprs,
    pub by_key: Access,
    /// The same with an interval, where the join asks for one.
    pub near: Option<Near>,
}

impl JoinOp {
    /// Whether it only asks if there is a partner of an equal key, not which or how many.
    pub fn only_existence(&self) -> bool {
        let asks = !matches!(
            self.kind,
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
        );
        asks && !self.filtered && !self.left.keys.is_everything()
    }

    pub const fn side(&self, side: Side) -> &JoinInput {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}

/// A grouping: its groups' rows are those with one value of `groups`.
#[derive(Debug)]
pub(super) struct AggregateOp {
    pub input: usize,
    pub groups: KeyExprs,
    pub by_group: Access,
    /// Group columns in the output.
    pub width: usize,
    pub operator: Operator,
    /// Whether the result depends on the order of rows, which is then made one.
    pub ordered: bool,
    /// Signed partials, where its functions have them.
    pub totals: Option<Totals>,
    /// Rows of a group below which whoever reads this leaves it out.
    pub least: Option<usize>,
}

impl AggregateOp {
    /// Whether an access to its input finds whole groups by their whole key, in its order.
    pub fn by_whole_group(&self, input: &Access) -> bool {
        input.same_as(&self.by_group)
    }
}

impl Access {
    /// The same with an order as the last part of its key; `None` where it is not by one index.
    pub fn ordered(&self) -> Option<Self> {
        match self {
            Self::Index { node, index } => {
                Some(Self::Range { node: *node, index: RangeKey::new(index)? })
            }
            Self::Through { node, input } => {
                Some(Self::Through { node: *node, input: Box::new(input.ordered()?) })
            }
            _ => None,
        }
    }

    /// Whether two accesses are by the same index of the same node, through the same operators.
    fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Index { node: a, index: x }, Self::Index { node: b, index: y }) => {
                a == b && x.name == y.name
            }
            (Self::Through { node: a, input: x }, Self::Through { node: b, input: y })
            | (Self::Within { node: a, input: x }, Self::Within { node: b, input: y }) => {
                a == b && x.same_as(y)
            }
            _ => false,
        }
    }
}

/// Window functions over one partitioning.
#[derive(Debug)]
pub(super) struct WindowOp {
    pub input: usize,
    pub partition: KeyExprs,
    pub by_partition: Access,
    /// Where a change reaches but the rows near it: how far, and how these are found.
    pub near: Option<(Reach, Access)>,
    /// Sorts the input before it runs, so that ties have one order.
    pub order: Vec<(usize, arrow::compute::SortOptions)>,
    pub operator: Operator,
}

/// How the rows of a node with certain keys are found.
#[derive(Debug, Clone)]
pub(super) enum Access {
    /// By an index over a relation.
    Index { node: usize, index: KeyExprs },
    /// By an index over a relation, within ranges of an order.
    Range { node: usize, index: RangeKey },
    /// By the same keys of its only input.
    Through { node: usize, input: Box<Access> },
    /// By the same keys of each input.
    Union { node: usize, inputs: Vec<Access> },
    /// Some parts of the key on one side, whose join keys find the other side.
    Join { node: usize, first: Side, by: Box<Access>, parts: Vec<usize>, check: KeyExprs },
    /// Whole groups or partitions.
    Within { node: usize, input: Box<Access> },
    /// Rows of the input, whose partitions are then read whole.
    Partitions { node: usize, rows: Box<Access>, check: KeyExprs },
    /// By reading everything.
    Everything { node: usize, check: KeyExprs, why: Construct },
}
