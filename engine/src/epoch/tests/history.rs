//! A seeded source: random transactions as a connector would send them, crashes included.
//!
//! A crash loses the tail of what was sent, in each partition from another point on; the next
//! session goes on at or before the first loss, sometimes within a transaction, counting anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::envelope::change::*;
use crate::source::record::Record;

use super::super::item::{Item, Topics};

pub const TX_TOPIC: &str = "bank.transaction";
pub const TABLES: [&str; 3] = ["public.customers", "public.accounts", "public.transactions"];

/// A small generator of numbers, the same for the same seed.
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What a source transaction does, event by event.
#[derive(Clone, Copy, PartialEq)]
enum Event {
    Row {
        table: usize,
        partition: i32,
    },
    /// Counted by END, read by nobody.
    Elsewhere,
    /// Counted by END, dropped before Kafka.
    Dropped {
        table: usize,
    },
    Truncate {
        table: usize,
    },
}

/// Every partition's records in order, by topic and partition.
pub type Logs = BTreeMap<(Arc<str>, i32), Vec<Item>>;

pub struct History {
    pub logs: Logs,
}

pub fn topics() -> Topics {
    let tables = TABLES.iter().map(|table| Arc::from(*table)).collect();
    Topics { transaction_topic: Some(Arc::from(TX_TOPIC)), tables }
}

pub fn begin(id: i64) -> Parsed {
    Parsed::Begin(TxBegin { id, id_text: Arc::from(id.to_string()), time_us: None })
}

pub fn end(id: i64, counts: &[(&str, u64)]) -> Parsed {
    Parsed::End(TxEnd {
        id,
        id_text: Arc::from(id.to_string()),
        event_count: counts.iter().map(|(_, count)| count).sum(),
        collections: counts.iter().map(|(table, count)| (Arc::from(*table), *count)).collect(),
        commit_us: id * 1_000,
    })
}

/// A change of transaction `id`; `uid` names the source event in its key.
pub fn change(table: &str, id: i64, order: u64, uid: usize) -> Change {
    Change {
        table: Arc::from(table),
        connector: Arc::from("bank"),
        op: Op::Update,
        initial: ReadMark::None,
        tx: Some(TxRef { id, total_order: order }),
        tx_id: Some(id),
        lsn: None,
        sequence_lsn: None,
        commit_us: id * 1_000 + 7,
        key: Some(bytes::Bytes::from(uid.to_string())),
        before: None,
        after: None,
        moved_from: None,
        moved_to: None,
        wire_schema: None,
        wire_key: None,
        topic: Arc::from(format!("bank.{table}")),
        partition: 0,
        offset: 0,
        timestamp_ms: -1,
        record_value: None,
    }
}

/// Appends a record at the next offset of its partition.
pub fn append(logs: &mut Logs, topic: &str, partition: i32, mut parsed: Parsed) {
    let topic: Arc<str> = Arc::from(topic);
    let log = logs.entry((Arc::clone(&topic), partition)).or_default();
    let offset = log.len() as i64;
    if let Parsed::Change(change) = &mut parsed {
        change.partition = partition;
        change.offset = offset;
    }
    let record = matches!(parsed, Parsed::Malformed(_)).then(|| Record {
        topic: Arc::clone(&topic),
        partition,
        offset,
        timestamp_ms: -1,
        key: None,
        value: None,
        headers: Vec::new(),
    });
    log.push(Item { topic, partition, offset, bytes: 100, parsed, record: record.map(Box::new) });
}

