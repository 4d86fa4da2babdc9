//! The bank's life as epochs, without Kafka: what tests and benchmarks of later stations are fed by.

use crate::bank::debezium::message::Message;
use crate::bank::debezium::options::RenderOptions;
use crate::bank::debezium::renderer::Renderer;
use crate::bank::row::Table;
use crate::bank::teller::Bank;
use crate::envelope::change::Parsed;
use crate::envelope::options::Options;
use crate::envelope::parse::Parser;
use crate::epoch::content::Epoch;
use crate::epoch::loading::{CutState, Loading, Phase};
use crate::source::record::Record;

/// Microseconds between two transactions.
const BETWEEN_US: i64 = 1_000_000;

/// A bank, and what Debezium says of it.
pub struct Life {
    bank: Bank,
    renderer: Renderer,
    parser: Parser,
    now_us: i64,
    offset: i64,
    /// The last row of the initial read so far.
    read: Option<(Table, i64)>,
}

impl Life {
    /// A bank of so many customers at a time.
    pub fn new(seed: u64, customers: u32, now_us: i64) -> Self {
        let mut bank = Bank::new(seed);
        bank.open(customers, now_us);
        let renderer = Renderer::new(RenderOptions::default());
        Self {
            bank,
            renderer,
            parser: Parser::new(Options::default()),
            now_us,
            offset: 0,
            read: None,
        }
    }

    /// The time of its last transaction, microseconds.
    pub const fn now_us(&self) -> i64 {
        self.now_us
    }

    /// The sum of all balances.
    pub fn books_cents(&self) -> i64 {
        self.bank.books_cents()
    }

    /// The initial read.
    pub fn initial(&mut self) -> Epoch {
        let messages = self.renderer.initial_read(self.bank.ledger(), self.now_us);
        self.epoch(messages)
    }

    /// Transactions that nobody hears of, until the bank has so many rows.
    pub fn grow(&mut self, rows: usize) {
        while self.rows() < rows {
            self.now_us += BETWEEN_US;
            let _ = self.bank.next(self.now_us);
        }
    }

    /// Rows of all its tables.
    pub fn rows(&self) -> usize {
        let ledger = self.bank.ledger();
        ledger.customers().len() + ledger.accounts().len() + ledger.postings().len()
    }

    /// The next part of the initial read, at most so many rows; the last part ends it.
    pub fn read_part(&mut self, rows: usize) -> Epoch {
        let (now_us, ledger) = (self.now_us, self.bank.ledger());
        let messages = self.renderer.read_some(ledger, now_us, &mut self.read, rows);
        let is_last = ledger.rows_after(self.read).next().is_none();
        let mut epoch = self.epoch(messages);
        epoch.loading = if is_last {
            Loading::Finishing { reread: false }
        } else {
            Loading::Reading { reread: false }
        };
        epoch
    }

    /// Transactions that together change so many rows.
    pub fn next_changes(&mut self, changes: usize) -> Epoch {
        let mut messages = Vec::new();
        let is_row = |m: &Message| !m.topic.ends_with("transaction");
        let mut rows = 0;
        while rows < changes {
            self.now_us += BETWEEN_US;
            let transaction = self.bank.next(self.now_us);
            let made = self.renderer.render(&transaction, self.now_us);
            rows += made.iter().filter(|m| is_row(m)).count();
            messages.extend(made);
        }
        self.epoch(messages)
    }

    /// So many transactions.
    pub fn next(&mut self, transactions: usize) -> Epoch {
        let mut messages = Vec::new();
        for _ in 0..transactions {
            self.now_us += BETWEEN_US;
            let transaction = self.bank.next(self.now_us);
            messages.extend(self.renderer.render(&transaction, self.now_us));
        }
        self.epoch(messages)
    }

    fn epoch(&mut self, messages: Vec<Message>) -> Epoch {
        let mut changes = Vec::new();
        for message in messages {
            self.offset += 1;
            let record = Record {
                topic: message.topic,
                partition: 0,
                offset: self.offset,
                timestamp_ms: message.timestamp_ms,
                key: message.key,
                value: message.value,
                headers: Vec::new(),
            };
            if let Parsed::Change(change) = self.parser.parse(&record) {
                changes.push(*change);
            }
        }
        let state = CutState { phase: Phase::Done, ..CutState::default() };
        Epoch {
            rows: changes.len(),
            first_commit_us: changes.iter().map(|c| c.commit_us).min(),
            last_commit_us: changes.iter().map(|c| c.commit_us).max(),
            changes,
            ..Epoch::empty(state)
        }
    }
}
