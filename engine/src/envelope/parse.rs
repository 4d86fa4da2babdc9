//! Phase 1: a record's bytes to what happened, where, and in which transaction.
//!
//! It reads the envelope and leaves row images as slices of the record's buffer: an epoch is cut
//! before rows are decoded. It must never decode a row's values, nor name them in a reason.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::boundary;
use super::change::{Change, Ignored, Malformed, Message, Op, Parsed, ReadMark};
use super::connect::WireSchema;
use super::json::{self, Text};
use super::names::Names;
use super::options::Options;
use super::wire::{Envelope, Source};
use super::wrapping::Wrapping;
use crate::source::record::Record;

/// The reason for records that ExtractNewRecordState flattened.
const FLATTENED: &str = "the value has no `op`: it looks flattened; remove the \
    ExtractNewRecordState transform from the connector, since it drops deletes, positions and \
    transactions";

type Reading<T> = Result<T, Malformed>;

/// Reads records. Its memory (names, schemas) only saves work: any parser gives the same answers.
pub struct Parser {
    options: Options,
    names: Names,
    values: Wrapping,
    keys: Wrapping,
}

/// A key's payload and columns.
#[derive(Default)]
struct Key {
    row: Option<Bytes>,
    schema: Option<Arc<WireSchema>>,
}

impl Parser {
    /// A parser without memory.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            names: Names::default(),
            values: Wrapping::default(),
            keys: Wrapping::default(),
        }
    }

    /// What one record says. Never fails: what can't be read is `Parsed::Malformed`.
    pub fn parse(&mut self, record: &Record) -> Parsed {
        self.read(record).unwrap_or_else(Parsed::Malformed)
    }

    fn read(&mut self, record: &Record) -> Reading<Parsed> {
        let heartbeats = self.options.heartbeat_topic_prefix.as_str();
        if !heartbeats.is_empty() && record.topic.starts_with(heartbeats) {
            return Ok(Parsed::Ignored(Ignored::Heartbeat));
        }
        let Some(value) = record.value.as_ref().filter(|v| v.trim_ascii() != b"null") else {
            return Ok(Parsed::Ignored(Ignored::Tombstone));
        };
        let text = object_text(value, "value")?;
        let opened = self.values.open(&record.topic, text)?;
        if opened.payload.trim() == "null" {
            return Ok(Parsed::Ignored(Ignored::Tombstone));
        }
        if let Ok(envelope) = serde_json::from_str(opened.payload) {
            return self.understand(record, value, envelope, opened.schema);
        }
        // The remembered prefix may have misled us: read the whole once more, then explain.
        let opened = match opened.payload.len() == text.len() {
            true => opened,
            false => self.values.open_slowly(&record.topic, text)?,
        };
        match serde_json::from_str(opened.payload) {
            Ok(envelope) => self.understand(record, value, envelope, opened.schema),
            Err(error) if is_flattened(opened.payload) => {
                Err(Malformed::new(format!("{FLATTENED} ({})", json::fault(&error))))
            }
            Err(error) => Err(Malformed::new(format!("the value: {}", json::fault(&error)))),
        }
    }

    fn understand(
        &mut self,
        record: &Record,
        value: &Bytes,
        envelope: Envelope<'_>,
        schema: Option<Arc<WireSchema>>,
    ) -> Reading<Parsed> {
        let Some(op) = envelope.op.as_ref() else {
            return self.without_op(&envelope);
        };
        let source = envelope.source.as_ref();
        let lacks_source = "the value has an `op` but no `source` block; if it is flattened, \
            remove the ExtractNewRecordState transform";
        let source = source.ok_or_else(|| Malformed::new(lacks_source))?;
        let op = match op.0.as_ref() {
            "c" => Op::Create,
            "u" => Op::Update,
            "d" => Op::Delete,
            "r" => Op::Read,
            "t" => Op::Truncate,
            "m" => return Ok(Parsed::Ignored(Ignored::Message(message(&envelope, source)))),
            _ => return Err(Malformed::new("`op` is none of c, u, d, r, t, m")),
        };
        let key = match &record.key {
            Some(key) => self.key(&record.topic, key)?,
            None => Key::default(),
        };
        let change = Change {
            table: table(source, &mut self.names)?,
            connector: self.names.share(source.name.as_ref().map_or("", |n| &n.0)),
            op,
            initial: read_mark(source)?,
            tx: envelope.transaction.as_ref().map(boundary::tx_ref).transpose()?,
            tx_id: source.tx_id,
            lsn: source.lsn,
            sequence_lsn: source.sequence.as_ref().and_then(|s| s.0),
            commit_us: commit_us(source)?,
            key: key.row,
            before: row(value, envelope.before, "before")?,
            after: row(value, envelope.after, "after")?,
            moved_from: header(record, "__debezium.oldkey")?,
            moved_to: header(record, "__debezium.newkey")?,
            wire_schema: schema,
            wire_key: key.schema,
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            record_value: record.value.clone(),
        };
        check_images(&change)?;
        Ok(Parsed::Change(Box::new(change)))
    }

    /// Transaction boundaries, schema history and flattened rows.
    fn without_op(&mut self, envelope: &Envelope<'_>) -> Reading<Parsed> {
        if let Some(boundary) = boundary::read(envelope, &mut self.names) {
            return boundary;
        }
        if envelope.source.is_some() && envelope.table_changes.is_some() {
            return Ok(Parsed::Ignored(Ignored::SchemaChange));
        }
        Err(Malformed::new(FLATTENED))
    }

    fn key(&mut self, topic: &Arc<str>, bytes: &Bytes) -> Reading<Key> {
        if bytes.trim_ascii() == b"null" {
            return Ok(Key::default());
        }
        let opened = self.keys.open(topic, object_text(bytes, "key")?)?;
        let payload = opened.payload.trim();
        if payload == "null" {
            return Ok(Key::default());
        }
        if !payload.starts_with('{') {
            return Err(Malformed::new(
                "the key's payload is no object: remove the transform that extracts its field",
            ));
        }
        Ok(Key { row: Some(bytes.slice_ref(payload.as_bytes())), schema: opened.schema })
    }
}

