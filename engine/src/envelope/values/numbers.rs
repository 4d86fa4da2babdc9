//! Booleans, whole numbers and floats.

use std::str::FromStr;

use super::{Read, Token};

/// `true` or `false`.
pub fn boolean(token: &Token<'_>) -> Read<bool> {
    match token {
        Token::Bool(value) => Ok(*value),
        other => other.unlike("a boolean"),
    }
}

/// A whole number that fits its type.
pub fn integer<T: FromStr>(token: &Token<'_>) -> Read<T> {
    match token {
        Token::Number(text) => {
            text.parse().map_err(|_| "a number that is not whole or out of range".into())
        }
        other => other.unlike("a whole number"),
    }
}

/// A float: a number, or the words that JSON has no number for.
pub fn float<T: FromStr + From<f32>>(token: &Token<'_>) -> Read<T> {
    match token {
        Token::Number(text) => text.parse().map_err(|_| "a number that is no float".into()),
        Token::String(word) => match word.as_ref() {
            "NaN" => Ok(T::from(f32::NAN)),
            "Infinity" => Ok(T::from(f32::INFINITY)),
            "-Infinity" => Ok(T::from(f32::NEG_INFINITY)),
            _ => Err("a string that is none of NaN, Infinity, -Infinity".into()),
        },
        other => other.unlike("a float"),
    }
}
