//! Records as Debezium writes them, bare and wrapped, to what they say.

use std::sync::Arc;

use bytes::Bytes;

use super::change::{Change, Ignored, Op, Parsed, ReadMark, TxRef};
use super::options::Options;
use super::parse::Parser;
use crate::source::record::Record;

pub(super) fn record(topic: &str, key: Option<&str>, value: Option<&str>) -> Record {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Record {
        topic: topic.into(),
        partition: 2,
        offset: 40,
        timestamp_ms: 1_700_000_000_500,
        key: key.map(bytes),
        value: value.map(bytes),
        headers: Vec::new(),
    }
}

fn parse(record: &Record) -> Parsed {
    Parser::new(Options::default()).parse(record)
}

pub(super) fn change(parsed: Parsed) -> Change {
    match parsed {
        Parsed::Change(change) => *change,
        other => panic!("no change: {other:?}"),
    }
}

fn reason(parsed: Parsed) -> String {
    match parsed {
        Parsed::Malformed(malformed) => malformed.reason,
        other => panic!("understood: {other:?}"),
    }
}

/// A source block with what a test wants to differ.
fn source(rest: &str) -> String {
    format!(
        r#"{{"version":"3.6.1.Final","connector":"postgresql","name":"bank","ts_ms":1700000000123,
        "db":"bank","schema":"public","table":"customers"{rest}}}"#
    )
}

pub(super) fn streamed() -> String {
    source(
        r#","snapshot":"false","ts_us":1700000000123456,"ts_ns":1700000000123456000,"txId":733,
        "lsn":26458472,"xmin":null,"sequence":"[null,\"26458360\"]""#,
    )
}

pub(super) fn envelope(op: &str, before: &str, after: &str, source: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{source},"transaction":{{"id":
        "733:26458472","total_order":2,"data_collection_order":1}},"op":"{op}",
        "ts_ms":1700000000999,"ts_us":1700000000999000}}"#
    )
}

pub(super) fn text(bytes: &Option<Bytes>) -> &str {
    bytes.as_ref().map_or("-", |b| std::str::from_utf8(b).unwrap())
}

