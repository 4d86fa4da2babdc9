//! The demo's bank: a thread that lives through it and writes what Debezium would have sent.
//!
//! Paced so that the broker's memory of a partition never drops what was not read; what happens all
//! the same is counted by the broker and told.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::bank::debezium::message::Message;
use crate::bank::debezium::options::RenderOptions;
use crate::bank::debezium::renderer::Renderer;
use crate::bank::faults::{Faults, Wire};
use crate::bank::row::Table;
use crate::bank::teller::Bank;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::source::capture::write_line;
use crate::source::embedded::{EmbeddedBroker, Produced};
use crate::source::record::Record;

const CUSTOMERS: u32 = 500;
const PARTITIONS: i32 = 3;
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// How the bank lives.
#[derive(Debug, Clone)]
pub struct Teller {
    /// The bank's seed.
    pub seed: u64,
    /// Transactions per second.
    pub rate: u64,
    /// For how long.
    pub seconds: u64,
    /// Where records are also written.
    pub capture: Option<PathBuf>,
}

/// What the bank says of itself in the end.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The sum of all balances, in cents, after each transaction of the stream and at its start.
    pub books: Vec<i64>,
    /// Customers that live.
    pub customers: u64,
    /// Accounts that live.
    pub accounts: u64,
    /// Rows of transactions that live.
    pub postings: u64,
    /// Messages that were sent more than once by a restarted connector.
    pub restarts: u64,
    /// Records that the broker lost before they were read: zero, or the demo is void.
    pub lost: u64,
}

/// The bank and its broker.
pub struct Feed {
    broker: Arc<EmbeddedBroker>,
    topics: Vec<String>,
    transaction_topic: String,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<Result<Told>>>>,
}

/// Where the topics end once the bank has stopped.
pub struct Ends(Arc<EmbeddedBroker>);

impl Ends {
    /// Whether everything is decided.
    pub fn are_passed(&self, offsets: &BTreeMap<String, BTreeMap<i32, i64>>) -> bool {
        self.0.ends().iter().all(|((topic, partition), end)| {
            let at = offsets.get(topic).and_then(|p| p.get(partition)).copied().unwrap_or(0);
            at >= *end
        })
    }
}

impl Feed {
    /// Starts the broker and the bank.
    pub fn start(teller: Teller) -> Result<Self> {
        let renderer = Renderer::new(RenderOptions::default());
        let tables = [Table::Customers, Table::Accounts, Table::Transactions];
        let topics: Vec<String> =
            tables.into_iter().map(|table| renderer.topic(table).to_string()).collect();
        let transaction_topic = renderer.boundary_topic().to_string();
        let mut wanted: Vec<(&str, i32)> =
            topics.iter().map(|topic| (topic.as_str(), PARTITIONS)).collect();
        wanted.push((&transaction_topic, 1));
        let broker = Arc::new(EmbeddedBroker::start(&wanted)?);
        let over = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let life = Life {
            broker: broker.clone(),
            sent: sent.clone(),
            capture: open_capture(&teller)?,
            boundary: transaction_topic.clone(),
        };
        let ended = over.clone();
        let thread = std::thread::Builder::new()
            .name("bank".to_owned())
            .spawn(move || {
                let told = life.live(&teller, renderer);
                ended.store(true, Ordering::Release);
                told
            })
            .map_err(|e| Error::unavailable("cannot start the bank's thread", e))?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { broker, topics, transaction_topic, over, sent, thread })
    }

    /// Table topics and the transaction topic.
    pub fn topics(&self) -> Vec<String> {
        self.topics.iter().chain([&self.transaction_topic]).cloned().collect()
    }

    /// The topic of BEGIN and END.
    pub fn transaction_topic(&self) -> String {
        self.transaction_topic.clone()
    }

    /// The broker's address.
    pub fn bootstrap(&self) -> &str {
        self.broker.bootstrap()
    }

    /// Records sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether the bank has stopped and everything it sent can be read.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Where the topics end.
    pub fn ends(&self) -> Ends {
        Ends(self.broker.clone())
    }

    /// Everything before these offsets is decided: the broker may drop it.
    pub fn consumed(&self, offsets: &BTreeMap<String, BTreeMap<i32, i64>>) {
        for (topic, partitions) in offsets {
            for (partition, offset) in partitions {
                self.broker.consumed_up_to(topic, *partition, *offset);
            }
        }
    }

    /// What the bank says of itself.
    pub fn finish(&self) -> Result<Told> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = thread.ok_or_else(|| Error::bug("the bank was asked twice"))?;
        let mut told = thread.join().map_err(|_| Error::bug("the bank's thread panicked"))??;
        told.lost = self.broker.faults()?;
        Ok(told)
    }
}

