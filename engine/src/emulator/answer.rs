//! What a statement gives: rows or counts, or a refusal by code.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};

use super::types;

/// A statement that was done.
#[derive(Debug)]
pub struct Done {
    /// The columns of its rows.
    pub schema: SchemaRef,
    /// Its rows; counts for those that change rows.
    pub batches: Vec<RecordBatch>,
    /// Snowflake's number for its kind.
    pub kind: u32,
    /// The whole `data` of uploads.
    pub data: Option<Value>,
}

/// A statement that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Six digits.
    pub code: &'static str,
    /// The SQL state.
    pub state: &'static str,
    /// Words.
    pub message: String,
}

pub type Outcome = std::result::Result<Done, Refused>;

pub const SELECT: u32 = 0x1000;
pub const INSERT: u32 = 0x3100;
pub const UPDATE: u32 = 0x3200;
pub const DELETE: u32 = 0x3300;
pub const MERGE: u32 = 0x3400;
pub const COPY: u32 = 0x3600;
pub const OTHER: u32 = 0x4000;

/// A refusal of SQL that can't be understood, or whose names are not there.
pub fn compilation(message: impl ToString) -> Refused {
    let message = message.to_string();
    Refused { code: "001003", state: "42000", message }
}

/// A refusal of a name that is not there.
pub fn absent(what: &str, name: &str) -> Refused {
    let message = format!("{what} '{name}' does not exist or not authorized.");
    Refused { code: "002003", state: "42S02", message }
}

/// A statement that only says that it is done.
pub fn said(words: &str) -> Outcome {
    let column: ArrayRef = Arc::new(StringArray::from(vec![words]));
    one(vec![("status", column)], OTHER)
}

/// Counts of changed rows, by the names that Snowflake gives them.
pub fn counts(named: &[(&str, usize)], kind: u32) -> Outcome {
    let column = |n: usize| Arc::new(Int64Array::from(vec![n as i64])) as ArrayRef;
    one(named.iter().map(|(name, n)| (*name, column(*n))).collect(), kind)
}

fn one(columns: Vec<(&str, ArrayRef)>, kind: u32) -> Outcome {
    let batch = RecordBatch::try_from_iter(columns).map_err(compilation)?;
    Ok(Done { schema: batch.schema(), batches: vec![batch], kind, data: None })
}

/// The answer's JSON.
pub fn encode(outcome: &Outcome, query: &str) -> Value {
    match outcome {
        Ok(Done { data: Some(data), .. }) => {
            json!({"success": true, "code": null, "message": null, "data": data})
        }
        Ok(done) => {
            let fields = done.schema.fields().iter();
            let types: Vec<Value> =
                fields.map(|f| types::described(f.name(), f.data_type())).collect();
            let rows = types::rowset(&done.batches);
            json!({
                "success": true, "code": null, "message": null,
                "data": {
                    "parameters": [], "rowtype": types, "total": rows.len(),
                    "returned": rows.len(), "rowset": rows, "queryId": query, "sqlState": "00000",
                    "queryResultFormat": "json", "statementTypeId": done.kind, "version": 1,
                    "finalDatabaseName": null, "finalSchemaName": null,
                    "finalWarehouseName": null, "finalRoleName": "FRESHET",
                    "numberOfBinds": 0, "arrayBindSupported": false,
                },
            })
        }
        Err(refused) => json!({
            "success": false, "code": refused.code, "message": refused.message,
            "data": {
                "internalError": false, "errorCode": refused.code, "age": 0,
                "sqlState": refused.state, "queryId": query, "line": -1, "pos": -1,
                "type": "COMPILATION",
            },
        }),
    }
}
