//! Times in every unit and as text, their infinities, and a seeded round trip against chrono.

use chrono::{DateTime, Datelike, FixedOffset, TimeDelta};

use super::*;
use crate::envelope::rows_tests::Dice;

fn days(token: Token<'_>) -> (Read<i32>, u64) {
    let mut infinities = 0;
    (date(&token, &mut infinities), infinities)
}

fn local(token: Token<'_>, ticks: Ticks) -> (Read<i64>, u64) {
    let mut infinities = 0;
    (timestamp(&token, ticks, &mut infinities), infinities)
}

fn zoned(text: &str) -> (Read<i64>, u64) {
    let mut infinities = 0;
    (timestamp_tz(&Token::String(text.into()), &mut infinities), infinities)
}

fn string(text: &str) -> Token<'_> {
    Token::String(text.into())
}

#[test]
fn dates() {
    assert_eq!(days(Token::Number("0")), (Ok(0), 0));
    assert_eq!(days(string("2017-09-15Z")), (Ok(17_424), 0));
    assert_eq!(days(string("2017-09-15")), (Ok(17_424), 0));
    assert_eq!(days(string("0001-01-01")), (Ok(FIRST_DAY), 0));
    assert_eq!(days(string("9999-12-31")), (Ok(LAST_DAY), 0));
    assert_eq!(days(string("infinity")), (Ok(LAST_DAY), 1));
    assert_eq!(days(string("-infinity")), (Ok(FIRST_DAY), 1));
    for wrong in ["2023-02-29", "2023-13-01", "2023-1-1", "yesterday", "2017-09-15+02:00", ""] {
        assert!(days(string(wrong)).0.is_err(), "{wrong}");
    }
    assert!(days(Token::Number("2932897")).0.unwrap_err().contains("9999"));
    assert!(days(Token::Number("-719163")).0.is_err());
}

#[test]
fn infinite_dates_of_old_and_new_versions() {
    assert_eq!(days(Token::Number("-2147472692")), (Ok(LAST_DAY), 1));
    assert_eq!(days(Token::Number("-2147472691")), (Ok(FIRST_DAY), 1));
    assert_eq!(days(string("-5877611-06-21")), (Ok(LAST_DAY), 1));
    assert_eq!(days(string("-5877611-06-22")), (Ok(FIRST_DAY), 1));
    assert_eq!(days(string("+5877611-06-21")), (Ok(LAST_DAY), 1));
    assert_eq!(days(Token::Number("2147483647")), (Ok(LAST_DAY), 1));
    assert_eq!(days(Token::Number("-2147483648")), (Ok(FIRST_DAY), 1));
    assert!(days(string("+5874897-12-31")).0.is_err());
}

#[test]
fn timestamps_in_their_unit() {
    let expected = (Ok(1_500_000_000_123_000), 0);
    assert_eq!(local(Token::Number("1500000000123"), Ticks::Millis), expected);
    assert_eq!(local(Token::Number("1500000000123000"), Ticks::Micros), expected);
    assert_eq!(local(Token::Number("1500000000123000000"), Ticks::Nanos), expected);
    assert_eq!(local(string("2017-07-14T02:40:00.123"), Ticks::Micros), expected);
    assert_eq!(local(string("2017-07-14 02:40:00.123000000Z"), Ticks::Micros), expected);
    assert!(local(Token::Number("1500000000123000001"), Ticks::Nanos).0.is_err());
    assert!(local(string("2017-07-14T02:40:00.1230001"), Ticks::Micros).0.is_err());
    assert!(local(string("2017-07-14T02:40:00+02:00"), Ticks::Micros).0.is_err());
    let reason = local(Token::Number("1500000000123000"), Ticks::Millis).0.unwrap_err();
    assert!(reason.contains("precision"), "{reason}");
}

