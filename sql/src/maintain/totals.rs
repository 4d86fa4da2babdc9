//! Signed partials: what a large group adds up to, moved by its changes instead of read again.
//!
//! A group's state is its row count and one whole number for each sum, count, minimum and maximum.
//! Counts and sums take additions and retractions; a retracted minimum or maximum sends its group
//! back to its rows. State is derived: a group that is not known is computed from its rows, before
//! and after the epoch, so states may be forgotten at any time. Floats are never added up here.

use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, SchemaRef};
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, lit};
use hashbrown::HashMap;

use super::operator::Operator;
use crate::error::{Error, Result};
use crate::plan::Session;
use crate::rows::RowHasher;

/// Groups of fewer rows are read again: that costs less than remembering them.
const REMEMBERED_ROWS_MIN: i128 = 32;
/// Groups remembered at a time, by one aggregate.
const REMEMBERED_MAX: usize = 1_000_000;

/// How one output column follows from parts.
#[derive(Debug, Clone, Copy)]
enum Output {
    /// The part itself.
    Count(usize),
    /// A sum, minimum or maximum, null where the count beside it is zero.
    Value { part: usize, count: usize },
    /// A decimal average: the sum times 10 to the `shift`, over the count.
    Average { part: usize, count: usize, shift: u32 },
}

/// How a part takes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sum,
    Min { count: usize },
    Max { count: usize },
}

/// A group's parts; the first is its row count.
pub(super) type Parts = Box<[i128]>;

/// Partials of some groups: each with a row of `keys` that says which group it is.
#[derive(Debug, Default)]
pub(super) struct Partials {
    pub keys: Vec<RecordBatch>,
    pub of: HashMap<u128, (usize, usize, Parts)>,
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
        let mut build = Build { node, exprs: vec![named(count(lit(1i64)), 0)], kinds: vec![Kind::Sum], outputs: Vec::new() };
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
            state.remove(&group);
            return;
        }
        if state.len() >= REMEMBERED_MAX && !state.contains_key(&group) {
            state.clear();
        }
        state.insert(group, parts.clone());
    }

    /// Forgets every group.
    pub fn forget(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
                    let less = if super::mutated("totals: a retraction adds") {
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
            let better = |a: i128, b: i128| if smaller { a <= b } else { a >= b };
            let held = before[count] > 0;
            let best = match (held, plus[count] > 0) {
                (true, true) if better(plus[at], before[at]) => plus[at],
                (true, _) => before[at],
                (false, _) => plus[at],
            };
            let lost = minus[count] > 0 && better(minus[at], best);
            if lost && !super::mutated("totals: a retracted extremum stays") {
                return None;
            }
            after[at] = best;
        }
        Some(after)
    }

    /// The state before a change, from the one after it; only without extrema.
    pub fn undone(&self, after: &Parts, plus: &Parts, minus: &Parts) -> Parts {
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

fn value_of(output: Output, parts: &Parts) -> Option<i128> {
    match output {
        Output::Count(part) => Some(parts[part]),
        Output::Value { part, count } => (parts[count] > 0).then(|| parts[part]),
        Output::Average { part, count, shift } => (parts[count] > 0)
            .then(|| parts[part].wrapping_mul(10i128.pow(shift)).wrapping_div(parts[count])),
    }
}

struct Build<'a> {
    node: &'a Aggregate,
    exprs: Vec<Expr>,
    kinds: Vec<Kind>,
    outputs: Vec<(Output, DataType)>,
}

impl Build<'_> {
    /// Adds what a call needs; `false` where it has no exact partial.
    fn call(&mut self, call: &AggregateFunction, made: DataType) -> Result<bool> {
        let params = &call.params;
        if params.distinct || !params.order_by.is_empty() || params.args.len() != 1 {
            return Ok(false);
        }
        let arg = params.args[0].clone();
        let kind = arg.get_type(self.node.input.schema().as_ref())?;
        let filter = params.filter.clone();
        let name = call.func.name();
        if name == "count" {
            let part = self.part(count(arg), filter, Kind::Sum)?;
            self.outputs.push((Output::Count(part), made));
            return Ok(true);
        }
        if !is_whole(&kind) || !is_whole(&made) {
            return Ok(false);
        }
        let counted = self.part(count(arg.clone()), filter.clone(), Kind::Sum)?;
        let output = match (name, &kind, &made) {
            ("sum", _, _) => {
                let part = self.part(sum(arg), filter, Kind::Sum)?;
                Output::Value { part, count: counted }
            }
            ("min", _, _) => {
                let part = self.part(min(arg), filter, Kind::Min { count: counted })?;
                Output::Value { part, count: counted }
            }
            ("max", _, _) => {
                let part = self.part(max(arg), filter, Kind::Max { count: counted })?;
                Output::Value { part, count: counted }
            }
            ("avg" | "mean", DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => {
                let Ok(shift) = u32::try_from(to - from) else { return Ok(false) };
                let part = self.part(sum(arg), filter, Kind::Sum)?;
                Output::Average { part, count: counted, shift }
            }
            _ => return Ok(false),
        };
        self.outputs.push((output, made));
        Ok(true)
    }

    fn part(&mut self, call: Expr, filter: Option<Box<Expr>>, kind: Kind) -> Result<usize> {
        let call = match filter {
            Some(filter) => call.filter(*filter).build()?,
            None => call,
        };
        let at = self.exprs.len();
        self.exprs.push(named(call, at));
        self.kinds.push(kind);
        Ok(at)
    }
}

fn named(call: Expr, at: usize) -> Expr {
    call.alias(format!("part_{at}"))
}

const fn is_whole(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(_, _)
            | DataType::Decimal128(_, _)
    )
}

/// A column as whole numbers, nulls as zero.
fn whole_numbers(column: &ArrayRef) -> Result<Vec<i128>> {
    let numbers: Vec<i128> = match column.data_type() {
        DataType::Decimal128(_, _) => {
            column.as_primitive::<Decimal128Type>().iter().map(Option::unwrap_or_default).collect()
        }
        _ => {
            let wide = cast(column, &DataType::Int64)?;
            let wide = wide.as_primitive::<Int64Type>();
            wide.iter().map(|v| i128::from(v.unwrap_or_default())).collect()
        }
    };
    Ok(numbers)
}

/// Whole numbers as a column of this type; sums of integers wrap as the query's own do.
#[expect(clippy::cast_possible_truncation, reason = "a sum of integers wraps at 64 bits")]
fn column_of(values: Vec<Option<i128>>, kind: &DataType) -> Result<ArrayRef> {
    Ok(match kind {
        DataType::Decimal128(precision, scale) => {
            let column = Decimal128Array::from(values);
            std::sync::Arc::new(column.with_precision_and_scale(*precision, *scale)?)
        }
        _ => {
            let wide: Int64Array = values.into_iter().map(|v| v.map(|v| v as i64)).collect();
            let wide: ArrayRef = std::sync::Arc::new(wide);
            let made = match kind {
                DataType::Date32 => cast(&cast(&wide, &DataType::Int32)?, kind)?,
                _ => cast(&wide, kind)?,
            };
            if made.null_count() != wide.null_count() {
                return Err(Error::Bug("a total does not fit its column".to_owned()));
            }
            made
        }
    })
}
