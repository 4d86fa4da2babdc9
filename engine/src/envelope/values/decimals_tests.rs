//! Decimals in all forms, and a seeded round trip through each of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::envelope::rows_tests::Dice;

fn text(text: &str, precision: u8, scale: i8) -> Read<i128> {
    decimal(&Token::String(text.into()), precision, scale, DecimalStrings::Text)
}

fn number(text: &str, precision: u8, scale: i8) -> Read<i128> {
    decimal(&Token::Number(text), precision, scale, DecimalStrings::Text)
}

fn base64(bytes: &[u8], precision: u8, scale: i8) -> Read<i128> {
    let text = STANDARD.encode(bytes);
    decimal(&Token::String(text.into()), precision, scale, DecimalStrings::Base64)
}

#[test]
fn texts_and_numbers_keep_every_digit() {
    assert_eq!(text("12.34", 18, 2), Ok(1234));
    assert_eq!(text("-0.01", 18, 2), Ok(-1));
    assert_eq!(text("+7", 18, 2), Ok(700));
    assert_eq!(text("00012.3400000000000000000000000000000000000000000", 18, 2), Ok(1234));
    assert_eq!(number("12.5", 18, 2), Ok(1250));
    assert_eq!(number("0.1", 18, 2), Ok(10));
    assert_eq!(number("1.5E+3", 18, 2), Ok(150_000));
    assert_eq!(number("125e-2", 18, 2), Ok(125));
    assert_eq!(number("0e999999999", 18, 2), Ok(0));
    let widest = "99999999999999999999999999999999999999";
    assert_eq!(text(widest, 38, 0), Ok(10i128.pow(38) - 1));
    assert_eq!(text(&format!("-0.{widest}"), 38, 38), Ok(1 - 10i128.pow(38)));
}

#[test]
fn nothing_is_rounded() {
    assert!(text("12.345", 18, 2).unwrap_err().contains("scale 2"));
    assert_eq!(text("12.340", 18, 2), Ok(1234));
    assert!(text("1000", 5, 2).unwrap_err().contains("precision 5"));
    assert_eq!(text("999.99", 5, 2), Ok(99_999));
    assert!(number("1e39", 38, 0).is_err());
    assert!(number("1e999999999", 38, 0).is_err());
    assert!(number("1e-999999999", 38, 10).is_err());
    assert!(text(&"9".repeat(60), 38, 0).is_err());
}

#[test]
fn what_is_no_number_is_refused_without_quoting_it() {
    for wrong in ["", "-", ".", "12,5", "1.2.3", "BNI=", "1e", "e5", "0x10", "--1"] {
        let reason = text(wrong, 18, 2).unwrap_err();
        assert!(reason.contains("no decimal"), "{wrong}: {reason}");
    }
    assert!(text("NaN", 18, 2).unwrap_err().contains("declare the column as text"));
    assert!(text("-Infinity", 18, 2).is_err());
    assert!(decimal(&Token::Bool(true), 18, 2, DecimalStrings::Text).is_err());
}

#[test]
fn base64_and_structs() {
    assert_eq!(base64(&[0x04, 0xd2], 18, 2), Ok(1234));
    assert_eq!(base64(&[0xff], 18, 2), Ok(-1));
    assert_eq!(base64(&[0xff; 30], 18, 2), Ok(-1));
    assert_eq!(base64(&[0x00, 0x80], 18, 2), Ok(128));
    assert!(base64(&[], 18, 2).is_err());
    let mut wide = vec![0];
    wide.extend([0xff; 16]);
    assert!(base64(&wide, 38, 0).is_err());
    let nested = |json: &str| decimal(&Token::Nested(json.into()), 18, 2, DecimalStrings::Text);
    assert_eq!(nested(r#"{"scale":1,"value":"fQ=="}"#), Ok(1250));
    assert_eq!(nested(r#"{"value":"AQ==","scale":-2}"#), Ok(10_000));
    assert!(nested(r#"{"scale":3,"value":"fQ=="}"#).is_err());
    assert!(nested("[1]").is_err());
    let strange = decimal(&Token::String("12.34".into()), 18, 2, DecimalStrings::Base64);
    assert!(strange.unwrap_err().contains("decimal_strings"));
}

#[test]
fn a_seeded_round_trip_through_every_form() {
    let mut dice = Dice(42);
    for _ in 0..20_000 {
        let precision = 1 + dice.below(38) as u8;
        let scale = dice.below(u64::from(precision) + 1) as i8;
        let wide = (u128::from(dice.next()) << 64) | u128::from(dice.next());
        let digits = 1 + dice.below(u64::from(precision)) as u32;
        let unscaled = (wide % 10u128.pow(digits)) as i128;
        let unscaled = if dice.below(2) == 0 { -unscaled } else { unscaled };
        let padded = format!("{:0width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale as usize);
        let sign = if unscaled < 0 { "-" } else { "" };
        let point = if scale > 0 { "." } else { "" };
        let plain = format!("{sign}{whole}{point}{fraction}");
        assert_eq!(text(&plain, precision, scale), Ok(unscaled), "{plain}");
        assert_eq!(number(&plain, precision, scale), Ok(unscaled), "{plain}");
        let exponent = format!("{unscaled}E-{scale}");
        assert_eq!(number(&exponent, precision, scale), Ok(unscaled), "{exponent}");
        assert_eq!(base64(&unscaled.to_be_bytes(), precision, scale), Ok(unscaled));
    }
}
