//! The calls that are known, and the column that each makes.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, UInt32Array, UInt64Array,
    make_comparator, new_empty_array,
};
use arrow::compute::{SortOptions, concat, take};
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Int64Type, SchemaRef, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr, WindowExpr,
};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::windows::WindowUDFExpr;

use super::frame::{Frame, Places};

#[derive(Debug, Clone)]
enum Kind {
    RowNumber,
    Rank,
    DenseRank,
    /// The value so many rows behind, else this one.
    Shift(i64, ScalarValue),
    First,
    Last,
    Count,
    Sum,
    Extreme(SortOptions),
}

/// One call over a window.
#[derive(Debug, Clone)]
pub(super) struct Call {
    kind: Kind,
    arg: Option<Arc<dyn PhysicalExpr>>,
    /// What partitions are told apart by.
    pub partition_by: Vec<Arc<dyn PhysicalExpr>>,
    /// The order within them.
    pub order_by: Vec<PhysicalSortExpr>,
    frame: Frame,
    field: FieldRef,
}

impl Call {
    /// None where it is not known.
    pub fn of(expr: &dyn WindowExpr, schema: &SchemaRef) -> Result<Option<Self>> {
        let Some(frame) = Frame::of(expr.get_window_frame(), expr.order_by(), schema)? else {
            return Ok(None);
        };
        let known = if let Some(call) = expr.as_any().downcast_ref::<StandardWindowExpr>() {
            placed(call, schema)?
        } else if let Some(call) = expr.as_any().downcast_ref::<PlainAggregateWindowExpr>() {
            aggregated(call, call.get_aggregate_expr(), schema)?
        } else if let Some(call) = expr.as_any().downcast_ref::<SlidingAggregateWindowExpr>() {
            aggregated(call, call.get_aggregate_expr(), schema)?
        } else {
            None
        };
        let field = expr.field()?;
        Ok(known.map(|(kind, arg)| Self {
            kind,
            arg,
            partition_by: expr.partition_by().to_vec(),
            order_by: expr.order_by().to_vec(),
            frame,
            field,
        }))
    }

    /// Its value for every row.
    pub fn column(&self, batches: &[RecordBatch], places: &Places) -> Result<ArrayRef> {
        let arg = match &self.arg {
            Some(arg) => places.placed(arg, batches)?,
            None => new_empty_array(&DataType::Null),
        };
        places.by_row(&self.by_place(&arg, places)?)
    }

    fn by_place(&self, arg: &ArrayRef, places: &Places) -> Result<ArrayRef> {
        match &self.kind {
            Kind::RowNumber => Ok(each(places, |row, first, _, _| row - first + 1)),
            Kind::Rank => Ok(each(places, |_, first, peers, _| peers - first + 1)),
            Kind::DenseRank => Ok(each(places, |_, _, _, groups| groups)),
            Kind::Shift(by, default) => shifted(arg, *by, default, places),
            Kind::First => {
                let frames = places.frames(self.frame)?;
                at(arg, frames.into_iter().map(|(s, e)| (s < e).then_some(s)))
            }
            Kind::Last => {
                let frames = places.frames(self.frame)?;
                at(arg, frames.into_iter().map(|(s, e)| (s < e).then(|| e - 1)))
            }
            Kind::Count => {
                let before = counts(arg);
                let count = |(s, e): (usize, usize)| if s < e { before[e] - before[s] } else { 0 };
                let made = places.frames(self.frame)?.into_iter().map(count);
                Ok(Arc::new(Int64Array::from_iter_values(made)))
            }
            Kind::Sum => sums(arg, &places.frames(self.frame)?, self.field.data_type()),
            Kind::Extreme(better) => extremes(arg, &places.frames(self.frame)?, places, *better),
        }
    }
}

/// A call's kind and its argument.
type Known = Option<(Kind, Option<Arc<dyn PhysicalExpr>>)>;

