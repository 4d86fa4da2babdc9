//! What the bank says: envelopes, boundaries, initial read, schemas, and how fast.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::debezium::message::{Message, murmur2};
use super::super::debezium::options::{Form, RenderOptions, Tombstones};
use super::super::debezium::renderer::Renderer;
use super::super::transaction::{Op, RowChange};
use super::{NOW_US, lived, value};

#[test]
fn envelopes_are_as_debezium_writes_them() {
    let (_, transactions) = lived(2, 30, 3_000);
    let mut renderer = Renderer::new(RenderOptions::default());
    let mut lsn = 0;
    for transaction in &transactions {
        let messages = renderer.render(transaction, transaction.at_us);
        let [begin, events @ .., end] = &messages[..] else { panic!("no BEGIN and END") };
        let (begin, end) = (value(begin), value(end));
        assert_eq!(begin["status"], "BEGIN");
        assert!(begin["event_count"].is_null());
        assert_eq!(end["status"], "END");
        assert_eq!(end["event_count"], events.len());
        let collections = end["data_collections"].as_array().unwrap();
        let counted: i64 = collections.iter().map(|c| c["event_count"].as_i64().unwrap()).sum();
        assert_eq!(counted, events.len() as i64);
        for (order, (message, change)) in events.iter().zip(&transaction.changes).enumerate() {
            let event = value(message);
            let id = event["transaction"]["id"].as_str().unwrap();
            assert_eq!(id.split(':').next(), end["id"].as_str().unwrap().split(':').next());
            assert_eq!(event["transaction"]["total_order"], order + 1);
            assert_eq!(event["source"]["ts_us"], transaction.at_us);
            assert!(event["source"]["lsn"].as_i64().unwrap() > lsn);
            lsn = event["source"]["lsn"].as_i64().unwrap();
            assert_eq!(message.key_hash, murmur2(message.key.as_ref().unwrap()));
            images(&event, change);
        }
    }
}

fn images(event: &Value, change: &RowChange) {
    match change.op() {
        Op::Delete => {
            assert_eq!(event["op"], "d");
            assert!(event["after"].is_null());
            assert_eq!(event["before"]["id"], change.id());
            assert_eq!(event["before"]["created_at"], "1970-01-01T00:00:00.000000Z");
        }
        op => {
            assert_eq!(event["op"], if op == Op::Create { "c" } else { "u" });
            assert!(event["before"].is_null());
            assert_eq!(event["after"]["id"], change.id());
        }
    }
}

#[test]
fn the_initial_read_marks_its_ends() {
    let (bank, _) = lived(4, 20, 100);
    let ledger = bank.ledger();
    let messages = Renderer::new(RenderOptions::default()).initial_read(ledger, NOW_US);
    let rows = ledger.customers().len() + ledger.accounts().len() + ledger.postings().len();
    assert_eq!(messages.len(), rows);
    let mut marks = HashMap::new();
    for message in &messages {
        let event = value(message);
        assert_eq!(event["op"], "r");
        assert!(event["transaction"].is_null());
        let mark = event["source"]["snapshot"].as_str().unwrap().to_owned();
        marks.entry(mark).or_insert_with(Vec::new).push(message.topic.to_string());
    }
    let topic = |table: &str| format!("banking_server.public.{table}");
    assert_eq!(marks["first"], [topic("customers")]);
    let starts = [topic("accounts"), topic("transactions")];
    assert_eq!(marks["first_in_data_collection"], starts);
    let ends = [topic("customers"), topic("accounts")];
    assert_eq!(marks["last_in_data_collection"], ends);
    assert_eq!(marks["last"], [topic("transactions")]);
    assert_eq!(marks["true"].len(), rows - 6);
}

