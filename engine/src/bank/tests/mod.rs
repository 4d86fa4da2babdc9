//! Tests of the bank as a whole, and what they share: a bank with a past, and readers of messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod delivery;
mod life;
mod messages;

use serde_json::Value;

use super::debezium::message::Message;
use super::faults::Faults;
use super::teller::Bank;
use super::transaction::Transaction;

const NOW_US: i64 = 1_795_000_000_000_000;
const PARTITIONS: i32 = 3;

fn lived(seed: u64, customers: u32, count: usize) -> (Bank, Vec<Transaction>) {
    let mut bank = Bank::new(seed);
    let mut transactions = bank.open(customers, NOW_US);
    transactions.extend((0..count as i64).map(|i| bank.next(NOW_US + i * 1_500)));
    (bank, transactions)
}

fn value(message: &Message) -> Value {
    serde_json::from_slice(message.value.as_ref().unwrap()).unwrap()
}

/// What makes an event the same event, however often it is sent.
fn identity(message: &Message) -> Option<(String, String, i64, i64, String)> {
    let value = value(message);
    let source = value.get("source")?;
    Some((
        source["table"].as_str().unwrap().to_owned(),
        String::from_utf8_lossy(message.key.as_ref().unwrap()).into_owned(),
        source["txId"].as_i64().unwrap(),
        source["lsn"].as_i64().unwrap(),
        value["op"].as_str().unwrap().to_owned(),
    ))
}

fn place(message: &Message) -> (String, i32) {
    let boundary = message.topic.ends_with(".transaction");
    (message.topic.to_string(), message.partition(if boundary { 1 } else { PARTITIONS }))
}

fn busy() -> Faults {
    Faults {
        restart_one_in: 40,
        restart_back_max: 5,
        repeat_one_in: 20,
        repeat_max: 4,
        late_one_in: 15,
        late_max: 6,
    }
}
