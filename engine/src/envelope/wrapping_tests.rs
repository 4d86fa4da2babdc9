//! Wrapped messages, their schemas, and damaged messages of both shapes through both phases.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Decimal128Type;
use bytes::Bytes;

use super::change::Parsed;
use super::options::Options;
use super::parse::Parser;
use super::parse_tests::{change, envelope, record, streamed, text};
use super::rows::RowDecoder;
use super::rows_tests::Dice;
use super::schema::{Column, ColumnKind, TableSchema};

const ROW_FIELDS: &str = r#"[{"type":"int32","optional":false,"field":"id"},
    {"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,
    "parameters":{"scale":"2","connect.decimal.precision":"18"},"field":"paid"}]"#;

fn wrapped(payload: &str, fields: &str) -> String {
    format!(
        r#"{{"schema":{{"type":"struct","name":"bank.public.customers.Envelope","fields":[
        {{"type":"struct","fields":{fields},"optional":true,"field":"before"}},
        {{"type":"struct","fields":{fields},"optional":true,"field":"after"}},
        {{"type":"string","optional":false,"field":"op"}}]}},"payload":{payload}}}"#
    )
}

#[test]
fn wrapped_messages_bring_their_schema_once() {
    let mut parser = Parser::new(Options::default());
    let key = r#"{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]},
        "payload":{"id":2}}"#;
    let mut seen = Vec::new();
    for (id, paid) in [(2, "BNI="), (3, "BNM="), (4, "BNQ=")] {
        let row = format!(r#"{{"id":{id},"paid":"{paid}"}}"#);
        let value = wrapped(&envelope("c", "null", &row, &streamed()), ROW_FIELDS);
        let change = change(parser.parse(&record("t", Some(key), Some(&value))));
        assert_eq!((text(&change.key), text(&change.after)), (r#"{"id":2}"#, &*row));
        seen.push(change);
    }
    let schema = seen[0].wire_schema.clone().unwrap();
    assert!(seen.iter().all(|c| Arc::ptr_eq(c.wire_schema.as_ref().unwrap(), &schema)));
    assert_eq!(schema.columns[1].kind, ColumnKind::Decimal { precision: 18, scale: 2 });
    let table = TableSchema::from_wire(seen[0].table.clone(), &schema, seen[0].wire_key.as_deref())
        .unwrap();
    assert_eq!(table.key, [0]);
    let mut decoder = RowDecoder::new(Arc::new(table), &Options::default());
    for change in &seen {
        decoder.append(change.after.as_ref().unwrap()).unwrap();
    }
    let batch = decoder.finish().unwrap();
    let paid = batch.column(1).as_primitive::<Decimal128Type>();
    assert_eq!(paid.values(), &[1234, 1235, 1236]);
}

#[test]
fn a_changed_schema_is_noticed() {
    let mut parser = Parser::new(Options::default());
    let payload = envelope("c", "null", r#"{"id":1}"#, &streamed());
    let more = ROW_FIELDS.replace("}]", r#"},{"type":"string","field":"phone"}]"#);
    let mut widths = Vec::new();
    for fields in [ROW_FIELDS, more.as_str(), ROW_FIELDS] {
        let value = wrapped(&payload, fields);
        let change = change(parser.parse(&record("t", None, Some(&value))));
        widths.push(change.wire_schema.unwrap().columns.len());
    }
    assert_eq!(widths, [2, 3, 2]);
    // Payload first, or more after it: no prefix to remember, the same answer.
    let turned = format!(r#"{{"payload":{payload},"schema":null}}"#);
    assert!(change(parser.parse(&record("t", None, Some(&turned)))).wire_schema.is_none());
    let value = wrapped(&payload, ROW_FIELDS);
    change(parser.parse(&record("t", None, Some(&value))));
    let longer = format!(r#"{},"more":{{"x":1}}}}"#, value.strip_suffix('}').unwrap());
    assert_eq!(text(&change(parser.parse(&record("t", None, Some(&longer)))).after), r#"{"id":1}"#);
    let end = r#"{"schema":{"type":"struct","fields":[]},"payload":{"status":"BEGIN","id":"5:6"}}"#;
    assert!(matches!(parser.parse(&record("tx", None, Some(end))), Parsed::Begin(_)));
}

#[test]
fn damaged_records_are_answered_never_fatal() {
    let row = r#"{"id":1,"a":"12.34","b":"2017-07-14T02:40:00.12Z","c":17424,"d":{"scale":1,
        "value":"fQ=="},"e":"AP8=","f":14711789001,"g":"P1DT2H","h":1500000000123}"#;
    let bare = envelope("c", "null", row, &streamed());
    let both = [wrapped(&bare, ROW_FIELDS), bare];
    let words = [
        "int",
        "numeric(9,2)",
        "timestamptz",
        "date",
        "numeric",
        "bytea",
        "time",
        "interval",
        "timestamp(3)",
    ];
    let names = ["id", "a", "b", "c", "d", "e", "f", "g", "h"];
    let kinds = words.map(|words| ColumnKind::from_postgres(words).unwrap());
    let columns = names.into_iter().zip(kinds).map(|(n, k)| Column::new(n, k)).collect();
    let table = TableSchema { name: "public.t".into(), columns, key: vec![0] };
    let mut decoder = RowDecoder::new(Arc::new(table), &Options::default());
    let mut parser = Parser::new(Options::default());
    let mut dice = Dice(99);
    let (mut good, mut bad) = (0, 0);
    for round in 0..40_000 {
        let mut value = both[round % 2].clone().into_bytes();
        for _ in 0..=dice.below(2) {
            let at = dice.below(value.len() as u64) as usize;
            match dice.below(3) {
                0 => value[at] = b"0123456789eE+-.:\"{}[],\\nTZ "[dice.below(27) as usize],
                1 => drop(value.remove(at)),
                _ => value.insert(at, b'9'),
            }
        }
        let mut record = record("t", Some(r#"{"id":1}"#), None);
        record.value = Some(Bytes::from(value));
        let Parsed::Change(change) = parser.parse(&record) else { continue };
        match change.after.as_ref().map(|after| decoder.append(after)) {
            Some(Ok(_)) => good += 1,
            _ => bad += 1,
        }
    }
    assert_eq!(decoder.finish().unwrap().num_rows(), good);
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
}
