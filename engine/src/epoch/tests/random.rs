//! The properties: every record once and in order, transactions whole, the same epochs whatever
//! the interleaving, restarts anywhere, nothing blocked, the buffer's bound.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::envelope::change::Parsed;

use super::super::content::Epoch;
use super::super::cutter::Cutter;
use super::super::item::{Force, PartitionKey};
use super::super::options::Options;
use super::history::{Logs, Rng, history, topics};

/// How one run goes about it.
struct Way {
    options: Options,
    /// Percent of steps after which a cut is forced.
    forced: usize,
    /// Percent of epochs after which the cutter is thrown away.
    restarts: usize,
}

struct Drive<'a> {
    rng: &'a mut Rng,
    logs: &'a Logs,
    way: &'a Way,
    cutter: Cutter,
    read: BTreeMap<PartitionKey, i64>,
    done: BTreeMap<PartitionKey, i64>,
    now_ms: i64,
    epochs: Vec<Epoch>,
}

impl Drive<'_> {
    fn run(mut self) -> Vec<Epoch> {
        loop {
            let paused = self.cutter.paused();
            let waiting = self.cutter.waiting();
            assert!(paused.iter().all(|key| !waiting.contains(key)), "a waited one is paused");
            let open: Vec<PartitionKey> = (self.logs.iter())
                .filter(|(key, log)| self.read[*key] < log.len() as i64 && !paused.contains(key))
                .map(|(key, _)| key.clone())
                .collect();
            if open.is_empty() {
                if self.rest() {
                    return self.epochs;
                }
                continue;
            }
            let key = open[self.rng.below(open.len())].clone();
            for _ in 0..1 + self.rng.below(6) {
                self.push(&key);
            }
            self.now_ms += self.rng.below(3) as i64;
            let force = self.rng.chance(self.way.forced);
            if self.rng.chance(30) || force {
                self.cut(if force { Force::Yes } else { Force::No });
            }
        }
    }

    fn push(&mut self, key: &PartitionKey) {
        let Some(item) = self.logs[key].get(self.read[key] as usize) else { return };
        self.cutter.push(item.clone(), self.now_ms);
        *self.read.get_mut(key).unwrap() += 1;
    }

    /// Nothing can be pushed: what was read to its end says so, and time passes.
    fn rest(&mut self) -> bool {
        let before = (self.epochs.len(), self.cutter.paused());
        for (key, log) in self.logs {
            if self.read[key] == log.len() as i64 {
                self.cutter.at_end(&key.0, key.1, self.now_ms);
            }
        }
        while self.cut(Force::No) {}
        let all = self.logs.iter().all(|(key, log)| self.read[key] == log.len() as i64);
        if !all && self.epochs.len() > before.0 {
            return false;
        }
        self.now_ms += 40_000;
        while self.cut(if all { Force::No } else { Force::Yes }) {}
        while all && self.cut(Force::Yes) {}
        let all = self.logs.iter().all(|(key, log)| self.read[key] == log.len() as i64);
        let moved = self.epochs.len() > before.0 || self.cutter.paused() != before.1;
        assert!(all || moved, "blocked, waiting for {:?}", self.cutter.waiting());
        let drained = self.logs.iter().all(|(key, log)| self.done[key] == log.len() as i64);
        assert!(drained || !all || moved, "not drained: {:?} {:?}", self.done, self.read);
        drained
    }

    fn cut(&mut self, force: Force) -> bool {
        let Some(epoch) = self.cutter.cut(self.now_ms, force) else { return false };
        for (key, next) in &epoch.offsets {
            assert!(*next > self.done[key] && *next <= self.read[key], "{key:?} to {next}");
            self.done.insert(key.clone(), *next);
        }
        let state = epoch.state.clone();
        self.epochs.push(epoch);
        if self.cutter.wants_end_offsets() {
            let ends = self.logs.iter().map(|(key, log)| (key.clone(), log.len() as i64));
            self.cutter.set_end_offsets(ends.collect());
        }
        if self.rng.chance(self.way.restarts) {
            self.cutter = Cutter::resume(self.way.options.clone(), topics(), state);
            for (key, next) in &self.done {
                self.cutter.add_partition(&key.0, key.1, *next);
            }
            self.read = self.done.clone();
        }
        true
    }
}

