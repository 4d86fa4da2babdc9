//! Signed partials: what a large group adds up to, moved by its changes instead of read again.
//!
//! A group's state is its row count and one whole number for each sum, count, minimum and maximum.
//! Counts and sums take additions and retractions; a retracted minimum or maximum sends its group
//! back to its rows. State is derived: a group that is not known is computed from its rows, before
//! and after the epoch, so states may be forgotten at any time. Floats are never added up here.

use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan};
use hashbrown::HashMap;

use super::mutated;
use super::operator::Operator;
use super::parts::{Build, Kind, Output, column_of, value_of, whole_numbers};
use crate::error::Result;
use crate::plan::Session;
use crate::rows::RowHasher;

/// Groups of fewer rows are read again: that costs less than remembering them.
pub(super) const REMEMBERED_ROWS_MIN: i128 = if cfg!(test) { 2 } else { 32 };
/// Groups remembered at a time, by one aggregate.
const REMEMBERED_MAX: usize = 1_000_000;

/// A group's parts; the first is its row count.
pub(super) type Parts = Box<[i128]>;

/// Partials of some groups: each with a row of `keys` that says which group it is.
#[derive(Debug, Default)]
pub(super) struct Partials {
    pub keys: Vec<RecordBatch>,
    pub of: HashMap<u128, (usize, usize, Parts)>,
}

impl Partials {
    /// Of one group, else those of no rows.
    pub fn parts<'p>(&'p self, group: u128, none: &'p Parts) -> &'p Parts {
        self.of.get(&group).map_or(none, |(_, _, parts)| parts)
    }
}

/// The partials of one aggregate.
#[derive(Debug)]
pub(super) struct Totals {
    operator: Operator,
    width: usize,
    keys: SchemaRef,
    hasher: RowHasher,
    pub kinds: Vec<Kind>,
    outputs: Vec<(Output, DataType)>,
    state: Mutex<HashMap<u128, Parts>>,
}

impl Totals {
    /// `None` where a function has no exact signed partial.
    pub async fn new(session: &Session, node: &Aggregate) -> Result<Option<Self>> {
        // Groups of floats are told apart in other ways by each who hashes them: both zeros, nans.
        let schema = node.input.schema().as_ref();
        if node.group_expr.iter().any(|e| e.get_type(schema).map_or(true, |t| t.is_floating())) {
            return Ok(None);
        }
        let mut build = Build::new(node);
        for (at, expr) in node.aggr_expr.iter().enumerate() {
            let made = node.schema.field(node.group_expr.len() + at).data_type().clone();
            let Expr::AggregateFunction(call) = super::unaliased_ref(expr) else { return Ok(None) };
            if !build.call(call, made)? {
                return Ok(None);
            }
        }
        let parts = Aggregate::try_new(node.input.clone(), node.group_expr.clone(), build.exprs)?;
        let width = node.group_expr.len();
        let fields = node.schema.fields().iter().take(width);
        let fields: Vec<Field> = fields
            .enumerate()
            .map(|(i, f)| Field::new(format!("g{i}"), f.data_type().clone(), true))
            .collect();
        let keys: SchemaRef = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
        Ok(Some(Self {
            operator: Operator::new(session, &LogicalPlan::Aggregate(parts)).await?,
            width,
            hasher: RowHasher::new(&keys, (0..width).collect()),
            keys,
            kinds: build.kinds,
            outputs: build.outputs,
            state: Mutex::default(),
        }))
    }

    /// Whether a retraction can make a group's rows be read again.
    pub fn has_extrema(&self) -> bool {
        self.kinds.iter().any(|k| *k != Kind::Sum)
    }

    /// Adds rows up, group by group.
    pub async fn partials(&self, session: &Session, rows: &[RecordBatch]) -> Result<Partials> {
        let mut made = Partials::default();
        if rows.iter().all(|r| r.num_rows() == 0) {
            return Ok(made);
        }
        for batch in self.operator.run(session, &[rows]).await? {
            let keys = RecordBatch::try_new_with_options(
                self.keys.clone(),
                batch.columns()[..self.width].to_vec(),
                &arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
            )?;
            let columns = batch.columns()[self.width..]
                .iter()
                .map(whole_numbers)
                .collect::<Result<Vec<Vec<i128>>>>()?;
            for (row, key) in self.hasher.hashes(&keys)?.into_iter().enumerate() {
                let parts = columns.iter().map(|c| c[row]).collect();
                made.of.insert(key, (made.keys.len(), row, parts));
            }
            made.keys.push(keys);
        }
        Ok(made)
    }

