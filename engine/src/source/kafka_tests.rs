//! The Kafka source against the embedded broker: positions, ends, new topics, gaps, lost brokers.
//!
//! Transactions can't be tested here: the mock cluster has no control records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::embedded::{EmbeddedBroker, Produced};
use super::kafka::KafkaSource;
use super::options::Options;
use super::{Polled, Source};
use crate::error::Error;

const LIMIT: Duration = Duration::from_secs(20);

fn options(broker: &EmbeddedBroker, topics: &[&str]) -> Options {
    let mut options = Options::at(broker.bootstrap());
    options.topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    options.discovery_interval_ms = 200;
    options
}

fn open(options: &Options, offsets: &[(&str, i32, i64)]) -> crate::error::Result<KafkaSource> {
    let offsets = offsets
        .iter()
        .map(|(topic, partition, offset)| (((*topic).to_owned(), *partition), *offset));
    KafkaSource::open(options, &offsets.collect())
}

fn fill(broker: &EmbeddedBroker, topic: &str, partition: i32, count: usize) {
    for _ in 0..count {
        let produced = broker.produce(topic, partition, Some(b"k"), Some(b"value"), &[], 5);
        assert!(matches!(produced.unwrap(), Produced::At(_)));
    }
    broker.flush().unwrap();
}

/// Polls until `done` says so, or fails.
fn poll_until(source: &mut KafkaSource, mut done: impl FnMut(&[Polled]) -> bool) -> Vec<Polled> {
    let (started, mut all) = (Instant::now(), Vec::new());
    while !done(&all) {
        assert!(started.elapsed() < LIMIT, "nothing more came after {} events", all.len());
        all.extend(source.poll(Duration::from_millis(50)).unwrap());
    }
    all
}

fn records(polled: &[Polled]) -> Vec<(String, i32, i64)> {
    let of = |polled: &Polled| match polled {
        Polled::Record(r) => Some((r.topic.to_string(), r.partition, r.offset)),
        _ => None,
    };
    polled.iter().filter_map(of).collect()
}

fn ends(polled: &[Polled]) -> usize {
    polled.iter().filter(|polled| matches!(polled, Polled::AtEnd { .. })).count()
}

#[test]
fn each_partition_starts_at_its_offset_and_says_when_it_ends() {
    let broker = EmbeddedBroker::start(&[("a", 2), ("b", 1)]).unwrap();
    fill(&broker, "a", 0, 10);
    fill(&broker, "b", 0, 3);
    let mut source = open(&options(&broker, &["a", "b"]), &[("a", 0, 7)]).unwrap();
    let polled = poll_until(&mut source, |all| ends(all) == 3);
    let assigned: Vec<_> = polled
        .iter()
        .filter_map(|polled| match polled {
            Polled::Assigned { topic, partition, offset } => Some((&**topic, *partition, *offset)),
            _ => None,
        })
        .collect();
    assert_eq!(assigned, [("a", 0, 7), ("a", 1, 0), ("b", 0, 0)]);
    let mut read = records(&polled);
    read.sort();
    let of = |topic: &str, range: std::ops::Range<i64>| {
        range.map(|offset| (topic.to_owned(), 0, offset)).collect::<Vec<_>>()
    };
    assert_eq!(read, [of("a", 7..10), of("b", 0..3)].concat());
    let at = |topic: &str, partition| (Arc::from(topic), partition);
    let expected = BTreeMap::from([(at("a", 0), 10), (at("a", 1), 0), (at("b", 0), 3)]);
    assert_eq!(source.end_offsets().unwrap(), expected);
    assert!(source.lag().iter().all(|lag| lag.records() == Some(0)));
    fill(&broker, "b", 0, 1);
    let polled = poll_until(&mut source, |all| ends(all) == 1);
    assert_eq!(records(&polled), [("b".to_owned(), 0, 3)]);
}

