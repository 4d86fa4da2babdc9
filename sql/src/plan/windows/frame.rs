//! Where partitions, peers and frames begin and end, for all rows at once.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DynComparator, Int64Array, RecordBatch, UInt32Array, make_comparator,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

use super::call::Call;
use super::groups::{grouped, whole_column};

/// One end of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Unbounded,
    Current,
    /// So far behind the row; negative before it.
    By(i64),
}

/// A frame over rows or ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    by_rows: bool,
    start: Bound,
    end: Bound,
}

impl Frame {
    /// None where its bounds are not known here.
    pub fn of(
        frame: &WindowFrame,
        order: &[PhysicalSortExpr],
        schema: &SchemaRef,
    ) -> Result<Option<Self>> {
        let by_rows = match frame.units {
            WindowFrameUnits::Rows => true,
            WindowFrameUnits::Range => false,
            WindowFrameUnits::Groups => return Ok(None),
        };
        let bounds = (bound(&frame.start_bound), bound(&frame.end_bound));
        let (Some(start), Some(end)) = bounds else { return Ok(None) };
        let goes_far = [start, end].iter().any(|bound| matches!(bound, Bound::By(_)));
        if goes_far && !by_rows {
            let [by] = order else { return Ok(None) };
            if by.expr.data_type(schema)? != DataType::Int64 {
                return Ok(None);
            }
        }
        Ok(Some(Self { by_rows, start, end }))
    }
}

fn bound(bound: &WindowFrameBound) -> Option<Bound> {
    let far = |by: &ScalarValue| match by {
        by if by.is_null() => Some(None),
        ScalarValue::UInt64(Some(by)) => i64::try_from(*by).ok().map(Some),
        ScalarValue::Int64(Some(by)) if *by >= 0 => Some(Some(*by)),
        _ => None,
    };
    Some(match bound {
        WindowFrameBound::CurrentRow => Bound::Current,
        WindowFrameBound::Preceding(by) => far(by)?.map_or(Bound::Unbounded, |by| Bound::By(-by)),
        WindowFrameBound::Following(by) => far(by)?.map_or(Bound::Unbounded, Bound::By),
    })
}

/// Where rows stand, by one partitioning and order. Places are counted along that order.
#[derive(Debug)]
pub(super) struct Places {
    by: Vec<Arc<dyn PhysicalExpr>>,
    order_by: Vec<PhysicalSortExpr>,
    /// The row of each place.
    rows: UInt32Array,
    /// The place of each row.
    places: UInt32Array,
    /// The partitions, in order.
    pub partitions: Vec<Range<usize>>,
    /// The groups of rows that the order does not tell apart, in order.
    pub peers: Vec<Range<usize>>,
    /// By place, what distances are counted by.
    order: Option<ArrayRef>,
}

impl Places {
    /// Of these rows, in any order; rows that the order does not tell apart stay as they are.
    pub fn of(call: &Call, batches: &[RecordBatch]) -> Result<Self> {
        let count = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let large = |_| DataFusionError::Execution("a window of too many rows".to_owned());
        let count = u32::try_from(count).map_err(large)?;
        let whole = |e: &Arc<dyn PhysicalExpr>| whole_column(e, batches);
        let by: Vec<ArrayRef> = call.partition_by.iter().map(whole).collect::<Result<_>>()?;
        let (mut rows, partitions) = grouped(&by, count)?;
        let order = call.order_by.iter().map(|by| whole(&by.expr));
        let order: Vec<ArrayRef> = order.collect::<Result<_>>()?;
        let compare = order.iter().zip(&call.order_by);
        let compare: Vec<DynComparator> =
            compare.map(|(o, by)| make_comparator(o, o, by.options)).collect::<Result<_, _>>()?;
        let mut peers = Vec::new();
        for within in &partitions {
            let rows = &mut rows[within.clone()];
            let tell = |a: &u32, b: &u32| {
                let told = compare.iter().map(|c| c(*a as usize, *b as usize));
                told.into_iter().find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
            };
            rows.sort_by(tell);
            let mut from = within.start;
            for alike in rows.chunk_by(|a, b| tell(a, b).is_eq()) {
                peers.push(from..from + alike.len());
                from += alike.len();
            }
        }
        let mut places = vec![0; rows.len()];
        for (place, row) in (0..).zip(&rows) {
            places[*row as usize] = place;
        }
        let (rows, places) = (UInt32Array::from(rows), UInt32Array::from(places));
        let order = order.first().map(|first| take(first, &rows, None)).transpose()?;
        let (by, order_by) = (call.partition_by.clone(), call.order_by.clone());
        Ok(Self { by, order_by, rows, places, partitions, peers, order })
    }

