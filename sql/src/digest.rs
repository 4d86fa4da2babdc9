//! The order-free digest of a table: what the lake, the change log and the warehouse agree on.
//!
//! A table's digest is the sum modulo 2^64 over its rows of the lower 64 bits, read big-endian, of
//! the MD5 of the row's canonical text. Sums commute, so an epoch adds its new rows and subtracts
//! its old ones. Snowflake's `MD5_NUMBER_LOWER64` computes the same number.
//!
//! Canonical text: the row's columns in schema order, audit columns left out, joined by `|`.
//! Null is `\N`; in text, `\` and `|` are escaped by `\`. Booleans are `true`/`false`; integers and
//! decimals are plain digits, decimals with exactly their scale; dates `YYYY-MM-DD`; timestamps
//! `YYYY-MM-DD HH:MM:SS.ffffff` in UTC; binary is lower-case hex; floats are their shortest form
//! that reads back to the same value.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Decimal128Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use md5::{Digest, Md5};

use crate::change::ChangeBatch;
use crate::error::Result;

const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.6f";

/// The digest of these rows over these columns: zero for no rows.
pub fn digest(batch: &RecordBatch, columns: &[usize]) -> Result<u64> {
    let mut total = 0u64;
    each_text(batch, columns, |text| total = total.wrapping_add(lower64(text.as_bytes())))?;
    Ok(total)
}