#[test]
fn a_records_fields_come_whole() {
    let broker = EmbeddedBroker::start(&[("a", 1)]).unwrap();
    let headers: [(&str, &[u8]); 2] = [("x", b"1"), ("__debezium.newkey", b"{\"id\":2}")];
    let long = vec![7; 300_000];
    broker.produce("a", 0, None, Some(&long), &headers, 1_700_000_000_123).unwrap();
    broker.produce("a", 0, Some(b"k"), None, &[], 9).unwrap();
    broker.flush().unwrap();
    let mut source = open(&options(&broker, &["a"]), &[]).unwrap();
    let polled = poll_until(&mut source, |all| ends(all) == 1);
    let (Polled::Record(first), Polled::Record(second)) = (&polled[1], &polled[2]) else {
        panic!("{polled:?}");
    };
    assert_eq!((first.key.as_deref(), first.value.as_deref()), (None, Some(&long[..])));
    assert_eq!(first.timestamp_ms, 1_700_000_000_123);
    assert_eq!(first.headers.len(), 1);
    assert_eq!(first.headers[0].1, &b"{\"id\":2}"[..]);
    assert_eq!((second.key.as_deref(), second.value.as_deref()), (Some(&b"k"[..]), None));
}

#[test]
fn a_topic_that_appears_later_is_read_and_positions_stay() {
    let broker = EmbeddedBroker::start(&[("bank.a", 1)]).unwrap();
    fill(&broker, "bank.a", 0, 5);
    let mut options = options(&broker, &["listed"]);
    options.topic_pattern = Some("bank\\..*".to_owned());
    let mut source = open(&options, &[("bank.b", 0, 2)]).unwrap();
    poll_until(&mut source, |all| ends(all) == 1);
    broker.create("bank.b", 2).unwrap();
    broker.create("listed", 1).unwrap();
    broker.create("other", 1).unwrap();
    fill(&broker, "bank.b", 0, 4);
    fill(&broker, "bank.a", 0, 1);
    fill(&broker, "listed", 0, 1);
    // Both ends of bank.b, that of listed, and at least one of bank.a.
    let polled = poll_until(&mut source, |all| records(all).len() >= 4 && ends(all) >= 4);
    let mut read = records(&polled);
    read.sort();
    let expected = [("bank.a", 5), ("bank.b", 2), ("bank.b", 3), ("listed", 0)];
    assert_eq!(read, expected.map(|(topic, offset)| (topic.to_owned(), 0, offset)));
}

#[test]
fn a_paused_partition_waits_and_loses_nothing() {
    let broker = EmbeddedBroker::start(&[("a", 1), ("b", 1)]).unwrap();
    let mut source = open(&options(&broker, &["a", "b"]), &[]).unwrap();
    let paused = [(Arc::from("a"), 0)];
    source.pause(&paused).unwrap();
    fill(&broker, "a", 0, 500);
    fill(&broker, "b", 0, 500);
    let polled = poll_until(&mut source, |all| records(all).len() == 500);
    assert!(records(&polled).iter().all(|(topic, _, _)| topic == "b"));
    source.resume(&paused).unwrap();
    let polled = poll_until(&mut source, |all| records(all).len() == 500);
    assert!(records(&polled).iter().enumerate().all(|(n, r)| *r == ("a".into(), 0, n as i64)));
}

/// Gives more than the mock cluster keeps, and says that it was read.
fn overflow(broker: &EmbeddedBroker, topic: &str) {
    let value = vec![1; 10_000];
    for offset in 0..1_000 {
        broker.produce(topic, 0, None, Some(&value), &[], 0).unwrap();
        if offset % 100 == 99 {
            broker.flush().unwrap();
            broker.consumed_up_to(topic, 0, offset);
        }
    }
    broker.flush().unwrap();
}

