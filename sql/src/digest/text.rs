//! The canonical text of rows, a group of them at a time.
//!
//! The commonest kinds are written without the formatter's detours (`plain`), the rest by it. Each row's
//! text must be the one that the module above describes: warehouses compute the same.

use std::fmt::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::plain::{push_date, push_decimal, push_time};
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
    /// And whether any of it holds what is escaped.
    Text(&'a StringArray, bool),
    Time(&'a TimestampMicrosecondArray),
    Date(&'a Date32Array),
    Boolean(&'a BooleanArray),
    /// Left to the formatter.
    Other,
}

struct Cells<'a> {
    nulls: Option<NullBuffer>,
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
            DataType::Utf8 => {
                let texts = column.as_string::<i32>();
                Plain::Text(texts, any_escaped(texts))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Plain::Time(column.as_primitive::<TimestampMicrosecondType>())
            }
            DataType::Date32 => Plain::Date(column.as_primitive::<Date32Type>()),
            DataType::Boolean => Plain::Boolean(column.as_boolean()),
            _ => Plain::Other,
        };
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options())?;
        let nulls = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        Ok(Self { nulls, plain, formatter, is_text: is_text(column.data_type()) })
    }

    fn push(&self, text: &mut Vec<u8>, cell: &mut String, row: usize) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            text.extend_from_slice(NULL.as_bytes());
            return;
        }
        if self.push_plain(text, row) {
            return;
        }
        cell.clear();
        let _ = write!(cell, "{}", self.formatter.value(row));
        if self.is_text {
            push_escaped(text, cell);
        } else {
            text.extend_from_slice(cell.as_bytes());
        }
    }

    /// `false` leaves a cell to the formatter.
    fn push_plain(&self, text: &mut Vec<u8>, row: usize) -> bool {
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
            Plain::Text(texts, true) => push_escaped(text, texts.value(row)),
            Plain::Text(texts, false) => text.extend_from_slice(texts.value(row).as_bytes()),
            Plain::Time(times) => return push_time(text, times.value(row)),
            Plain::Date(days) => return push_date(text, days.value(row)),
            Plain::Boolean(bits) => {
                let word: &[u8] = if bits.value(row) { b"true" } else { b"false" };
                text.extend_from_slice(word);
            }
            Plain::Other => return false,
        }
        true
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        || matches!(kind, DataType::Timestamp(TimeUnit::Second, _))
}

const fn is_escaped(byte: u8) -> bool {
    byte == b'\\' || byte == b'|'
}

/// Whether any of these texts has something to escape; looked for in all of their bytes at once.
fn any_escaped(texts: &StringArray) -> bool {
    let ends = texts.value_offsets();
    let all = match (ends.first(), ends.last()) {
        (Some(first), Some(last)) => {
            let place = |at: &i32| usize::try_from(*at).unwrap_or(0);
            texts.value_data().get(place(first)..place(last)).unwrap_or_default()
        }
        _ => &[],
    };
    // In pieces without an early end, which vector units can do.
    all.chunks(1024).any(|piece| piece.iter().fold(false, |any, byte| any | is_escaped(*byte)))
}

fn push_escaped(text: &mut Vec<u8>, cell: &str) {
    for byte in cell.bytes() {
        if is_escaped(byte) {
            text.push(b'\\');
        }
        text.push(byte);
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