/// Bytes as the text of a JSON object, or why they are none.
fn object_text<'a>(bytes: &'a [u8], what: &str) -> Reading<&'a str> {
    if let Some(fault) = json::unlike_object(bytes) {
        return Err(Malformed::new(format!("the {what} can't be read: {fault}")));
    }
    std::str::from_utf8(bytes).map_err(|e| {
        Malformed::new(format!("the {what} is not UTF-8 from byte {} on", e.valid_up_to()))
    })
}

fn table(source: &Source<'_>, names: &mut Names) -> Reading<Arc<str>> {
    match (&source.schema, &source.table) {
        (Some(schema), Some(table)) => Ok(names.table(&schema.0, &table.0)),
        _ => Err(Malformed::new("`source` has no `schema` or no `table`")),
    }
}

fn row(value: &Bytes, image: Option<&RawValue>, what: &str) -> Reading<Option<Bytes>> {
    match image.map(RawValue::get) {
        None => Ok(None),
        Some(raw) if raw.starts_with('{') => Ok(Some(value.slice_ref(raw.as_bytes()))),
        Some(_) => Err(Malformed::new(format!("`{what}` is no JSON object"))),
    }
}

/// Each operation needs the image that it is about.
fn check_images(change: &Change) -> Reading<()> {
    let lacking = match change.op {
        Op::Create | Op::Update | Op::Read if change.after.is_none() => "`after`",
        Op::Delete if change.before.is_none() && change.key.is_none() => "`before` and its key",
        _ => return Ok(()),
    };
    Err(Malformed::new(format!("a {:?} without {lacking}", change.op).to_lowercase()))
}

fn commit_us(source: &Source<'_>) -> Reading<i64> {
    let from_ms = || source.ts_ms.and_then(|ms| ms.checked_mul(1000));
    source
        .ts_us
        .or_else(from_ms)
        .ok_or_else(|| Malformed::new("`source` has no commit time (ts_us or ts_ms)"))
}

fn read_mark(source: &Source<'_>) -> Reading<ReadMark> {
    let unknown = || Malformed::new("`source.snapshot` is a word that Debezium did not use so far");
    source.snapshot.as_ref().map_or(Ok(ReadMark::None), |mark| mark.0.ok_or_else(unknown))
}

fn message(envelope: &Envelope<'_>, source: &Source<'_>) -> Message {
    let text = |t: Option<&Text<'_>>| t.map(|t| t.0.to_string()).unwrap_or_default();
    let message = envelope.message.as_ref();
    Message {
        prefix: text(message.and_then(|m| m.prefix.as_ref())),
        content: text(message.and_then(|m| m.content.as_ref())),
        lsn: source.lsn,
        tx_id: source.tx_id,
    }
}

/// The key in a header, which Connect's header converter writes like a key, wrapped or bare.
fn header(record: &Record, name: &str) -> Reading<Option<Bytes>> {
    let Some((_, bytes)) = record.headers.iter().find(|(header, _)| header == name) else {
        return Ok(None);
    };
    let unreadable = |why: &str| {
        Malformed::new(format!(
            "header `{name}`: {why}; set header.converter to \
             org.apache.kafka.connect.json.JsonConverter"
        ))
    };
    let text = object_text(bytes, "header").map_err(|m| unreadable(&m.reason))?;
    let opened = Wrapping::default().open(&record.topic, text)?;
    if serde_json::from_str::<HashMap<String, IgnoredAny>>(opened.payload).is_err() {
        return Err(unreadable("it is no JSON object"));
    }
    Ok(Some(bytes.slice_ref(opened.payload.as_bytes())))
}

/// Whether a payload that is no envelope is JSON, but with the columns of a row on its top level.
fn is_flattened(payload: &str) -> bool {
    serde_json::from_str::<HashMap<String, IgnoredAny>>(payload)
        .is_ok_and(|fields| !["op", "status"].iter().any(|name| fields.contains_key(*name)))
}
