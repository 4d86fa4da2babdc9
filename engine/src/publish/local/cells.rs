//! Arrow's cells as SQLite's, and the types that SQLite is told.
//!
//! SQLite has no decimals and no times: those are kept as their canonical text, exactly. A declared
//! type says both what SQLite makes of it and what it is: `DECIMAL TEXT(18,2)`.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use freshet_sql::digest::row_texts;
use rusqlite::types::Value;

use crate::error::{Error, Result};
use crate::publish::contract::ColumnType;

/// The type as it is declared.
pub fn declared(kind: ColumnType) -> String {
    match kind {
        ColumnType::Text | ColumnType::Variant => "TEXT".to_owned(),
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Number(digits, 0) if digits <= 19 => format!("BIGINT({digits},0)"),
        ColumnType::Number(digits, scale) => format!("DECIMAL TEXT({digits},{scale})"),
        ColumnType::Float => "DOUBLE".to_owned(),
        ColumnType::Date => "DATE TEXT".to_owned(),
        ColumnType::Time => "TIME TEXT".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP TEXT".to_owned(),
        ColumnType::Instant => "TIMESTAMPTZ TEXT".to_owned(),
        ColumnType::Binary => "BLOB".to_owned(),
    }
}

/// What a declared type is.
pub fn type_of(declared: &str) -> Option<ColumnType> {
    let (name, digits) = declared.split_once('(').unwrap_or((declared, ""));
    let mut digits = digits.trim_end_matches(')').split(',').map(|d| d.trim().parse().ok());
    let mut digit = || digits.next().flatten();
    Some(match name.trim().to_uppercase().as_str() {
        "TEXT" => ColumnType::Text,
        "BOOLEAN" => ColumnType::Boolean,
        "BIGINT" | "DECIMAL TEXT" => {
            ColumnType::Number(digit().unwrap_or(38), digit().unwrap_or(0))
        }
        "DOUBLE" => ColumnType::Float,
        "DATE TEXT" => ColumnType::Date,
        "TIME TEXT" => ColumnType::Time,
        "TIMESTAMP TEXT" => ColumnType::Timestamp,
        "TIMESTAMPTZ TEXT" => ColumnType::Instant,
        "BLOB" => ColumnType::Binary,
        _ => return None,
    })
}

/// A batch's cells, column by column.
pub fn columns(batch: &RecordBatch) -> Result<Vec<Vec<Value>>> {
    (0..batch.num_columns()).map(|c| column(batch, c)).collect()
}

fn column(batch: &RecordBatch, at: usize) -> Result<Vec<Value>> {
    let array = batch.column(at);
    let wide = |kind: &DataType| arrow::compute::cast(array, kind).map_err(Error::from);
    Ok(match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = wide(&DataType::Utf8)?;
            values(texts.as_string::<i32>().iter().map(|t| t.map(|t| Value::Text(t.to_owned()))))
        }
        DataType::Boolean => {
            values(array.as_boolean().iter().map(|b| b.map(|b| Value::Integer(b.into()))))
        }
        kind if kind.is_integer() && *kind != DataType::UInt64 => {
            let whole = wide(&DataType::Int64)?;
            values(whole.as_primitive::<Int64Type>().iter().map(|n| n.map(Value::Integer)))
        }
        kind if kind.is_floating() => {
            let floats = wide(&DataType::Float64)?;
            values(floats.as_primitive::<Float64Type>().iter().map(|n| n.map(Value::Real)))
        }
        DataType::Binary | DataType::LargeBinary => {
            let bytes = wide(&DataType::Binary)?;
            values(bytes.as_binary::<i32>().iter().map(|b| b.map(|b| Value::Blob(b.to_vec()))))
        }
        _ => {
            let texts = row_texts(batch, &[at])?.into_iter().enumerate();
            values(texts.map(|(row, text)| array.is_valid(row).then_some(Value::Text(text))))
        }
    })
}

fn values(cells: impl Iterator<Item = Option<Value>>) -> Vec<Value> {
    cells.map(|cell| cell.unwrap_or(Value::Null)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_is_read_back() {
        for kind in [
            ColumnType::Text,
            ColumnType::Boolean,
            ColumnType::Number(10, 0),
            ColumnType::Number(18, 2),
            ColumnType::Float,
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::Instant,
            ColumnType::Binary,
        ] {
            assert_eq!(type_of(&declared(kind)), Some(kind));
        }
    }
}