#[test]
fn infinite_timestamps() {
    for (count, ticks) in [
        ("9223372036825200000", Ticks::Micros),
        ("9223372036854775807", Ticks::Micros),
        ("9223372036825200", Ticks::Millis),
        ("9223372036825200000", Ticks::Millis),
        ("9223372036854775807", Ticks::Nanos),
    ] {
        assert_eq!(local(Token::Number(count), ticks), (Ok(LAST_US), 1), "{count} {ticks:?}");
    }
    assert_eq!(local(Token::Number("-9223372036832400000"), Ticks::Micros), (Ok(FIRST_US), 1));
    assert_eq!(local(Token::Number("-9223372036832400"), Ticks::Millis), (Ok(FIRST_US), 1));
    assert_eq!(local(string("+294247-01-10T04:00:25.200Z"), Ticks::Micros), (Ok(LAST_US), 1));
    assert_eq!(local(string("-290308-12-21T19:59:27.6Z"), Ticks::Micros), (Ok(FIRST_US), 1));
    assert_eq!(zoned("infinity"), (Ok(LAST_US), 1));
    assert_eq!(zoned("-infinity"), (Ok(FIRST_US), 1));
    assert!(zoned("0044-03-15T00:00:00Z BC").0.is_err());
    assert!(zoned("+10000-01-01T00:00:00Z").0.unwrap_err().contains("9999"));
    assert!(zoned("9999-12-31T23:59:59-01:00").0.is_err());
}

#[test]
fn zoned_timestamps_need_their_offset() {
    let expected = (Ok(1_500_000_000_120_000), 0);
    for text in [
        "2017-07-14T02:40:00.12Z",
        "2017-07-14T04:40:00.12+02:00",
        "2017-07-14T02:40:00.120000-00:00",
        "2017-07-13T23:09:45.12-03:30:15",
        "2017-07-14 08:10:00.12+0530",
        "2017-07-14 04:40:00.12+02",
    ] {
        assert_eq!(zoned(text), expected, "{text}");
    }
    assert!(zoned("2017-07-14T02:40:00").0.unwrap_err().contains("no offset"));
    for wrong in ["2017-07-14T24:00:00Z", "2017-07-14T02:60:00Z", "2017-07-14", "2017-07-14T02Z"] {
        assert!(zoned(wrong).0.is_err(), "{wrong}");
    }
    let mut infinities = 0;
    assert!(timestamp_tz(&Token::Number("1"), &mut infinities).is_err());
}

#[test]
fn times_of_day() {
    let read = |token: Token<'_>, ticks| {
        let mut out = String::new();
        time(&token, ticks, &mut out).map(|()| out)
    };
    assert_eq!(read(Token::Number("14711789"), Ticks::Millis).unwrap(), "04:05:11.789000");
    assert_eq!(read(Token::Number("14711789001"), Ticks::Micros).unwrap(), "04:05:11.789001");
    assert_eq!(read(Token::Number("14711789001000"), Ticks::Nanos).unwrap(), "04:05:11.789001");
    assert_eq!(read(string("04:05:11.789Z"), Ticks::Micros).unwrap(), "04:05:11.789000");
    assert_eq!(read(string("04:05"), Ticks::Micros).unwrap(), "04:05:00.000000");
    assert_eq!(read(Token::Number("86400000000"), Ticks::Micros).unwrap(), "24:00:00.000000");
    assert!(read(Token::Number("86400000001"), Ticks::Micros).is_err());
    assert!(read(Token::Number("-1"), Ticks::Micros).is_err());
    assert!(read(string("04:05:11+02:00"), Ticks::Micros).is_err());
    assert!(read(string("24:00:01"), Ticks::Micros).is_err());
    let mut out = String::new();
    time_tz(&string("04:05:11.789Z"), &mut out).unwrap();
    assert_eq!(out, "04:05:11.789Z");
    assert!(time_tz(&string("04:05:11"), &mut out).is_err());
}

#[test]
fn a_seeded_round_trip_of_timestamps() {
    let mut dice = Dice(2026);
    for _ in 0..20_000 {
        let micros = FIRST_US + dice.below(LAST_US.abs_diff(FIRST_US) + 1) as i64;
        let utc = DateTime::from_timestamp_micros(micros).unwrap();
        let text = format!("{}", utc.format("%Y-%m-%dT%H:%M:%S%.6f"));
        assert_eq!(local(string(&text), Ticks::Micros), (Ok(micros), 0), "{text}");
        assert_eq!(local(Token::Number(&micros.to_string()), Ticks::Micros), (Ok(micros), 0));
        let day = (utc.num_days_from_ce() - 719_163, 0);
        assert_eq!(days(string(&text[..10])), (Ok(day.0), day.1));
        let east = dice.below(2 * 14 * 60) as i32 - 14 * 60;
        let shifted = utc + TimeDelta::minutes(i64::from(east));
        if (1..=9999).contains(&shifted.year()) {
            let offset = FixedOffset::east_opt(east * 60).unwrap();
            let text = utc.with_timezone(&offset).to_rfc3339();
            assert_eq!(zoned(&text), (Ok(micros), 0), "{text}");
        }
    }
}
