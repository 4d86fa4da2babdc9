//! One model in one epoch: what was computed so far, and how much was read for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::delta::Delta;
use super::node::Op;
use super::stored::{Relations, Stored, When};
use super::totals::Parts;
use super::{Nodes, mutated};
use crate::error::Error;
use crate::plan::Session;

/// Why maintenance did not come to an end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The change reaches more than it is worth: recompute in full.
    Full(String),
    /// It failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Stop {
    pub fn full(why: impl Into<String>) -> Self {
        Self::Full(why.into())
    }

    pub fn bug() -> Self {
        Self::Failed(Error::Bug("an access to a node of another kind".to_owned()))
    }
}

/// The state of one run.
pub(super) struct Run<'a> {
    pub plan: &'a Nodes,
    pub session: &'a Session,
    pub relations: &'a dyn Relations,
    deltas: Mutex<HashMap<usize, Arc<Delta>>>,
    settled: Mutex<HashMap<usize, Arc<Delta>>>,
    moved: Mutex<HashMap<(usize, u128), (Parts, Parts)>>,
    reached: AtomicU64,
    /// Those of them that were read to be remembered.
    primed: AtomicU64,
    limit: u64,
    priming: AtomicBool,
    remembers: bool,
    /// Times of the epoch before and of this one, microseconds since 1970 UTC.
    times: (i64, i64),
}

/// While it lives, rows read are not held against the run's limit.
pub(super) struct Priming<'a> {
    flag: &'a AtomicBool,
    before: bool,
}

impl Drop for Priming<'_> {
    fn drop(&mut self) {
        self.flag.store(self.before, Ordering::Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Run<'a> {
    /// A relation's rows, which whoever runs this must have: a missing one would count as empty.
    pub fn stored(&self, relation: &str) -> Result<&'a dyn Stored, Stop> {
        let missing = || Error::Bug(format!("the relation \"{relation}\" is read and not given"));
        self.relations.stored(relation).ok_or_else(|| missing().into())
    }

    pub fn new(
        plan: &'a Nodes,
        session: &'a Session,
        relations: &'a dyn Relations,
        times: (i64, i64),
        limit: u64,
    ) -> Self {
        Self {
            times,
            plan,
            session,
            relations,
            deltas: Mutex::default(),
            settled: Mutex::default(),
            moved: Mutex::default(),
            reached: AtomicU64::new(0),
            primed: AtomicU64::new(0),
            limit,
            priming: AtomicBool::new(false),
            remembers: true,
        }
    }

    /// A run that reads every row and nothing that was remembered.
    pub fn from_rows(plan: &'a Nodes, session: &'a Session, relations: &'a dyn Relations) -> Self {
        let now = session.time_us();
        Self { remembers: false, ..Self::new(plan, session, relations, (now, now), u64::MAX) }
    }

    /// Something at the time of a moment.
    pub fn at_time<T>(
        &self,
        when: When,
        then: impl FnOnce() -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        if when == When::Before { self.session.at_time(self.times.0, then) } else { then() }
    }

    /// Whether partials of groups may be used.
    pub fn uses_totals(&self) -> bool {
        self.remembers
    }

    pub fn known(&self, node: usize) -> Option<Arc<Delta>> {
        locked(&self.deltas).get(&node).cloned()
    }

    pub fn remember(&self, node: usize, delta: Delta) -> Arc<Delta> {
        let delta = Arc::new(delta);
        locked(&self.deltas).insert(node, delta.clone());
        delta
    }

    pub fn known_settled(&self, node: usize) -> Option<Arc<Delta>> {
        locked(&self.settled).get(&node).cloned()
    }

    pub fn remember_settled(&self, node: usize, delta: Delta) -> Arc<Delta> {
        let delta = Arc::new(delta);
        locked(&self.settled).insert(node, delta.clone());
        delta
    }

    /// Counts rows read; too many, and a full recompute is cheaper.
    pub fn reached(&self, rows: usize) -> Result<(), Stop> {
        let rows = rows as u64;
        self.reached.fetch_add(rows, Ordering::Relaxed);
        if self.priming.load(Ordering::Relaxed) {
            self.primed.fetch_add(rows, Ordering::Relaxed);
            return Ok(());
        }
        if self.reached_too_much() {
            return Err(Stop::full(format!("the change reaches more than {} rows", self.limit)));
        }
        Ok(())
    }

    /// Whether that is more than it is worth.
    pub fn reached_too_much(&self) -> bool {
        let primed = self.primed.load(Ordering::Relaxed);
        self.rows_reached().saturating_sub(primed) > self.limit
    }

    /// Rows read so far.
    pub fn rows_reached(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }

    /// Rows that are read once, to be remembered, are no measure of what a change reaches.
    pub fn priming(&self) -> Priming<'_> {
        let before = self.priming.swap(true, Ordering::Relaxed);
        Priming { flag: &self.priming, before }
    }

    pub fn moved_group(&self, node: usize, group: u128, before: &Parts, after: &Parts) {
        locked(&self.moved).insert((node, group), (before.clone(), after.clone()));
    }

    /// A group's partials before and after, if this run came across it.
    pub fn moved(&self, node: usize, group: u128) -> Option<(Parts, Parts)> {
        locked(&self.moved).get(&(node, group)).cloned()
    }

    /// Makes the groups' new partials those that the next run finds.
    pub fn keep_totals(&self) {
        for ((node, group), (before, after)) in locked(&self.moved).drain() {
            if let Op::Aggregate(op) = &self.plan.nodes[node].op
                && let Some(totals) = &op.totals
            {
                let stale = mutated("totals: a moved group is remembered as it was");
                totals.remember(group, if stale { &before } else { &after });
            }
        }
    }
}
