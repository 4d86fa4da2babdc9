//! One partition's queue: records in their order, grouped into runs of one transaction.
//!
//! It knows nothing of other partitions, and must never reorder or drop a record.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::item::{Contents, Item, TxKey};

/// How much something weighs against the bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub items: usize,
    pub rows: usize,
    pub bytes: usize,
}

impl Weight {
    pub fn of(item: &Item) -> Self {
        let rows = item.rows();
        // What changes nothing weighs nothing: a cut must not depend on when it was met.
        Self { items: 1, rows, bytes: if rows > 0 { item.bytes } else { 0 } }
    }

    pub fn add(&mut self, other: Self) {
        self.items += other.items;
        self.rows += other.rows;
        self.bytes += other.bytes;
    }

    pub fn sub(&mut self, other: Self) {
        self.items = self.items.saturating_sub(other.items);
        self.rows = self.rows.saturating_sub(other.rows);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Neighbouring records of one transaction, and those without any that follow them.
#[derive(Debug)]
pub(super) struct Run {
    /// The transaction; none for a run of records without any.
    pub key: Option<TxKey>,
    /// When its first record was pushed.
    pub arrived_ms: i64,
    pub weight: Weight,
    /// How many of its records were counted for its transaction.
    pub fed: usize,
    /// The END with which it is cut, once settled: never before the run in front of it.
    pub bound: u64,
    /// Its own transaction's END, if it has one.
    pub own: Option<u64>,
}

/// A partition as far as it was read and not yet cut.
#[derive(Debug)]
pub(super) struct Partition {
    pub topic: Arc<str>,
    pub number: i32,
    /// The next offset after what was cut.
    pub next: i64,
    /// The next offset after what was pushed.
    pub read_on: i64,
    pub items: VecDeque<Item>,
    pub runs: VecDeque<Run>,
    /// Runs at the front whose END is known.
    pub settled: usize,
    /// Records at the front that were counted for their transactions.
    pub fed: usize,
    pub bytes: usize,
    /// Changes and dead letters in the queue.
    pub rows: usize,
    /// Records at the front whose contents lie elsewhere already.
    moved: usize,
    /// Bytes of the contents that don't.
    movable_bytes: usize,
    pub last_commit_us: Option<i64>,
    end_since_ms: Option<i64>,
    last_end_ms: Option<i64>,
}

impl Partition {
    pub fn new(topic: Arc<str>, number: i32, start: i64) -> Self {
        Self {
            topic,
            number,
            next: start,
            read_on: start,
            items: VecDeque::new(),
            runs: VecDeque::new(),
            settled: 0,
            fed: 0,
            bytes: 0,
            rows: 0,
            moved: 0,
            movable_bytes: 0,
            last_commit_us: None,
            end_since_ms: None,
            last_end_ms: None,
        }
    }

    /// Notes that a record was read, whatever becomes of it.
    pub fn advance(&mut self, offset: i64, bytes: usize) {
        self.read_on = self.read_on.max(offset.saturating_add(1));
        self.bytes += bytes;
        self.end_since_ms = None;
    }

    pub fn enqueue(&mut self, item: Item, key: Option<TxKey>, now_ms: i64) {
        self.advance(item.offset, item.bytes);
        self.rows += item.rows();
        self.movable_bytes += item.contents_bytes();
        if let Some(key) = key {
            let seen = self.last_commit_us.map_or(key.commit_us, |us| us.max(key.commit_us));
            self.last_commit_us = Some(seen);
        }
        match self.runs.back_mut() {
            Some(run) if key.is_none() || run.key == key => run.weight.add(Weight::of(&item)),
            _ => self.runs.push_back(Run {
                key,
                arrived_ms: now_ms,
                weight: Weight::of(&item),
                fed: 0,
                bound: u64::MAX,
                own: None,
            }),
        }
        self.items.push_back(item);
    }

    pub fn movable_bytes(&self) -> usize {
        self.movable_bytes
    }

    /// Puts the contents of records behind those of `elsewhere`, which must be equal.
    pub fn move_contents<E>(
        &mut self,
        elsewhere: &mut impl FnMut(Vec<Bytes>) -> Result<Vec<Bytes>, E>,
    ) -> Result<(), E> {
        let here = self.items.range(self.moved..).filter_map(Item::contents);
        let contents: Vec<Bytes> = here.flat_map(|c| [c.key, c.value]).collect();
        if !contents.is_empty() {
            let mut moved = elsewhere(contents)?.into_iter();
            for item in self.items.range_mut(self.moved..) {
                if item.contents().is_some()
                    && let (Some(key), Some(value)) = (moved.next(), moved.next())
                {
                    item.put_contents(Contents { key, value });
                }
            }
        }
        self.moved = self.items.len();
        self.movable_bytes = 0;
        Ok(())
    }

    pub fn end_met(&mut self, now_ms: i64) {
        self.end_since_ms.get_or_insert(now_ms);
        self.last_end_ms = Some(now_ms);
    }

    pub fn at_end(&self) -> bool {
        self.end_since_ms.is_some()
    }

    /// Whether the end was met, and kept, long enough after `since_ms` that nothing older than
    /// that can still arrive.
    pub fn silent(&self, since_ms: i64, grace_ms: i64, now_ms: i64) -> bool {
        match (self.end_since_ms, self.last_end_ms) {
            (Some(end_ms), _) => now_ms.saturating_sub(end_ms.max(since_ms)) >= grace_ms,
            (None, Some(last)) => last.saturating_sub(since_ms) >= grace_ms.saturating_mul(2),
            (None, None) => false,
        }
    }

    /// The latest bound of what is settled; `floor` where nothing is.
    pub fn last_bound(&self, floor: u64) -> u64 {
        let last = self.settled.checked_sub(1).and_then(|last| self.runs.get(last));
        last.map_or(floor, |run| run.bound)
    }

    /// Takes the front run whole.
    pub fn take_run(&mut self) -> Option<(Run, Vec<Item>)> {
        let run = self.runs.pop_front()?;
        self.settled = self.settled.saturating_sub(1);
        let items = self.drain(run.weight.items);
        Some((run, items))
    }

    /// Takes the first records of the front run, at least one and less than all.
    pub fn take_part(&mut self, count: usize) -> Vec<Item> {
        let items = self.drain(count);
        let mut weight = Weight::default();
        for item in &items {
            weight.add(Weight::of(item));
        }
        if let Some(run) = self.runs.front_mut() {
            run.weight.sub(weight);
            run.fed = run.fed.saturating_sub(weight.items);
        }
        items
    }

    pub fn drain(&mut self, count: usize) -> Vec<Item> {
        let items: Vec<Item> = self.items.drain(..count.min(self.items.len())).collect();
        let in_memory = items.iter().skip(self.moved).map(Item::contents_bytes);
        self.movable_bytes = self.movable_bytes.saturating_sub(in_memory.sum());
        self.moved = self.moved.saturating_sub(items.len());
        self.fed = self.fed.saturating_sub(items.len());
        self.bytes = self.bytes.saturating_sub(items.iter().map(|item| item.bytes).sum());
        self.rows = self.rows.saturating_sub(items.iter().map(Item::rows).sum());
        if let Some(last) = items.last() {
            self.next = self.next.max(last.offset.saturating_add(1));
        }
        items
    }
}