#[test]
fn an_initial_read_in_parts_tells_the_same_rows() {
    let (bank, _) = lived(4, 20, 100);
    let renderer = || Renderer::new(RenderOptions::default());
    let told = |messages: &[Message]| -> Vec<Value> {
        let told = messages.iter().map(|message| {
            let event = value(message);
            json!([*message.topic, event["after"], event["source"]["snapshot"]])
        });
        told.collect()
    };
    let whole = told(&renderer().initial_read(bank.ledger(), NOW_US));
    for count in [1, 7, 20, whole.len(), whole.len() + 1] {
        let (mut renderer, mut last, mut parts) = (renderer(), None, Vec::new());
        loop {
            let part = renderer.read_some(bank.ledger(), NOW_US, &mut last, count);
            if part.is_empty() {
                break;
            }
            parts.extend(told(&part));
        }
        assert_eq!(parts, whole, "in parts of {count}");
    }
}

#[test]
fn the_wrapped_form_says_the_same_with_a_schema() {
    let (_, transactions) = lived(6, 30, 1_000);
    let wrapped = RenderOptions { form: Form::Wrapped, ..RenderOptions::default() };
    let mut renderers = [Renderer::new(RenderOptions::default()), Renderer::new(wrapped)];
    for transaction in &transactions {
        let [bare, wrapped] = renderers.each_mut().map(|r| r.render(transaction, NOW_US));
        for (bare, wrapped) in bare.iter().zip(&wrapped) {
            let wrapped_value = value(wrapped);
            assert_eq!(value(bare), wrapped_value["payload"]);
            fits(&wrapped_value["schema"], &wrapped_value["payload"]);
            let key: Value = serde_json::from_slice(wrapped.key.as_ref().unwrap()).unwrap();
            fits(&key["schema"], &key["payload"]);
        }
    }
}

/// A value has exactly its schema's fields, of its types, and is null only where it may.
fn fits(schema: &Value, value: &Value) {
    if value.is_null() {
        return assert_eq!(schema["optional"], true, "{schema}");
    }
    match schema["type"].as_str().unwrap() {
        "struct" => {
            let fields = schema["fields"].as_array().unwrap();
            assert_eq!(fields.len(), value.as_object().unwrap().len(), "{schema} {value}");
            fields.iter().for_each(|f| fits(f, &value[f["field"].as_str().unwrap()]));
        }
        "array" => value.as_array().unwrap().iter().for_each(|v| fits(&schema["items"], v)),
        "string" => assert!(value.is_string()),
        "int32" => assert!(i32::try_from(value.as_i64().unwrap()).is_ok()),
        "int64" => assert!(value.is_i64()),
        other => panic!("{other}"),
    }
}

#[test]
fn tombstones_follow_deletes_where_they_are_asked_for() {
    let (_, transactions) = lived(11, 30, 1_000);
    let options = RenderOptions { tombstones: Tombstones::Sent, ..RenderOptions::default() };
    let mut renderer = Renderer::new(options);
    let mut count = 0;
    for transaction in &transactions {
        let messages = renderer.render(transaction, NOW_US);
        for pair in messages.windows(2).filter(|pair| pair[1].value.is_none()) {
            assert_eq!(value(&pair[0])["op"], "d");
            assert_eq!(pair[0].key, pair[1].key);
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn murmur2_is_kafkas() {
    let expected = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("abc", 479_470_107),
    ];
    for (key, hash) in expected {
        assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
    }
}

#[test]
#[ignore = "a measurement: run with --release --ignored --nocapture"]
fn rendering_speed() {
    let start = std::time::Instant::now();
    let (_, transactions) = lived(1, 1_000, 300_000);
    let drawn = start.elapsed();
    for form in [Form::Bare, Form::Wrapped] {
        let mut renderer = Renderer::new(RenderOptions { form, ..RenderOptions::default() });
        let start = std::time::Instant::now();
        let (mut messages, mut bytes) = (0, 0);
        for transaction in &transactions {
            for message in renderer.render(transaction, transaction.at_us) {
                messages += 1;
                bytes += message.value.map_or(0, |v| v.len());
            }
        }
        let rate = messages as f64 / start.elapsed().as_secs_f64();
        println!("{form:?}: {rate:.0} messages/s, {} bytes each", bytes / messages);
    }
    println!("drawn: {:.0} transactions/s", transactions.len() as f64 / drawn.as_secs_f64());
}
