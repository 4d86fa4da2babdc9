//! Filling the topics of `bench drain`: the bank's life as Debezium would have sent it.
//!
//! Deterministic by the seed, the transaction topic included. It must never be timed.

use std::io::Write;

use crate::bank::activity::{Activity, Mix};
use crate::bank::debezium::message::Message;
use crate::bank::debezium::options::RenderOptions;
use crate::bank::debezium::renderer::Renderer;
use crate::bank::row::Table;
use crate::bank::teller::Bank;
use crate::cli::args::Drain;
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::source::fill::{Fill, Filler};

/// Customers before the first transaction of the stream.
const CUSTOMERS: u32 = 5_000;
/// Partitions of each table's topic.
const PARTITIONS: i32 = 3;
/// Between two transactions, microseconds of the bank's clock.
const STEP_US: i64 = 500;

/// The field that brings a record to its size.
const PAD: &str = ",\"padding\":\"\"}";

/// The topics: three tables and the transactions.
pub struct Topics {
    /// One a table.
    pub tables: Vec<String>,
    /// BEGIN and END.
    pub transactions: String,
}

impl Topics {
    /// Under this prefix.
    pub fn of(prefix: &str) -> Self {
        let renderer = Renderer::new(render(prefix));
        Self {
            tables: Table::ALL.map(|table| renderer.topic(table).to_string()).to_vec(),
            transactions: renderer.boundary_topic().to_string(),
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.tables.iter().chain([&self.transactions]).cloned().collect()
    }
}

fn render(prefix: &str) -> RenderOptions {
    RenderOptions { prefix: prefix.to_owned(), ..RenderOptions::default() }
}

/// A bank whose life goes to topics of its own.
pub struct Life<'o> {
    options: &'o Drain,
    bank: Bank,
    renderer: Renderer,
    pump: Pump,
    at_us: i64,
}

impl<'o> Life<'o> {
    /// Makes the topics, and fills them with the initial read.
    pub async fn begin(brokers: &str, options: &'o Drain) -> Result<Self> {
        let topics = Topics::of(&options.prefix);
        let filler = Filler::open(brokers)?;
        let mut wanted: Vec<(&str, i32)> =
            topics.tables.iter().map(|topic| (topic.as_str(), PARTITIONS)).collect();
        wanted.push((&topics.transactions, 1));
        filler.create(&wanted).await?;
        let mut pump = Pump {
            filler,
            boundary: topics.transactions,
            record_bytes: options.record_bytes,
            changes: 0,
            value: Vec::new(),
        };
        let at_us = SystemClock.now_us();
        let mut bank = Bank::new(options.seed);
        bank.open(CUSTOMERS, at_us);
        if options.same_rows {
            bank = bank.with_mix(updates());
        }
        let mut renderer = Renderer::new(render(&options.prefix));
        for message in renderer.initial_read(bank.ledger(), at_us) {
            pump.send(&message)?;
        }
        pump.filler.flush()?;
        Ok(Self { options, bank, renderer, pump, at_us })
    }

    /// Goes on until so many changes were sent in all.
    pub fn fill(&mut self, events: u64) -> Result<()> {
        while self.pump.changes < events {
            self.at_us += STEP_US;
            let transaction = self.bank.next(self.at_us);
            for message in self.renderer.render(&transaction, self.at_us) {
                self.pump.send(&message)?;
            }
            if self.pump.changes.is_multiple_of(65_536) && !self.options.json {
                eprint!("\rfilling: {} of {events} changes", self.pump.changes);
                let _ = std::io::stderr().flush();
            }
        }
        if !self.options.json {
            eprintln!("\rfilled: {} changes            ", self.pump.changes);
        }
        self.pump.filler.flush()
    }
}

/// Activities that only change rows that are there.
fn updates() -> Mix {
    Mix::new(vec![
        (Activity::EmailChange, 40),
        (Activity::NameChange, 30),
        (Activity::StatusChange, 30),
    ])
}

struct Pump {
    filler: Filler,
    boundary: String,
    record_bytes: usize,
    changes: u64,
    value: Vec<u8>,
}

impl Pump {
    fn send(&mut self, message: &Message) -> Result<()> {
        let boundary = *message.topic == *self.boundary.as_str();
        let partition = message.partition(if boundary { 1 } else { PARTITIONS });
        let key_bytes = message.key.as_ref().map_or(0, bytes::Bytes::len);
        let value = match &message.value {
            Some(value) if !boundary => {
                let wanted = self.record_bytes.saturating_sub(key_bytes);
                self.value.clear();
                self.value.extend_from_slice(value);
                pad(&mut self.value, wanted);
                Some(self.value.as_slice())
            }
            other => other.as_deref(),
        };
        self.changes += u64::from(!boundary);
        let fill = Fill {
            topic: &message.topic,
            partition,
            key: message.key.as_deref(),
            value,
            timestamp_ms: message.timestamp_ms,
        };
        self.filler.send(&fill, &message.headers)
    }
}

/// Lengthens an envelope by a field that nobody reads.
fn pad(value: &mut Vec<u8>, wanted: usize) {
    let Some(lack) = wanted.checked_sub(value.len() + PAD.len() - 1) else { return };
    if value.pop() != Some(b'}') {
        return;
    }
    value.extend_from_slice(&PAD.as_bytes()[..PAD.len() - 2]);
    value.resize(value.len() + lack, b'x');
    value.extend_from_slice(b"\"}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_envelope_has_its_size_and_is_json() {
        let mut value = br#"{"op":"u"}"#.to_vec();
        pad(&mut value, 100);
        assert_eq!(value.len(), 100);
        assert!(serde_json::from_slice::<serde_json::Value>(&value).is_ok());
        pad(&mut value, 50);
        assert_eq!(value.len(), 100);
    }
}
