//! Decimals of a declared precision and scale, exactly, in every form that Debezium writes.
//!
//! Text, JSON numbers (by their text), base64 two's complement, `{scale, value}`: each becomes an
//! unscaled i128. A digit that the scale can't hold is a fault, never a rounding.

use serde::Deserialize;

use super::{Read, Token, bytes};
use crate::envelope::json::Text;
use crate::envelope::options::DecimalStrings;

/// A number as `digits * 10^exponent`, with no trailing zero in `digits`.
#[derive(Debug, PartialEq, Eq)]
struct Scientific {
    digits: i128,
    exponent: i64,
}

/// `{scale, value}`: Debezium's VariableScaleDecimal.
#[derive(Deserialize)]
pub(super) struct VariableScale<'a> {
    pub scale: i32,
    #[serde(borrow)]
    value: Text<'a>,
}

impl<'a> VariableScale<'a> {
    /// The struct and the bytes of its unscaled value.
    pub fn read(json: &'a str) -> Read<(Self, Vec<u8>)> {
        let read: Self = serde_json::from_str(json)
            .map_err(|_| String::from("an object that is not {scale, value}"))?;
        let mut unscaled = Vec::new();
        bytes::from_base64(&read.value.0, &mut unscaled)?;
        Ok((read, unscaled))
    }
}

/// The unscaled value at the declared scale.
pub fn decimal(token: &Token<'_>, precision: u8, scale: i8, strings: DecimalStrings) -> Read<i128> {
    let number = match token {
        Token::Number(text) => scientific(text)?,
        Token::String(text) => match strings {
            DecimalStrings::Text => scientific(text)?,
            DecimalStrings::Base64 => {
                let mut unscaled = Vec::with_capacity(16);
                bytes::from_base64(text, &mut unscaled)
                    .map_err(|e| format!("{e}; is envelope.decimal_strings right?"))?;
                from_unscaled(&unscaled, i32::from(scale))?
            }
        },
        Token::Nested(json) => {
            let (read, unscaled) = VariableScale::read(json)?;
            from_unscaled(&unscaled, read.scale)?
        }
        Token::Bool(_) => return token.unlike("a decimal"),
    };
    at_scale(&number, precision, scale)
}

fn at_scale(number: &Scientific, precision: u8, scale: i8) -> Read<i128> {
    if number.digits == 0 {
        return Ok(0);
    }
    let shift = number.exponent + i64::from(scale);
    if shift < 0 {
        return Err(format!("more digits after the point than its scale {scale} holds"));
    }
    let overflow = || format!("more digits than its precision {precision} holds");
    u32::try_from(shift)
        .ok()
        .and_then(|shift| 10i128.checked_pow(shift))
        .and_then(|factor| number.digits.checked_mul(factor))
        .filter(|unscaled| {
            let limit = 10u128.checked_pow(u32::from(precision)).unwrap_or(u128::MAX);
            unscaled.unsigned_abs() < limit
        })
        .ok_or_else(overflow)
}

/// Reads `-12.50`, `1.25E+3`, `.5`: sign, digits, point, exponent.
fn scientific(text: &str) -> Read<Scientific> {
    let not_decimal = || {
        let hint = "a text that is no decimal";
        match text.to_ascii_lowercase().as_str() {
            "nan" | "infinity" | "-infinity" => {
                "NaN or an infinity, which a decimal can't hold: declare the column as text".into()
            }
            _ => format!("{hint}; is envelope.decimal_strings right?"),
        }
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        None => (text, 0),
        Some(at) => {
            let exponent = text[at + 1..].parse::<i32>().map_err(|_| not_decimal())?;
            (&text[..at], i64::from(exponent))
        }
    };
    let is_negative = mantissa.starts_with('-');
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (mut digits, mut zeros, mut fraction, mut seen) = (0i128, 0u32, None::<i64>, false);
    for byte in unsigned.bytes() {
        match byte {
            b'.' if fraction.is_none() => fraction = Some(0),
            b'0'..=b'9' => {
                seen = true;
                fraction = fraction.map(|n| n + 1);
                // Zeros wait until a later digit needs them: "1.50" and "1.5" read the same.
                zeros += 1;
                if byte != b'0' {
                    digits = 10i128
                        .checked_pow(if digits == 0 { 1 } else { zeros })
                        .and_then(|factor| digits.checked_mul(factor))
                        .and_then(|d| d.checked_add(i128::from(byte - b'0')))
                        .ok_or("more digits than 38")?;
                    zeros = 0;
                }
            }
            _ => return Err(not_decimal()),
        }
    }
    if !seen {
        return Err(not_decimal());
    }
    let exponent = exponent + i64::from(zeros) - fraction.unwrap_or(0);
    Ok(Scientific { digits: if is_negative { -digits } else { digits }, exponent })
}

/// A big-endian two's complement number at a scale.
fn from_unscaled(bytes: &[u8], scale: i32) -> Read<Scientific> {
    let mut digits = twos_complement(bytes)?;
    let mut exponent = -i64::from(scale);
    while digits != 0 && digits % 10 == 0 {
        digits /= 10;
        exponent += 1;
    }
    Ok(Scientific { digits, exponent })
}

fn twos_complement(bytes: &[u8]) -> Read<i128> {
    let first = *bytes.first().ok_or("an empty base64 decimal")?;
    let fill = if first & 0x80 == 0 { 0 } else { 0xff };
    let (head, tail) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut wide = [fill; 16];
    wide[16 - tail.len()..].copy_from_slice(tail);
    let value = i128::from_be_bytes(wide);
    let keeps_sign = (value < 0) == (fill == 0xff);
    match head.iter().all(|b| *b == fill) && keeps_sign {
        true => Ok(value),
        false => Err("more digits than 38".into()),
    }
}

#[cfg(test)]
#[path = "decimals_tests.rs"]
mod tests;
