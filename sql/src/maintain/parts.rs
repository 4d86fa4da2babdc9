//! What a group's partials are made of: a whole number for each sum, count, minimum and maximum, and
//! how the output's columns follow from them, bit for bit as the functions themselves answer.

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprFunctionExt, ExprSchemable, lit};

use super::mutated;
use super::totals::Parts;
use crate::error::{Error, Result};

/// How one output column follows from parts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Output {
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

/// The parts that an aggregate's functions need, as far as they were looked at.
pub(super) struct Build<'a> {
    node: &'a Aggregate,
    /// Aggregate calls, one a part.
    pub exprs: Vec<Expr>,
    /// How each takes a change.
    pub kinds: Vec<Kind>,
    /// How each output column follows.
    pub outputs: Vec<(Output, DataType)>,
}

impl<'a> Build<'a> {
    /// Only the row count so far.
    pub fn new(node: &'a Aggregate) -> Self {
        let exprs = vec![named(count(lit(1i64)), 0)];
        Self { node, exprs, kinds: vec![Kind::Sum], outputs: Vec::new() }
    }

    /// Adds what a call needs; `false` where it has no exact partial.
    pub fn call(&mut self, call: &AggregateFunction, made: DataType) -> Result<bool> {
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

/// An output's value from a group's parts.
pub(super) fn value_of(output: Output, parts: &Parts) -> Option<i128> {
    match output {
        Output::Count(part) => Some(parts[part]),
        Output::Value { part, .. } if mutated("totals: a sum of nothing is zero") => {
            Some(parts[part])
        }
        Output::Value { part, count } => (parts[count] > 0).then(|| parts[part]),
        Output::Average { part, count, shift } => (parts[count] > 0).then(|| {
            let rows = if mutated("totals: an average is over all rows") { 0 } else { count };
            parts[part].wrapping_mul(10i128.pow(shift)).wrapping_div(parts[rows].max(1))
        }),
    }
}

/// A column as whole numbers, nulls as zero.
pub(super) fn whole_numbers(column: &ArrayRef) -> Result<Vec<i128>> {
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
pub(super) fn column_of(values: Vec<Option<i128>>, kind: &DataType) -> Result<ArrayRef> {
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
