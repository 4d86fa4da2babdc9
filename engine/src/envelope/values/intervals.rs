//! Intervals: microseconds, or ISO 8601 durations turned into microseconds.
//!
//! A month counts 365.25/12 days and a year twelve of them, as Debezium's numeric form has it: both
//! forms of one interval give one number.

use super::{Read, Token, numbers};

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// 365.25 / 12 days.
const MONTH_US: i64 = 2_629_800 * SECOND_US;

/// Microseconds.
pub fn interval(token: &Token<'_>) -> Read<i64> {
    match token {
        Token::Number(_) => numbers::integer(token),
        Token::String(text) => {
            duration(text).ok_or_else(|| "a text that is no ISO 8601 duration".into())
        }
        other => other.unlike("an interval"),
    }
}

/// `P1Y2M3DT4H5M6.78S`, each part with its own sign.
fn duration(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('P')?;
    let (mut total, mut in_time, mut parts) = (0i64, false, 0);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T').filter(|_| !in_time) {
            (in_time, rest) = (true, time);
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = (&rest[..end], rest.as_bytes()[end]);
        let unit = match (unit, in_time) {
            (b'Y', false) => MONTH_US * 12,
            (b'M', false) => MONTH_US,
            (b'W', false) => DAY_US * 7,
            (b'D', false) => DAY_US,
            (b'H', true) => SECOND_US * 3600,
            (b'M', true) => SECOND_US * 60,
            (b'S', true) => SECOND_US,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit)?)?;
        parts += 1;
        rest = &rest[end + 1..];
    }
    (parts > 0).then_some(total)
}

/// A decimal number of units; its fraction has to come out in whole microseconds.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let is_negative = number.starts_with('-');
    let unsigned = number.strip_prefix(['-', '+']).unwrap_or(number);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let denominator = 10i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = if fraction.is_empty() { 0 } else { fraction.parse::<i64>().ok()? };
    let parts = parts.checked_mul(unit)?;
    if parts % denominator != 0 {
        return None;
    }
    let total = whole.parse::<i64>().ok()?.checked_mul(unit)?.checked_add(parts / denominator)?;
    Some(if is_negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_one_number() {
        let text = |text: &'static str| interval(&Token::String(text.into()));
        assert_eq!(interval(&Token::Number("93600000000")), Ok(93_600_000_000));
        assert_eq!(text("PT26H"), Ok(93_600_000_000));
        assert_eq!(text("P1DT2H"), Ok(93_600_000_000));
        assert_eq!(text("P0Y0M0DT0H0M0.0S"), Ok(0));
        assert_eq!(text("P1Y2M3DT4H5M6.78S"), Ok(37_091_106_780_000));
        assert_eq!(text("P-1Y"), Ok(-31_557_600_000_000));
        assert_eq!(text("PT-0.5S"), Ok(-500_000));
        for wrong in ["P", "PT", "1D", "P1H", "PT1D", "P1", "PT0.0000001S", "P99999999999999Y"] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
    }
}
