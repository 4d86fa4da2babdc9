//! What librdkafka tells beside records: errors, statistics, log lines, and that something came.
//!
//! The client's threads and callbacks write here, the source reads. It must never block a callback
//! for long, and never keep more than the last word.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use serde::Deserialize;

/// The last words of the client.
#[derive(Debug, Default)]
pub struct Watch {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Since when no broker is connected, or none answers.
    down_since: Option<Instant>,
    /// The last error's reason.
    reason: Option<String>,
    /// Last stable offsets.
    ends: BTreeMap<String, BTreeMap<i32, i64>>,
}

impl Watch {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long no broker answers; `None` while one does.
    pub fn down_for(&self, now: Instant) -> Option<Duration> {
        self.heard().down_since.map(|since| now.saturating_duration_since(since))
    }

    /// A question was not answered.
    pub fn unanswered(&self) {
        self.heard().down_since.get_or_insert_with(Instant::now);
    }

    /// A broker answered.
    pub fn answered(&self) {
        let mut heard = self.heard();
        if heard.down_since.take().is_some() {
            heard.reason = None;
            tracing::info!("kafka answers again");
        }
    }

    /// The last error's reason, if there was one since a broker last answered.
    pub fn reason(&self) -> Option<String> {
        self.heard().reason.clone()
    }

    /// The last stable offset of a partition as last heard.
    pub fn end(&self, topic: &str, partition: i32) -> Option<i64> {
        self.heard().ends.get(topic)?.get(&partition).copied()
    }
}

/// The parts of librdkafka's statistics that we read.
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    ls_offset: i64,
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, "librdkafka: {message}"),
            _ => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            tracing::warn!("librdkafka's statistics could not be read; lag is not shown");
            return;
        };
        let mut heard = self.heard();
        for (topic, told) in statistics.topics {
            let ends = heard.ends.entry(topic).or_default();
            for (number, partition) in told.partitions {
                // A partition "-1" collects what has no partition; an offset below 0 is unknown.
                if let Ok(number) = number.parse()
                    && partition.ls_offset >= 0
                {
                    ends.insert(number, partition.ls_offset);
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(Code::PartitionEOF) {
            return;
        }
        let mut heard = self.heard();
        if code == Some(Code::AllBrokersDown) {
            // Told again at every attempt to connect: once is enough.
            if heard.down_since.is_none() {
                heard.down_since = Some(Instant::now());
                tracing::warn!("kafka: {reason}; trying again");
            }
            return;
        }
        heard.reason = Some(reason.to_owned());
        tracing::warn!("kafka: {reason}");
    }
}

impl ConsumerContext for Watch {}

/// A bell: rung by the client's threads when a queue is no longer empty.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Rings.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits until it rings or rang since the last wait, for `limit` at most.
    pub fn wait(&self, limit: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rung = match self.changed.wait_timeout_while(rung, limit, |rung| !*rung) {
            Ok((rung, _)) => rung,
            Err(poisoned) => poisoned.into_inner().0,
        };
        *rung = false;
    }
}
