//! RAW in the target: the events themselves, append-only, as JSON.
//!
//! What a team's staging models read before: one row an event, the row's fields at the top, so that
//! `data:email::string` goes on working. Members of ours begin with two underscores. It reads the
//! lake's raw tables, and only files that an epoch in question can have written.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};

use super::moves::{LedgerRow, RawMove};
use super::options::Raw;
use crate::checkpoint::decision::Decision;
use crate::error::Result;
use crate::lake::store::Store;
use crate::lake::{layout, read};

/// Events of one table in one push, about: more go with the next.
const ROWS_MAX: usize = 200_000;

/// The ledger's name of a raw table.
pub fn ledger_name(table: &str) -> String {
    format!("RAW.{}", table.to_uppercase())
}

/// The events of each wanted table behind the epoch that the target holds of it.
pub async fn moves(
    store: &Store,
    decision: &Decision,
    raw: &Raw,
    generation: u64,
    pushed: &(dyn Fn(&str) -> Option<LedgerRow> + Sync),
) -> Result<Vec<RawMove>> {
    let mut moves = Vec::new();
    for table in &raw.tables {
        let path = layout::raw(&table.to_lowercase());
        let Some(standing) = decision.tables.get(&path) else { continue };
        let name = ledger_name(table);
        let before = pushed(&name);
        let from = before.as_ref().map_or(0, |row| row.epoch);
        let files = read::files_since(store, &path, standing.version, from).await?;
        let to = reach(files.iter().map(|(at, file)| (*at, file.rows())), decision.epoch);
        let mut rows = Vec::new();
        for (_, file) in &files {
            let made = events(&file.read(store).await?, from, to)?;
            if made.num_rows() > 0 {
                rows.push(made);
            }
        }
        let added: usize = rows.iter().map(RecordBatch::num_rows).sum();
        let after = LedgerRow {
            epoch: to,
            version: standing.version,
            rows: before.map_or(0, |row| row.rows) + added as u64,
            hash: String::new(),
            generation,
        };
        moves.push(RawMove { table: name, rows, after });
    }
    Ok(moves)
}

/// How far one push goes: to the last epoch, or to where about [`ROWS_MAX`] events are reached.
fn reach(files: impl Iterator<Item = (u64, usize)>, last: u64) -> u64 {
    let mut rows = 0;
    for (epoch, more) in files {
        rows += more;
        if rows >= ROWS_MAX {
            return epoch.min(last);
        }
    }
    last
}

/// Events of the epochs behind `from` up to `to`: JSON and time.
fn events(batch: &RecordBatch, from: u64, to: u64) -> Result<RecordBatch> {
    let text = |name: &str| batch.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
    let number =
        |name: &str| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
    let time = |name: &str| {
        batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
    };
    let (epochs, lsn) = (number("epoch"), number("lsn"));
    let (op, after, before, key) = (text("op"), text("after"), text("before"), text("key"));
    let (committed, arrived) = (time("commit_at"), time("kafka_at"));
    let at = |c: Option<&arrow::array::PrimitiveArray<TimestampMicrosecondType>>, row: usize| {
        c.filter(|c| c.is_valid(row)).map(|c| c.value(row))
    };
    let (mut documents, mut times) = (Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        let epoch = epochs.map_or(0, |e| e.value(row)).unsigned_abs();
        if epoch <= from || epoch > to {
            continue;
        }
        let of = |c: Option<&StringArray>| {
            c.filter(|c| c.is_valid(row)).map(|c| c.value(row).to_owned())
        };
        let op = of(op).unwrap_or_default();
        let fields = of(after).or_else(|| of(before)).or_else(|| of(key)).unwrap_or_default();
        let mut ours = format!("\"__op\":\"{op}\",\"__deleted\":{}", op == "d");
        if let Some(lsn) = lsn.filter(|l| l.is_valid(row)) {
            ours.push_str(&format!(",\"__lsn\":{}", lsn.value(row)));
        }
        if let Some(us) = at(committed, row) {
            ours.push_str(&format!(",\"__commit_us\":{us}"));
        }
        documents.push(with_members(&fields, &ours));
        times.push(at(arrived, row).or_else(|| at(committed, row)));
    }
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let schema =
        Schema::new(vec![Field::new("DATA", DataType::Utf8, false), Field::new("AT", time, true)]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(documents)),
        Arc::new(TimestampMicrosecondArray::from(times)),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

/// A JSON object with further members behind its own.
fn with_members(object: &str, members: &str) -> String {
    let object = object.trim();
    match object.strip_suffix('}') {
        Some(open) if open.trim_end().ends_with('{') => format!("{{{members}}}"),
        Some(open) => format!("{open},{members}}}"),
        None => format!("{{{members}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_takes_so_many_events_and_the_next_goes_on() {
        assert_eq!(reach([(1, 10), (2, 10)].into_iter(), 7), 7);
        assert_eq!(reach([(3, 150_000), (5, 60_000), (9, 5)].into_iter(), 9), 5);
        assert_eq!(reach([(3, 1_000_000)].into_iter(), 9), 3);
    }

    #[test]
    fn members_are_added_to_any_object() {
        assert_eq!(with_members("{\"a\":1}", "\"b\":2"), "{\"a\":1,\"b\":2}");
        assert_eq!(with_members("{ }", "\"b\":2"), "{\"b\":2}");
        assert_eq!(with_members("", "\"b\":2"), "{\"b\":2}");
    }
}
