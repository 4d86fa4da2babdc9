//! Phase 2: row images of one table to Arrow columns.
//!
//! A row is read as a whole into waiting values and appended only if all of it is good. Fields that
//! the row lacks and unchanged TOAST values are nulls in the columns, told apart by [`Gaps`]. It
//! must never guess a type, and never fill a gap: the lake does, in epoch order.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::change::Malformed;
use super::columns::ColumnSet;
use super::json::{self, Text};
use super::lanes::{Held, Lane};
use super::options::Options;
use super::placeholder::Placeholder;
use super::schema::TableSchema;
use crate::error::{Error, Result};

/// Most bytes of text and binary values in one batch: Arrow's 32-bit offsets end there.
const BATCH_BYTES_MAX: usize = i32::MAX as usize;

/// The columns of an appended row that hold null for want of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Unchanged TOAST values: the stored value stays.
    pub unavailable: ColumnSet,
    /// Fields that the row lacks: an event older than the column, not a null.
    pub missing: ColumnSet,
}

/// Decodes rows of one table. After [`RowDecoder::finish`] it begins the next batch.
pub struct RowDecoder {
    schema: Arc<TableSchema>,
    arrow: SchemaRef,
    positions: HashMap<String, usize>,
    lanes: Vec<Lane>,
    placeholder: Placeholder,
    row: Row,
    rows: usize,
    bytes: usize,
    infinities: u64,
    unknown: BTreeMap<String, u64>,
}

/// The row that is being read.
#[derive(Default)]
struct Row {
    seen: ColumnSet,
    null: ColumnSet,
    unavailable: ColumnSet,
    infinities: u64,
    fault: Option<String>,
}

impl RowDecoder {
    /// A decoder of rows with these columns.
    pub fn new(schema: Arc<TableSchema>, options: &Options) -> Self {
        let lane = |c| Lane::new(c, options.decimal_strings, options.binary_strings);
        let names = schema.columns.iter().enumerate();
        Self {
            arrow: schema.arrow_schema(),
            positions: names.map(|(at, column)| (column.name.clone(), at)).collect(),
            lanes: schema.columns.iter().map(lane).collect(),
            placeholder: Placeholder::new(&options.unavailable_placeholder),
            row: Row::default(),
            rows: 0,
            bytes: 0,
            infinities: 0,
            unknown: BTreeMap::new(),
            schema,
        }
    }

    /// Appends a row image, and says which of its columns are nulls for want of a value.
    ///
    /// A malformed row leaves the batch as it was.
    pub fn append(&mut self, row_json: &[u8]) -> std::result::Result<Gaps, Malformed> {
        let gaps = self.read(row_json, "row")?;
        self.commit()?;
        Ok(gaps)
    }

    /// Appends a row that has only the columns of a key; all others are null.
    ///
    /// For deletes: a key names every key column of the table, or it is malformed.
    pub fn append_key(&mut self, key_json: &[u8]) -> std::result::Result<(), Malformed> {
        self.read(key_json, "key")?;
        self.commit()
    }

    /// Rows appended since the last batch.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was appended since the last batch.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Infinite dates and timestamps that were replaced by the ends of their span, ever.
    pub fn infinities(&self) -> u64 {
        self.infinities
    }

    /// Fields that rows had and the table's schema has not, with the rows that had them.
    pub fn unknown_columns(&self) -> &BTreeMap<String, u64> {
        &self.unknown
    }

