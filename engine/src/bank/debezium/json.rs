//! JSON written by hand into a byte buffer, for speed.
//!
//! Every function appends one value (or the body of one) and allocates nothing. It must never
//! write a float: money goes from cents to decimal text by digits alone.

const DAY_US: i64 = 86_400_000_000;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A whole number.
pub fn int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    digits(out, value.unsigned_abs(), 1);
}

/// A text in quotes, with what JSON demands escaped.
pub fn text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let bytes = value.as_bytes();
    let mut done = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(bytes.get(done..at).unwrap_or_default());
        escaped(out, *byte);
        done = at + 1;
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            for nibble in [byte >> 4, byte & 15] {
                out.extend(HEX.get(usize::from(nibble)));
            }
        }
    }
}

/// Cents as a decimal in quotes: `"12.34"`.
pub fn cents(out: &mut Vec<u8>, value: i64) {
    out.push(b'"');
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    digits(out, value / 100, 1);
    out.push(b'.');
    digits(out, value % 100, 2);
    out.push(b'"');
}

/// Microseconds since 1970 UTC as ISO 8601 in quotes: `"2026-11-22T09:05:01.000250Z"`.
///
/// For years 0 to 9999.
pub fn zoned(out: &mut Vec<u8>, us: i64) {
    let (year, month, day) = civil(us.div_euclid(DAY_US));
    let in_day = us.rem_euclid(DAY_US) as u64;
    let seconds = in_day / 1_000_000;
    let parts = [
        (b'"', year.unsigned_abs(), 4),
        (b'-', month, 2),
        (b'-', day, 2),
        (b'T', seconds / 3_600, 2),
        (b':', seconds / 60 % 60, 2),
        (b':', seconds % 60, 2),
        (b'.', in_day % 1_000_000, 6),
    ];
    for (before, value, width) in parts {
        out.push(before);
        digits(out, value, width);
    }
    out.extend_from_slice(b"Z\"");
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counted from March, so that the leap day comes last, in eras of 400 years (146,097 days).
fn civil(day: i64) -> (i64, u64, u64) {
    let from_march_0 = day + 719_468;
    let era = from_march_0.div_euclid(146_097);
    let in_era = from_march_0.rem_euclid(146_097);
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month as u64, day as u64)
}

fn digits(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut reversed = [b'0'; 20];
    let mut length = 0;
    for digit in &mut reversed {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        length += 1;
        if value == 0 && length >= width {
            break;
        }
    }
    out.extend(reversed.iter().take(length).rev());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn numbers_and_money() {
        assert_eq!(written(|out| int(out, 0)), "0");
        assert_eq!(written(|out| int(out, i64::MIN)), "-9223372036854775808");
        assert_eq!(written(|out| cents(out, 5)), "\"0.05\"");
        assert_eq!(written(|out| cents(out, -1_234)), "\"-12.34\"");
    }

    #[test]
    fn times() {
        assert_eq!(written(|out| zoned(out, 0)), "\"1970-01-01T00:00:00.000000Z\"");
        assert_eq!(written(|out| zoned(out, -1)), "\"1969-12-31T23:59:59.999999Z\"");
        let leap = 1_709_210_096_000_007;
        assert_eq!(written(|out| zoned(out, leap)), "\"2024-02-29T12:34:56.000007Z\"");
        let new_year = 1_798_761_600_000_000;
        assert_eq!(written(|out| zoned(out, new_year)), "\"2027-01-01T00:00:00.000000Z\"");
    }

    #[test]
    fn every_character_survives() {
        let all: String =
            (0..0x250).filter_map(char::from_u32).chain("\u{1f600}".chars()).collect();
        let parsed: String = serde_json::from_str(&written(|out| text(out, &all))).unwrap();
        assert_eq!(parsed, all);
    }
}
