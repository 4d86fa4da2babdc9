//! The canonical text of rows, a group of them at a time.
//!
//! The commonest kinds are written without the formatter's detours, the rest by it. Each row's text
//! must be the one that the module above describes: warehouses compute the same.

use std::fmt::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::side_by_side::LANES;
use crate::error::Result;

const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.6f";
const NULL: &str = "\\N";

fn options() -> FormatOptions<'static> {
    FormatOptions::new()
        .with_null(NULL)
        .with_timestamp_format(Some(TIMESTAMP))
        .with_timestamp_tz_format(Some(TIMESTAMP))
        .with_datetime_format(Some(TIMESTAMP))
}

/// A column as it is written.
enum Plain<'a> {
    Int64(&'a Int64Array),
    Int32(&'a Int32Array),
    /// With its scale, and the numbers that it may hold.
    Decimal(&'a Decimal128Array, usize, u128),
    Text(&'a StringArray),
    Time(&'a TimestampMicrosecondArray),
    /// Left to the formatter.
    Other,
}

struct Cells<'a> {
    column: &'a dyn Array,
    plain: Plain<'a>,
    formatter: ArrayFormatter<'a>,
    is_text: bool,
}

/// The texts of a batch's rows.
pub(super) struct Texts<'a> {
    rows: usize,
    columns: Vec<Cells<'a>>,
}

impl<'a> Texts<'a> {
    pub fn of(batch: &'a RecordBatch, columns: &[usize]) -> Result<Self> {
        let cells = columns.iter().map(|at| Cells::of(batch.column(*at)));
        Ok(Self { rows: batch.num_rows(), columns: cells.collect::<Result<_>>()? })
    }

    /// In order, at most as many at a time as are hashed side by side.
    pub fn in_groups(&self, mut then: impl FnMut(&[&[u8]])) {
        let (mut text, mut cell, mut ends) = (Vec::new(), String::new(), Vec::new());
        for first in (0..self.rows).step_by(LANES) {
            text.clear();
            ends.clear();
            for row in first..self.rows.min(first + LANES) {
                self.push(&mut text, &mut cell, row);
                ends.push(text.len());
            }
            let mut group: [&[u8]; LANES] = [&[]; LANES];
            let mut from = 0;
            for (lane, end) in group.iter_mut().zip(&ends) {
                *lane = &text[from..*end];
                from = *end;
            }
            then(&group[..ends.len()]);
        }
    }

    fn push(&self, text: &mut Vec<u8>, cell: &mut String, row: usize) {
        for (at, cells) in self.columns.iter().enumerate() {
            if at > 0 {
                text.push(b'|');
            }
            cells.push(text, cell, row);
        }
    }
}

impl<'a> Cells<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        let plain = match column.data_type() {
            DataType::Int64 => Plain::Int64(column.as_primitive::<Int64Type>()),
            DataType::Int32 => Plain::Int32(column.as_primitive::<Int32Type>()),
            DataType::Decimal128(precision, scale) if *scale >= 0 => Plain::Decimal(
                column.as_primitive::<Decimal128Type>(),
                usize::from(scale.unsigned_abs()),
                10_u128.pow(u32::from(*precision).min(38)),
            ),
            DataType::Utf8 => Plain::Text(column.as_string::<i32>()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Plain::Time(column.as_primitive::<TimestampMicrosecondType>())
            }
            _ => Plain::Other,
        };
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options())?;
        Ok(Self { column, plain, formatter, is_text: is_text(column.data_type()) })
    }

    fn push(&self, text: &mut Vec<u8>, cell: &mut String, row: usize) {
        if self.push_plain(text, row) {
            return;
        }
        cell.clear();
        let _ = write!(cell, "{}", self.formatter.value(row));
        if self.is_text && !self.column.is_null(row) {
            push_escaped(text, cell);
        } else {
            text.extend_from_slice(cell.as_bytes());
        }
    }

    /// `false` leaves a cell to the formatter.
    fn push_plain(&self, text: &mut Vec<u8>, row: usize) -> bool {
        if !matches!(self.plain, Plain::Other) && self.column.is_null(row) {
            text.extend_from_slice(NULL.as_bytes());
            return true;
        }
        match self.plain {
            Plain::Int64(numbers) => push_decimal(text, numbers.value(row).into(), 0),
            Plain::Int32(numbers) => push_decimal(text, numbers.value(row).into(), 0),
            Plain::Decimal(numbers, scale, bound) => {
                let units = numbers.value(row);
                if units.unsigned_abs() >= bound {
                    return false;
                }
                push_decimal(text, units, scale);
            }
            Plain::Text(texts) => push_escaped(text, texts.value(row)),
            Plain::Time(times) => return push_time(text, times.value(row)),
            Plain::Other => return false,
        }
        true
    }
}

/// A number of units of the last of so many decimal places.
fn push_decimal(text: &mut Vec<u8>, units: i128, scale: usize) {
    let mut digits = [b'0'; 40];
    let (mut rest, mut from) = (units.unsigned_abs(), digits.len());
    // Most numbers fit into a word, which is divided in one step.
    while rest > u128::from(u64::MAX) {
        from -= 1;
        digits[from] = digit(u64::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
    }
    let mut rest = u64::try_from(rest).unwrap_or(u64::MAX);
    while rest > 0 {
        from -= 1;
        digits[from] = digit(rest % 10);
        rest /= 10;
    }
    // A zero before the point, and those between it and the first digit.
    from = from.min(digits.len().saturating_sub(scale + 1));
    if units < 0 {
        text.push(b'-');
    }
    let point = digits.len() - scale;
    text.extend_from_slice(&digits[from..point]);
    if scale > 0 {
        text.push(b'.');
        text.extend_from_slice(&digits[point..]);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a digit is below ten")]
const fn digit(number: u64) -> u8 {
    b'0' + number as u8
}

/// Writes a number's last digits over these, from the right.
fn put(over: &mut [u8], mut number: i64) {
    for place in over.iter_mut().rev() {
        *place = digit((number % 10).unsigned_abs());
        number /= 10;
    }
}

/// Microseconds since 1970 in UTC, for years of four digits.
fn push_time(text: &mut Vec<u8>, us: i64) -> bool {
    const DAY_US: i64 = 86_400_000_000;
    // Days are counted from March 1 of the year 0, so that a leap day ends its year.
    let days = us.div_euclid(DAY_US) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    if !(1..=9999).contains(&year) {
        return false;
    }
    let (seconds, rest) = (us.rem_euclid(DAY_US) / 1_000_000, us.rem_euclid(1_000_000));
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut cell = *b"0000-00-00 00:00:00.000000";
    put(&mut cell[0..4], year);
    put(&mut cell[5..7], month);
    put(&mut cell[8..10], day);
    put(&mut cell[11..13], hour);
    put(&mut cell[14..16], minute);
    put(&mut cell[17..19], second);
    put(&mut cell[20..26], rest);
    text.extend_from_slice(&cell);
    true
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        || matches!(kind, DataType::Timestamp(TimeUnit::Second, _))
}

fn push_escaped(text: &mut Vec<u8>, cell: &str) {
    if !cell.bytes().any(|b| b == b'\\' || b == b'|') {
        text.extend_from_slice(cell.as_bytes());
        return;
    }
    for byte in cell.bytes() {
        if byte == b'\\' || byte == b'|' {
            text.push(b'\\');
        }
        text.push(byte);
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
