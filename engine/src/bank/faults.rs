//! Disturbed delivery: what a real chain does to messages between the database and a reader.
//!
//! Stands right of the renderer. Three faults, by seed or on demand: a connector restart sends
//! transactions again (perhaps from the middle of one, then BEGIN comes again and orders count
//! anew); a producer sends the last few messages of a partition again; a topic's messages come
//! late while others go on. It must never reorder what is in one partition, lose a message, or
//! change one that it repeats.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::debezium::message::Message;
use super::debezium::renderer::{Renderer, Stamp};
use super::rng::Rng;
use super::row::Table;
use super::transaction::Transaction;

/// How often each fault strikes, per transaction, and how far it reaches. A rate of 0 is never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// A connector restart once in this many transactions.
    pub restart_one_in: u32,
    /// How many earlier transactions a restart may send again.
    pub restart_back_max: usize,
    /// A repeated delivery once in this many transactions.
    pub repeat_one_in: u32,
    /// How many messages of one partition may be repeated.
    pub repeat_max: usize,
    /// A topic falls behind once in this many transactions.
    pub late_one_in: u32,
    /// For how many transactions it stays behind.
    pub late_max: u32,
}

impl Faults {
    /// An undisturbed chain, which still can restart on demand.
    pub fn none() -> Self {
        let far = Self::default();
        Self { restart_one_in: 0, repeat_one_in: 0, late_one_in: 0, ..far }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            restart_one_in: 2_000,
            restart_back_max: 20,
            repeat_one_in: 200,
            repeat_max: 5,
            late_one_in: 100,
            late_max: 10,
        }
    }
}

/// What struck so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Struck {
    /// Connector restarts.
    pub restarts: u64,
    /// Table events that were sent again, by restarts or repeats.
    pub repeated_events: u64,
    /// Times a topic fell behind.
    pub late: u64,
}

#[derive(Debug)]
struct Sent {
    transaction: Transaction,
    stamp: Stamp,
}

#[derive(Debug)]
struct Held {
    topic: Arc<str>,
    transactions_left: u32,
    messages: Vec<Message>,
}

/// The way from the bank to Kafka, with its faults.
#[derive(Debug)]
pub struct Wire {
    renderer: Renderer,
    faults: Faults,
    partitions: i32,
    rng: Rng,
    recent: VecDeque<Sent>,
    tails: BTreeMap<(Arc<str>, i32), VecDeque<Message>>,
    held: Option<Held>,
    struck: Struck,
}

impl Wire {
    /// A wire to table topics of `partitions` each; the transaction topic has one.
    pub fn new(renderer: Renderer, faults: Faults, partitions: i32, seed: u64) -> Self {
        Self {
            renderer,
            faults,
            partitions,
            rng: Rng::new(seed),
            recent: VecDeque::new(),
            tails: BTreeMap::new(),
            held: None,
            struck: Struck::default(),
        }
    }

    /// The renderer, for the initial read before the first transaction.
    pub fn renderer(&mut self) -> &mut Renderer {
        &mut self.renderer
    }

    /// What struck so far.
    pub fn struck(&self) -> Struck {
        self.struck
    }

    /// What reaches Kafka on this transaction, in order: perhaps less (some is late) or more.
    pub fn send(&mut self, transaction: Transaction, commit_us: i64) -> Vec<Message> {
        let stamp = self.renderer.stamp(&transaction, commit_us);
        let count = transaction.changes.len();
        let restarts = self.rng.one_in(self.faults.restart_one_in);
        // The restart may come before the transaction's last events were sent.
        let upto = if restarts { 1 + self.rng.below(count as u64) as usize } else { count };
        let mut out = Vec::with_capacity(count + 2);
        self.renderer.send(&transaction, &stamp, 0..upto, &mut out);
        self.recent.push_back(Sent { transaction, stamp });
        while self.recent.len() > self.faults.restart_back_max + 1 {
            self.recent.pop_front();
        }
        let mut delivered = self.deliver(out);
        if restarts {
            let back = self.rng.below(self.recent.len() as u64) as usize;
            let oldest = self.recent.iter().rev().nth(back);
            let events = oldest.map_or(1, |sent| sent.transaction.changes.len());
            // At most what was sent, or an event of an unfinished transaction would be lost.
            let skippable = if back == 0 { upto.min(events - 1) + 1 } else { events };
            let skipped = self.rng.below(skippable as u64) as usize;
            delivered.extend(self.restart(back, skipped));
            // What the restart sent for the first time is no repetition.
            self.struck.repeated_events -= (count - upto) as u64;
        }
        if self.rng.one_in(self.faults.repeat_one_in) {
            delivered.extend(self.repeat_somewhere());
        }
        if self.held.is_none() && self.rng.one_in(self.faults.late_one_in) {
            self.fall_behind();
        }
        delivered.extend(self.tick());
        delivered
    }

