//! Filling topics of a real Kafka, for `freshet bench drain`.
//!
//! Beside the line, not on it: the only place that writes to a Kafka that is not our own. It must
//! never write into a topic that it did not make.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::error::{Error, Result};

const FLUSH: Duration = Duration::from_secs(120);
const ASK: Duration = Duration::from_secs(30);
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// One record to be.
#[derive(Debug, Clone, Copy)]
pub struct Fill<'m> {
    /// The topic.
    pub topic: &'m str,
    /// The partition within the topic.
    pub partition: i32,
    /// The key's bytes.
    pub key: Option<&'m [u8]>,
    /// The value's bytes.
    pub value: Option<&'m [u8]>,
    /// Milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
}

/// A producer of its own topics.
pub struct Filler {
    brokers: String,
    producer: ThreadedProducer<Failures>,
    failures: Arc<AtomicU64>,
}

#[derive(Default)]
struct Failures(Arc<AtomicU64>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Filler {
    /// A producer to these brokers; connects in the background.
    pub fn open(brokers: &str) -> Result<Self> {
        let failures = Arc::new(AtomicU64::new(0));
        let config = config(brokers);
        let producer =
            ThreadedProducer::from_config_and_context(&config, Failures(failures.clone()))
                .map_err(|cause| failed(brokers, "starting a producer", cause))?;
        Ok(Self { brokers: brokers.to_owned(), producer, failures })
    }

    /// Makes the topics; one that exists is refused.
    pub async fn create(&self, topics: &[(&str, i32)]) -> Result<()> {
        let wrong = |doing: &str, cause| failed(&self.brokers, doing, cause);
        let admin: AdminClient<DefaultClientContext> =
            config(&self.brokers).create().map_err(|e| wrong("starting an admin client", e))?;
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|(name, partitions)| NewTopic::new(name, *partitions, TopicReplication::Fixed(1)))
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(ASK));
        let made = admin.create_topics(&new, &options).await;
        for outcome in made.map_err(|e| wrong("creating topics", e))? {
            match outcome {
                Ok(_) => {}
                Err((topic, Code::TopicAlreadyExists)) => {
                    return Err(Error::invalid(format!("topic \"{topic}\" exists already"))
                        .with_hint("drain what is in it with --events 0, or delete the topic"));
                }
                Err((topic, code)) => {
                    let doing = format!("creating topic \"{topic}\"");
                    return Err(wrong(&doing, KafkaError::AdminOp(code)));
                }
            }
        }
        Ok(())
    }

    /// Sends a record; waits while the producer's queue is full.
    pub fn send(&self, fill: &Fill<'_>, headers: &[(Arc<str>, bytes::Bytes)]) -> Result<()> {
        let list = headers.iter().fold(OwnedHeaders::new(), |list, (name, value)| {
            list.insert(Header { key: name, value: Some(value.as_ref()) })
        });
        let mut record = BaseRecord::<[u8], [u8]>::to(fill.topic)
            .partition(fill.partition)
            .timestamp(fill.timestamp_ms)
            .headers(list);
        (record.key, record.payload) = (fill.key, fill.value);
        loop {
            self.check()?;
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(FULL_PAUSE);
                }
                Err((cause, _)) => return Err(failed(&self.brokers, "sending", cause)),
            }
        }
    }

    /// Waits until everything that was sent is stored.
    pub fn flush(&self) -> Result<()> {
        self.producer.flush(FLUSH).map_err(|e| failed(&self.brokers, "flushing", e))?;
        self.check()
    }

    fn check(&self) -> Result<()> {
        match self.failures.load(Ordering::Relaxed) {
            0 => Ok(()),
            lost => Err(Error::failed(format!(
                "kafka at {} did not store {lost} records; delete the topics and fill them anew",
                self.brokers
            ))),
        }
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("message.timeout.ms", "30000")
        .set("batch.size", "262144")
        .set("queue.buffering.max.kbytes", "65536")
        .set("client.id", "freshet-bench");
    config
}

fn failed(brokers: &str, doing: &str, cause: KafkaError) -> Error {
    Error::unavailable(format!("kafka at {brokers}, {doing}"), cause)
}
