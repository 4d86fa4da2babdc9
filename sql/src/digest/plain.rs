//! Numbers and times as canonical text, digit pairs at a time.
//!
//! What is not written here is left to the formatter. It must never write another text than that does.

use std::iter::repeat_n;

/// The numbers below 100, two digits each.
const PAIRS: [[u8; 2]; 100] = pairs();
/// Days from March 1 of the year 0 to 1970.
const BEFORE_1970: i64 = 719_468;
const DAY_US: i64 = 86_400_000_000;

#[expect(clippy::cast_possible_truncation, reason = "digits are below ten")]
const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
}

/// Writes a number below 100 over two bytes.
fn put(over: &mut [u8], at: usize, number: u32) {
    over[at..at + 2].copy_from_slice(&PAIRS[number as usize % 100]);
}

/// A number of units of the last of so many decimal places.
pub(super) fn push_decimal(text: &mut Vec<u8>, units: i128, scale: usize) {
    if units < 0 {
        text.push(b'-');
    }
    let mut written = itoa::Buffer::new();
    // Most numbers fit into a word, which is divided in one step.
    let all = units.unsigned_abs();
    let digits = match u64::try_from(all) {
        Ok(word) => written.format(word),
        Err(_) => written.format(all),
    };
    let digits = digits.as_bytes();
    if scale == 0 {
        text.extend_from_slice(digits);
    } else if let Some((whole, places)) = digits.split_at_checked(digits.len().wrapping_sub(scale))
        && !whole.is_empty()
    {
        text.extend_from_slice(whole);
        text.push(b'.');
        text.extend_from_slice(places);
    } else {
        text.extend_from_slice(b"0.");
        text.extend(repeat_n(b'0', scale - digits.len()));
        text.extend_from_slice(digits);
    }
}

/// Microseconds since 1970 in UTC, for years of four digits; `false` for others.
pub(super) fn push_time(text: &mut Vec<u8>, us: i64) -> bool {
    let Some(date) = date_of(us.div_euclid(DAY_US)) else { return false };
    let of_day = us.rem_euclid(DAY_US);
    let [seconds, rest] = [of_day / 1_000_000, of_day % 1_000_000];
    let [seconds, rest] = [seconds, rest].map(|part| u32::try_from(part).unwrap_or(0));
    let mut cell = *b"0000-00-00 00:00:00.000000";
    cell[..date.len()].copy_from_slice(&date);
    put(&mut cell, 11, seconds / 3_600);
    put(&mut cell, 14, seconds / 60 % 60);
    put(&mut cell, 17, seconds % 60);
    put(&mut cell, 20, rest / 10_000);
    put(&mut cell, 22, rest / 100 % 100);
    put(&mut cell, 24, rest % 100);
    text.extend_from_slice(&cell);
    true
}

/// Days since 1970, for years of four digits; `false` for others.
pub(super) fn push_date(text: &mut Vec<u8>, days: i32) -> bool {
    let Some(date) = date_of(days.into()) else { return false };
    text.extend_from_slice(&date);
    true
}

fn date_of(days: i64) -> Option<[u8; 10]> {
    // Days are counted from March 1 of the year 0, so that a leap day ends its year.
    let days = u32::try_from(days + BEFORE_1970).ok()?;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u32::from(month <= 2);
    if !(1..=9999).contains(&year) {
        return None;
    }
    let mut date = *b"0000-00-00";
    put(&mut date, 0, year / 100);
    put(&mut date, 2, year % 100);
    put(&mut date, 5, month);
    put(&mut date, 8, day);
    Some(date)
}
