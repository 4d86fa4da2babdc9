//! Ranges over time, counted in whole numbers.
//!
//! A range's bound is found for every row, and a time less an interval goes through a calendar: in
//! microseconds it is one subtraction. It must never change which rows a range holds.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{
    Expr, ExprSchemable, WindowFrame, WindowFrameBound, WindowFrameUnits, cast,
};

use super::canonical::under_its_name;

/// A window call over a range of microseconds as one over a range of whole numbers, under its old
/// name: a bound is found for every row, and a time less an interval goes through a calendar.
pub(super) fn counted(expr: &Expr, schema: &DFSchema) -> Expr {
    let Expr::WindowFunction(call) = super::unaliased_ref(expr) else { return expr.clone() };
    let frame = &call.params.window_frame;
    let [order] = call.params.order_by.as_slice() else { return expr.clone() };
    // Days of another zone are not all of one length.
    let utc = |zone: Option<Arc<str>>| zone.is_none_or(|z| ["UTC", "+00:00"].contains(&&*z));
    let is_time = match order.expr.get_type(schema) {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, zone)) => utc(zone),
        _ => false,
    };
    let bounds = (micros(&frame.start_bound), micros(&frame.end_bound));
    let (Some(start), Some(end)) = bounds else { return expr.clone() };
    let goes_far = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => false,
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => !by.is_null(),
    };
    let has_distance = goes_far(&start) || goes_far(&end);
    if frame.units != WindowFrameUnits::Range || !is_time || !has_distance {
        return expr.clone();
    }
    let mut call = call.as_ref().clone();
    let number = cast(order.expr.clone(), DataType::Int64);
    call.params.order_by = vec![number.sort(order.asc, order.nulls_first)];
    call.params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Range, start, end);
    under_its_name(expr, Expr::WindowFunction(Box::new(call)))
}

/// A frame's bound in microseconds, if it is so many exactly; what has no distance stays as it is.
fn micros(bound: &WindowFrameBound) -> Option<WindowFrameBound> {
    let number = |by: &ScalarValue| match by {
        ScalarValue::IntervalMonthDayNano(Some(v))
            if v.months == 0 && v.nanoseconds % 1000 == 0 =>
        {
            let days = i64::from(v.days).checked_mul(86_400_000_000)?;
            Some(ScalarValue::Int64(Some(days.checked_add(v.nanoseconds / 1000)?)))
        }
        unbounded if unbounded.is_null() => Some(ScalarValue::Int64(None)),
        _ => None,
    };
    match bound {
        WindowFrameBound::CurrentRow => Some(WindowFrameBound::CurrentRow),
        WindowFrameBound::Preceding(by) => number(by).map(WindowFrameBound::Preceding),
        WindowFrameBound::Following(by) => number(by).map(WindowFrameBound::Following),
    }
}