    /// Which of these groups, given as columns, are among the wanted ones.
    pub fn groups_among(
        &self,
        columns: &[ArrayRef],
        wanted: &hashbrown::HashSet<u128>,
    ) -> Result<Vec<bool>> {
        let keys = RecordBatch::try_new(self.keys.clone(), columns.to_vec())?;
        Ok(self.hasher.hashes(&keys)?.into_iter().map(|g| wanted.contains(&g)).collect())
    }

    /// Keys as rows of group columns.
    pub fn group_rows(&self, keys: &super::keys::KeySet) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(self.keys.clone(), keys.columns().to_vec())?)
    }

    /// The groups of these rows of group columns.
    pub fn groups(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        self.hasher.hashes(rows)
    }

    /// What is remembered of a group.
    pub fn remembered(&self, group: u128) -> Option<Parts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).get(&group).cloned()
    }

    /// Remembers a group as it is now; a small or vanished one is forgotten.
    pub fn remember(&self, group: u128, parts: &Parts) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if parts[0] < REMEMBERED_ROWS_MIN {
            if mutated("totals: a group that became small stays as it was") {
                return;
            }
            state.remove(&group);
            return;
        }
        if state.len() >= REMEMBERED_MAX && !state.contains_key(&group) {
            *state = HashMap::new();
        }
        state.insert(group, parts.clone());
    }

    /// Forgets every group.
    pub fn forget(&self) {
        if mutated("totals: nothing is ever forgotten") {
            return;
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::new();
    }

    /// Bytes of what is remembered, about.
    pub fn held_bytes(&self) -> usize {
        let groups = self.state.lock().unwrap_or_else(PoisonError::into_inner).capacity();
        groups * (size_of::<(u128, Parts)>() + 1 + self.kinds.len() * size_of::<i128>())
    }

    /// The group of every row, where there is no other.
    pub const fn everything(&self) -> u128 {
        0
    }

    /// A group without rows.
    pub fn none(&self) -> Parts {
        vec![0; self.kinds.len()].into()
    }

    /// The state after a change, or `None` where the group's rows must be read: a row that held its
    /// minimum or maximum went away.
    pub fn moved(&self, before: &Parts, plus: &Parts, minus: &Parts) -> Option<Parts> {
        let mut after = before.clone();
        for (at, kind) in self.kinds.iter().enumerate() {
            let (count, smaller) = match kind {
                Kind::Sum => {
                    let less = if mutated("totals: a retraction adds") {
                        minus[at].wrapping_neg()
                    } else {
                        minus[at]
                    };
                    after[at] = before[at].wrapping_add(plus[at]).wrapping_sub(less);
                    continue;
                }
                Kind::Min { count } => (*count, true),
                Kind::Max { count } => (*count, false),
            };
            let smaller = smaller != mutated("totals: a minimum is a maximum");
            let better = |a: i128, b: i128| if smaller { a <= b } else { a >= b };
            let held = before[count] > 0;
            let best = match (held, plus[count] > 0) {
                (true, true) if better(plus[at], before[at]) => plus[at],
                (true, _) => before[at],
                (false, _) => plus[at],
            };
            let lost = minus[count] > 0 && better(minus[at], best);
            if lost && !mutated("totals: a retracted extremum stays") {
                return None;
            }
            after[at] = best;
        }
        Some(after)
    }

    /// The state before a change, from the one after it; only without extrema.
    pub fn undone(&self, after: &Parts, plus: &Parts, minus: &Parts) -> Parts {
        let (plus, minus) = if mutated("totals: an undone change is done twice") {
            (minus, plus)
        } else {
            (plus, minus)
        };
        let mut before = after.clone();
        for (at, part) in before.iter_mut().enumerate() {
            *part = part.wrapping_sub(plus[at]).wrapping_add(minus[at]);
        }
        before
    }

    /// Output rows of these groups: each with its group's row in some batch of keys.
    pub fn rows(
        &self,
        schema: &SchemaRef,
        keys: &[&RecordBatch],
        groups: &[(usize, usize, &Parts)],
    ) -> Result<RecordBatch> {
        if groups.is_empty() {
            return Ok(RecordBatch::new_empty(schema.clone()));
        }
        let places: Vec<(usize, usize)> = groups.iter().map(|(b, r, _)| (*b, *r)).collect();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for at in 0..self.width {
            let parts: Vec<&dyn Array> = keys.iter().map(|k| k.column(at).as_ref()).collect();
            columns.push(arrow::compute::interleave(&parts, &places)?);
        }
        for (output, kind) in &self.outputs {
            let values = groups.iter().map(|(_, _, parts)| value_of(*output, parts));
            columns.push(column_of(values.collect(), kind)?);
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}
