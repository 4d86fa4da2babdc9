//! Dates, times of day and instants, as counts in a declared unit or as ISO text.
//!
//! Delta and Parquet readers agree on the years 0001 to 9999. PostgreSQL's infinities become the
//! ends of that span (0001-01-01 and 9999-12-31T23:59:59.999999) and are counted; any other value
//! outside it is a fault. Nothing finer than a microsecond is cut off: that is a fault too.

use super::iso::{DAY_US, Scanner};
use super::{Read, Token, numbers};
use crate::envelope::schema::Ticks;

/// 0001-01-01 in days since 1970: what `-infinity` becomes.
pub const FIRST_DAY: i32 = -719_162;
/// 9999-12-31 in days since 1970: what `infinity` becomes.
pub const LAST_DAY: i32 = 2_932_896;
/// 0001-01-01T00:00:00 in microseconds since 1970.
pub const FIRST_US: i64 = FIRST_DAY as i64 * DAY_US;
/// 9999-12-31T23:59:59.999999 in microseconds since 1970.
pub const LAST_US: i64 = (LAST_DAY as i64 + 1) * DAY_US - 1;

/// Debezium before 3.7 writes `infinity` of a date as -5877611-06-21, on the wrong side of time
/// (and `-infinity` as the day before that, which any day so early may stand for).
const WRONG_SIDED_INFINITY_DAY: i64 = -2_147_472_692;
/// PostgreSQL's dates begin in 4713 BC: a day before this one can only be `-infinity`.
const BEFORE_ANY_DAY: i64 = -100_000_000;
/// PostgreSQL's dates end with the year 5874897: a day after this one can only be `infinity`.
const AFTER_ANY_DATE: i64 = 2_145_042_905;
/// The day on which i64 microseconds, and with them the infinities of timestamps, end.
const INFINITE_TIMESTAMP_DAY: i64 = 106_751_991;
/// Counts from here on are infinities, scaled from 2^63 microseconds.
const INFINITE_US: u64 = 9_223_372_036_000_000_000;

const UNHOLDABLE: &str = "a year outside 0001 to 9999, which Delta can't hold";

/// A day since 1970-01-01, from a count of days or an ISO date. Infinities add to `infinities`.
pub fn date(token: &Token<'_>, infinities: &mut u64) -> Read<i32> {
    let days = match token {
        Token::Number(_) => numbers::integer::<i64>(token)?,
        Token::String(text) => match infinity(text) {
            Some(is_future) => return Ok(endless(is_future, infinities, FIRST_DAY, LAST_DAY)),
            None => iso_date(text).ok_or("a text that is no ISO date")?,
        },
        other => return other.unlike("a date"),
    };
    match i32::try_from(days) {
        Ok(day @ FIRST_DAY..=LAST_DAY) => Ok(day),
        _ => {
            let is_future = days == WRONG_SIDED_INFINITY_DAY || days > AFTER_ANY_DATE;
            if is_future || days < BEFORE_ANY_DAY {
                return Ok(endless(is_future, infinities, FIRST_DAY, LAST_DAY));
            }
            Err(UNHOLDABLE.into())
        }
    }
}

/// Microseconds since 1970 of a timestamp without time zone. Infinities add to `infinities`.
pub fn timestamp(token: &Token<'_>, ticks: Ticks, infinities: &mut u64) -> Read<i64> {
    match token {
        Token::Number(_) => {
            let count = numbers::integer::<i64>(token)?;
            match is_infinite(count, ticks) {
                true => Ok(endless(count > 0, infinities, FIRST_US, LAST_US)),
                false => micros(count, ticks)
                    .and_then(|us| holdable(i128::from(us)))
                    .map_err(|e| format!("{e}; is its precision declared as it is sent?")),
            }
        }
        Token::String(text) => instant(text, infinities, |offset| match offset {
            None | Some(0) => Ok(0),
            Some(_) => Err("an offset in a timestamp without time zone".into()),
        }),
        other => other.unlike("a timestamp"),
    }
}

/// Microseconds since 1970 UTC of an ISO timestamp with its offset. Infinities add to
/// `infinities`.
pub fn timestamp_tz(token: &Token<'_>, infinities: &mut u64) -> Read<i64> {
    match token {
        Token::String(text) => instant(text, infinities, |offset| {
            offset.ok_or_else(|| "a timestamp with time zone that has no offset".into())
        }),
        other => other.unlike("a timestamp with time zone"),
    }
}

