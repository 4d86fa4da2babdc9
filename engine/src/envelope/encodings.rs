//! How a message's values are written, as a short text: kept in raw beside the row's own text.
//!
//! A message that brings its schema says in which unit its times count and how its decimals are
//! spelt. A rebuild from raw has no message, only this. Types are not part of it: they stay as the
//! project declares them.

use serde_json::{Map, Value};

use super::connect::WireSchema;
use super::options::DecimalStrings;
use super::schema::{Column, ColumnKind, Ticks};

impl WireSchema {
    /// A JSON object of the columns whose values could be read in several ways: `{"at":"us"}`.
    pub fn encodings(&self) -> String {
        let mut columns = Map::new();
        for column in &self.columns {
            let word = match (column.kind, column.decimal_strings) {
                (ColumnKind::Time(ticks) | ColumnKind::Timestamp(ticks), _) => match ticks {
                    Ticks::Millis => "ms",
                    Ticks::Micros => "us",
                    Ticks::Nanos => "ns",
                },
                (ColumnKind::Text, _) | (_, Some(DecimalStrings::Text)) => "text",
                (_, Some(DecimalStrings::Base64)) => "base64",
                _ => continue,
            };
            columns.insert(column.name.clone(), Value::from(word));
        }
        Value::Object(columns).to_string()
    }

    /// The way back: a schema that says no more than the encodings do. `None` for other text.
    pub fn from_encodings(text: &str) -> Option<Self> {
        let Ok(Value::Object(words)) = serde_json::from_str(text) else { return None };
        let mut columns = Vec::new();
        for (name, word) in words {
            let timestamp = |ticks| Column::new(&name, ColumnKind::Timestamp(ticks));
            columns.push(match word.as_str()? {
                "ms" => timestamp(Ticks::Millis),
                "us" => timestamp(Ticks::Micros),
                "ns" => timestamp(Ticks::Nanos),
                "text" => Column::new(&name, ColumnKind::Text),
                "base64" => Column {
                    decimal_strings: Some(DecimalStrings::Base64),
                    ..Column::new(&name, ColumnKind::Bytes)
                },
                _ => return None,
            });
        }
        Some(Self { columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::schema::TableSchema;

    #[test]
    fn a_rebuild_reads_values_as_the_message_did() {
        let decimal = ColumnKind::Decimal { precision: 10, scale: 2 };
        let wire = WireSchema {
            columns: vec![
                Column::new("id", ColumnKind::Int64),
                Column::new("at", ColumnKind::Timestamp(Ticks::Nanos)),
                Column {
                    decimal_strings: Some(DecimalStrings::Base64),
                    ..Column::new("amount", decimal)
                },
            ],
        };
        let declared = TableSchema {
            name: "public.t".into(),
            columns: vec![
                Column::new("id", ColumnKind::Int64),
                Column::new("at", ColumnKind::Timestamp(Ticks::Micros)),
                Column::new("amount", decimal),
            ],
            key: vec![0],
        };
        let again = WireSchema::from_encodings(&wire.encodings()).unwrap();
        assert_eq!(declared.written_as(&again), declared.written_as(&wire));
        assert_eq!(WireSchema::from_encodings("[]"), None);
    }
}
