//! Messages that carry their schema: `{"schema": .., "payload": ..}`.
//!
//! The schema block is several times the payload and the same in every message of a topic. So what
//! precedes the payload is remembered per topic, byte for byte: a message that begins with the same
//! bytes has the same schema, and only its payload is read. It must never decide by anything less
//! than equal bytes.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::change::Malformed;
use super::connect::WireSchema;
use super::json;

/// Distinct schema texts kept; beyond it all are forgotten and read again.
const SCHEMAS_MAX: usize = 1024;

/// What a message holds, without its wrapper.
pub(super) struct Unwrapped<'a> {
    /// The payload's text.
    pub payload: &'a str,
    /// Its columns, where it came with a schema that has any.
    pub schema: Option<Arc<WireSchema>>,
}

/// What was seen before the payload of a topic's last wrapped message.
struct Seen {
    prefix: String,
    schema: Option<Arc<WireSchema>>,
}

/// The memory of one kind of message: of values, or of keys.
#[derive(Default)]
pub(super) struct Wrapping {
    topics: HashMap<Arc<str>, Seen>,
    schemas: HashMap<Box<str>, Option<Arc<WireSchema>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wrapped<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl Wrapping {
    /// The payload of a message, wrapped or bare, and its schema.
    pub fn open<'a>(
        &mut self,
        topic: &Arc<str>,
        text: &'a str,
    ) -> Result<Unwrapped<'a>, Malformed> {
        if !looks_wrapped(text) {
            return Ok(Unwrapped { payload: text, schema: None });
        }
        if let Some(seen) = self.topics.get(topic)
            && let Some(rest) = text.strip_prefix(seen.prefix.as_str())
            && let Some(payload) = rest.trim_end().strip_suffix('}')
        {
            return Ok(Unwrapped { payload, schema: seen.schema.clone() });
        }
        self.open_slowly(topic, text)
    }

    /// The same without the memory of this topic, which it renews.
    pub fn open_slowly<'a>(
        &mut self,
        topic: &Arc<str>,
        text: &'a str,
    ) -> Result<Unwrapped<'a>, Malformed> {
        let wrapped: Wrapped =
            serde_json::from_str(text).map_err(|e| Malformed::new(json::fault(&e)))?;
        let is_schema = wrapped.schema.is_none_or(|s| s.get().starts_with('{'));
        let Some(payload) = wrapped.payload.map(RawValue::get).filter(|_| is_schema) else {
            let payload = if is_schema && has_payload(text) { "null" } else { text };
            return Ok(Unwrapped { payload, schema: None });
        };
        let schema = match wrapped.schema {
            Some(schema) => self.schema(schema.get())?,
            None => None,
        };
        let start = payload.as_ptr() as usize - text.as_ptr() as usize;
        self.topics.remove(topic);
        if text[start + payload.len()..].trim() == "}" {
            let seen = Seen { prefix: text[..start].to_owned(), schema: schema.clone() };
            self.topics.insert(topic.clone(), seen);
        }
        Ok(Unwrapped { payload, schema })
    }

    fn schema(&mut self, text: &str) -> Result<Option<Arc<WireSchema>>, Malformed> {
        if let Some(known) = self.schemas.get(text) {
            return Ok(known.clone());
        }
        let schema = WireSchema::parse(text)?.map(Arc::new);
        if self.schemas.len() >= SCHEMAS_MAX {
            self.schemas.clear();
        }
        self.schemas.insert(text.into(), schema.clone());
        Ok(schema)
    }
}

fn looks_wrapped(text: &str) -> bool {
    let inner = text.trim_start().strip_prefix('{').unwrap_or_default().trim_start();
    inner.starts_with("\"schema\"") || inner.starts_with("\"payload\"")
}

/// Whether the object has a payload at all, be it null.
fn has_payload(text: &str) -> bool {
    serde_json::from_str::<HashMap<String, serde::de::IgnoredAny>>(text)
        .is_ok_and(|fields| fields.len() == 2 && fields.contains_key("payload"))
}
