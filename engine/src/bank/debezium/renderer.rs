//! The connector's view of the bank: gives transactions their coordinates and renders messages.
//!
//! Stands right of the teller and left of whoever sends. A stamp (transaction id, log positions,
//! commit time) is given once; a restart sends stamped transactions again, where only the message
//! order's numbers and `sequence` differ. It must never give two events of one transaction the
//! same position, nor let a position fall.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::super::ledger::Ledger;
use super::super::row::{RowRef, Table};
use super::super::transaction::{Op, Transaction};
use super::connect::{self, Wrapping};
use super::envelope::{self, Place, SourceText};
use super::message::{Headers, Message, murmur2};
use super::options::{Form, RenderOptions, Tombstones};

/// What a connector takes to handle an event, microseconds.
const LATENCY_US: i64 = 20_000;
/// How long a restarted connector is away, microseconds.
const RESTART_US: i64 = 5_000_000;

/// The coordinates of a committed transaction: what a repeated delivery has in common.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The database's transaction id.
    pub tx_id: u32,
    /// Commit time, microseconds since 1970 UTC.
    pub commit_us: i64,
    /// One log position for each change.
    pub lsns: Vec<i64>,
    /// The log position of the commit.
    pub commit_lsn: i64,
}

/// Renders transactions as messages, in commit order.
#[derive(Debug)]
pub struct Renderer {
    source: SourceText,
    tombstones: Tombstones,
    topics: [Arc<str>; 3],
    boundary_topic: Arc<str>,
    wrappings: Option<[Wrapping; 3]>,
    boundary_wrapping: Option<Wrapping>,
    headers: Headers,
    buffer: Vec<u8>,
    next_tx_id: u32,
    lsn: i64,
    previous_commit: Option<i64>,
    sent_us: i64,
}

impl Renderer {
    /// A connector that has just started.
    pub fn new(options: RenderOptions) -> Self {
        let prefix = &options.prefix;
        let header = |name: &str, value: &str| {
            let name = Arc::from(format!("__debezium.context.{name}"));
            (name, Bytes::copy_from_slice(value.as_bytes()))
        };
        let wrapped = options.form == Form::Wrapped;
        Self {
            source: SourceText::new(&options.version, prefix, &options.database),
            tombstones: options.tombstones,
            topics: Table::ALL.map(|table| Arc::from(format!("{prefix}.{}", table.qualified()))),
            boundary_topic: Arc::from(format!("{prefix}.transaction")),
            wrappings: wrapped.then(|| Table::ALL.map(|table| connect::of_table(prefix, table))),
            boundary_wrapping: wrapped.then(connect::of_transactions),
            headers: Arc::from([
                header("connectorLogicalName", prefix),
                header("taskId", "0"),
                header("connectorName", "postgresql"),
            ]),
            buffer: Vec::with_capacity(4_096),
            next_tx_id: options.start_tx_id,
            lsn: options.start_lsn,
            previous_commit: None,
            sent_us: i64::MIN,
        }
    }

    /// A table's topic.
    pub fn topic(&self, table: Table) -> &Arc<str> {
        let [customers, accounts, transactions] = &self.topics;
        match table {
            Table::Customers => customers,
            Table::Accounts => accounts,
            Table::Transactions => transactions,
        }
    }

    /// The topic of BEGIN and END. It must have one partition.
    pub fn boundary_topic(&self) -> &Arc<str> {
        &self.boundary_topic
    }

    /// A transaction's messages: BEGIN, its events, END.
    pub fn render(&mut self, transaction: &Transaction, commit_us: i64) -> Vec<Message> {
        let stamp = self.stamp(transaction, commit_us);
        let events = 0..transaction.changes.len();
        let mut messages = Vec::with_capacity(transaction.changes.len() + 2);
        self.send(transaction, &stamp, events, &mut messages);
        messages
    }

    /// Gives a transaction its coordinates, without sending anything.
    pub fn stamp(&mut self, transaction: &Transaction, commit_us: i64) -> Stamp {
        let tx_id = self.next_tx_id;
        self.next_tx_id = self.next_tx_id.wrapping_add(1);
        let lsns = transaction.changes.iter().map(|change| {
            let lsn = self.lsn;
            self.lsn += 104 + 24 * (change.table().index() as i64);
            lsn
        });
        let lsns = lsns.collect();
        // A commit's end is where the next transaction begins: the two can share a position.
        self.lsn += 168;
        Stamp { tx_id, commit_us, lsns, commit_lsn: self.lsn }
    }