#[test]
fn a_bare_update() {
    let value = envelope("u", "null", r#"{"id":2,"name":"Ann"}"#, &streamed());
    let record = record("bank.public.customers", Some(r#"{"id":2}"#), Some(&value));
    let change = change(parse(&record));
    assert_eq!((&*change.table, &*change.connector), ("public.customers", "bank"));
    assert_eq!((change.op, change.initial), (Op::Update, ReadMark::None));
    assert_eq!(change.tx, Some(TxRef { id: 733, total_order: 2 }));
    assert_eq!((change.tx_id, change.lsn), (Some(733), Some(26_458_472)));
    assert_eq!(change.sequence_lsn, Some(26_458_360));
    assert_eq!(change.commit_us, 1_700_000_000_123_456);
    assert_eq!((text(&change.key), text(&change.before)), (r#"{"id":2}"#, "-"));
    assert_eq!(text(&change.after), r#"{"id":2,"name":"Ann"}"#);
    assert_eq!((change.partition, change.offset), (2, 40));
    assert_eq!(change.timestamp_ms, 1_700_000_000_500);
    assert!(change.wire_schema.is_none() && change.moved_from.is_none());
    // The image is a slice of the record, not a copy.
    let (value, after) = (record.value.unwrap(), change.after.unwrap());
    assert!(value.as_ptr_range().contains(&after.as_ptr()));
}

#[test]
fn every_operation() {
    for (op, before, after, expected) in [
        ("c", "null", r#"{"id":1}"#, Op::Create),
        ("u", r#"{"id":1}"#, r#"{"id":1}"#, Op::Update),
        ("d", r#"{"id":1,"name":""}"#, "null", Op::Delete),
        ("r", "null", r#"{"id":1}"#, Op::Read),
        ("t", "null", "null", Op::Truncate),
    ] {
        let value = envelope(op, before, after, &streamed());
        let change = change(parse(&record("t", None, Some(&value))));
        assert_eq!(change.op, expected);
        assert_eq!(change.key, None);
    }
    for (op, expected) in [("c", "a create without `after`"), ("x", "`op` is none of")] {
        let value = envelope(op, "null", "null", &streamed());
        assert!(reason(parse(&record("t", None, Some(&value)))).starts_with(expected));
    }
    let value = envelope("d", "null", "null", &streamed());
    let keyed = change(parse(&record("t", Some(r#"{"id":1}"#), Some(&value))));
    assert_eq!(text(&keyed.key), r#"{"id":1}"#);
    assert!(reason(parse(&record("t", None, Some(&value)))).contains("its key"));
}

#[test]
fn marks_of_initial_and_incremental_reads() {
    for (mark, expected) in [
        (r#","snapshot":"first""#, ReadMark::First),
        (r#","snapshot":"true""#, ReadMark::Within),
        (r#","snapshot":true"#, ReadMark::Within),
        (r#","snapshot":"first_in_data_collection""#, ReadMark::Within),
        (r#","snapshot":"last_in_data_collection""#, ReadMark::LastInTable),
        (r#","snapshot":"last""#, ReadMark::Last),
        (r#","snapshot":"incremental","sequence":"[\"5\",\"9\"]""#, ReadMark::Incremental),
        (r#","snapshot":"false""#, ReadMark::None),
        (r#","snapshot":false"#, ReadMark::None),
        (r#","snapshot":null"#, ReadMark::None),
        ("", ReadMark::None),
    ] {
        let value = format!(r#"{{"op":"r","after":{{"id":1}},"source":{}}}"#, source(mark));
        let change = change(parse(&record("t", None, Some(&value))));
        assert_eq!(change.initial, expected, "{mark}");
        assert_eq!((change.tx, change.lsn, change.tx_id), (None, None, None));
        assert_eq!(change.commit_us, 1_700_000_000_123_000);
        let incremental = expected == ReadMark::Incremental;
        assert_eq!(change.sequence_lsn, incremental.then_some(9));
    }
    let value =
        format!(r#"{{"op":"r","after":{{}},"source":{}}}"#, source(r#","snapshot":"blocking""#));
    assert!(reason(parse(&record("t", None, Some(&value)))).contains("`source.snapshot`"));
}

#[test]
fn transaction_boundaries() {
    let begin = r#"{"status":"BEGIN","id":"736:26459800","event_count":null,
        "data_collections":null,"ts_ms":1700000000123}"#;
    match parse(&record("bank.transaction", None, Some(begin))) {
        Parsed::Begin(begin) => {
            assert_eq!((begin.id, &*begin.id_text), (736, "736:26459800"));
            assert_eq!(begin.time_us, Some(1_700_000_000_123_000));
        }
        other => panic!("{other:?}"),
    }
    let end = r#"{"status":"END","id":"736:26459928","event_count":2,"data_collections":[
        {"data_collection":"public.customers","event_count":1},
        {"data_collection":"public.accounts","event_count":1}],"ts_ms":1700000000123}"#;
    match parse(&record("bank.transaction", Some(r#"{"id":"736:26459928"}"#), Some(end))) {
        Parsed::End(end) => {
            assert_eq!((end.id, end.event_count), (736, 2));
            assert_eq!(end.commit_us, 1_700_000_000_123_000);
            assert_eq!(end.collections[1], (Arc::from("public.accounts"), 1));
        }
        other => panic!("{other:?}"),
    }
    let empty = r#"{"status":"END","id":"737:1","event_count":0,"data_collections":[],"ts_ms":1}"#;
    match parse(&record("bank.transaction", None, Some(empty))) {
        Parsed::End(end) => assert!(end.collections.is_empty() && end.event_count == 0),
        other => panic!("{other:?}"),
    }
    let strange = empty.replace("737:1", "file=binlog.1,pos=2");
    assert!(reason(parse(&record("t", None, Some(&strange)))).contains("transaction id"));
    let countless = r#"{"status":"END","id":"737:1","ts_ms":1}"#;
    assert!(reason(parse(&record("t", None, Some(countless)))).contains("event_count"));
}

#[test]
fn what_changes_nothing() {
    let ignored = |record: Record| match parse(&record) {
        Parsed::Ignored(ignored) => ignored,
        other => panic!("{other:?}"),
    };
    assert_eq!(ignored(record("t", Some(r#"{"id":1}"#), None)), Ignored::Tombstone);
    assert_eq!(ignored(record("t", None, Some("null"))), Ignored::Tombstone);
    let wrapped = Some(r#"{"schema":null,"payload":null}"#);
    assert_eq!(ignored(record("t", None, wrapped)), Ignored::Tombstone);
    let beat = record("__debezium-heartbeat.bank", None, Some(r#"{"ts_ms":1}"#));
    assert_eq!(ignored(beat), Ignored::Heartbeat);
    let ddl = format!(r#"{{"source":{},"ts_ms":1,"ddl":null,"tableChanges":[]}}"#, source(""));
    assert_eq!(ignored(record("t", None, Some(&ddl))), Ignored::SchemaChange);
    let message = format!(
        r#"{{"op":"m","ts_ms":1,"source":{},"message":{{"prefix":"audit","content":"aGk="}}}}"#,
        streamed()
    );
    match ignored(record("bank.message", Some(r#"{"prefix":"audit"}"#), Some(&message))) {
        Ignored::Message(message) => {
            assert_eq!((&*message.prefix, &*message.content), ("audit", "aGk="));
            assert_eq!((message.lsn, message.tx_id), (Some(26_458_472), Some(733)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_halves_of_a_key_change() {
    let old = envelope("d", r#"{"id":1}"#, "null", &streamed());
    let mut old = record("t", Some(r#"{"id":1}"#), Some(&old));
    old.headers.push(("__debezium.newkey".into(), Bytes::from_static(b"{\"id\":9}")));
    assert_eq!(text(&change(parse(&old)).moved_to), r#"{"id":9}"#);
    let new = envelope("c", "null", r#"{"id":9}"#, &streamed());
    let mut new = record("t", Some(r#"{"id":9}"#), Some(&new));
    let wrapped = r#"{"schema":{"type":"struct","fields":[{"type":"int32","field":"id"}]},
        "payload":{"id":1}}"#;
    new.headers.push(("__debezium.oldkey".into(), Bytes::from(wrapped)));
    assert_eq!(text(&change(parse(&new)).moved_from), r#"{"id":1}"#);
    new.headers[0].1 = Bytes::from_static(b"Struct{id=1}");
    assert!(reason(parse(&new)).contains("header.converter"));
}

#[test]
fn flattened_records_are_refused_with_what_to_do() {
    for value in [
        r#"{"id":1,"name":"secret","__op":"u","__lsn":5}"#,
        r#"{"id":1,"status":"END","source":"secret"}"#,
        r#"{"id":1,"source":"secret"}"#,
        r#"{"schema":"secret","payload":"secret"}"#,
        r#"{"schema":{"type":"struct","fields":[]},"payload":{"id":1}}"#,
    ] {
        let reason = reason(parse(&record("t", None, Some(value))));
        assert!(!reason.contains("secret"), "{reason}");
        let is_named = reason.contains("ExtractNewRecordState");
        assert!(is_named || value.contains("END"), "{value}: {reason}");
    }
}

#[test]
fn unreadable_bytes_say_what_they_look_like() {
    let bytes = |bytes: &'static [u8]| {
        let mut record = record("t", None, Some(""));
        record.value = Some(Bytes::from_static(bytes));
        reason(parse(&record))
    };
    assert!(bytes(b"\0\0\0\0\x07abc").contains("looks like Avro; JSON is needed"));
    assert!(bytes(b"").contains("empty"));
    assert!(bytes(b"[1]").contains("no JSON object"));
    assert!(bytes(b"{\"op\":\"\xff\"}").contains("not UTF-8 from byte 7"));
    assert!(bytes(b"{\"op\":\"c\"").contains("ends too early"));
    assert!(bytes(b"{\"op\":\"c\"}").contains("no `source`"));
    assert!(bytes(b"{\"op\":\"c\",\"source\":{}}").contains("`schema`"));
    assert!(bytes(b"{\"op\":7}").contains("unexpected type"));
    let value = envelope("c", "null", "[1]", &streamed());
    assert!(reason(parse(&record("t", None, Some(&value)))).contains("`after` is no JSON object"));
    let value = envelope("c", "null", r#"{"id":1}"#, &streamed());
    let avro = reason(parse(&record("t", Some("\0\0key"), Some(&value))));
    assert!(avro.contains("the key") && avro.contains("Avro"), "{avro}");
    let extracted = r#"{"schema":{"type":"int32"},"payload":7}"#;
    assert!(reason(parse(&record("t", Some(extracted), Some(&value)))).contains("extracts"));
}

#[test]
fn options_refuse_unknown_keys() {
    let options: Options =
        serde_json::from_str(r#"{"unavailable_placeholder":"gone","binary_strings":"hex"}"#)
            .unwrap();
    assert_eq!(options.unavailable_placeholder, "gone");
    assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), Options::default());
    assert!(serde_json::from_str::<Options>(r#"{"placeholder":"x"}"#).is_err());
}