fn drive(rng: &mut Rng, logs: &Logs, way: &Way) -> Vec<Epoch> {
    let starts: BTreeMap<PartitionKey, i64> = logs.keys().map(|key| (key.clone(), 0)).collect();
    let mut cutter = Cutter::new(way.options.clone(), topics());
    for key in logs.keys() {
        cutter.add_partition(&key.0, key.1, 0);
    }
    let (read, done) = (starts.clone(), starts);
    Drive { rng, logs, way, cutter, read, done, now_ms: 0, epochs: Vec::new() }.run()
}

/// Every change and dead letter exactly once, each partition in its order.
fn assert_once(logs: &Logs, epochs: &[Epoch]) {
    let mut met: BTreeMap<PartitionKey, Vec<i64>> = BTreeMap::new();
    let mut dead = 0;
    for epoch in epochs {
        for change in &epoch.changes {
            met.entry((Arc::clone(&change.topic), change.partition)).or_default();
            met.get_mut(&(Arc::clone(&change.topic), change.partition))
                .unwrap()
                .push(change.offset);
        }
        dead += epoch.dead.len();
    }
    for (key, log) in logs {
        let rows = log.iter().filter(|item| matches!(item.parsed, Parsed::Change(_)));
        let rows: Vec<i64> = rows.map(|item| item.offset).collect();
        assert_eq!(rows, met.remove(key).unwrap_or_default(), "{key:?}");
        dead -= log.iter().filter(|item| matches!(item.parsed, Parsed::Malformed(_))).count();
    }
    assert_eq!(dead, 0);
}

/// The first delivery of a transaction's events lies in one epoch.
fn assert_whole(epochs: &[Epoch], seed: u64) {
    let mut first: HashMap<(Arc<str>, bytes::Bytes), (usize, i64)> = HashMap::new();
    for (number, epoch) in epochs.iter().enumerate() {
        for change in &epoch.changes {
            let (Some(key), Some(tx)) = (&change.key, change.tx) else { continue };
            first.entry((Arc::clone(&change.table), key.clone())).or_insert((number, tx.id));
        }
    }
    let mut by_tx: HashMap<i64, usize> = HashMap::new();
    for (number, id) in first.values() {
        let other = by_tx.entry(*id).or_insert(*number);
        assert_eq!(other, number, "seed {seed}: transaction {id} is split");
    }
}

fn way(rng: &mut Rng, age_max_ms: u64) -> Way {
    let options = Options {
        rows_max: 1 + rng.below(40),
        bytes_max: 100 * (1 + rng.below(60)),
        age_max_ms,
        buffer_bytes_max: if rng.chance(40) { 1_000 } else { 1 << 30 },
        ..Options::default()
    };
    Way { options, forced: 0, restarts: 0 }
}

#[test]
fn every_change_once_and_transactions_whole_under_faults() {
    for seed in 1..=3_000 {
        let rng = &mut Rng(0x9E37_79B9_7F4A_7C15 ^ (seed << 8));
        let history = history(rng, true);
        let way = Way { forced: rng.below(40), ..way(rng, 5) };
        let epochs = drive(rng, &history.logs, &way);
        assert_once(&history.logs, &epochs);
        assert_whole(&epochs, seed);
    }
}

#[test]
fn restarts_go_on_with_the_same_content() {
    for seed in 1..=3_000 {
        let rng = &mut Rng(0x9E37_79B9_7F4A_7C15 ^ ((seed << 8) + 1));
        let history = history(rng, true);
        let way = Way { forced: rng.below(40), restarts: 5 + rng.below(20), ..way(rng, 5) };
        let epochs = drive(rng, &history.logs, &way);
        assert_once(&history.logs, &epochs);
        assert_whole(&epochs, seed);
    }
}

#[test]
fn the_same_epochs_whatever_the_interleaving() {
    for seed in 1..=3_000 {
        let rng = &mut Rng(0x9E37_79B9_7F4A_7C15 ^ ((seed << 8) + 2));
        let history = history(rng, false);
        let mut way = way(rng, 1 << 40);
        way.options.buffer_bytes_max = 1 << 30;
        let mut content = None;
        for _ in 0..3 {
            let epochs = drive(rng, &history.logs, &way);
            assert_whole(&epochs, seed);
            let places = epochs.iter().map(|epoch| {
                let rows = epoch.changes.iter();
                let rows = rows.map(|row| (row.topic.clone(), row.partition, row.offset));
                rows.collect::<Vec<_>>()
            });
            let places: Vec<Vec<_>> = places.filter(|rows| !rows.is_empty()).collect();
            assert_eq!(content.get_or_insert_with(|| places.clone()), &places, "seed {seed}");
        }
    }
}
