//! One JSON value to one typed value, a file per family of types.
//!
//! A reading takes the value as raw text, so that no number passes through a float, and answers
//! with the exact value or with the reason why there is none. Nothing here rounds, clamps in
//! silence, knows Arrow, or puts the value into its reason.

pub(super) mod bytes;
pub(super) mod decimals;
pub(super) mod intervals;
mod iso;
pub(super) mod numbers;
pub(super) mod numerics;
pub(super) mod text;
pub(super) mod times;

use std::borrow::Cow;

use super::json;

/// A value, or the reason why it can't be read: a phrase that follows the column's name.
pub(super) type Read<T> = Result<T, String>;

/// A JSON value that is not null, before its column says what it is.
#[derive(Debug)]
pub(super) enum Token<'a> {
    /// A string's content.
    String(Cow<'a, str>),
    /// A number's text.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// An array's or object's compact text.
    Nested(Cow<'a, str>),
}

impl<'a> Token<'a> {
    /// Reads raw JSON; `None` is null.
    pub fn of(raw: &'a str) -> Read<Option<Self>> {
        Ok(Some(match raw.as_bytes().first() {
            Some(b'"') => Self::String(json::string(raw)?.unwrap_or_default()),
            Some(b'-' | b'0'..=b'9') => Self::Number(raw),
            Some(b'n') => return Ok(None),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            _ => Self::Nested(json::compact(raw)),
        }))
    }

    /// The reason for a value of the wrong JSON type.
    pub fn unlike<T>(&self, wanted: &str) -> Read<T> {
        let found = match self {
            Self::String(_) => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Nested(_) => "an array or object",
        };
        Err(format!("{found} where {wanted} was declared"))
    }
}
