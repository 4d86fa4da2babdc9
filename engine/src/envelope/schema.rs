//! A table's declared columns: what each is, and which Arrow type holds it.
//!
//! Columns come from the catalog's type words or from the message schema, never from values. All
//! Arrow fields are nullable, whatever the source declares: a marked TOAST value, a field that a
//! lagging event lacks and a delete's non-key columns stand as nulls beside their column sets.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::change::Malformed;
use super::connect::WireSchema;
use super::options::{DecimalStrings, TimePrecision};

/// A table's columns and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// `schema.table`.
    pub name: Arc<str>,
    /// In the declared order, which is the Arrow order.
    pub columns: Vec<Column>,
    /// Positions of the key's columns; empty where the table has no key.
    pub key: Vec<usize>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, exactly as messages write it.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// Whether the source lets it be null (Arrow always does).
    pub nullable: bool,
    /// How strings of a decimal are read, where a message's schema says so; else as the options do.
    pub decimal_strings: Option<DecimalStrings>,
}

impl Column {
    /// A nullable column.
    pub fn new(name: impl Into<String>, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind, nullable: true, decimal_strings: None }
    }
}

/// The unit of a time that comes as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticks {
    /// Milliseconds: what adaptive precision sends for `(0)` to `(3)`.
    Millis,
    /// Microseconds: what it sends for all others.
    Micros,
    /// Nanoseconds: only with `time.precision.mode=nanoseconds`.
    Nanos,
}

/// What a column's values are, and how times are counted on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// boolean, bit(1).
    Bool,
    /// smallint.
    Int16,
    /// integer.
    Int32,
    /// bigint, oid.
    Int64,
    /// real.
    Float32,
    /// double precision.
    Float64,
    /// numeric(p,s) up to 38 digits, money: exact.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to precision.
        scale: i8,
    },
    /// numeric without precision or beyond 38 digits: its exact decimal text as Utf8.
    Numeric {
        /// The scale of base64 values; none where each value carries its own.
        scale: Option<i32>,
    },
    /// varchar, uuid, json, enums and the like as text; arrays and maps as compact JSON text.
    Text,
    /// bytea, bit(n).
    Bytes,
    /// date: Date32.
    Date,
    /// time: Utf8, `HH:MM:SS.ffffff`.
    Time(Ticks),
    /// time with time zone: Utf8, as on the wire.
    TimeTz,
    /// timestamp without time zone: microseconds, no zone.
    Timestamp(Ticks),
    /// timestamp with time zone: microseconds, UTC. Always ISO text on the wire.
    TimestampTz,
    /// interval: microseconds as Int64 (months count 365.25/12 days, as Debezium has it).
    Interval,
}

impl ColumnKind {
    /// The kind of a decimal with so many digits; text where Decimal128 can't hold it exactly.
    pub fn decimal(precision: i32, scale: i32) -> Self {
        let digits = precision.max(scale);
        match (u8::try_from(digits), i8::try_from(scale)) {
            (Ok(precision @ 1..=38), Ok(scale @ 0..)) => Self::Decimal { precision, scale },
            _ => Self::Numeric { scale: Some(scale) },
        }
    }

    /// The Arrow type that holds it.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 | Self::Interval => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::Numeric { .. } | Self::Text | Self::Time(_) | Self::TimeTz => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// The same kind with its times counted in another unit.
    fn counted_in(self, ticks: Ticks) -> Self {
        match self {
            Self::Time(_) => Self::Time(ticks),
            Self::Timestamp(_) => Self::Timestamp(ticks),
            other => other,
        }
    }

    /// The same kind as a connector in this mode sends it; kinds are made for `Adaptive`.
    #[must_use]
    pub fn sent_with(self, precision: TimePrecision) -> Self {
        match (precision, self) {
            (TimePrecision::Adaptive | TimePrecision::Isostring, kind) => kind,
            (TimePrecision::AdaptiveTimeMicroseconds, Self::Time(_)) => Self::Time(Ticks::Micros),
            (TimePrecision::AdaptiveTimeMicroseconds, kind) => kind,
            (TimePrecision::Connect, kind) => kind.counted_in(Ticks::Millis),
            (TimePrecision::Microseconds, kind) => kind.counted_in(Ticks::Micros),
            (TimePrecision::Nanoseconds, kind) => kind.counted_in(Ticks::Nanos),
        }
    }
}

impl TableSchema {
    /// A table whose columns come from messages alone: the row's schema and the key's.
    pub fn from_wire(
        name: Arc<str>,
        row: &WireSchema,
        key: Option<&WireSchema>,
    ) -> Result<Self, Malformed> {
        let position = |of: &Column| {
            row.columns.iter().position(|column| column.name == of.name).ok_or_else(|| {
                Malformed::new(format!("key column `{}` is no column of `{name}`", of.name))
            })
        };
        let key = key.map_or(&[][..], |key| &key.columns);
        let key = key.iter().map(position).collect::<Result<_, _>>()?;
        Ok(Self { name, columns: row.columns.clone(), key })
    }

    /// The same types, declared by the catalog, as a connector in this mode sends them.
    #[must_use]
    pub fn sent_with(&self, precision: TimePrecision) -> Self {
        let mut schema = self.clone();
        for column in &mut schema.columns {
            column.kind = column.kind.sent_with(precision);
        }
        schema
    }

    /// The same types, read as a message's schema says that they are written: the unit of times and
    /// the form of decimals. Types themselves stay as declared.
    #[must_use]
    pub fn written_as(&self, wire: &WireSchema) -> Self {
        let mut schema = self.clone();
        for column in &mut schema.columns {
            let Some(written) = wire.columns.iter().find(|w| w.name == column.name) else {
                continue;
            };
            if let ColumnKind::Time(ticks) | ColumnKind::Timestamp(ticks) = written.kind {
                column.kind = column.kind.counted_in(ticks);
            }
            column.decimal_strings = match written.kind {
                ColumnKind::Text => Some(DecimalStrings::Text),
                _ => written.decimal_strings,
            };
        }
        schema
    }

    /// The Arrow schema of decoded rows.
    pub fn arrow_schema(&self) -> SchemaRef {
        let field = |column: &Column| Field::new(&column.name, column.kind.data_type(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}
