//! Snowflake's answers: rows, what a statement did, or an error by its code.
//!
//! Tolerant of absent members; strict about codes. A message of the server may quote row values, so
//! it is told only where its class says that it can't.

use arrow::array::Array;
use arrow::ipc::reader::StreamReader;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::{Error, Result};

/// The statement still runs: its result is to be asked for.
const IN_PROGRESS: [&str; 2] = ["333333", "333334"];
/// The session's token has run out, and can be renewed.
const TOKEN_EXPIRED: &str = "390112";
/// The session is gone, or was never there: log in again.
const SESSION_GONE: [&str; 5] = ["390104", "390111", "390113", "390114", "390115"];
/// Wrong name, password, key or token; a locked user; a network policy.
const LOGIN_CODES: std::ops::RangeInclusive<u32> = 390_100..=390_499;
/// The warehouse can't run: suspended for its credits, or absent.
const NO_WAREHOUSE: [&str; 4] = ["090073", "000606", "002043W", "090069"];
/// A statement that gave up waiting for a lock, or lost a deadlock.
const LOCKED: [&str; 3] = ["000625", "000626", "200001"];
/// A table, schema or other object is not there, or not for this role.
const ABSENT: [&str; 2] = ["002003", "002043"];

/// The role may not.
const DENIED: &str = "003001";

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// The statement is done.
    Done(Rows),
    /// It still runs; the result is at this path.
    InProgress(String),
    /// The token has run out.
    TokenExpired,
    /// The session is gone, with its transaction.
    SessionGone,
    /// It failed.
    Refused(Refusal),
}

/// A statement's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Snowflake's code: six digits.
    pub code: String,
    /// The SQL state; empty if the server says none.
    pub state: String,
    /// The server's words, where they can't quote a value.
    pub message: String,
    /// The query's id, to look it up by.
    pub query_id: String,
}

/// A result's rows as texts; nulls are `None`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rows {
    /// In capitals.
    pub columns: Vec<String>,
    /// By row, then column.
    pub rows: Vec<Vec<Option<String>>>,
    /// The whole `data` of answers that are no rows: uploads.
    pub data: Value,
    /// Further rows to fetch: addresses.
    pub chunks: Vec<String>,
    /// Headers that fetching takes.
    pub chunk_headers: Vec<(String, String)>,
}

impl Rows {
    /// The number in a column of the first row, such as `number of rows inserted`.
    pub fn count(&self, column: &str) -> Option<u64> {
        let at = self.columns.iter().position(|c| c.eq_ignore_ascii_case(column))?;
        self.rows.first()?.get(at)?.as_ref()?.parse().ok()
    }

    /// The numbers in a column, added up: COPY answers a row for each file.
    pub fn sum(&self, column: &str) -> u64 {
        let Some(at) = self.columns.iter().position(|c| c.eq_ignore_ascii_case(column)) else {
            return 0;
        };
        let number = |row: &Vec<Option<String>>| row.get(at)?.as_ref()?.parse::<u64>().ok();
        self.rows.iter().filter_map(number).sum()
    }

    /// The only value of a one-row, one-column answer.
    pub fn single(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }
}

impl Refusal {
    /// Whether the object named is not there.
    pub fn is_absent(&self) -> bool {
        ABSENT.contains(&self.code.as_str())
    }

    /// As the engine's error; `what` is what was tried.
    pub fn into_error(self, what: &str) -> Error {
        let number: u32 = self.code.parse().unwrap_or(0);
        let id = if self.query_id.is_empty() {
            String::new()
        } else {
            format!(", query {}", self.query_id)
        };
        let said =
            if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        let text = format!("Snowflake refused {what} (code {}{id}){said}", self.code);
        let busy =
            LOCKED.contains(&self.code.as_str()) || NO_WAREHOUSE.contains(&self.code.as_str());
        if busy || LOGIN_CODES.contains(&number) {
            return Error::Unavailable { what: text, cause: None };
        }
        let error = Error::failed(text);
        if self.is_absent() || self.code == DENIED {
            return error.with_hint(
                "`freshet publish setup --print` writes what an administrator has to make and grant",
            );
        }
        error
    }
}

