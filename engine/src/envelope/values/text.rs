//! Text: a string's content, or whatever else as compact JSON.
//!
//! Arrays, hstore maps, points and the like have no column type of their own and stay the JSON that
//! was sent. A json column comes as a string and gives the string's content, unchanged.

use super::Token;

/// The text, appended to `out`.
pub fn text(token: &Token<'_>, out: &mut String) {
    match token {
        Token::String(content) => out.push_str(content),
        Token::Number(raw) => out.push_str(raw),
        Token::Nested(json) => out.push_str(json),
        Token::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
    }
}
