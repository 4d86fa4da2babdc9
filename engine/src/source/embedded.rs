//! A Kafka broker within the process, for the demo and the tests: librdkafka's mock cluster.
//!
//! It keeps 5 MiB and 100,000 batches of a partition, and drops older ones without a word. So this
//! face counts what was produced and not yet read, and says `Full` before anything unread could be
//! dropped. It must never be used for anything that has to last: all of it is memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::error::{Error, Result};

/// Unread bytes that a partition may hold: below the cluster's 5 MiB by more than a batch.
const UNREAD_BYTES_MAX: u64 = 4 << 20;
/// Unread records that a partition may hold: even if each were a batch, there is room.
const UNREAD_RECORDS_MAX: usize = 90_000;
/// Bytes of one batch.
const BATCH_BYTES: u64 = 128 << 10;
/// What a record costs beside its bytes, if it were a batch of its own.
const RECORD_OVERHEAD_BYTES: u64 = 100;
const ASK: Duration = Duration::from_secs(5);

/// How a record was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Produced {
    /// It has this offset.
    At(i64),
    /// Nothing was taken: wait until more is consumed, then offer it again.
    Full,
}

/// The broker and its only producer.
pub struct EmbeddedBroker {
    producer: ThreadedProducer<Deliveries>,
    bootstrap: String,
    partitions: Mutex<BTreeMap<(String, i32), Partition>>,
}

#[derive(Debug, Default)]
struct Partition {
    /// The offset of the next record.
    next: i64,
    /// What is produced and not yet consumed: offset and bytes.
    unread: VecDeque<(i64, u64)>,
    unread_bytes: u64,
}

/// Watches that records get the offsets they were promised.
#[derive(Default)]
struct Deliveries {
    broken: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "embedded broker: {message}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, promised: Box<i64>) {
        let kept = result.as_ref().is_ok_and(|message| message.offset() == *promised);
        if !kept {
            self.broken.fetch_add(1, Ordering::Relaxed);
            tracing::error!(offset = *promised, "embedded broker: a record is not at its offset");
        }
    }
}

impl EmbeddedBroker {
    /// A broker with these topics and numbers of partitions.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("test.mock.num.brokers", "1")
            .set("enable.idempotence", "true")
            .set("batch.size", BATCH_BYTES.to_string())
            .set("linger.ms", "2");
        let producer = ThreadedProducer::from_config_and_context(&config, Deliveries::default())
            .map_err(|cause| failed("starting", cause))?;
        let mock = producer.client().mock_cluster();
        let bootstrap = mock.ok_or_else(|| Error::bug("no embedded broker"))?.bootstrap_servers();
        let broker = Self { producer, bootstrap, partitions: Mutex::default() };
        topics.iter().try_for_each(|(topic, partitions)| broker.create(topic, *partitions))?;
        Ok(broker)
    }

    /// Adds a topic.
    pub fn create(&self, topic: &str, partitions: i32) -> Result<()> {
        let mock = self.producer.client().mock_cluster();
        let mock = mock.ok_or_else(|| Error::bug("no embedded broker"))?;
        mock.create_topic(topic, partitions, 1).map_err(|cause| failed("creating", cause))?;
        let mut known = self.partitions();
        for partition in 0..partitions {
            known.insert((topic.to_owned(), partition), Partition::default());
        }
        Ok(())
    }

    /// Its address, for `brokers` in the source's options.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Takes a record, unless unread ones leave no room for it. Order within a partition is kept.
    ///
    /// Errors: `Invalid` for an unknown partition or a record that could never fit.
    pub fn produce(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        timestamp_ms: i64,
    ) -> Result<Produced> {
        // Held while sending: the offset promised is that of the place in the queue.
        let mut known = self.partitions();
        let at = known.get_mut(&(topic.to_owned(), partition)).ok_or_else(|| {
            Error::invalid(format!("embedded broker: no topic `{topic}`, partition {partition}"))
        })?;
        let header_bytes = headers.iter().map(|(name, value)| name.len() + value.len() + 8);
        let bytes = RECORD_OVERHEAD_BYTES
            + (key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) as u64
            + header_bytes.sum::<usize>() as u64;
        if bytes > BATCH_BYTES * 4 {
            return Err(Error::invalid(format!(
                "embedded broker: a record of {bytes} bytes for `{topic}` is too large for it"
            )));
        }
        if at.unread_bytes + bytes > UNREAD_BYTES_MAX || at.unread.len() >= UNREAD_RECORDS_MAX {
            return Ok(Produced::Full);
        }
        let mut record =
            BaseRecord::<[u8], [u8], Box<i64>>::with_opaque_to(topic, Box::new(at.next))
                .partition(partition)
                .timestamp(timestamp_ms);
        (record.key, record.payload) = (key, value);
        if !headers.is_empty() {
            let list = headers.iter().fold(OwnedHeaders::new(), |list, (name, value)| {
                list.insert(Header { key: name, value: Some(*value) })
            });
            record = record.headers(list);
        }
        match self.producer.send(record) {
            Ok(()) => {}
            Err((KafkaError::MessageProduction(Code::QueueFull), _)) => return Ok(Produced::Full),
            Err((cause, _)) => return Err(failed("producing", cause)),
        }
        let offset = at.next;
        at.next += 1;
        at.unread.push_back((offset, bytes));
        at.unread_bytes += bytes;
        Ok(Produced::At(offset))
    }

    /// Everything before `offset` has been read and won't be asked for again.
    pub fn consumed_up_to(&self, topic: &str, partition: i32, offset: i64) {
        let mut known = self.partitions();
        let Some(at) = known.get_mut(&(topic.to_owned(), partition)) else { return };
        while at.unread.front().is_some_and(|(unread, _)| *unread < offset) {
            at.unread_bytes -= at.unread.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }

    /// The offset after the last record of each partition.
    pub fn ends(&self) -> BTreeMap<(String, i32), i64> {
        self.partitions().iter().map(|(at, partition)| (at.clone(), partition.next)).collect()
    }

    /// Waits until everything that was taken can be read.
    pub fn flush(&self) -> Result<()> {
        self.producer.flush(ASK).map_err(|cause| failed("flushing", cause))?;
        self.faults().map(|_| ())
    }

    /// How many records were dropped unread or lie elsewhere than promised: 0, or a bug, which is
    /// also logged. Asks the broker about each partition: call it once a second at most.
    pub fn faults(&self) -> Result<u64> {
        let mut faults = self.producer.context().broken.load(Ordering::Relaxed);
        let unread: Vec<_> = {
            let known = self.partitions();
            let first = |partition: &Partition| {
                partition.unread.front().map_or(partition.next, |(offset, _)| *offset)
            };
            known.iter().map(|(at, partition)| (at.clone(), first(partition))).collect()
        };
        for ((topic, partition), first_unread) in unread {
            let asked = self.producer.client().fetch_watermarks(&topic, partition, ASK);
            let (low, _) = asked.map_err(|cause| failed("asking", cause))?;
            if low > first_unread {
                let lost = low - first_unread;
                faults += lost as u64;
                tracing::error!(%topic, partition, lost, "embedded broker dropped unread records");
            }
        }
        Ok(faults)
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<(String, i32), Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(doing: &str, cause: KafkaError) -> Error {
    Error::unavailable(format!("embedded broker, {doing}"), cause)
}
