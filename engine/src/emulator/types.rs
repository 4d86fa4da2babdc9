//! Snowflake's types in Arrow's, and cells as the drivers read them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};

/// A type's name, its digits, and Arrow's type.
pub type Declared = (&'static str, Option<(u8, i8)>, DataType);

/// What a declared type is.
pub fn declared(text: &str) -> Option<Declared> {
    let upper = text.to_uppercase();
    let (name, arguments) = upper.split_once('(').unwrap_or((&upper, ""));
    let mut numbers = arguments.trim_end_matches(')').split(',').map(|n| n.trim().parse().ok());
    let mut number = || numbers.next().flatten();
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Some(match name.trim() {
        "NUMBER" | "DECIMAL" | "NUMERIC" => {
            let (digits, scale): (u8, i8) = (number().unwrap_or(38) as u8, number().unwrap_or(0));
            ("NUMBER", Some((digits, scale)), DataType::Decimal128(digits, scale))
        }
        "INT" | "INTEGER" | "BIGINT" | "SMALLINT" => {
            ("NUMBER", Some((38, 0)), DataType::Decimal128(38, 0))
        }
        "VARCHAR" | "TEXT" | "STRING" | "CHAR" => ("TEXT", None, DataType::Utf8),
        "VARIANT" => ("VARIANT", None, DataType::Utf8),
        "BOOLEAN" => ("BOOLEAN", None, DataType::Boolean),
        "FLOAT" | "DOUBLE" | "REAL" => ("FLOAT", None, DataType::Float64),
        "DATE" => ("DATE", None, DataType::Date32),
        "TIME" => ("TIME", None, DataType::Time64(TimeUnit::Microsecond)),
        "TIMESTAMP_NTZ" | "TIMESTAMP" | "DATETIME" => {
            ("TIMESTAMP_NTZ", None, DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        "TIMESTAMP_TZ" => ("TIMESTAMP_TZ", None, instant),
        "TIMESTAMP_LTZ" => ("TIMESTAMP_LTZ", None, instant),
        "BINARY" | "VARBINARY" => ("BINARY", None, DataType::Binary),
        _ => return None,
    })
}

/// A column of a result, as its description.
pub fn described(name: &str, kind: &DataType) -> Value {
    let (word, digits, scale) = match kind {
        DataType::Boolean => ("boolean", 0, 0),
        DataType::Decimal128(digits, scale) => ("fixed", i64::from(*digits), i64::from(*scale)),
        kind if kind.is_integer() => ("fixed", 38, 0),
        kind if kind.is_floating() => ("real", 0, 0),
        DataType::Date32 => ("date", 0, 0),
        DataType::Time64(_) => ("time", 0, 6),
        DataType::Timestamp(_, None) => ("timestamp_ntz", 0, 6),
        DataType::Timestamp(_, Some(_)) => ("timestamp_ltz", 0, 6),
        DataType::Binary => ("binary", 0, 0),
        _ => ("text", 0, 0),
    };
    json!({
        "name": name, "type": word, "precision": digits, "scale": scale, "nullable": true,
        "length": 16_777_216, "byteLength": 16_777_216, "database": "", "schema": "", "table": "",
        "collation": null,
    })
}

/// All rows as texts, as a JSON result carries them.
pub fn rowset(batches: &[RecordBatch]) -> Vec<Value> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|c| cell(c.as_ref(), row));
            rows.push(Value::Array(cells.collect()));
        }
    }
    rows
}

fn cell(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => json!(if column.as_boolean().value(row) { "1" } else { "0" }),
        DataType::Date32 => json!(column.as_primitive::<Date32Type>().value(row).to_string()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let us = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let (seconds, rest) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
            // Seconds and fraction are of one sign.
            match (seconds < 0, rest) {
                (true, 1..) => {
                    let back = 1_000_000 - rest;
                    let sign = if seconds == -1 { "-" } else { "" };
                    json!(format!("{sign}{}.{back:06}", seconds + 1))
                }
                _ => json!(format!("{seconds}.{rest:06}")),
            }
        }
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Decimal128(..) => {
            json!(column.as_primitive::<Decimal128Type>().value_as_string(row))
        }
        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
        DataType::Binary => {
            let bytes = column.as_binary::<i32>().value(row);
            json!(bytes.iter().map(|b| format!("{b:02X}")).collect::<String>())
        }
        _ => match ArrayFormatter::try_new(column, &FormatOptions::default()) {
            Ok(formatter) => json!(formatter.value(row).to_string()),
            Err(_) => Value::Null,
        },
    }
}