fn open_capture(teller: &Teller) -> Result<Option<std::io::BufWriter<std::fs::File>>> {
    let Some(path) = &teller.capture else { return Ok(None) };
    let file = std::fs::File::create(path)
        .map_err(|e| Error::unavailable(format!("cannot write \"{}\"", path.display()), e))?;
    Ok(Some(std::io::BufWriter::new(file)))
}

struct Life {
    broker: Arc<EmbeddedBroker>,
    sent: Arc<AtomicU64>,
    capture: Option<std::io::BufWriter<std::fs::File>>,
    boundary: String,
}

impl Life {
    fn live(mut self, teller: &Teller, mut renderer: Renderer) -> Result<Told> {
        let mut bank = Bank::new(teller.seed);
        bank.open(CUSTOMERS, SystemClock.now_us());
        for message in renderer.initial_read(bank.ledger(), SystemClock.now_us()) {
            self.send(&message)?;
        }
        let mut told = Told { books: vec![bank.books_cents()], ..Told::default() };
        let mut wire = Wire::new(renderer, Faults::default(), PARTITIONS, teller.seed);
        let started = Instant::now();
        let total = teller.rate * teller.seconds;
        for number in 0..total {
            let due = Duration::from_micros(number * 1_000_000 / teller.rate.max(1));
            if let Some(early) = due.checked_sub(started.elapsed()) {
                std::thread::sleep(early);
            }
            let now_us = SystemClock.now_us();
            let transaction = bank.next(now_us);
            told.books.push(bank.books_cents());
            for message in wire.send(transaction, now_us) {
                self.send(&message)?;
            }
        }
        for message in wire.flush() {
            self.send(&message)?;
        }
        self.broker.flush()?;
        told.customers = bank.ledger().customers().len() as u64;
        told.accounts = bank.ledger().accounts().len() as u64;
        told.postings = bank.ledger().postings().len() as u64;
        told.restarts = wire.struck().restarts;
        Ok(told)
    }

    fn send(&mut self, message: &Message) -> Result<()> {
        let partitions = if *message.topic == *self.boundary { 1 } else { PARTITIONS };
        let partition = message.partition(partitions);
        let headers: Vec<(&str, &[u8])> =
            message.headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        let (key, value) = (message.key.as_deref(), message.value.as_deref());
        let at = message.timestamp_ms;
        loop {
            let sent = self.broker.produce(&message.topic, partition, key, value, &headers, at)?;
            match sent {
                Produced::At(offset) => {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                    return self.write_capture(message, partition, offset);
                }
                Produced::Full => std::thread::sleep(FULL_PAUSE),
            }
        }
    }

    fn write_capture(&mut self, message: &Message, partition: i32, offset: i64) -> Result<()> {
        let Some(file) = &mut self.capture else { return Ok(()) };
        let record = Record {
            topic: message.topic.clone(),
            partition,
            offset,
            timestamp_ms: message.timestamp_ms,
            key: message.key.clone(),
            value: message.value.clone(),
            headers: Vec::new(),
        };
        writeln!(file, "{}", write_line(&record))
            .map_err(|e| Error::unavailable("cannot write the capture", e))
    }
}
