//! One column under construction: the value read for the row at hand, and the Arrow builder.
//!
//! A lane reads first and appends later, so that a row whose fifth column is bad leaves nothing
//! behind in the first four. Reading and appending share the lane's own type: no value can land in
//! the wrong builder. It must never append while a row is still being read.

use std::sync::Arc;

use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow::array::{ArrayRef, BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};

use super::options::{BinaryStrings, DecimalStrings};
use super::placeholder::Placeholder;
use super::schema::{Column, ColumnKind, Ticks};
use super::values::{Read, Token, bytes, decimals, intervals, numbers, numerics, text, times};

/// What a field held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// A value, now waiting.
    Value,
    /// JSON null.
    Null,
    /// The placeholder of an unchanged TOAST value.
    Unavailable,
}

/// A column's waiting value and builder.
pub(super) enum Lane {
    /// boolean.
    Bool(Option<bool>, BooleanBuilder),
    /// smallint.
    Int16(Waiting<Int16Type>),
    /// integer.
    Int32(Waiting<Int32Type>),
    /// bigint.
    Int64(Waiting<Int64Type>),
    /// interval.
    Interval(Waiting<Int64Type>),
    /// real.
    Float32(Waiting<Float32Type>),
    /// double precision.
    Float64(Waiting<Float64Type>),
    /// numeric(p,s).
    Decimal(Waiting<Decimal128Type>, u8, i8, DecimalStrings),
    /// date.
    Date(Waiting<Date32Type>),
    /// timestamp.
    Timestamp(Waiting<TimestampMicrosecondType>, Ticks),
    /// timestamptz.
    TimestampTz(Waiting<TimestampMicrosecondType>),
    /// All that is held as text.
    Text(Option<()>, String, TextForm, StringBuilder),
    /// bytea.
    Bytes(Option<()>, Vec<u8>, BinaryStrings, BinaryBuilder),
}

/// A waiting number and its builder.
pub(super) struct Waiting<T: ArrowPrimitiveType> {
    next: Option<T::Native>,
    built: PrimitiveBuilder<T>,
}

/// How a text is made from what is on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum TextForm {
    /// As it is.
    Plain,
    /// A decimal of any length.
    Numeric(Option<i32>, DecimalStrings),
    /// A time of day.
    Time(Ticks),
    /// A time of day with its offset.
    TimeTz,
}

impl<T: ArrowPrimitiveType> Waiting<T> {
    fn new(column: &Column) -> Self {
        let built = PrimitiveBuilder::new().with_data_type(column.kind.data_type());
        Self { next: None, built }
    }

    fn append(&mut self) {
        self.built.append_option(self.next.take());
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.built.finish())
    }
}

impl Lane {
    /// An empty lane for a column.
    pub fn new(column: &Column, decimals: DecimalStrings, binary: BinaryStrings) -> Self {
        let decimals = column.decimal_strings.unwrap_or(decimals);
        let text = |form| Self::Text(None, String::new(), form, StringBuilder::new());
        match column.kind {
            ColumnKind::Bool => Self::Bool(None, BooleanBuilder::new()),
            ColumnKind::Int16 => Self::Int16(Waiting::new(column)),
            ColumnKind::Int32 => Self::Int32(Waiting::new(column)),
            ColumnKind::Int64 => Self::Int64(Waiting::new(column)),
            ColumnKind::Interval => Self::Interval(Waiting::new(column)),
            ColumnKind::Float32 => Self::Float32(Waiting::new(column)),
            ColumnKind::Float64 => Self::Float64(Waiting::new(column)),
            ColumnKind::Decimal { precision, scale } => {
                Self::Decimal(Waiting::new(column), precision, scale, decimals)
            }
            ColumnKind::Date => Self::Date(Waiting::new(column)),
            ColumnKind::Timestamp(ticks) => Self::Timestamp(Waiting::new(column), ticks),
            ColumnKind::TimestampTz => Self::TimestampTz(Waiting::new(column)),
            ColumnKind::Text => text(TextForm::Plain),
            ColumnKind::Numeric { scale } => text(TextForm::Numeric(scale, decimals)),
            ColumnKind::Time(ticks) => text(TextForm::Time(ticks)),
            ColumnKind::TimeTz => text(TextForm::TimeTz),
            ColumnKind::Bytes => Self::Bytes(None, Vec::new(), binary, BinaryBuilder::new()),
        }
    }

