//! Small readings of JSON text: strings, object shapes, compaction.
//!
//! Values are kept as raw text until their column says what they are. Errors of the JSON library
//! are reworded here, because its own messages quote values, and values must never be logged.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A string that is borrowed from the text unless it has escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// The content of a raw JSON string; `None` where the raw value is no string.
pub(super) fn string(raw: &str) -> Result<Option<Cow<'_, str>>, String> {
    let Some(inner) = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) else {
        return Ok(None);
    };
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(Some(Cow::Borrowed(inner)));
    }
    match serde_json::from_str::<String>(raw) {
        Ok(text) => Ok(Some(Cow::Owned(text))),
        Err(_) => Err("a string with an invalid escape".into()),
    }
}

/// What is wrong with JSON text, by place only.
pub(super) fn fault(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field of an unexpected type or a duplicate field",
        serde_json::error::Category::Eof => "JSON that ends too early",
        _ => "invalid JSON",
    };
    format!("{what} near line {} column {}", error.line(), error.column())
}

/// The same JSON without white space outside strings.
pub(super) fn compact(raw: &str) -> Cow<'_, str> {
    if !raw.bytes().any(|b| b.is_ascii_whitespace()) {
        return Cow::Borrowed(raw);
    }
    let (mut out, mut in_string, mut escaped) = (String::with_capacity(raw.len()), false, false);
    for c in raw.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    Cow::Owned(out)
}

/// Why bytes are no JSON object we could read, or `None` where they begin like one.
pub(super) fn unlike_object(bytes: &[u8]) -> Option<&'static str> {
    match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => None,
        Some(0) => Some(
            "it begins with byte 0 and looks like Avro; JSON is needed: set key.converter and \
             value.converter to org.apache.kafka.connect.json.JsonConverter",
        ),
        None => Some("it is empty"),
        Some(_) => Some("it is no JSON object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compacts_outside_strings_only() {
        assert_eq!(compact(r#"[1, "a b\" ,", { "k" : null }]"#), r#"[1,"a b\" ,",{"k":null}]"#);
        assert_eq!(compact(r#"["a\\", 1]"#), r#"["a\\",1]"#);
        assert!(matches!(compact("[1]"), Cow::Borrowed(_)));
    }

    #[test]
    fn strings_are_unescaped_only_where_needed() {
        assert!(matches!(string(r#""plain é""#), Ok(Some(Cow::Borrowed("plain é")))));
        assert_eq!(string(r#""a\n\u00e9""#).unwrap().unwrap(), "a\né");
        assert_eq!(string("12"), Ok(None));
        assert!(string(r#""\ud800""#).is_err());
    }
}
