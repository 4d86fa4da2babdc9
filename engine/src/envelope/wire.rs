//! Debezium's envelope as it is written: the fields we read, borrowed from the record's text.
//!
//! Row images stay raw. Fields that are not named here are skipped. Nothing here decides what a
//! record means: `parse` does.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use super::change::ReadMark;
use super::json::Text;

/// Any record's payload: a change, a transaction's boundary or a schema history record.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub before: Option<&'a RawValue>,
    #[serde(borrow)]
    pub after: Option<&'a RawValue>,
    #[serde(borrow)]
    pub source: Option<Source<'a>>,
    #[serde(borrow)]
    pub op: Option<Text<'a>>,
    #[serde(borrow)]
    pub transaction: Option<Transaction<'a>>,
    #[serde(borrow)]
    pub message: Option<LogicalMessage<'a>>,
    pub ts_ms: Option<i64>,
    #[serde(borrow)]
    pub status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    pub event_count: Option<u64>,
    #[serde(borrow)]
    pub data_collections: Option<&'a RawValue>,
    #[serde(rename = "tableChanges")]
    pub table_changes: Option<IgnoredAny>,
}

/// The `source` block.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub schema: Option<Text<'a>>,
    #[serde(borrow)]
    pub table: Option<Text<'a>>,
    pub ts_ms: Option<i64>,
    pub ts_us: Option<i64>,
    pub snapshot: Option<Mark>,
    #[serde(rename = "txId")]
    pub tx_id: Option<i64>,
    pub lsn: Option<i64>,
    pub sequence: Option<Sequence>,
}

/// The `transaction` block of a change.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Transaction<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    pub total_order: Option<u64>,
}

/// The `message` block of a logical decoding message.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct LogicalMessage<'a> {
    #[serde(borrow)]
    pub prefix: Option<Text<'a>>,
    #[serde(borrow)]
    pub content: Option<Text<'a>>,
}

/// One table's count in END.
#[derive(Deserialize)]
pub(super) struct Collection<'a> {
    #[serde(borrow)]
    pub data_collection: Text<'a>,
    pub event_count: u64,
}

/// `source.snapshot`: a string, or a boolean in old versions. An unknown word is `None` here.
pub(super) struct Mark(pub Option<ReadMark>);

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarkVisitor;

        impl Visitor<'_> for MarkVisitor {
            type Value = Mark;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a mark of an initial read")
            }

            fn visit_bool<E>(self, reading: bool) -> Result<Mark, E> {
                Ok(Mark(Some(if reading { ReadMark::Within } else { ReadMark::None })))
            }

            fn visit_str<E>(self, word: &str) -> Result<Mark, E> {
                Ok(Mark(match word {
                    "false" => Some(ReadMark::None),
                    "first" => Some(ReadMark::First),
                    "true" | "first_in_data_collection" => Some(ReadMark::Within),
                    "last_in_data_collection" => Some(ReadMark::LastInTable),
                    "last" => Some(ReadMark::Last),
                    "incremental" => Some(ReadMark::Incremental),
                    _ => None,
                }))
            }
        }

        deserializer.deserialize_any(MarkVisitor)
    }
}

/// The last element of `source.sequence`, which is a JSON array inside a string.
pub(super) struct Sequence(pub Option<i64>);

impl<'de> Deserialize<'de> for Sequence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SequenceVisitor;

        impl Visitor<'_> for SequenceVisitor {
            type Value = Sequence;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_str<E>(self, text: &str) -> Result<Sequence, E> {
                let last = text.rsplit(',').next().unwrap_or_default();
                let digits = last.trim_matches(|c: char| !c.is_ascii_digit());
                Ok(Sequence(digits.parse().ok()))
            }
        }

        deserializer.deserialize_str(SequenceVisitor)
    }
}