    /// Reads a field's raw JSON; a value then waits for [`Lane::append`] or [`Lane::forget`].
    pub fn read(
        &mut self,
        raw: &str,
        placeholder: &Placeholder,
        infinities: &mut u64,
    ) -> Read<Held> {
        self.forget();
        let Some(token) = Token::of(raw)? else { return Ok(Held::Null) };
        if self.is_unavailable(&token, placeholder) {
            return Ok(Held::Unavailable);
        }
        match self {
            Self::Bool(next, _) => *next = Some(numbers::boolean(&token)?),
            Self::Int16(lane) => lane.next = Some(numbers::integer(&token)?),
            Self::Int32(lane) => lane.next = Some(numbers::integer(&token)?),
            Self::Int64(lane) => lane.next = Some(numbers::integer(&token)?),
            Self::Interval(lane) => lane.next = Some(intervals::interval(&token)?),
            Self::Float32(lane) => lane.next = Some(numbers::float(&token)?),
            Self::Float64(lane) => lane.next = Some(numbers::float(&token)?),
            Self::Decimal(lane, precision, scale, strings) => {
                lane.next = Some(decimals::decimal(&token, *precision, *scale, *strings)?);
            }
            Self::Date(lane) => lane.next = Some(times::date(&token, infinities)?),
            Self::Timestamp(lane, ticks) => {
                lane.next = Some(times::timestamp(&token, *ticks, infinities)?);
            }
            Self::TimestampTz(lane) => lane.next = Some(times::timestamp_tz(&token, infinities)?),
            Self::Text(next, buffer, form, _) => {
                match form {
                    TextForm::Plain => text::text(&token, buffer),
                    TextForm::Numeric(scale, strings) => {
                        numerics::numeric(&token, *scale, *strings, buffer)?;
                    }
                    TextForm::Time(ticks) => times::time(&token, *ticks, buffer)?,
                    TextForm::TimeTz => times::time_tz(&token, buffer)?,
                }
                *next = Some(());
            }
            Self::Bytes(next, buffer, strings, _) => {
                bytes::binary(&token, *strings, buffer)?;
                *next = Some(());
            }
        }
        Ok(Held::Value)
    }

    fn is_unavailable(&self, token: &Token<'_>, placeholder: &Placeholder) -> bool {
        match (token, self) {
            (Token::String(content), Self::Bytes(..)) => placeholder.is_scalar(content),
            (Token::String(content), _) => placeholder.is_text(content),
            (Token::Nested(json), Self::Text(..) | Self::Bytes(..)) => placeholder.is_nested(json),
            _ => false,
        }
    }

    /// Drops the waiting value.
    pub fn forget(&mut self) {
        match self {
            Self::Bool(next, _) => *next = None,
            Self::Int16(lane) => lane.next = None,
            Self::Int32(lane) => lane.next = None,
            Self::Int64(lane) | Self::Interval(lane) => lane.next = None,
            Self::Float32(lane) => lane.next = None,
            Self::Float64(lane) => lane.next = None,
            Self::Decimal(lane, ..) => lane.next = None,
            Self::Date(lane) => lane.next = None,
            Self::Timestamp(lane, _) | Self::TimestampTz(lane) => lane.next = None,
            Self::Text(next, buffer, ..) => {
                *next = None;
                buffer.clear();
            }
            Self::Bytes(next, buffer, ..) => {
                *next = None;
                buffer.clear();
            }
        }
    }

    /// Bytes that wait for a builder whose offsets are 32 bits wide.
    pub fn waiting_bytes(&self) -> usize {
        match self {
            Self::Text(Some(()), buffer, ..) => buffer.len(),
            Self::Bytes(Some(()), buffer, ..) => buffer.len(),
            _ => 0,
        }
    }

    /// Appends the waiting value, or null where none waits.
    pub fn append(&mut self) {
        match self {
            Self::Bool(next, built) => built.append_option(next.take()),
            Self::Int16(lane) => lane.append(),
            Self::Int32(lane) => lane.append(),
            Self::Int64(lane) | Self::Interval(lane) => lane.append(),
            Self::Float32(lane) => lane.append(),
            Self::Float64(lane) => lane.append(),
            Self::Decimal(lane, ..) => lane.append(),
            Self::Date(lane) => lane.append(),
            Self::Timestamp(lane, _) | Self::TimestampTz(lane) => lane.append(),
            Self::Text(next, buffer, _, built) => {
                built.append_option(next.take().map(|()| buffer.as_str()));
            }
            Self::Bytes(next, buffer, _, built) => {
                built.append_option(next.take().map(|()| buffer.as_slice()));
            }
        }
    }

    /// The column so far; the lane is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(_, built) => Arc::new(built.finish()),
            Self::Int16(lane) => lane.finish(),
            Self::Int32(lane) => lane.finish(),
            Self::Int64(lane) | Self::Interval(lane) => lane.finish(),
            Self::Float32(lane) => lane.finish(),
            Self::Float64(lane) => lane.finish(),
            Self::Decimal(lane, ..) => lane.finish(),
            Self::Date(lane) => lane.finish(),
            Self::Timestamp(lane, _) | Self::TimestampTz(lane) => lane.finish(),
            Self::Text(_, _, _, built) => Arc::new(built.finish()),
            Self::Bytes(_, _, _, built) => Arc::new(built.finish()),
        }
    }
}