    /// The rows appended so far as one batch, in their order.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let columns = self.lanes.iter_mut().map(Lane::finish).collect();
        self.rows = 0;
        self.bytes = 0;
        RecordBatch::try_new(self.arrow.clone(), columns)
            .map_err(|e| Error::bug(format!("rows of `{}` make no batch: {e}", self.schema.name)))
    }

    fn read(&mut self, bytes: &[u8], what: &str) -> std::result::Result<Gaps, Malformed> {
        let outcome = self.read_text(bytes);
        let place = |reason: String| {
            Malformed::new(format!("a {what} of `{}`: {reason}", self.schema.name))
        };
        match outcome.and_then(|()| self.check_key()) {
            Ok(()) => {
                let missing = (0..self.lanes.len()).filter(|at| !self.row.seen.contains(*at));
                let mut gaps = Gaps::default();
                missing.for_each(|at| gaps.missing.insert(at));
                gaps.unavailable = std::mem::take(&mut self.row.unavailable);
                Ok(gaps)
            }
            Err(reason) => {
                self.lanes.iter_mut().for_each(Lane::forget);
                Err(place(reason))
            }
        }
    }

    fn read_text(&mut self, bytes: &[u8]) -> std::result::Result<(), String> {
        self.row = Row::default();
        let text = std::str::from_utf8(bytes)
            .map_err(|e| format!("not UTF-8 from byte {} on", e.valid_up_to()))?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let outcome = Fields(self).deserialize(&mut deserializer);
        let outcome = outcome.and_then(|()| deserializer.end());
        outcome.map_err(|e| self.row.fault.take().unwrap_or_else(|| json::fault(&e)))
    }

    /// A row without its key can't be placed.
    fn check_key(&self) -> std::result::Result<(), String> {
        for at in &self.schema.key {
            let lacks = match (self.row.seen.contains(*at), self.row.null.contains(*at)) {
                (true, false) => continue,
                (true, true) => "null",
                (false, _) => "missing",
            };
            let name = self.schema.columns.get(*at).map_or("", |column| &column.name);
            return Err(format!("key column `{name}` is {lacks}"));
        }
        Ok(())
    }

    fn commit(&mut self) -> std::result::Result<(), Malformed> {
        let waiting: usize = self.lanes.iter().map(Lane::waiting_bytes).sum();
        if self.bytes + waiting > BATCH_BYTES_MAX {
            self.lanes.iter_mut().for_each(Lane::forget);
            let name = &self.schema.name;
            return Err(Malformed::new(format!(
                "a batch of `{name}` is over 2 GiB of text: lower the bound of an epoch's bytes"
            )));
        }
        self.lanes.iter_mut().for_each(Lane::append);
        self.bytes += waiting;
        self.rows += 1;
        self.infinities += self.row.infinities;
        Ok(())
    }

    /// The column of a field; mostly the one after the last, as rows keep their order.
    fn position(&self, name: &str, expected: usize) -> Option<usize> {
        match self.schema.columns.get(expected) {
            Some(column) if column.name == name => Some(expected),
            _ => self.positions.get(name).copied(),
        }
    }

    /// Reads one field into its lane.
    fn field(&mut self, at: usize, raw: &str) -> std::result::Result<(), String> {
        let Some(lane) = self.lanes.get_mut(at) else { return Ok(()) };
        let held = lane.read(raw, &self.placeholder, &mut self.row.infinities);
        match held {
            Ok(Held::Value) => {}
            Ok(Held::Null) => self.row.null.insert(at),
            Ok(Held::Unavailable) => self.row.unavailable.insert(at),
            Err(reason) => {
                let name = self.schema.columns.get(at).map_or("", |column| &column.name);
                return Err(format!("column `{name}`: {reason}"));
            }
        }
        self.row.seen.insert(at);
        Ok(())
    }
}

/// Reads a JSON object's fields into the decoder's lanes.
struct Fields<'d>(&'d mut RowDecoder);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a row as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let mut expected = 0;
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            let raw = map.next_value::<&RawValue>()?.get();
            let Some(at) = self.0.position(&name, expected) else {
                *self.0.unknown.entry(name.into_owned()).or_default() += 1;
                continue;
            };
            expected = at + 1;
            if let Err(reason) = self.0.field(at, raw) {
                self.0.row.fault = Some(reason);
                return Err(A::Error::custom(""));
            }
        }
        Ok(())
    }
}