/// A time of day as `HH:MM:SS.ffffff`, appended to `out`. `24:00:00` is the day's end.
pub fn time(token: &Token<'_>, ticks: Ticks, out: &mut String) -> Read<()> {
    let micros = match token {
        Token::Number(_) => micros(numbers::integer(token)?, ticks)?,
        Token::String(text) => {
            let mut scanner = Scanner::new(text);
            let micros = scanner.time()?.ok_or("a text that is no ISO time")?;
            let is_local = scanner.is_at_end() || scanner.offset() == Some(0);
            if !is_local || !scanner.is_at_end() {
                return Err("a text that is no ISO time without time zone".into());
            }
            micros
        }
        other => return other.unlike("a time of day"),
    };
    if !(0..=DAY_US).contains(&micros) {
        return Err("a time of day outside 0 to 24 hours; is its precision declared?".into());
    }
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    out.push_str(&format!("{hour:02}:{minute:02}:{second:02}.{fraction:06}"));
    Ok(())
}

/// A time with its offset, as it was written, appended to `out`.
pub fn time_tz(token: &Token<'_>, out: &mut String) -> Read<()> {
    let Token::String(text) = token else { return token.unlike("a time with time zone") };
    let mut scanner = Scanner::new(text);
    let is_time = scanner.time()?.is_some() && scanner.offset().is_some() && scanner.is_at_end();
    if !is_time {
        return Err("a text that is no ISO time with an offset".into());
    }
    out.push_str(text);
    Ok(())
}

fn iso_date(text: &str) -> Option<i64> {
    let mut scanner = Scanner::new(text);
    let days = scanner.date()?;
    (scanner.is_at_end() || scanner.offset()? == 0 && scanner.is_at_end()).then_some(days)
}

/// An ISO date and time; `east` says what the offset, if there is one, counts for.
fn instant(text: &str, infinities: &mut u64, east: impl Fn(Option<i64>) -> Read<i64>) -> Read<i64> {
    if let Some(is_future) = infinity(text) {
        return Ok(endless(is_future, infinities, FIRST_US, LAST_US));
    }
    let not_iso = "a text that is no ISO timestamp";
    let mut scanner = Scanner::new(text);
    let days = scanner.date().ok_or(not_iso)?;
    scanner.eat(b"T t").ok_or(not_iso)?;
    let time = scanner.time()?.filter(|time| *time < DAY_US).ok_or(not_iso)?;
    let offset = if scanner.is_at_end() { None } else { Some(scanner.offset().ok_or(not_iso)?) };
    if !scanner.is_at_end() {
        return Err(not_iso.into());
    }
    if !(BEFORE_ANY_DAY..INFINITE_TIMESTAMP_DAY).contains(&days) {
        return Ok(endless(days > 0, infinities, FIRST_US, LAST_US));
    }
    let seconds_east = east(offset)?;
    let local = i128::from(days) * i128::from(DAY_US) + i128::from(time);
    holdable(local - i128::from(seconds_east) * 1_000_000)
}

/// The words for infinity: `Some(true)` is the future's.
fn infinity(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("infinity") => Some(true),
        _ if text.eq_ignore_ascii_case("-infinity") => Some(false),
        _ => None,
    }
}

fn endless<T>(is_future: bool, infinities: &mut u64, first: T, last: T) -> T {
    *infinities += 1;
    if is_future { last } else { first }
}

/// Whether a count stands for an infinity. Nanoseconds reach it only at the ends of i64; Debezium
/// scales it to milliseconds, or does not, as its versions differ.
fn is_infinite(count: i64, ticks: Ticks) -> bool {
    match ticks {
        Ticks::Millis => count.unsigned_abs() >= INFINITE_US / 1000,
        Ticks::Micros => count.unsigned_abs() >= INFINITE_US,
        Ticks::Nanos => matches!(count, i64::MIN | i64::MAX),
    }
}

fn micros(count: i64, ticks: Ticks) -> Read<i64> {
    match ticks {
        Ticks::Millis => count.checked_mul(1000).ok_or_else(|| UNHOLDABLE.into()),
        Ticks::Micros => Ok(count),
        Ticks::Nanos if count % 1000 == 0 => Ok(count / 1000),
        Ticks::Nanos => Err("a time finer than microseconds".into()),
    }
}

fn holdable(micros: i128) -> Read<i64> {
    i64::try_from(micros)
        .ok()
        .filter(|us| (FIRST_US..=LAST_US).contains(us))
        .ok_or_else(|| UNHOLDABLE.into())
}

#[cfg(test)]
#[path = "times_tests.rs"]
mod tests;
