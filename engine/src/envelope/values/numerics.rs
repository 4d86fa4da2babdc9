//! Numerics without a declared precision: their exact decimal text, however long.
//!
//! Plain text stays as it was written, trailing zeros too, since PostgreSQL keeps them; exponents
//! are written out. NaN and the infinities stay words: only text can hold them.

use super::decimals::VariableScale;
use super::{Read, Token, bytes};
use crate::envelope::options::DecimalStrings;

/// Most digits that an exponent may write out: PostgreSQL's numeric holds no more.
const DIGITS_MAX: i32 = 150_000;

/// The decimal text, appended to `out`. `scale` is that of base64 strings.
pub fn numeric(
    token: &Token<'_>,
    scale: Option<i32>,
    strings: DecimalStrings,
    out: &mut String,
) -> Read<()> {
    match token {
        Token::Number(text) => plain(text, out),
        Token::String(text) => match strings {
            DecimalStrings::Text => plain(text, out),
            DecimalStrings::Base64 => {
                let scale = scale.ok_or("a base64 decimal whose scale nothing declares")?;
                let mut unscaled = Vec::new();
                bytes::from_base64(text, &mut unscaled)?;
                place(&unscaled, scale, out)
            }
        },
        Token::Nested(json) => {
            let (read, unscaled) = VariableScale::read(json)?;
            place(&unscaled, read.scale, out)
        }
        Token::Bool(_) => token.unlike("a decimal"),
    }
}

fn plain(text: &str, out: &mut String) -> Read<()> {
    let refused = || String::from("a text that is no decimal");
    match text.to_ascii_lowercase().as_str() {
        "nan" => out.push_str("NaN"),
        "infinity" => out.push_str("Infinity"),
        "-infinity" => out.push_str("-Infinity"),
        _ => {
            let is_negative = text.starts_with('-');
            let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
            let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
                None => (unsigned, 0),
                Some(at) => {
                    (&unsigned[..at], unsigned[at + 1..].parse::<i32>().map_err(|_| refused())?)
                }
            };
            let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let digits = [whole, fraction].concat();
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(refused());
            }
            let fraction = i32::try_from(fraction.len()).map_err(|_| refused())?;
            let scale = fraction.checked_sub(exponent).ok_or_else(refused)?;
            point(is_negative, &digits, scale, out)?;
        }
    }
    Ok(())
}

fn place(unscaled: &[u8], scale: i32, out: &mut String) -> Read<()> {
    let (is_negative, digits) = digits(unscaled)?;
    point(is_negative, &digits, scale, out)
}

/// Writes digits with the point `scale` digits from the right.
fn point(is_negative: bool, digits: &str, scale: i32, out: &mut String) -> Read<()> {
    if scale.unsigned_abs() > DIGITS_MAX.unsigned_abs() {
        return Err("a decimal with more digits than PostgreSQL holds".into());
    }
    if is_negative {
        out.push('-');
    }
    let zeros = usize::try_from(-scale).unwrap_or(0);
    let scale = usize::try_from(scale).unwrap_or(0);
    let mut padded = "0".repeat((scale + 1).saturating_sub(digits.len()));
    padded.push_str(digits);
    padded.push_str(&"0".repeat(zeros));
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let stripped = whole.trim_start_matches('0');
    out.push_str(if stripped.is_empty() { "0" } else { stripped });
    if scale > 0 {
        out.push('.');
        out.push_str(fraction);
    }
    Ok(())
}

/// The decimal digits of a big-endian two's complement number of any length.
fn digits(bytes: &[u8]) -> Read<(bool, String)> {
    let first = *bytes.first().ok_or("an empty base64 decimal")?;
    let is_negative = first & 0x80 != 0;
    let mut limbs = magnitude(bytes, is_negative);
    let mut groups = Vec::new();
    while let Some(top) = limbs.iter().position(|limb| *limb != 0) {
        limbs.drain(..top);
        let mut rest = 0u64;
        for limb in &mut limbs {
            let value = rest << 32 | u64::from(*limb);
            *limb = (value / 1_000_000_000) as u32;
            rest = value % 1_000_000_000;
        }
        groups.push(rest);
    }
    let Some(highest) = groups.pop() else { return Ok((false, "0".into())) };
    let mut text = highest.to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    Ok((is_negative, text))
}

/// The absolute value in limbs of 32 bits, the highest first.
fn magnitude(bytes: &[u8], is_negative: bool) -> Vec<u32> {
    let fill = if is_negative { 0xff } else { 0 };
    let mut padded = vec![fill; bytes.len().div_ceil(4) * 4 - bytes.len()];
    padded.extend_from_slice(bytes);
    let limbs = padded.chunks_exact(4).map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]));
    let mut limbs: Vec<u32> = limbs.collect();
    if is_negative {
        let mut carry = true;
        for limb in limbs.iter_mut().rev() {
            (*limb, carry) = (!*limb).overflowing_add(u32::from(carry));
        }
        if carry {
            limbs.insert(0, 1);
        }
    }
    limbs
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::envelope::rows_tests::Dice;

    fn read(token: &Token<'_>, scale: Option<i32>, strings: DecimalStrings) -> Read<String> {
        let mut out = String::new();
        numeric(token, scale, strings, &mut out).map(|()| out)
    }

    fn text(text: &str) -> Read<String> {
        read(&Token::String(text.into()), None, DecimalStrings::Text)
    }

    #[test]
    fn texts_stay_and_exponents_are_written_out() {
        assert_eq!(text("12.340").unwrap(), "12.340");
        assert_eq!(text("-0.5").unwrap(), "-0.5");
        assert_eq!(text("1.5E+3").unwrap(), "1500");
        assert_eq!(text("-1.5e-3").unwrap(), "-0.0015");
        assert_eq!(text("nan").unwrap(), "NaN");
        assert_eq!(text("-Infinity").unwrap(), "-Infinity");
        for wrong in ["", "-", "twelve", "1e2000000", "1e-2000000000", "1.2.3"] {
            assert!(text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_of_any_length() {
        let mut dice = Dice(7);
        for _ in 0..5_000 {
            let value = (i128::from(dice.next() as i64) << 64) >> dice.below(128);
            let token = Token::String(STANDARD.encode(value.to_be_bytes()).into());
            let read = read(&token, Some(0), DecimalStrings::Base64).unwrap();
            assert_eq!(read, value.to_string());
        }
        // 2^256, and its negative.
        let mut bytes = vec![1u8];
        bytes.extend([0; 32]);
        let power =
            "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        assert_eq!(digits(&bytes).unwrap(), (false, power.into()));
        bytes[0] = 0xff;
        assert_eq!(digits(&bytes).unwrap(), (true, power.into()));
        assert_eq!(digits(&[0x80, 0, 0, 0]).unwrap(), (true, "2147483648".into()));
    }

    #[test]
    fn structs_carry_their_scale() {
        let token = Token::Nested(r#"{"scale":4,"value":"BNI="}"#.into());
        assert_eq!(read(&token, None, DecimalStrings::Text).unwrap(), "0.1234");
        let base64 = Token::String("BNI=".into());
        assert!(read(&base64, None, DecimalStrings::Base64).is_err());
        assert_eq!(read(&base64, Some(-2), DecimalStrings::Base64).unwrap(), "123400");
    }
}
