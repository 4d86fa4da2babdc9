//! The station's speed, by hand: `cargo test --release envelope::bench -- --ignored --nocapture`.
//!
//! 700-byte records of eight columns, bare and wrapped, through both phases on one thread.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::change::Parsed;
use super::options::Options;
use super::parse::Parser;
use super::rows::RowDecoder;
use super::schema::{Column, ColumnKind, TableSchema};
use crate::source::record::Record;

const RECORDS: i64 = 300_000;

fn payload(id: i64) -> String {
    format!(
        concat!(
            r#"{{"before":null,"after":{{"id":{},"account_id":{},"kind":"deposit","#,
            r#""amount":"{}.25","balance":"10{}.75","note":"{}","#,
            r#""created_at":"2026-11-22T10:00:00.{:06}Z","booked":{}}},"#,
            r#""source":{{"version":"3.6.1.Final","connector":"postgresql","name":"bank","#,
            r#""ts_ms":1700000000123,"snapshot":"false","db":"bank","#,
            r#""sequence":"[\"26458360\",\"26458472\"]","ts_us":1700000000123456,"#,
            r#""ts_ns":1700000000123456000,"schema":"public","table":"transactions","#,
            r#""txId":733,"lsn":26458472,"xmin":null}},"#,
            r#""transaction":{{"id":"733:26458472","total_order":1,"#,
            r#""data_collection_order":1}},"op":"c","ts_ms":1700000000999,"#,
            r#""ts_us":1700000000999000,"ts_ns":1700000000999000000}}"#
        ),
        id,
        id % 5000,
        id % 10_000,
        id,
        "plain text of a payment ".repeat(2),
        id % 1_000_000,
        1_700_000_000_000_000 + id,
    )
}

fn schema_block() -> String {
    let field = |name: &str| format!(r#"{{"type":"string","optional":true,"field":"{name}"}}"#);
    let fields: Vec<_> = (0..30).map(|n| field(&format!("column_{n}"))).collect();
    format!(
        r#"{{"type":"struct","fields":[{{"type":"struct","field":"after","fields":[{}]}}]}}"#,
        fields.join(",")
    )
}

fn records(wrap: impl Fn(String) -> String) -> Vec<Record> {
    let topic: Arc<str> = "bank.public.transactions".into();
    let record = |id: i64| Record {
        topic: topic.clone(),
        partition: 0,
        offset: id,
        timestamp_ms: 0,
        key: Some(Bytes::from(format!(r#"{{"id":{id}}}"#))),
        value: Some(Bytes::from(wrap(payload(id)))),
        headers: Vec::new(),
    };
    (0..RECORDS).map(record).collect()
}

fn run(name: &str, records: &[Record]) {
    let column =
        |(name, words): (&str, &str)| Column::new(name, ColumnKind::from_postgres(words).unwrap());
    let columns = [
        ("id", "bigint"),
        ("account_id", "bigint"),
        ("kind", "text"),
        ("amount", "numeric(18,2)"),
        ("balance", "numeric(18,2)"),
        ("note", "text"),
        ("created_at", "timestamptz"),
        ("booked", "timestamp"),
    ];
    let columns = columns.map(column).to_vec();
    let table = TableSchema { name: "public.transactions".into(), columns, key: vec![0] };
    let mut parser = Parser::new(Options::default());
    let mut decoder = RowDecoder::new(Arc::new(table), &Options::default());
    let bytes: usize = records.iter().filter_map(|r| r.value.as_ref()).map(Bytes::len).sum();
    let start = Instant::now();
    let mut changes = Vec::with_capacity(records.len());
    for record in records {
        match parser.parse(record) {
            Parsed::Change(change) => changes.push(change),
            other => panic!("{other:?}"),
        }
    }
    let parsed = start.elapsed();
    for change in &changes {
        decoder.append(change.after.as_ref().unwrap()).unwrap();
    }
    let batch = decoder.finish().unwrap();
    assert_eq!(batch.num_rows(), records.len());
    let all = start.elapsed();
    let rate = |elapsed: std::time::Duration| records.len() as f64 / elapsed.as_secs_f64();
    println!(
        "{name}: {} bytes a record, parse {:.0}/s, append {:.0}/s, both {:.0} records/s",
        bytes / records.len(),
        rate(parsed),
        rate(all - parsed),
        rate(all),
    );
}

#[test]
#[ignore = "a measurement, not a check"]
fn records_per_second() {
    run("bare", &records(|payload| payload));
    let block = schema_block();
    run("wrapped", &records(|p| format!(r#"{{"schema":{block},"payload":{p}}}"#)));
}
