//! How a model's table follows its inputs.
//!
//! [`Maintained`] derives from a model's optimized plan how each operator follows a change: row by
//! row, by the keys a change touches, or by signed partials. What has no local key is recomputed in
//! full by [`recompute`], the rule that any other has to equal. [`images`] turns a snapshot's query
//! into one over every transaction's last image of a key.
//!
//! # The algebra
//!
//! A node's change is what it gives over the rows after the epoch less what it gave over the rows
//! before. Relations can be read by key at both moments, since what an epoch adds lies in files of
//! its own and what it removes is in its change; so no operator keeps rows of its own, and what is
//! remembered between epochs (partials of large groups) may be lost at any time.
//!
//! - Row by row: filters, projections, `union all`, unnest map both images of a change.
//! - Joins are linear in one side: its change meets the other side as it is after, and the other
//!   side's change meets this side's rows as they were before, found by the keys it touches.
//! - Groups, distinct rows and window partitions are those of the old and the new images; their rows
//!   are read at both moments, or their partials moved.
//! - Of a partition whose functions see a bounded distance ([`near`]) or number of rows ([`beside`]) only
//!   the rows that see a changed one are read, and those that they see: what a new version of a key
//!   costs does not grow with the versions before it.
//! - Of groups that a `having` drops since they have few rows nothing is read: tests of uniqueness ([`least`]).
//! - Whether a key has a partner is asked of one row, and rows that a flag or an open end tells from
//!   history are found by an index of these alone.
//! - What has no local key runs over all rows of its inputs, which are sorted first where their order
//!   decides ([`unkeyed`]); a recursion or a limit over a sort is one piece over the parts that are nodes
//!   again ([`leaves`]). Rows of no relation are constant.
//! - A restriction to keys passes down to the scans where it commutes with every operator on the
//!   way ([`access`]); from a join's one side it finds the other side's by their join keys.
//!
//! This differs from comparing with stored output rows: intermediate results have no stored rows,
//! and a change of one input then need not be a key of the output. The price is that a group's rows
//! are read twice; the classic error of mixing both moments is met by tests that mix them on purpose.

mod access;
mod beside;
pub(crate) mod canonical;
mod compile;
mod delta;
mod explain;
mod fetch;
pub mod images;
mod interval;
mod joins;
mod key_set;
pub mod keys;
mod least;
mod leaves;
pub mod make;
pub mod near;
mod node;
mod numbers;
mod obstacle;
mod operator;
mod overreach;
mod partials;
mod parts;
pub mod place;
mod reach;
pub mod recompute;
mod rewrite;
mod rowwise;
mod run;
pub mod stored;
mod timed;
mod totals;
mod unkeyed;
mod whole;
mod windows;

#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;

use crate::change::ChangeBatch;
use crate::error::{Error, Result};
use crate::lineage::timing;
use crate::plan::{Prepared, Session, types};
use crate::rows::RowHasher;

pub use explain::{Cost, Explained, InputMode};
pub use obstacle::Construct;

use fetch::one_batch;
use node::Nodes;
use overreach::Overreach;
use run::{Run, Stop};
use stored::{Relations, When};

/// A query whose result follows the changes of what it reads.
#[derive(Debug)]
pub struct Maintained {
    plan: Nodes,
    query: Prepared,
    /// Whether its full recompute goes node by node: it depends on the order of rows, or can't be
    /// planned in one piece.
    ordered: bool,
    /// Whether values or keys depend on the epoch's time: nothing tells what changes with it.
    by_time: bool,
    overreach: Overreach,
}

/// What maintenance made of an epoch.
#[derive(Debug)]
pub enum Outcome {
    /// The change, not compared with stored rows; and how many rows were read for it.
    Change(ChangeBatch, u64),
    /// It reaches too much: the reason.
    Full(String),
}

impl Maintained {
    /// Derives how a prepared query is maintained.
    pub async fn new(session: &Session, query: &Prepared) -> Result<Self> {
        let mut compiler = compile::Compiler::new(session);
        let root = compiler.node(query.optimized()).await?;
        let ordered = compiler.nodes.iter().any(|n| match &n.op {
            node::Op::Aggregate(op) => op.ordered,
            node::Op::Window(op) => !op.order.is_empty(),
            node::Op::Whole(op) => op.orders.iter().any(|order| !order.is_empty()),
            _ => false,
        });
        // DataFusion's own checks refuse some sorts below unions that it planned itself.
        let ordered = ordered || session.physical(query.optimized()).await.is_err();
        let plan = Nodes { nodes: compiler.nodes, root };
        let by_time = timing(query.optimized())?.unfollowed;
        Ok(Self { plan, query: query.clone(), ordered, by_time, overreach: Overreach::default() })
    }

