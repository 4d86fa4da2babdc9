//! Captures: what is written is read again, in every order, from every offset.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::line::Reader;
use super::*;

fn record(topic: &str, partition: i32, offset: i64, value: &str) -> Record {
    Record {
        topic: Arc::from(topic),
        partition,
        offset,
        timestamp_ms: 1_700_000_000_000 + offset,
        key: Some(Bytes::from(format!("{{\"id\":{offset}}}"))),
        value: Some(Bytes::from(value.to_owned())),
        headers: Vec::new(),
    }
}

fn file(lines: &[Vec<u8>]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for line in lines {
        file.write_all(line).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file
}

fn capture(records: &[Record]) -> tempfile::NamedTempFile {
    file(&records.iter().map(|record| write_line(record).into_bytes()).collect::<Vec<_>>())
}

/// Three partitions, in turn.
fn three() -> Vec<Record> {
    let at = |n: i64| record(if n % 3 == 0 { "a" } else { "b" }, (n % 3 / 2) as i32, n, "{}");
    (0..60).map(at).collect()
}

fn all(source: &mut CaptureSource) -> Vec<Polled> {
    let mut out = Vec::new();
    loop {
        let polled = source.poll(Duration::ZERO).unwrap();
        if polled.is_empty() {
            return out;
        }
        out.extend(polled);
    }
}

fn offsets(polled: &[Polled]) -> Vec<(String, i32, i64)> {
    let of = |polled: &Polled| match polled {
        Polled::Record(r) => Some((r.topic.to_string(), r.partition, r.offset)),
        _ => None,
    };
    polled.iter().filter_map(of).collect()
}

fn open(file: &tempfile::NamedTempFile, order: Order) -> CaptureSource {
    CaptureSource::open(file.path(), &BTreeMap::new(), order, 7).unwrap()
}

#[test]
fn a_line_gives_back_the_record_even_where_it_is_no_utf8() {
    let mut written = record("t", 2, 9, "{\"a\":\"\\u00e9\\n\",\"b\":1.50}");
    written.headers = vec![
        ("__debezium.newkey".into(), Bytes::from_static(b"{\"id\":1}")),
        ("__debezium.oldkey".into(), Bytes::from_static(&[0xff, 0, 1])),
    ];
    let mut binary = record("t", 2, 10, "");
    (binary.key, binary.value) = (None, Some(Bytes::from_static(&[0, 159, 146, 150])));
    let mut tombstone = record("t", 2, 11, "");
    (tombstone.key, tombstone.value) = (Some(Bytes::from_static(&[0xc3, 0x28])), None);
    tombstone.timestamp_ms = -1;
    let mut reader = Reader::new(Arena::default());
    for before in [written, binary, tombstone, record("t", 0, 0, "")] {
        let after = reader.read(write_line(&before).as_bytes()).unwrap();
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }
}

#[test]
fn kcats_own_lines_are_read() {
    let mut line = br#"{"topic":"t","partition":0,"offset":5,"tstype":"create","ts":7,"broker":0,
        "headers":["__debezium.context.taskId","0","__debezium.newkey","{\"id\":9}","x",null],
        "key":null,"payload":"a"#
        .to_vec();
    line.extend([0xff, 0xfe]);
    line.extend(br#"\u0041"}"#);
    let found = Reader::new(Arena::default()).read(&line).unwrap();
    assert_eq!(found.value.as_deref(), Some(&[b'a', 0xff, 0xfe, b'A'][..]));
    assert_eq!(found.headers, [("__debezium.newkey".to_owned(), Bytes::from("{\"id\":9}"))]);
    assert_eq!((found.key, found.timestamp_ms, found.offset), (None, 7, 5));
    let pairs = br#"{"topic":"t","partition":0,"offset":5,"payload":null,
        "headers":[["__debezium.oldkey","k"],["y",null]]}"#;
    let found = Reader::new(Arena::default()).read(pairs).unwrap();
    assert_eq!(found.headers, [("__debezium.oldkey".to_owned(), Bytes::from("k"))]);
}

#[test]
fn the_files_order_is_kept_and_each_partition_ends_once() {
    let records = three();
    let mut source = open(&capture(&records), Order::File);
    let polled = all(&mut source);
    let expected: Vec<_> =
        records.iter().map(|r| (r.topic.to_string(), r.partition, r.offset)).collect();
    assert_eq!(offsets(&polled), expected);
    assert_eq!(polled.iter().filter(|p| matches!(p, Polled::Assigned { .. })).count(), 3);
    assert_eq!(polled.iter().filter(|p| matches!(p, Polled::AtEnd { .. })).count(), 3);
    assert!(source.lag().iter().all(|lag| lag.records() == Some(0)));
}

#[test]
fn a_seed_draws_its_own_order_and_keeps_each_partitions() {
    let records = capture(&three());
    let orders: BTreeSet<_> =
        (0..20).map(|seed| offsets(&all(&mut open(&records, Order::Interleaved(seed))))).collect();
    assert_eq!(orders.len(), 20);
    assert!(orders.contains(&offsets(&all(&mut open(&records, Order::Interleaved(3))))));
    for order in orders {
        assert_eq!(order.len(), 60);
        let mut last = BTreeMap::new();
        for (topic, partition, offset) in order {
            assert!(last.insert((topic, partition), offset).is_none_or(|before| before < offset));
        }
    }
}

#[test]
fn stored_offsets_and_pauses_hold() {
    let records = capture(&three());
    let stored =
        BTreeMap::from([(("a".into(), 0), 30), (("b".into(), 0), 60), (("b".into(), 1), 59)]);
    let mut source = CaptureSource::open(records.path(), &stored, Order::File, 100).unwrap();
    let paused = [(Arc::from("a"), 0)];
    source.pause(&paused).unwrap();
    let polled = source.poll(Duration::ZERO).unwrap();
    assert_eq!(offsets(&polled), [("b".to_owned(), 1, 59)]);
    assert!(matches!(polled[0], Polled::Assigned { offset: 30, .. }));
    assert!(matches!(polled[3], Polled::AtEnd { partition: 0, .. }));
    assert!(source.poll(Duration::ZERO).unwrap().is_empty());
    source.resume(&paused).unwrap();
    assert_eq!(offsets(&all(&mut source)).len(), 10);
}

#[test]
fn the_initial_read_ends_before_the_stream() {
    let read = |snapshot| format!(r#"{{"op":"r","source":{{"snapshot":"{snapshot}"}}}}"#);
    let records = capture(&[
        record("a", 0, 10, &read("first")),
        record("a", 0, 12, &read("last")),
        record("a", 0, 13, r#"{"op":"c"}"#),
        record("a", 0, 14, &read("incremental")),
        record("b", 0, 4, r#"{"op":"u"}"#),
    ]);
    let ends = open(&records, Order::File).end_offsets().unwrap();
    let expected = BTreeMap::from([((Arc::from("a"), 0), 13), ((Arc::from("b"), 0), 4)]);
    assert_eq!(ends, expected);
}

#[test]
fn bad_lines_are_named_and_not_repeated() {
    let fails = |line: &str| {
        let good = write_line(&record("t", 0, 5, "{}")).into_bytes();
        let bad = file(&[good, Vec::new(), line.as_bytes().to_vec()]);
        let opened = CaptureSource::open(bad.path(), &BTreeMap::new(), Order::File, 1);
        let text = opened.unwrap_err().to_string();
        assert!(text.contains(":3:") && !text.contains("tulip"), "{text}");
        text
    };
    assert!(fails("{\"topic\":\"tulip").contains("too early"));
    assert!(fails("tulip").contains("not JSON"));
    assert!(fails(r#"{"topic":"t","partition":0,"offset":"tulip"}"#).contains("fields"));
    assert!(fails(r#"{"topic":"t","partition":0,"offset":-1}"#).contains("negative"));
    let base64 = r#"{"topic":"t","partition":0,"offset":9,"payload_base64":"tulip!"}"#;
    assert!(fails(base64).contains("base64"));
    assert!(fails(&write_line(&record("t", 0, 5, "{}"))).contains("offset 5 of topic `t`"));
    let missing = CaptureSource::open(Path::new("/nowhere"), &BTreeMap::new(), Order::File, 1);
    assert!(missing.unwrap_err().to_string().contains("/nowhere"));
}
