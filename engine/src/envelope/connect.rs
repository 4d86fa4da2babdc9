//! The schema that a wrapped message carries: Kafka Connect's types with Debezium's names.
//!
//! It says what a column is on the wire, which is less than the catalog knows: with
//! `decimal.handling.mode=string` a numeric is a string here. It must never look at values.

use serde::Deserialize;

use super::change::Malformed;
use super::json::{self, Text};
use super::options::DecimalStrings;
use super::schema::{Column, ColumnKind, Ticks};

/// The columns of a row, or of a key, as a message's schema declares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireSchema {
    /// In the message's order.
    pub columns: Vec<Column>,
}

#[derive(Deserialize)]
struct ConnectType<'a> {
    #[serde(rename = "type", borrow)]
    base: Text<'a>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    field: Option<Text<'a>>,
    #[serde(default)]
    optional: bool,
    #[serde(borrow, default)]
    parameters: Option<Parameters<'a>>,
    #[serde(borrow, default)]
    fields: Vec<ConnectType<'a>>,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow, default)]
    scale: Option<Text<'a>>,
    #[serde(rename = "connect.decimal.precision", borrow, default)]
    precision: Option<Text<'a>>,
}

impl WireSchema {
    /// The columns of an envelope's `after`, or of a key's struct; `None` where there are none.
    pub fn parse(text: &str) -> Result<Option<Self>, Malformed> {
        let schema = read(text)?;
        if text_of(&schema.base) != "struct" {
            return Ok(None);
        }
        let after = |field: &&ConnectType| {
            field.field.as_ref().is_some_and(|f| f.0 == "after") && field.base.0 == "struct"
        };
        let row = schema.fields.iter().find(after).unwrap_or(&schema);
        let columns = row.fields.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Some(Self { columns }))
    }
}

impl ColumnKind {
    /// The kind of one Connect type, as JSON: `{"type":"int32","name":"io.debezium.time.Date"}`.
    pub fn from_connect(text: &str) -> Result<Self, Malformed> {
        kind(&read(text)?)
    }
}

fn read(text: &str) -> Result<ConnectType<'_>, Malformed> {
    serde_json::from_str(text)
        .map_err(|e| Malformed::new(format!("the message's schema: {}", json::fault(&e))))
}

fn text_of<'a>(text: &'a Text<'_>) -> &'a str {
    &text.0
}

fn column(field: &ConnectType<'_>) -> Result<Column, Malformed> {
    let name = field.field.as_ref().map_or("", text_of);
    let kind = kind(field)
        .map_err(|m| Malformed::new(format!("the message's schema, column `{name}`: {m}")))?;
    let is_decimal = matches!(kind, ColumnKind::Decimal { .. } | ColumnKind::Numeric { .. });
    let decimal_strings = is_decimal.then_some(DecimalStrings::Base64);
    Ok(Column { name: name.into(), kind, nullable: field.optional, decimal_strings })
}

fn kind(declared: &ConnectType<'_>) -> Result<ColumnKind, Malformed> {
    if let Some(named) = declared.name.as_ref().and_then(|name| logical(&name.0)) {
        return Ok(named);
    }
    let base = text_of(&declared.base);
    if declared.name.as_ref().is_some_and(|n| n.0 == "org.apache.kafka.connect.data.Decimal") {
        return decimal(declared.parameters.as_ref());
    }
    Ok(match base {
        "boolean" => ColumnKind::Bool,
        "int8" | "int16" => ColumnKind::Int16,
        "int32" => ColumnKind::Int32,
        "int64" => ColumnKind::Int64,
        "float" | "float32" => ColumnKind::Float32,
        "double" | "float64" => ColumnKind::Float64,
        "bytes" => ColumnKind::Bytes,
        "string" | "array" | "map" | "struct" => ColumnKind::Text,
        _ => return Err(Malformed::new(format!("type `{base}` is none of Kafka Connect's"))),
    })
}

/// The kinds that a logical name alone decides.
fn logical(name: &str) -> Option<ColumnKind> {
    Some(match name {
        "org.apache.kafka.connect.data.Date" => ColumnKind::Date,
        "org.apache.kafka.connect.data.Time" => ColumnKind::Time(Ticks::Millis),
        "org.apache.kafka.connect.data.Timestamp" => ColumnKind::Timestamp(Ticks::Millis),
        "io.debezium.time.Date" | "io.debezium.time.IsoDate" => ColumnKind::Date,
        "io.debezium.time.Time" => ColumnKind::Time(Ticks::Millis),
        "io.debezium.time.MicroTime" | "io.debezium.time.IsoTime" => {
            ColumnKind::Time(Ticks::Micros)
        }
        "io.debezium.time.NanoTime" => ColumnKind::Time(Ticks::Nanos),
        "io.debezium.time.ZonedTime" => ColumnKind::TimeTz,
        "io.debezium.time.Timestamp" => ColumnKind::Timestamp(Ticks::Millis),
        "io.debezium.time.MicroTimestamp" | "io.debezium.time.IsoTimestamp" => {
            ColumnKind::Timestamp(Ticks::Micros)
        }
        "io.debezium.time.NanoTimestamp" => ColumnKind::Timestamp(Ticks::Nanos),
        "io.debezium.time.ZonedTimestamp" => ColumnKind::TimestampTz,
        "io.debezium.time.MicroDuration" | "io.debezium.time.Interval" => ColumnKind::Interval,
        "io.debezium.data.VariableScaleDecimal" => ColumnKind::Numeric { scale: None },
        "io.debezium.data.Json"
        | "io.debezium.data.Uuid"
        | "io.debezium.data.Enum"
        | "io.debezium.data.Xml"
        | "io.debezium.data.Ltree" => ColumnKind::Text,
        _ => return None,
    })
}

fn decimal(parameters: Option<&Parameters<'_>>) -> Result<ColumnKind, Malformed> {
    let number = |text: Option<&Text<'_>>| text.and_then(|t| t.0.parse::<i32>().ok());
    let scale = number(parameters.and_then(|p| p.scale.as_ref()))
        .ok_or_else(|| Malformed::new("a decimal without its `scale` parameter"))?;
    let precision = number(parameters.and_then(|p| p.precision.as_ref())).unwrap_or(38);
    Ok(ColumnKind::decimal(precision, scale))
}