/// A history; with `faults` the connector crashes and bad records and reads lie between.
pub fn history(rng: &mut Rng, faults: bool) -> History {
    let mut source: Vec<Vec<Event>> = Vec::new();
    for _ in 0..3 + rng.below(22) {
        source.push(transaction(rng, faults));
    }
    let mut logs = Logs::new();
    for table in TABLES {
        for partition in 0..3 {
            logs.insert((Arc::from(format!("bank.{table}")), partition), Vec::new());
        }
    }
    logs.insert((Arc::from(TX_TOPIC), 0), Vec::new());
    let mut at = (0, 0);
    let mut crashes = if faults { rng.below(4) } else { 0 };
    loop {
        let sent = session(&source, at);
        let crash = crashes > 0 && sent.len() > 2;
        crashes = crashes.saturating_sub(1);
        let length = if crash { 1 + rng.below(sent.len() - 1) } else { sent.len() };
        let mut ends = BTreeMap::new();
        for (topic, partition, _, _) in &sent {
            let lost = if crash && rng.chance(40) { rng.below(12) } else { 0 };
            ends.entry((topic.clone(), *partition)).or_insert(length.saturating_sub(lost));
        }
        for (place, (topic, partition, parsed, _)) in sent.iter().enumerate() {
            if place < ends[&(topic.clone(), *partition)] {
                let is_row = matches!(parsed, Parsed::Change(_));
                append(&mut logs, topic, *partition, parsed.clone());
                if is_row {
                    noise(rng, &mut logs, topic, *partition, faults);
                }
            }
        }
        if !crash {
            return History { logs };
        }
        let first_lost = ends.values().copied().min().unwrap_or(0).min(length);
        let from = first_lost.saturating_sub(rng.below(15));
        let (tx, event) = sent[from.min(sent.len() - 1)].3;
        // Within a transaction only where its END was not delivered: else its count, of another
        // numbering, could be reached by records of both (a known limit of counting).
        let acked = ends.get(&(TX_TOPIC.to_string(), 0)).copied().unwrap_or(0);
        let mut before = sent.iter().take(acked);
        let ended = before.any(|sent| sent.3.0 == tx && matches!(sent.2, Parsed::End(_)));
        at = if !ended && rng.chance(30) { (tx, event) } else { (tx, 0) };
    }
}

fn transaction(rng: &mut Rng, faults: bool) -> Vec<Event> {
    if rng.chance(4) {
        return vec![Event::Truncate { table: rng.below(3) }];
    }
    let mut events = Vec::new();
    let length = if rng.chance(5) { 60 } else { 6 };
    for _ in 0..rng.below(length) {
        let table = rng.below(3);
        events.push(match rng.below(40) {
            0..3 => Event::Elsewhere,
            3 if faults => Event::Dropped { table },
            _ => Event::Row { table, partition: rng.below(3) as i32 },
        });
    }
    events
}

type Sent = (String, i32, Parsed, (usize, usize));

/// What a connector sends from a place in the source on.
fn session(source: &[Vec<Event>], from: (usize, usize)) -> Vec<Sent> {
    let mut sent = Vec::new();
    for (tx, events) in source.iter().enumerate().skip(from.0) {
        let first = if tx == from.0 { from.1 } else { 0 };
        let id = tx as i64 + 1;
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        sent.push((TX_TOPIC.to_string(), 0, begin(id), (tx, first)));
        for (place, event) in events.iter().enumerate().skip(first) {
            let order = (place - first + 1) as u64;
            let (table, partition, op) = match *event {
                Event::Row { table, partition } => (TABLES[table], partition, Op::Update),
                Event::Truncate { table } => (TABLES[table], 0, Op::Truncate),
                Event::Elsewhere => ("public.elsewhere", -1, Op::Update),
                Event::Dropped { table } => (TABLES[table], -1, Op::Update),
            };
            if op != Op::Truncate {
                *counts.entry(table).or_default() += 1;
            }
            if partition >= 0 {
                let row = Change { op, ..change(table, id, order, tx * 1_000 + place) };
                let parsed = Parsed::Change(Box::new(row));
                sent.push((format!("bank.{table}"), partition, parsed, (tx, place)));
            }
        }
        let counts: Vec<(&str, u64)> = counts.into_iter().collect();
        let last = events.len().saturating_sub(1).max(first);
        sent.push((TX_TOPIC.to_string(), 0, end(id, &counts), (tx, last)));
    }
    sent
}

fn noise(rng: &mut Rng, logs: &mut Logs, topic: &str, partition: i32, faults: bool) {
    match rng.below(30) {
        0 | 1 => append(logs, topic, partition, Parsed::Ignored(Ignored::Tombstone)),
        2 => append(logs, topic, partition, Parsed::Ignored(Ignored::Heartbeat)),
        3 if faults => append(logs, topic, partition, Parsed::Malformed(Malformed::new("bad"))),
        4 if faults => {
            let table = topic.trim_start_matches("bank.");
            let read = change(table, 1, 1, 0);
            let initial = ReadMark::Incremental;
            let read = Change { op: Op::Read, initial, tx: None, tx_id: None, key: None, ..read };
            append(logs, topic, partition, Parsed::Change(Box::new(read)));
        }
        _ => {}
    }
}