fn placed(call: &StandardWindowExpr, schema: &SchemaRef) -> Result<Known> {
    let call = call.get_standard_func_expr();
    let Some(call) = call.as_any().downcast_ref::<WindowUDFExpr>() else { return Ok(None) };
    // Its only word on both; one that says neither is not known.
    let said = format!("{call:?}");
    if !said.contains("is_reversed: false") || !said.contains("ignore_nulls: false") {
        return Ok(None);
    }
    let args = call.args();
    let arg = args.first().cloned();
    let kind = match (call.fun().name(), args.len()) {
        ("row_number", 0) => Kind::RowNumber,
        ("rank", 0) => Kind::Rank,
        ("dense_rank", 0) => Kind::DenseRank,
        ("first_value", 1) => Kind::First,
        ("last_value", 1) => Kind::Last,
        (name @ ("lag" | "lead"), 1..=3) => {
            let kind = args[0].data_type(schema)?;
            let by = match args.get(1).map(literal) {
                None => 1,
                Some(Some(ScalarValue::Int64(Some(by)))) => by,
                Some(_) => return Ok(None),
            };
            let default = match args.get(2).map(literal) {
                None => ScalarValue::try_from(&kind)?,
                Some(Some(default)) => default.cast_to(&kind)?,
                Some(None) => return Ok(None),
            };
            let by = if name == "lag" { by.checked_neg() } else { Some(by) };
            match by {
                Some(by) if !kind.is_null() => Kind::Shift(by, default),
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some((kind, arg)))
}

fn literal(expr: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
    expr.downcast_ref::<Literal>().map(|literal| literal.value().clone())
}

fn aggregated(
    call: &dyn WindowExpr,
    aggregate: &AggregateFunctionExpr,
    schema: &SchemaRef,
) -> Result<Known> {
    let args = aggregate.expressions();
    let [arg] = args.as_slice() else { return Ok(None) };
    // Its only word on filters; one that says nothing is not known.
    let said = format!("{call:?}");
    let has_filter = said.contains("filter: Some") || !said.contains("filter: None");
    if has_filter || aggregate.is_distinct() || aggregate.is_reversed() {
        return Ok(None);
    }
    let (given, made) = (arg.data_type(schema)?, aggregate.field().data_type().clone());
    let exact = match (&given, &made) {
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => from == to,
        (DataType::Int64, DataType::Int64) | (DataType::UInt64, DataType::UInt64) => true,
        _ => false,
    };
    let ordered = given.is_integer()
        || matches!(
            given,
            DataType::Decimal128(..) | DataType::Date32 | DataType::Timestamp(..) | DataType::Utf8
        );
    let better = |descending| SortOptions { descending, nulls_first: false };
    let kind = match aggregate.fun().name() {
        "count" if made == DataType::Int64 => Kind::Count,
        "sum" if exact => Kind::Sum,
        "min" if ordered && given == made => Kind::Extreme(better(false)),
        "max" if ordered && given == made => Kind::Extreme(better(true)),
        _ => return Ok(None),
    };
    Ok(Some((kind, Some(arg.clone()))))
}

/// A number for each row, of the row, its partition's first, its peers' first and how many groups of
/// peers there are up to it.
fn each(places: &Places, number: impl Fn(usize, usize, usize, usize) -> usize) -> ArrayRef {
    let mut made = Vec::with_capacity(places.partitions.last().map_or(0, |last| last.end));
    let (mut partitions, mut within, mut groups) = (places.partitions.iter(), 0..0, 0);
    for peers in &places.peers {
        if peers.start >= within.end {
            within = partitions.next().cloned().unwrap_or_default();
            groups = 0;
        }
        groups += 1;
        let number = |row| number(row, within.start, peers.start, groups) as u64;
        made.extend(peers.clone().map(number));
    }
    Arc::new(UInt64Array::from(made))
}

/// The values at these rows, null where there is none.
fn at(values: &ArrayRef, rows: impl Iterator<Item = Option<usize>>) -> Result<ArrayRef> {
    let place = |row: usize| {
        let large = |_| DataFusionError::Execution("a window of too many rows".to_owned());
        u32::try_from(row).map_err(large)
    };
    let rows: UInt32Array = rows.map(|row| row.map(place).transpose()).collect::<Result<_>>()?;
    Ok(take(values, &rows, None)?)
}

fn shifted(values: &ArrayRef, by: i64, default: &ScalarValue, places: &Places) -> Result<ArrayRef> {
    let far = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
    let with_default = (!default.is_null()).then(|| default.to_array()).transpose()?;
    let values = match &with_default {
        Some(default) => concat(&[values.as_ref(), default.as_ref()])?,
        None => values.clone(),
    };
    let none = with_default.map(|_| values.len() - 1);
    let moved = places.partitions.iter().flat_map(|within| {
        within.clone().map(|row| {
            let found = if by < 0 { row.checked_sub(far) } else { row.checked_add(far) };
            found.filter(|row| within.contains(row)).or(none)
        })
    });
    at(&values, moved)
}

/// How many values there are before each row, and in all.
fn counts(values: &ArrayRef) -> Vec<i64> {
    let mut before = Vec::with_capacity(values.len() + 1);
    let mut sum = 0;
    before.push(sum);
    let nulls = values.logical_nulls();
    for row in 0..values.len() {
        sum += i64::from(nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)));
        before.push(sum);
    }
    before
}

