//! Debezium's placeholder for an unchanged TOAST value, in every form that a type can take.
//!
//! PostgreSQL doesn't log a large value that an update left alone; Debezium writes this instead. It
//! is only recognised here: the value itself is the lake's to fill. A real value that equals the
//! placeholder can't be told apart, which is why its text is configurable on both sides.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use md5::{Digest, Md5};

/// All forms of one placeholder.
#[derive(Debug, Clone)]
pub(super) struct Placeholder {
    /// Scalars: the text (also json), base64 in both alphabets, hex.
    scalars: Vec<String>,
    /// Arrays and maps as compact JSON.
    nested: Vec<String>,
}

impl Placeholder {
    /// The forms of a configured placeholder: a text, or `hex:` and its bytes.
    pub fn new(configured: &str) -> Self {
        let bytes = configured
            .strip_prefix("hex:")
            .and_then(super::values::bytes::from_hex)
            .unwrap_or_else(|| configured.as_bytes().to_vec());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let base64 = STANDARD.encode(&bytes);
        let codes = |suffix: &str| {
            let codes: Vec<_> = bytes.iter().map(|b| format!("{b}{suffix}")).collect();
            format!("[{}]", codes.join(","))
        };
        let quoted = quote(&text);
        let map = format!("{{{quoted}:{quoted}}}");
        let nested = vec![
            format!("[{quoted}]"),
            format!("[{}]", quote(&base64)),
            format!("[\"{}\"]", name_uuid(&bytes)),
            codes(""),
            codes(".0"),
            map.clone(),
        ];
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        Self { scalars: vec![text, base64, URL_SAFE.encode(&bytes), hex, map], nested }
    }

    /// Whether a string's content is the placeholder, as text.
    pub fn is_text(&self, content: &str) -> bool {
        self.scalars.first().is_some_and(|text| text == content)
            || self.scalars.last().is_some_and(|map| map == content)
    }

    /// Whether a string's content is the placeholder, as text or as encoded bytes.
    pub fn is_scalar(&self, content: &str) -> bool {
        self.scalars.iter().any(|form| form == content)
    }

    /// Whether an array's or a map's compact JSON is the placeholder.
    pub fn is_nested(&self, json: &str) -> bool {
        self.nested.iter().any(|form| form == json)
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// The name-based UUID (version 3, no name space) that Java derives from bytes.
fn name_uuid(bytes: &[u8]) -> String {
    let mut hash: [u8; 16] = Md5::digest(bytes).into();
    hash[6] = hash[6] & 0x0f | 0x30;
    hash[8] = hash[8] & 0x3f | 0x80;
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_has_the_forms_that_debezium_sends() {
        let placeholder = Placeholder::new("__debezium_unavailable_value");
        assert!(placeholder.is_text("__debezium_unavailable_value"));
        assert!(placeholder.is_scalar("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="));
        assert!(!placeholder.is_text("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="));
        assert!(placeholder.is_nested(r#"["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]"#));
        assert!(placeholder.is_nested(r#"["__debezium_unavailable_value"]"#));
        let map = r#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#;
        assert!(placeholder.is_nested(map) && placeholder.is_text(map));
        let codes: Vec<_> = b"__debezium_unavailable_value".iter().map(u8::to_string).collect();
        assert!(placeholder.is_nested(&format!("[{}]", codes.join(","))));
        assert!(!placeholder.is_nested("[95,95]"));
    }

    #[test]
    fn a_configured_placeholder_may_be_hex() {
        let placeholder = Placeholder::new("hex:4e2f41");
        assert!(placeholder.is_text("N/A") && placeholder.is_scalar("Ti9B"));
        assert!(placeholder.is_nested("[78,47,65]"));
        assert!(!placeholder.is_text("__debezium_unavailable_value"));
    }
}
