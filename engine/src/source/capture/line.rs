//! One record as one line of JSON, as `kcat -J` writes and reads it.
//!
//! kcat puts bytes into strings as they are, also where they are no UTF-8: such lines are read.
//! We write what is no UTF-8 in base64, under `key_base64`, `payload_base64`, `headers_base64`. A
//! line must give back exactly the record that was written.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::from_utf8;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize as Read, Serialize};

use super::super::arena::Arena;
use super::super::record::Record;

#[derive(Serialize)]
struct Written<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    tstype: &'a str,
    ts: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers_base64: Vec<String>,
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// `record` as a line, without the line's end.
pub fn write_line(record: &Record) -> String {
    let (key, key_base64) = text_or_base64(record.key.as_deref());
    let (payload, payload_base64) = text_or_base64(record.value.as_deref());
    let (mut headers, mut headers_base64) = (Vec::new(), Vec::new());
    for (name, value) in &record.headers {
        match from_utf8(value) {
            Ok(text) => headers.extend([name.as_str(), text]),
            Err(_) => headers_base64.extend([name.clone(), STANDARD.encode(value)]),
        }
    }
    let written = Written {
        topic: &record.topic,
        partition: record.partition,
        offset: record.offset,
        tstype: if record.timestamp_ms < 0 { "unknown" } else { "create" },
        ts: record.timestamp_ms,
        headers,
        headers_base64,
        key,
        key_base64,
        payload,
        payload_base64,
    };
    // Strings and numbers always have a JSON form, and a String takes all of them.
    serde_json::to_string(&written).unwrap_or_default()
}

fn text_or_base64(bytes: Option<&[u8]>) -> (Option<&str>, Option<String>) {
    match bytes.map(|bytes| (from_utf8(bytes), bytes)) {
        None => (None, None),
        Some((Ok(text), _)) => (Some(text), None),
        Some((Err(_), bytes)) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// A line as found. What kcat writes beside this (the broker) is not needed.
#[derive(Read)]
struct Found<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    partition: i32,
    offset: i64,
    ts: Option<i64>,
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    key_base64: Option<Text<'a>>,
    #[serde(borrow, default)]
    payload: Option<Text<'a>>,
    #[serde(borrow, default)]
    payload_base64: Option<Text<'a>>,
    #[serde(borrow, default)]
    headers: Vec<Option<Header<'a>>>,
    #[serde(borrow, default)]
    headers_base64: Vec<Option<Header<'a>>>,
}

/// A JSON string's bytes, UTF-8 or not.
struct Text<'a>(Cow<'a, [u8]>);

/// An item of `headers`: a name or a value in turn, or a pair of both.
enum Header<'a> {
    One(Text<'a>),
    Pair(Text<'a>, Option<Text<'a>>),
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(bytes)))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(bytes.to_vec())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(TextVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or a list of a name and a value")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Header<'de>, E> {
        Ok(Header::One(Text(Cow::Borrowed(bytes))))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Header<'de>, E> {
        Ok(Header::One(Text(Cow::Owned(bytes.to_vec()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Header<'de>, A::Error> {
        let name = items.next_element()?;
        let name = name.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
        Ok(Header::Pair(name, items.next_element()?.flatten()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Header<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(HeaderVisitor)
    }
}

/// Reads lines; topics' names and bytes are shared among the records.
pub struct Reader {
    arena: Arena,
    topics: BTreeSet<Arc<str>>,
}

impl Reader {
    /// A reader that copies bytes into `arena`.
    pub fn new(arena: Arena) -> Self {
        Self { arena, topics: BTreeSet::new() }
    }

    /// The record of `line`, or `column: what is wrong` without a value from it.
    pub fn read(&mut self, line: &[u8]) -> Result<Record, String> {
        let found: Found<'_> = serde_json::from_slice(line).map_err(|cause| {
            let text = match cause.classify() {
                // serde names the value it met; a capture's values stay unsaid.
                serde_json::error::Category::Data => "not the fields of a record",
                serde_json::error::Category::Eof => "the line ends too early",
                _ => "not JSON",
            };
            format!("{}: {text}", cause.column())
        })?;
        let Found { partition, offset, ts, key, payload, .. } = found;
        if partition < 0 || offset < 0 {
            return Err("1: partition and offset can't be negative".to_owned());
        }
        let mut headers = self.headers(found.headers, "headers", false)?;
        headers.extend(self.headers(found.headers_base64, "headers_base64", true)?);
        Ok(Record {
            topic: self.topic(&found.topic),
            partition,
            offset,
            timestamp_ms: ts.unwrap_or(-1),
            key: self.field(key, found.key_base64, "key_base64")?,
            value: self.field(payload, found.payload_base64, "payload_base64")?,
            headers,
        })
    }

    fn topic(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.topics.get(name) {
            return Arc::clone(known);
        }
        let topic: Arc<str> = Arc::from(name);
        self.topics.insert(Arc::clone(&topic));
        topic
    }

    fn field(
        &mut self,
        text: Option<Text<'_>>,
        base64: Option<Text<'_>>,
        name: &str,
    ) -> Result<Option<Bytes>, String> {
        match (text, base64) {
            (_, Some(base64)) => self.decoded(&base64, name).map(Some),
            (text, None) => Ok(text.map(|text| self.arena.copy(&text.0))),
        }
    }

    fn decoded(&mut self, base64: &Text<'_>, name: &str) -> Result<Bytes, String> {
        let bytes = STANDARD.decode(&base64.0).map_err(|_| format!("1: `{name}` is no base64"))?;
        Ok(self.arena.copy(&bytes))
    }

    fn headers(
        &mut self,
        items: Vec<Option<Header<'_>>>,
        field: &str,
        base64: bool,
    ) -> Result<Vec<(String, Bytes)>, String> {
        let broken = || format!("1: `{field}` is no list of names and values");
        let mut headers = Vec::new();
        let mut items = items.into_iter();
        while let Some(item) = items.next() {
            let (name, value) = match item.ok_or_else(broken)? {
                Header::Pair(name, value) => (name, value),
                Header::One(name) => match items.next().ok_or_else(broken)? {
                    Some(Header::One(value)) => (name, Some(value)),
                    None => (name, None),
                    Some(Header::Pair(..)) => return Err(broken()),
                },
            };
            let name = String::from_utf8(name.0.into_owned()).map_err(|_| broken())?;
            if !super::super::lane::KEPT_HEADERS.contains(&name.as_str()) {
                continue;
            }
            let value = value.unwrap_or(Text(Cow::Borrowed(b"")));
            let value =
                if base64 { self.decoded(&value, field)? } else { self.arena.copy(&value.0) };
            headers.push((name, value));
        }
        Ok(headers)
    }
}