    /// The connector restarts, goes back by `back` transactions (0 is the latest) as far as they
    /// are remembered, skips that one's first events, and sends everything from there again.
    pub fn restart(&mut self, back: usize, skipped_events: usize) -> Vec<Message> {
        self.struck.restarts += 1;
        self.renderer.restart();
        let from = self.recent.len().saturating_sub(back + 1);
        let mut out = Vec::new();
        for (at, sent) in self.recent.iter().enumerate().skip(from) {
            let count = sent.transaction.changes.len();
            let first = if at == from { skipped_events.min(count.saturating_sub(1)) } else { 0 };
            self.struck.repeated_events += (count - first) as u64;
            self.renderer.send(&sent.transaction, &sent.stamp, first..count, &mut out);
        }
        self.deliver(out)
    }

    /// Everything that is still held back.
    pub fn flush(&mut self) -> Vec<Message> {
        self.held.take().map(|held| held.messages).unwrap_or_default()
    }

    fn repeat_somewhere(&mut self) -> Vec<Message> {
        let nth = self.rng.below(self.tails.len() as u64) as usize;
        let count = 1 + self.rng.below(self.faults.repeat_max.max(1) as u64) as usize;
        let Some((place, tail)) = self.tails.iter().nth(nth) else { return Vec::new() };
        let first = tail.len().saturating_sub(count);
        let again: Vec<Message> = tail.iter().skip(first).cloned().collect();
        if place.0 != *self.renderer.boundary_topic() {
            self.struck.repeated_events += again.len() as u64;
        }
        self.deliver(again)
    }

    fn fall_behind(&mut self) {
        let which = self.rng.below(4) as usize;
        let table = Table::ALL.get(which).map(|table| self.renderer.topic(*table));
        let topic = table.unwrap_or(self.renderer.boundary_topic()).clone();
        let transactions_left = 1 + self.rng.below(u64::from(self.faults.late_max)) as u32;
        self.held = Some(Held { topic, transactions_left, messages: Vec::new() });
        self.struck.late += 1;
    }

    /// A transaction has passed: what was held long enough goes out.
    fn tick(&mut self) -> Vec<Message> {
        let Some(held) = &mut self.held else { return Vec::new() };
        match held.transactions_left.checked_sub(1) {
            Some(left) => {
                held.transactions_left = left;
                Vec::new()
            }
            None => self.flush(),
        }
    }

    /// Remembers each partition's last messages, and holds back those of a late topic.
    fn deliver(&mut self, messages: Vec<Message>) -> Vec<Message> {
        let mut out = Vec::with_capacity(messages.len());
        for message in messages {
            if self.faults.repeat_one_in > 0 {
                self.remember(&message);
            }
            match &mut self.held {
                Some(held) if held.topic == message.topic => held.messages.push(message),
                _ => out.push(message),
            }
        }
        out
    }

    fn remember(&mut self, message: &Message) {
        let of_one = message.topic == *self.renderer.boundary_topic();
        let partition = message.partition(if of_one { 1 } else { self.partitions });
        let tail = self.tails.entry((message.topic.clone(), partition)).or_default();
        tail.push_back(message.clone());
        while tail.len() > self.faults.repeat_max {
            tail.pop_front();
        }
    }
}