    /// Sends BEGIN, the given events of a stamped transaction, and END where the last is among
    /// them. Orders count from 1 at the first event given, as after a restart in the middle.
    pub fn send(
        &mut self,
        transaction: &Transaction,
        stamp: &Stamp,
        events: Range<usize>,
        out: &mut Vec<Message>,
    ) {
        self.sent_us = self.sent_us.max(stamp.commit_us + LATENCY_US);
        let complete = events.end >= transaction.changes.len();
        let first = stamp.lsns.get(events.start).copied().unwrap_or(stamp.commit_lsn);
        out.push(self.boundary(stamp, first, None));
        let mut counts = [0; 3];
        let pairs = transaction.changes.iter().zip(&stamp.lsns);
        for (change, lsn) in pairs.skip(events.start).take(events.len()) {
            let table = change.table();
            let of_table = counts.get_mut(table.index()).map_or(0, |count| {
                *count += 1;
                *count
            });
            let place = Place {
                table,
                op: letter(change.op()),
                snapshot: "false",
                tx_id: stamp.tx_id,
                lsn: *lsn,
                previous_commit: self.previous_commit,
                commit_us: stamp.commit_us,
                sent_us: self.sent_us,
                order: Some((counts.iter().sum(), of_table)),
            };
            let event = self.event(&place, change.id(), change.before(), change.after());
            if change.op() == Op::Delete && self.tombstones == Tombstones::Sent {
                let tombstone = Message { value: None, ..event.clone() };
                out.extend([event, tombstone]);
            } else {
                out.push(event);
            }
        }
        if complete {
            out.push(self.boundary(stamp, stamp.commit_lsn, Some(&counts)));
            self.previous_commit = Some(stamp.commit_lsn);
        }
    }

    /// The initial read of all rows, table after table, in no transaction.
    pub fn initial_read(&mut self, ledger: &Ledger, read_us: i64) -> Vec<Message> {
        self.read_some(ledger, read_us, &mut None, usize::MAX)
    }

    /// The same for at most so many rows after the last that was read, which it sets: a large bank's
    /// messages would not all fit.
    pub fn read_some(
        &mut self,
        ledger: &Ledger,
        read_us: i64,
        last: &mut Option<(Table, i64)>,
        count: usize,
    ) -> Vec<Message> {
        self.sent_us = self.sent_us.max(read_us);
        let tx_id = self.next_tx_id;
        let mut messages = Vec::new();
        let mut rows = ledger.rows_after(*last).peekable();
        while messages.len() < count
            && let Some(row) = rows.next()
        {
            let before = last.map(|(table, _)| table);
            let after = rows.peek().map(|row| row.table());
            let place = Place {
                table: row.table(),
                op: "r",
                snapshot: mark(row.table(), before, after),
                tx_id,
                lsn: self.lsn,
                previous_commit: None,
                commit_us: read_us,
                sent_us: self.sent_us,
                order: None,
            };
            messages.push(self.event(&place, row.id(), None, Some(row)));
            *last = Some((row.table(), row.id()));
        }
        self.next_tx_id = self.next_tx_id.wrapping_add(1);
        self.lsn += 56;
        messages
    }

    /// The connector stops and starts again: it forgets the last commit, and time passes.
    pub fn restart(&mut self) {
        self.previous_commit = None;
        self.sent_us = self.sent_us.saturating_add(RESTART_US);
    }

    fn event(
        &mut self,
        place: &Place,
        id: i64,
        before: Option<RowRef<'_>>,
        after: Option<RowRef<'_>>,
    ) -> Message {
        let wrapping = self.wrappings.as_ref().and_then(|all| all.get(place.table.index()));
        let out = &mut self.buffer;
        let key = wrapped(out, wrapping.map(|w| &w.key), |out| envelope::key(out, id));
        let value = wrapped(out, wrapping.map(|w| &w.value), |out| {
            envelope::envelope(out, &self.source, place, before, after);
        });
        self.message(self.topic(place.table).clone(), key, value)
    }

    fn boundary(&mut self, stamp: &Stamp, lsn: i64, counts: Option<&[u64; 3]>) -> Message {
        let wrapping = self.boundary_wrapping.as_ref();
        let out = &mut self.buffer;
        let key = wrapped(out, wrapping.map(|w| &w.key), |out| {
            envelope::boundary_key(out, stamp.tx_id, lsn);
        });
        let value = wrapped(out, wrapping.map(|w| &w.value), |out| {
            envelope::boundary(out, (stamp.tx_id, lsn), stamp.commit_us, counts);
        });
        self.message(self.boundary_topic.clone(), key, value)
    }

    fn message(&self, topic: Arc<str>, key: Bytes, value: Bytes) -> Message {
        Message {
            topic,
            key_hash: murmur2(&key),
            key: Some(key),
            value: Some(value),
            headers: self.headers.clone(),
            timestamp_ms: self.sent_us.div_euclid(1_000),
        }
    }
}

fn letter(op: Op) -> &'static str {
    match op {
        Op::Create => "c",
        Op::Update => "u",
        Op::Delete => "d",
    }
}

/// The mark of a row of an initial read, by the tables of its neighbours.
fn mark(table: Table, before: Option<Table>, after: Option<Table>) -> &'static str {
    match (before, after) {
        (_, None) => "last",
        (None, _) => "first",
        (_, Some(next)) if next != table => "last_in_data_collection",
        (Some(previous), _) if previous != table => "first_in_data_collection",
        _ => "true",
    }
}

fn wrapped(
    buffer: &mut Vec<u8>,
    opening: Option<&Vec<u8>>,
    write: impl FnOnce(&mut Vec<u8>),
) -> Bytes {
    buffer.clear();
    if let Some(opening) = opening {
        buffer.extend_from_slice(opening);
    }
    write(buffer);
    if opening.is_some() {
        buffer.push(b'}');
    }
    Bytes::copy_from_slice(buffer)
}