/// Reads an answer's JSON.
pub fn read(answer: Value) -> Result<Answer> {
    let code = code_of(&answer["code"]);
    let data = &answer["data"];
    if IN_PROGRESS.contains(&code.as_str()) {
        let path = data["getResultUrl"].as_str().unwrap_or_default().to_owned();
        if path.is_empty() {
            return Err(Error::bug("Snowflake says that a statement runs, and not where to ask"));
        }
        return Ok(Answer::InProgress(path));
    }
    if code == TOKEN_EXPIRED {
        return Ok(Answer::TokenExpired);
    }
    if SESSION_GONE.contains(&code.as_str()) {
        return Ok(Answer::SessionGone);
    }
    if answer["success"].as_bool() == Some(true) {
        return rows(data).map(Answer::Done);
    }
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let inner = code_of(&data["errorCode"]);
    let state = text(&data["sqlState"]);
    // Class 22 is about data: such messages quote it.
    let message = if state.starts_with("22") { String::new() } else { text(&answer["message"]) };
    Ok(Answer::Refused(Refusal {
        code: if code.is_empty() { inner } else { code },
        state,
        message: message.replace('\n', " ").chars().take(300).collect(),
        query_id: text(&data["queryId"]),
    }))
}

fn code_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => format!("{number:0>6}"),
        _ => String::new(),
    }
}

fn rows(data: &Value) -> Result<Rows> {
    let mut rows = Rows::default();
    let Some(types) = data["rowtype"].as_array() else {
        rows.data = data.clone();
        return Ok(rows);
    };
    let name = |t: &Value| t["name"].as_str().unwrap_or_default().to_uppercase();
    rows.columns = types.iter().map(name).collect();
    match data["rowsetBase64"].as_str().filter(|t| !t.is_empty()) {
        Some(text) => rows.rows = arrow_rows(text)?,
        None => rows.rows = json_rows(&data["rowset"]),
    }
    let chunks = data["chunks"].as_array().into_iter().flatten();
    rows.chunks = chunks.filter_map(|c| c["url"].as_str().map(str::to_owned)).collect();
    if let Some(headers) = data["chunkHeaders"].as_object() {
        let pair = |(k, v): (&String, &Value)| Some((k.clone(), v.as_str()?.to_owned()));
        rows.chunk_headers = headers.iter().filter_map(pair).collect();
    } else if let Some(key) = data["qrmk"].as_str() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let prefix = "x-amz-server-side-encryption-customer-";
        rows.chunk_headers = vec![
            header(&format!("{prefix}algorithm"), "AES256"),
            header(&format!("{prefix}key"), key),
        ];
    }
    Ok(rows)
}

/// Rows of a JSON result, or of a downloaded part of one.
pub fn json_rows(set: &Value) -> Vec<Vec<Option<String>>> {
    let cell = |v: &Value| match v {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let row = |r: &Value| r.as_array().into_iter().flatten().map(cell).collect();
    set.as_array().into_iter().flatten().map(row).collect()
}

fn arrow_rows(text: &str) -> Result<Vec<Vec<Option<String>>>> {
    let bytes = STANDARD.decode(text).map_err(|_| Error::bug("a result is not base64"))?;
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in StreamReader::try_new(bytes.as_slice(), None)? {
        let batch = batch?;
        let cells = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options));
        let cells = cells.collect::<std::result::Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let texts = cells.iter().zip(batch.columns());
            rows.push(
                texts.map(|(f, c)| c.is_valid(row).then(|| f.value(row).to_string())).collect(),
            );
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn codes_decide_what_an_answer_is() {
        let of = |v| read(v).unwrap();
        let runs = json!({"success": true, "code": "333334", "data": {"getResultUrl": "/queries/1/result"}});
        assert!(matches!(of(runs), Answer::InProgress(p) if p == "/queries/1/result"));
        assert!(matches!(of(json!({"success": false, "code": "390112"})), Answer::TokenExpired));
        assert!(matches!(
            of(json!({"success": false, "code": 390_111, "data": null})),
            Answer::SessionGone
        ));
    }

    #[test]
    fn a_message_about_data_is_not_told() {
        let about = |state: &str| {
            let answer = json!({"success": false, "code": "100038", "message": "value 'tulip'",
                "data": {"sqlState": state, "queryId": "q1"}});
            match read(answer).unwrap() {
                Answer::Refused(refusal) => refusal.into_error("a merge").to_string(),
                other => panic!("{other:?}"),
            }
        };
        assert!(!about("22018").contains("tulip") && about("22018").contains("100038"));
        assert!(about("42601").contains("tulip"));
    }

    #[test]
    fn counts_are_read_by_name() {
        let data = json!({"success": true, "data": {
            "rowtype": [{"name": "number of rows inserted"}, {"name": "number of rows deleted"}],
            "rowset": [["3", "1"]]}});
        let Answer::Done(rows) = read(data).unwrap() else { panic!("not done") };
        assert_eq!(rows.count("number of rows deleted"), Some(1));
    }
}