    /// A column of these rows, by place.
    pub fn placed(
        &self,
        column: &Arc<dyn PhysicalExpr>,
        batches: &[RecordBatch],
    ) -> Result<ArrayRef> {
        Ok(take(&whole_column(column, batches)?, &self.rows, None)?)
    }

    /// A column by place as one by row.
    pub fn by_row(&self, column: &ArrayRef) -> Result<ArrayRef> {
        Ok(take(column, &self.places, None)?)
    }

    /// Whether another call has the same ones.
    pub fn are_those_of(&self, call: &Call) -> bool {
        self.by == call.partition_by && self.order_by == call.order_by
    }

    /// The frame of every row: its first, and the one after its last. Both only grow within a
    /// partition; an end before its start is an empty frame.
    pub fn frames(&self, frame: Frame) -> Result<Vec<(usize, usize)>> {
        if frame.by_rows {
            return Ok(self.by_rows(frame));
        }
        let mut frames = Vec::with_capacity(self.partitions.last().map_or(0, |p| p.end));
        let mut partitions = self.partitions.iter();
        let mut within = 0..0;
        for peers in &self.peers {
            if peers.start >= within.end {
                within = partitions.next().cloned().unwrap_or_default();
            }
            let start = if frame.start == Bound::Unbounded { within.start } else { peers.start };
            let end = if frame.end == Bound::Unbounded { within.end } else { peers.end };
            frames.extend(std::iter::repeat_n((start, end), peers.len()));
        }
        if let Bound::By(by) = frame.start {
            self.reach(by, false, |row, at| frames[row].0 = at)?;
        }
        if let Bound::By(by) = frame.end {
            self.reach(by, true, |row, at| frames[row].1 = at)?;
        }
        Ok(frames)
    }

    fn by_rows(&self, frame: Frame) -> Vec<(usize, usize)> {
        let mut frames = Vec::with_capacity(self.partitions.last().map_or(0, |p| p.end));
        for within in &self.partitions {
            let moved = |row: usize, by: i64| {
                let far = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
                let at = if by < 0 { row.saturating_sub(far) } else { row.saturating_add(far) };
                at.clamp(within.start, within.end)
            };
            let start = |row| match frame.start {
                Bound::Unbounded => within.start,
                Bound::Current => row,
                Bound::By(by) => moved(row, by),
            };
            let end = |row| match frame.end {
                Bound::Unbounded => within.end,
                Bound::Current => row + 1,
                Bound::By(by) => moved(row + 1, by),
            };
            frames.extend(within.clone().map(|row| (start(row), end(row))));
        }
        frames
    }

    /// For every row that has an order: the first one that lies so far behind it or farther, or
    /// `beyond` it. Rows without one are each other's neighbours alone, as their peers say.
    fn reach(&self, by: i64, beyond: bool, mut tell: impl FnMut(usize, usize)) -> Result<()> {
        let (order, descending) = self.numbers()?;
        let number = |row: usize| {
            let number = i128::from(order.value(row));
            if descending { -number } else { number }
        };
        for within in &self.partitions {
            let known = within.clone().find(|row| order.is_valid(*row)).unwrap_or(within.end);
            let nulls = (known..within.end).find(|row| order.is_null(*row)).unwrap_or(within.end);
            let mut at = known;
            for row in known..nulls {
                let wanted = number(row) + i128::from(by);
                while at < nulls && (number(at) < wanted || beyond && number(at) == wanted) {
                    at += 1;
                }
                tell(row, at);
            }
        }
        Ok(())
    }

    fn numbers(&self) -> Result<(&Int64Array, bool)> {
        let order = self.order.as_ref().and_then(|o| o.as_primitive_opt::<Int64Type>());
        let sort = self.order_by.first().map(|by| by.options.descending);
        order.zip(sort).ok_or_else(|| {
            DataFusionError::Internal("a range over something else than a number".to_owned())
        })
    }
}