/// The hash of each row over these columns; a table's digest is their sum.
pub fn row_hashes(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<u64>> {
    let mut hashes = Vec::with_capacity(batch.num_rows());
    each_text(batch, columns, |text| hashes.push(lower64(text.as_bytes())))?;
    Ok(hashes)
}

/// The canonical text of each row over these columns.
pub fn row_texts(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<String>> {
    let mut texts = Vec::with_capacity(batch.num_rows());
    each_text(batch, columns, |text| texts.push(text.to_owned()))?;
    Ok(texts)
}

fn each_text(batch: &RecordBatch, columns: &[usize], mut then: impl FnMut(&str)) -> Result<()> {
    let mut text = String::new();
    let options = FormatOptions::new()
        .with_null("\\N")
        .with_timestamp_format(Some(TIMESTAMP))
        .with_timestamp_tz_format(Some(TIMESTAMP))
        .with_datetime_format(Some(TIMESTAMP));
    let arrays: Vec<&ArrayRef> = columns.iter().map(|c| batch.column(*c)).collect();
    let cells = arrays
        .iter()
        .map(|a| ArrayFormatter::try_new(a.as_ref(), &options))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let escaped: Vec<bool> = arrays.iter().map(|a| is_text(a.data_type())).collect();
    let mut cell = String::new();
    for row in 0..batch.num_rows() {
        text.clear();
        for (i, formatter) in cells.iter().enumerate() {
            if i > 0 {
                text.push('|');
            }
            if push_plain(&mut text, arrays[i].as_ref(), row) {
                continue;
            }
            if escaped[i] && !arrays[i].is_null(row) {
                cell.clear();
                let _ = write!(cell, "{}", formatter.value(row));
                push_escaped(&mut text, &cell);
            } else {
                let _ = write!(text, "{}", formatter.value(row));
            }
        }
        then(&text);
    }
    Ok(())
}

/// Writes the commonest kinds without the formatter's detours; `false` leaves a cell to it.
fn push_plain(text: &mut String, column: &dyn Array, row: usize) -> bool {
    if column.is_null(row) {
        return false;
    }
    match column.data_type() {
        DataType::Int64 => {
            push_decimal(text, column.as_primitive::<Int64Type>().value(row).into(), 0);
            true
        }
        DataType::Int32 => {
            push_decimal(text, column.as_primitive::<Int32Type>().value(row).into(), 0);
            true
        }
        DataType::Decimal128(precision, scale) => {
            let Ok(scale) = usize::try_from(*scale) else { return false };
            let units = column.as_primitive::<Decimal128Type>().value(row);
            let fits = units.unsigned_abs() < 10_u128.pow(u32::from(*precision).min(38));
            if fits {
                push_decimal(text, units, scale);
            }
            fits
        }
        DataType::Utf8 => {
            push_escaped(text, column.as_string::<i32>().value(row));
            true
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            push_time(text, column.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        _ => false,
    }
}

/// A number of units of the last of so many decimal places.
fn push_decimal(text: &mut String, units: i128, scale: usize) {
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
        text.push('-');
    }
    for (left, at) in (from..digits.len()).rev().zip(from..) {
        if left - from + 1 == scale {
            text.push('.');
        }
        text.push(char::from(digits[at]));
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
fn push_time(text: &mut String, us: i64) -> bool {
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
    text.extend(cell.map(char::from));
    true
}

/// The digest after a change, from the one before it.
pub fn advance(before: u64, change: &ChangeBatch, columns: &[usize]) -> Result<u64> {
    let added = digest(&change.added, columns)?;
    let removed = digest(&change.removed, columns)?;
    Ok(before.wrapping_add(added).wrapping_sub(removed))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        || matches!(kind, DataType::Timestamp(TimeUnit::Second, _))
}

fn push_escaped(text: &mut String, cell: &str) {
    if !cell.bytes().any(|b| b == b'\\' || b == b'|') {
        text.push_str(cell);
        return;
    }
    for c in cell.chars() {
        if c == '\\' || c == '|' {
            text.push('\\');
        }
        text.push(c);
    }
}

/// The lower 64 bits of an MD5, big-endian: Snowflake's `MD5_NUMBER_LOWER64`.
pub fn lower64(text: &[u8]) -> u64 {
    let hash = Md5::digest(text);
    let mut lower = [0u8; 8];
    lower.copy_from_slice(&hash[8..16]);
    u64::from_be_bytes(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    #[test]
    fn lower64_is_what_snowflake_computes() {
        assert_eq!(lower64(b"Snowflake"), 9_203_306_159_527_282_910);
    }

    fn batch(ids: Vec<i64>, names: Vec<Option<&str>>) -> RecordBatch {
        RecordBatch::try_from_iter(vec![
            ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
            ("name", Arc::new(StringArray::from(names)) as ArrayRef),
        ])
        .unwrap()
    }

    #[test]
    fn order_does_not_matter_and_changes_add_up() {
        let both = batch(vec![1, 2], vec![Some("a|b"), None]);
        let turned = batch(vec![2, 1], vec![None, Some("a|b")]);
        let whole = digest(&both, &[0, 1]).unwrap();
        assert_eq!(whole, digest(&turned, &[0, 1]).unwrap());
        let change = ChangeBatch { removed: both.slice(1, 1), added: both.slice(0, 0) };
        let rest = digest(&both.slice(0, 1), &[0, 1]).unwrap();
        assert_eq!(advance(whole, &change, &[0, 1]).unwrap(), rest);
    }

    #[test]
    fn times_are_written_as_the_formatter_does() {
        let options = FormatOptions::new().with_timestamp_format(Some(TIMESTAMP));
        let mut at = -62_135_596_800_000_000_i64;
        while at < 253_402_300_800_000_000 {
            let column = TimestampMicrosecondArray::from(vec![at]);
            let formatter = ArrayFormatter::try_new(&column, &options).unwrap();
            let mut text = String::new();
            assert!(push_time(&mut text, at));
            assert_eq!(text, formatter.value(0).to_string());
            at += 86_400_000_000 * 13 + 3_723_004_005;
        }
        assert!(
            !push_time(&mut String::new(), i64::MAX) && !push_time(&mut String::new(), i64::MIN)
        );
    }

    #[test]
    fn numbers_are_written_as_the_formatter_does() {
        let most = 10_i128.pow(38) - 1;
        let near = (0..38).flat_map(|n| [-1, 0, 1].map(|off| 10_i128.pow(n) + off));
        let big = [most, most / 7, i128::from(u64::MAX), i128::from(u64::MAX) + 1, 0];
        let all: Vec<i128> = near.chain(big).flat_map(|n| [n, -n]).collect();
        for scale in [0, 1, 2, 9, 37, 38] {
            let column = Decimal128Array::from(all.clone());
            let column = column.with_precision_and_scale(38, scale).unwrap();
            let formatter = ArrayFormatter::try_new(&column, &FormatOptions::new()).unwrap();
            for (row, units) in all.iter().enumerate() {
                let mut text = String::new();
                assert!(push_plain(&mut text, &column, row));
                assert_eq!(text, formatter.value(row).to_string(), "{units} {scale}");
            }
        }
        for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            let mut text = String::new();
            assert!(push_plain(&mut text, &Int64Array::from(vec![number]), 0));
            assert_eq!(text, number.to_string());
        }
    }

    #[test]
    fn a_null_is_not_its_text() {
        let null = digest(&batch(vec![1], vec![None]), &[0, 1]).unwrap();
        let text = digest(&batch(vec![1], vec![Some("\\N")]), &[0, 1]).unwrap();
        assert_ne!(null, text);
    }
}