/// Sums by differences of running totals, which wrap as the sums themselves do.
fn sums(values: &ArrayRef, frames: &[(usize, usize)], kind: &DataType) -> Result<ArrayRef> {
    let number: Box<dyn Fn(usize) -> i128> = match values.data_type() {
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>();
            Box::new(move |row| i128::from(values.value(row)))
        }
        DataType::UInt64 => {
            let values = values.as_primitive::<UInt64Type>();
            Box::new(move |row| i128::from(values.value(row)))
        }
        _ => {
            let values = values.as_primitive::<Decimal128Type>();
            Box::new(move |row| values.value(row))
        }
    };
    let known = counts(values);
    let mut totals = Vec::with_capacity(values.len() + 1);
    let mut total = 0i128;
    totals.push(total);
    for row in 0..values.len() {
        total = total.wrapping_add(if values.is_valid(row) { number(row) } else { 0 });
        totals.push(total);
    }
    let sums = frames
        .iter()
        .map(|&(s, e)| (s < e && known[s] < known[e]).then(|| totals[e].wrapping_sub(totals[s])));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as sums wrap")]
    Ok(match kind {
        DataType::Int64 => Arc::new(sums.map(|s| s.map(|s| s as i64)).collect::<Int64Array>()),
        DataType::UInt64 => Arc::new(sums.map(|s| s.map(|s| s as u64)).collect::<UInt64Array>()),
        kind => Arc::new(sums.collect::<Decimal128Array>().with_data_type(kind.clone())),
    })
}

/// The least value of each frame, the greatest with a descending order.
fn extremes(
    values: &ArrayRef,
    frames: &[(usize, usize)],
    places: &Places,
    better: SortOptions,
) -> Result<ArrayRef> {
    let compare = make_comparator(values, values, better)?;
    let mut found = Vec::with_capacity(frames.len());
    // Rows of the frame that are better than all behind them, in order.
    let mut best: VecDeque<usize> = VecDeque::new();
    for within in &places.partitions {
        best.clear();
        let mut next = within.start;
        for &(start, end) in &frames[within.clone()] {
            while next < end {
                if values.is_valid(next) {
                    while best.pop_back_if(|last| compare(*last, next).is_ge()).is_some() {}
                    best.push_back(next);
                }
                next += 1;
            }
            while best.pop_front_if(|first| *first < start).is_some() {}
            found.push(best.front().copied().filter(|row| *row < end));
        }
    }
    at(values, found.into_iter())
}