#[test]
fn records_that_were_deleted_stop_the_start_and_the_stream() {
    let broker = EmbeddedBroker::start(&[("a", 1)]).unwrap();
    let mut source = open(&options(&broker, &["a"]), &[]).unwrap();
    poll_until(&mut source, |all| ends(all) == 1);
    let started = Instant::now();
    source.pause(&[(Arc::from("a"), 0)]).unwrap();
    overflow(&broker, "a");

    let error = open(&options(&broker, &["a"]), &[("a", 0, 0)]).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, Error::Corrupt { .. }), "{text}");
    assert!(text.contains("topic `a`, partition 0") && text.contains("deleted"), "{text}");
    let error = open(&options(&broker, &["a"]), &[("a", 0, 5_000)]).err().unwrap();
    assert!(error.to_string().contains("anew"), "{error}");
    let error = open(&options(&broker, &["a"]), &[("a", 3, 1)]).err().unwrap();
    assert!(error.to_string().contains("1 partitions now"), "{error}");
    // Without a stored offset the beginning is what is there.
    let mut fresh = open(&options(&broker, &["a"]), &[]).unwrap();
    let first = poll_until(&mut fresh, |all| !records(all).is_empty());
    assert!(records(&first)[0].2 > 0);
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn a_gap_while_running_stops_the_line() {
    let broker = EmbeddedBroker::start(&[("a", 1)]).unwrap();
    overflow(&broker, "a");
    let mut options = options(&broker, &["a"]);
    options.queue_bytes_max = 1 << 20;
    let mut source = open(&options, &[]).unwrap();
    // Nothing is taken from the queue of a paused lane, so the reader stands while more is given.
    source.pause(&[(Arc::from("a"), 0)]).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    overflow(&broker, "a");
    source.resume(&[(Arc::from("a"), 0)]).unwrap();
    let (started, mut next) = (Instant::now(), None);
    let error = loop {
        assert!(started.elapsed() < LIMIT, "no gap was seen");
        match source.poll(Duration::from_millis(50)) {
            Err(error) => break error,
            Ok(polled) => {
                for (_, _, offset) in records(&polled) {
                    assert!(next.is_none_or(|next| next == offset), "jumped to {offset}");
                    next = Some(offset + 1);
                }
            }
        }
    };
    let text = error.to_string();
    assert!(text.contains("deleted") && text.contains("hint"), "{text}");
    assert!(text.contains(&format!("offset {}", next.unwrap())), "{text}");
}

#[test]
fn a_full_broker_says_so_and_drops_nothing_unread() {
    let broker = EmbeddedBroker::start(&[("a", 1)]).unwrap();
    let value = vec![1; 700];
    let produce = || broker.produce("a", 0, None, Some(&value), &[], 0).unwrap();
    while produce() != Produced::Full {}
    broker.flush().unwrap();
    assert_eq!(broker.faults().unwrap(), 0);
    let end = broker.ends()[&("a".to_owned(), 0)];
    let mut source = open(&options(&broker, &["a"]), &[("a", 0, 0)]).unwrap();
    let polled = poll_until(&mut source, |all| records(all).len() as i64 == end);
    assert_eq!(records(&polled).last().unwrap().2, end - 1);
    broker.consumed_up_to("a", 0, end);
    assert_eq!(produce(), Produced::At(end));
    assert!(broker.produce("b", 0, None, None, &[], 0).is_err());
    assert!(broker.produce("a", 0, None, Some(&vec![0; 1 << 20]), &[], 0).is_err());
}

#[test]
fn brokers_that_stay_away_are_unavailable_by_name() {
    let mut absent = Options::at("127.0.0.1:1");
    absent.topics = vec!["a".to_owned()];
    absent.unavailable_after_ms = 300;
    let error = open(&absent, &[]).err().unwrap();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");

    let broker = EmbeddedBroker::start(&[("a", 1)]).unwrap();
    let mut options = options(&broker, &["a"]);
    options.unavailable_after_ms = 500;
    options.discovery_interval_ms = 60_000;
    let mut source = open(&options, &[]).unwrap();
    poll_until(&mut source, |all| ends(all) == 1);
    let address = broker.bootstrap().to_owned();
    drop(broker);
    let started = Instant::now();
    let error = loop {
        assert!(started.elapsed() < LIMIT, "the lost broker was not noticed");
        if let Err(error) = source.poll(Duration::from_millis(50)) {
            break error;
        }
    };
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}