    /// The change of the result in this epoch, whose time the session's clock says; `before_us` is that
    /// of the epoch before. At most `limit` rows are read for it.
    pub async fn change(
        &self,
        session: &Session,
        relations: &dyn Relations,
        hasher: &RowHasher,
        before_us: i64,
        limit: u64,
    ) -> Result<Outcome> {
        if self.by_time && !mutated("time: a value with the time in it stays") {
            self.forget();
            return Ok(Outcome::Full(Construct::Time.name().to_owned()));
        }
        let changed = self.plan.changed_rows(relations);
        if self.overreach.is_expected(&changed, limit) {
            self.forget();
            return Ok(Outcome::Full(format!("changes like it reached more than {limit} rows")));
        }
        let run = Run::new(&self.plan, session, relations, (before_us, session.time_us()), limit);
        let made = run.delta(self.plan.root).await;
        self.overreach.learn(&changed, limit, run.reached_too_much());
        let made = match made {
            Ok(made) => made,
            Err(Stop::Full(why)) => {
                self.forget();
                return Ok(Outcome::Full(why));
            }
            Err(Stop::Failed(error)) => return Err(error),
        };
        run.keep_totals();
        let schema = self.query.schema();
        let stored = |rows: &[RecordBatch]| -> Result<RecordBatch> {
            let rows = one_batch(rows, &self.plan.nodes[self.plan.root].columns)?;
            types::conform(&rows, &schema)
        };
        let change = ChangeBatch { removed: stored(&made.removed)?, added: stored(&made.added)? };
        Ok(Outcome::Change(change.consolidate(hasher)?, run.rows_reached()))
    }

    /// The whole result, as it is after the epoch.
    pub async fn whole(
        &self,
        session: &Session,
        relations: &dyn Relations,
    ) -> Result<Vec<RecordBatch>> {
        let run = Run::from_rows(&self.plan, session, relations);
        match run.all(self.plan.root, When::After).await {
            Ok(rows) => rows.iter().map(|b| types::conform(b, &self.query.schema())).collect(),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Full(why)) => Err(Error::Bug(format!("a full recompute ended: {why}"))),
        }
    }

    /// Whether its full recompute must be [`Maintained::whole`], so that order decides nothing.
    pub fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Whether its full recompute gives the same rows in any number of partitions.
    pub fn is_wide(&self) -> bool {
        !self.ordered && !self.plan.nodes.iter().any(|n| matches!(n.op, node::Op::Whole(_)))
    }

    /// Whether each changed row is looked at, and nothing else.
    pub fn is_row_by_row(&self) -> bool {
        self.plan.is_row_by_row()
    }

    /// Forgets what it remembers between epochs: after any epoch that did not run it.
    pub fn forget(&self) {
        self.totals().for_each(totals::Totals::forget);
    }

    /// Bytes of what it remembers, about.
    pub fn held_bytes(&self) -> usize {
        self.totals().map(totals::Totals::held_bytes).sum()
    }

    fn totals(&self) -> impl Iterator<Item = &totals::Totals> {
        self.plan.nodes.iter().filter_map(|node| match &node.op {
            node::Op::Aggregate(op) => op.totals.as_ref(),
            _ => None,
        })
    }
}

fn run_error(error: DataFusionError) -> Error {
    Error::failed_nowhere(error.strip_backtrace())
}

/// What an expression computes, under whatever name.
fn unaliased(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(alias) => unaliased(*alias.expr),
        other => other,
    }
}

fn unaliased_ref(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased_ref(&alias.expr),
        other => other,
    }
}

/// Whether the maintenance is broken in this way: tests break it in every way there is and look
/// whether the proof sees it. Never anywhere else.
#[cfg(test)]
fn mutated(way: &str) -> bool {
    tests::mutations::is_active(way)
}

#[cfg(not(test))]
const fn mutated(_: &str) -> bool {
    false
}
