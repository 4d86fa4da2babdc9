//! Recognises what a connector sends again: a window of change identities.
//!
//! Identity: connector, table, key, transaction, position and op. An event older than everything in
//! the window, by position and by commit time, is a redelivery too. Never the position alone, and
//! never an event that has no position (incremental reads: they are plain upserts).

use std::collections::VecDeque;

use hashbrown::HashSet;
use twox_hash::XxHash3_128;

use super::raw::op_word;
use crate::envelope::change::{Change, Op};

/// What the window says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Not seen before.
    First,
    /// Seen before.
    Again,
    /// Older than all that the window remembers.
    BeforeWindow,
}

/// The last identities, oldest out first.
#[derive(Debug)]
pub struct Window {
    events_max: usize,
    order: VecDeque<(u128, i64, i64)>,
    seen: HashSet<u128>,
    forgot: bool,
    /// The identity that is being hashed, kept for its room.
    text: Vec<u8>,
}

impl Window {
    /// A window of at most so many events.
    pub fn new(events_max: usize) -> Self {
        Self {
            events_max,
            order: VecDeque::new(),
            seen: HashSet::new(),
            forgot: false,
            text: Vec::new(),
        }
    }

    /// Remembers a change, or says that it was here.
    pub fn admit(&mut self, change: &Change) -> Delivery {
        let Some(position) = change.lsn else { return Delivery::First };
        // All rows of a read have one position: equal ones are told apart by where they came from.
        let place = (change.key.is_none() && change.op == Op::Read)
            .then(|| place(&change.topic, change.partition, change.offset));
        let row = change.after.as_deref().or(change.before.as_deref());
        let told = Told {
            connector: &change.connector,
            table: &change.table,
            op: op_word(change.op),
            key: change.key.as_deref(),
            total_order: change.tx.map_or(0, |t| t.total_order),
            image: place.as_deref().map(str::as_bytes).or(row),
            tx_id: change.tx_id,
            position,
        };
        let identity = told.identity(&mut self.text);
        self.admit_told((identity, position, change.commit_us))
    }

    /// The same for a change of this identity, position and commit time.
    pub(super) fn admit_told(&mut self, told: (u128, i64, i64)) -> Delivery {
        let (identity, position, commit_us) = told;
        if !self.seen.insert(identity) {
            return Delivery::Again;
        }
        let oldest = self.order.front().filter(|_| self.forgot);
        if oldest.is_some_and(|(_, lsn, at)| position < *lsn && commit_us < *at) {
            self.seen.remove(&identity);
            return Delivery::BeforeWindow;
        }
        self.order.push_back(told);
        if self.order.len() > self.events_max
            && let Some((old, _, _)) = self.order.pop_front()
        {
            self.forgot = true;
            self.seen.remove(&old);
        }
        Delivery::First
    }

    /// Events it can hold.
    pub fn events_max(&self) -> usize {
        self.events_max
    }

    /// After it was filled from raw: older events exist that it does not hold.
    pub fn mark_forgetful(&mut self) {
        self.forgot = true;
    }
}

/// What tells a change from every other.
pub(super) struct Told<'c> {
    pub connector: &'c str,
    pub table: &'c str,
    pub op: &'c str,
    pub key: Option<&'c [u8]>,
    /// Its place in its transaction, and what it holds, or of a read where it came from: where there is
    /// no key.
    pub total_order: u64,
    pub image: Option<&'c [u8]>,
    pub tx_id: Option<i64>,
    pub position: i64,
}

/// Where a row of a read came from: what tells it apart where there is no key.
pub(super) fn place(topic: &str, partition: i32, offset: i64) -> String {
    format!("{topic} {partition} {offset}")
}

impl Told<'_> {
    /// `text` is room to write in.
    pub fn identity(&self, text: &mut Vec<u8>) -> u128 {
        text.clear();
        for part in [self.connector, self.table, self.op] {
            text.extend_from_slice(part.as_bytes());
            text.push(0);
        }
        match self.key {
            Some(key) => text.extend_from_slice(key),
            None => {
                text.extend_from_slice(&self.total_order.to_le_bytes());
                text.extend_from_slice(self.image.unwrap_or_default());
            }
        }
        text.push(0);
        text.extend_from_slice(&self.tx_id.unwrap_or(-1).to_le_bytes());
        text.extend_from_slice(&self.position.to_le_bytes());
        XxHash3_128::oneshot(text)
    }
}
