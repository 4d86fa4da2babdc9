//! The consumer behind the source: making it, asking it, its errors in our words.
//!
//! Stands between `kafka` and librdkafka. It must never keep positions: those are the lanes'.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::TopicPartition;
use super::fault::{Fault, denied, meaning};
use super::gap::Watermarks;
use super::identity;
use super::options::Options;
use super::properties;
use super::topics::Listing;
use super::watch::{Bell, Watch};
use crate::error::{Error, Result};

/// How long one question to the brokers may take.
const ASK: Duration = Duration::from_secs(3);
/// The pause between two attempts of a question that must be answered.
const RETRY: Duration = Duration::from_millis(200);

/// A partition's queue.
pub type Queue = PartitionQueue<Watch>;

/// A consumer that has joined nothing.
pub struct Client {
    consumer: Arc<BaseConsumer<Watch>>,
    bell: Arc<Bell>,
    brokers: String,
    patience: Duration,
    topic_ids_wait_ms: u32,
}

impl Client {
    /// A client of about `partitions` partitions; connects in the background.
    pub fn new(options: &Options, partitions: usize) -> Result<Self> {
        let config = properties::client_config(options, partitions)?;
        let mut consumer = BaseConsumer::from_config_and_context(&config, Watch::default())
            .map_err(properties::refused)?;
        let bell = Arc::new(Bell::default());
        consumer.set_nonempty_callback(ringing(&bell));
        Ok(Self {
            consumer: Arc::new(consumer),
            bell,
            brokers: options.brokers.clone(),
            patience: Duration::from_millis(options.unavailable_after_ms),
            topic_ids_wait_ms: options.topic_ids_wait_ms,
        })
    }

    /// What librdkafka told beside records.
    pub fn watch(&self) -> &Watch {
        self.consumer.context()
    }

    /// Waits for something to come, for `limit` at most.
    pub fn wait(&self, limit: Duration) {
        self.bell.wait(limit);
    }

    /// Serves what concerns no partition: errors, statistics, log lines.
    pub fn serve(&self) -> Result<()> {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event {
                Ok(message) => {
                    let topic = message.topic();
                    return Err(Error::bug(format!("a record of `{topic}` is in no lane's queue")));
                }
                Err(KafkaError::MessageConsumptionFatal(code)) => {
                    return Err(Error::bug(format!("librdkafka gave up: {code}")));
                }
                // Logged by `watch`. Those that matter to a partition come by its queue again.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Every topic that we may see. Nothing is created by asking.
    pub fn listing(&self) -> std::result::Result<Listing, KafkaError> {
        let metadata = self.consumer.fetch_metadata(None, ASK)?;
        self.watch().answered();
        let known = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(known.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
    }

    /// The offsets that each of `partitions` holds.
    pub fn watermarks(
        &self,
        partitions: &[TopicPartition],
    ) -> std::result::Result<BTreeMap<TopicPartition, Watermarks>, KafkaError> {
        let low = self.offsets(partitions, Offset::Beginning)?;
        let high = self.offsets(partitions, Offset::End)?;
        let pairs = low.into_iter().filter_map(|(partition, low)| {
            let high = *high.get(&partition)?;
            Some((partition, Watermarks { low, high }))
        });
        Ok(pairs.collect())
    }

    /// The first (`Offset::Beginning`) or the last stable offset (`Offset::End`) of `partitions`.
    fn offsets(
        &self,
        partitions: &[TopicPartition],
        which: Offset,
    ) -> std::result::Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, *partition, which)?;
        }
        let answer = self.consumer.offsets_for_times(list, ASK)?;
        let mut offsets = BTreeMap::new();
        for (topic, partition) in partitions {
            let Some(told) = answer.find_partition(topic, *partition) else { continue };
            told.error()?;
            if let Offset::Offset(offset) = told.offset() {
                offsets.insert((topic.clone(), *partition), offset);
            }
        }
        Ok(offsets)
    }

    /// Whether the options let the brokers be asked for ids.
    pub fn asks_for_ids(&self) -> bool {
        self.topic_ids_wait_ms > 0
    }

    /// The brokers' ids of these topics, as far as they tell.
    pub fn topic_ids(&self, topics: &[&str]) -> BTreeMap<String, String> {
        let wait_ms = i32::try_from(self.topic_ids_wait_ms).unwrap_or(i32::MAX);
        let client = self.consumer.client().native_ptr();
        let found = identity::topic_ids(client, topics, wait_ms);
        if found.len() < topics.len() {
            tracing::warn!(
                unknown = topics.len() - found.len(),
                "kafka tells no id of some topics: one that is created anew can't be told from the \
                 one before if it holds as many records"
            );
        }
        found
    }

    /// The answer to a question that the start, or an end, hangs on: passing errors are retried
    /// until the brokers count as unavailable.
    pub fn insist<T>(
        &self,
        what: &str,
        mut ask: impl FnMut(&Self) -> std::result::Result<T, KafkaError>,
    ) -> Result<T> {
        let deadline = Instant::now() + self.patience;
        loop {
            let cause = match ask(self) {
                Ok(answer) => return Ok(answer),
                Err(cause) => cause,
            };
            let code = cause.rdkafka_error_code();
            match (code, code.map(meaning)) {
                (Some(code), Some(Fault::Denied)) => return Err(denied(what, code)),
                (_, Some(Fault::Passing)) if Instant::now() < deadline => {}
                _ => {
                    self.serve()?;
                    return Err(self.unavailable(what, cause));
                }
            }
            self.serve()?;
            std::thread::sleep(RETRY);
        }
    }

    /// The error of brokers that don't answer.
    pub fn unavailable(&self, what: &str, cause: KafkaError) -> Error {
        let reason = self.watch().reason().map(|reason| format!(" ({reason})"));
        let brokers = &self.brokers;
        let reason = reason.unwrap_or_default();
        let what = format!(
            "kafka at {brokers}: {what}: {cause}{reason}; is it up, and is kafka.brokers right?"
        );
        Error::Unavailable { what, cause: Some(Box::new(cause)) }
    }

    /// The queue of a partition that is about to be assigned.
    pub fn queue(&self, topic: &str, partition: i32) -> Result<Queue> {
        let mut queue = self.consumer.split_partition_queue(topic, partition).ok_or_else(|| {
            Error::bug(format!("librdkafka has no queue for `{topic}`, partition {partition}"))
        })?;
        queue.set_nonempty_callback(ringing(&self.bell));
        Ok(queue)
    }

    /// Reads these partitions too, each from its offset on. Their queues must be split off before.
    pub fn assign(&self, partitions: &[(TopicPartition, i64)]) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let added = partitions.iter().try_for_each(|((topic, partition), offset)| {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
        });
        let assigned = added.and_then(|()| self.consumer.incremental_assign(&list));
        assigned.map_err(|cause| Error::bug(format!("kafka assignment: {cause}")))
    }
}

fn ringing(bell: &Arc<Bell>) -> impl Fn() + Send + Sync + 'static {
    let bell = Arc::clone(bell);
    move || bell.ring()
}
