//! The source that reads Kafka: lanes in turn, new partitions found, lost brokers noticed.
//!
//! Positions start from the checkpoint's offsets and live in the lanes. It must never go on after
//! a gap, and never forget a position when partitions are added.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arena::Arena;
use super::client::Client;
use super::gap;
use super::lane::{Lane, Turn};
use super::options::Options;
use super::topic_ids::TopicIds;
use super::topics::{Listing, Selection};
use super::{Lag, Polled, Source, TopicPartition};
use crate::error::{Error, Result};

/// The longest sleep between two looks at the clock.
const NAP: Duration = Duration::from_millis(100);
/// Records of one lane before the next has its turn.
const TURN_RECORDS: usize = 1_024;
/// Bytes of one poll after which no further lane has its turn.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Partitions that the memory bound is divided for, at least: room for those that appear later.
const PARTITIONS_EXPECTED: usize = 8;

/// Kafka, read by our own offsets.
pub struct KafkaSource {
    client: Client,
    selection: Selection,
    lanes: Vec<Lane>,
    /// The lane whose turn is next.
    turn: usize,
    arena: Arena,
    /// Where the checkpoint ended, also for partitions that are not there yet.
    stored: BTreeMap<(String, i32), i64>,
    /// What is told at the next poll.
    news: Vec<Polled>,
    /// Topics for which a line was logged that they are waited for.
    awaited: BTreeSet<String>,
    /// Which topics the stored offsets belong to.
    ids: Option<TopicIds>,
    batch_records: usize,
    partitions_planned: usize,
    discovery_interval: Duration,
    next_discovery: Instant,
    unavailable_after: Duration,
}

impl KafkaSource {
    /// Opens the topics of `options`, each partition at its stored offset (the next to be read),
    /// or at its beginning where none is stored.
    ///
    /// Errors: `Unavailable` without brokers, `Invalid` where options or rights are wrong,
    /// `Corrupt` where stored offsets are no longer held.
    pub fn open(options: &Options, offsets: &BTreeMap<(String, i32), i64>) -> Result<Self> {
        let selection = Selection::of(options)?;
        // The memory bound is divided by partitions, and a client can't change it: so a first
        // client only counts them.
        let listing = Client::new(options, 1)?.insist("listing its topics", Client::listing)?;
        let ours = listing.iter().filter(|(topic, _)| selection.contains(topic));
        let partitions: usize = ours.map(|(_, partitions)| partitions).sum();
        let partitions_planned = partitions.next_power_of_two().max(PARTITIONS_EXPECTED);
        let discovery_interval = Duration::from_millis(options.discovery_interval_ms.max(1));
        let mut source = Self {
            client: Client::new(options, partitions_planned)?,
            selection,
            lanes: Vec::new(),
            turn: 0,
            arena: Arena::default(),
            stored: offsets.clone(),
            news: Vec::new(),
            awaited: BTreeSet::new(),
            ids: None,
            batch_records: options.batch_records.max(1),
            partitions_planned,
            discovery_interval,
            next_discovery: Instant::now() + discovery_interval,
            unavailable_after: Duration::from_millis(options.unavailable_after_ms),
        };
        let new = source.new_partitions(&listing)?;
        let held = source.client.insist("asking for offsets", |client| client.watermarks(&new))?;
        source.add(&new, &held)?;
        Ok(source)
    }

    /// Partitions of our topics that have no lane yet.
    fn new_partitions(&mut self, listing: &Listing) -> Result<Vec<TopicPartition>> {
        for topic in self.selection.missing(listing) {
            if self.awaited.insert(topic.clone()) {
                tracing::info!(%topic, "topic does not exist yet; it is read when it appears");
            }
        }
        for ((topic, partition), offset) in &self.stored {
            if let Some(&partitions) = listing.get(topic)
                && self.selection.contains(topic)
                && *partition as usize >= partitions
            {
                return Err(gap::shrunk(topic, *partition, *offset, partitions));
            }
        }
        let mut new = Vec::new();
        for (topic, partitions) in listing.iter().filter(|(name, _)| self.selection.contains(name))
        {
            let known: Vec<&Lane> =
                self.lanes.iter().filter(|lane| *lane.topic == **topic).collect();
            let name = known.first().map_or_else(|| Arc::from(&**topic), |lane| lane.topic.clone());
            for partition in 0..*partitions as i32 {
                if !known.iter().any(|lane| lane.partition == partition) {
                    new.push((Arc::clone(&name), partition));
                }
            }
        }
        Ok(new)
    }

    /// Begins to read `new`, as far as what they hold is known.
    fn add(
        &mut self,
        new: &[TopicPartition],
        held: &BTreeMap<TopicPartition, gap::Watermarks>,
    ) -> Result<()> {
        let mut starts = Vec::new();
        for at @ (topic, partition) in new {
            let Some(held) = held.get(at) else { continue };
            let stored = self.stored.get(&(topic.to_string(), *partition)).copied();
            starts.push((at.clone(), gap::start(topic, *partition, stored, *held)?));
        }
        if starts.is_empty() {
            return Ok(());
        }
        self.identify(starts.iter().map(|((topic, _), _)| &**topic).collect())?;
        for ((topic, partition), position) in &starts {
            let (topic, partition, position) = (Arc::clone(topic), *partition, *position);
            tracing::info!(%topic, partition, offset = position, "reading");
            let queue = self.client.queue(&topic, partition)?;
            let assigned = Polled::Assigned { topic: topic.clone(), partition, offset: position };
            self.news.push(assigned);
            let (at_end, paused) = (false, false);
            self.lanes.push(Lane { topic, partition, position, at_end, paused, queue });
        }
        if self.lanes.len() > self.partitions_planned {
            tracing::warn!(
                partitions = self.lanes.len(),
                planned = self.partitions_planned,
                "more partitions than at the start: queues may take more than queue_bytes_max"
            );
        }
        self.client.assign(&starts)
    }

    /// Compares these topics' ids with the known ones, once those were given.
    fn identify(&self, topics: BTreeSet<&str>) -> Result<()> {
        let Some(ids) = &self.ids else { return Ok(()) };
        if !self.client.asks_for_ids() {
            ids.forget();
            return Ok(());
        }
        let topics: Vec<&str> = topics.into_iter().collect();
        ids.admit(self.client.topic_ids(&topics))
    }

    /// Looks for new topics and partitions when it is time. Brokers that don't answer are the
    /// business of `check_brokers`.
    fn discover(&mut self, now: Instant) -> Result<()> {
        if now < self.next_discovery {
            return Ok(());
        }
        let found = self.client.listing().map(|listing| self.new_partitions(&listing));
        match found {
            Ok(new) => {
                let new = new?;
                match self.client.watermarks(&new) {
                    Ok(held) => self.add(&new, &held)?,
                    Err(cause) => tracing::warn!("kafka: offsets of new partitions: {cause}"),
                }
            }
            Err(cause) => {
                self.client.watch().unanswered();
                tracing::warn!("kafka: looking for new topics: {cause}");
            }
        }
        self.next_discovery = Instant::now() + self.discovery_interval;
        Ok(())
    }

    /// Gives up when no broker answered for too long. A quiet topic tells nothing when its broker
    /// returns, so a broker is asked before.
    fn check_brokers(&self, now: Instant) -> Result<()> {
        match self.client.watch().down_for(now) {
            Some(silence) if silence >= self.unavailable_after => match self.client.listing() {
                Ok(_) => Ok(()),
                Err(cause) => {
                    let what = format!("no broker has answered for {} s", silence.as_secs());
                    Err(self.client.unavailable(&what, cause))
                }
            },
            _ => Ok(()),
        }
    }

    /// Lets lanes move records to `out`, each in its turn, until it is full or all are dry.
    fn drain(&mut self, out: &mut Vec<Polled>) -> Result<()> {
        let (mut dry, mut bytes) = (0, 0);
        while out.len() < self.batch_records && bytes < BATCH_BYTES_MAX && dry < self.lanes.len() {
            let index = self.turn % self.lanes.len();
            self.turn = index + 1;
            let lane = &mut self.lanes[index];
            let room = (self.batch_records - out.len()).min(TURN_RECORDS);
            let before = out.len();
            match if lane.paused { Turn::Dry } else { lane.drain(room, &mut self.arena, out)? } {
                Turn::Dry => dry += 1,
                Turn::Full => dry = 0,
                Turn::Gap => {
                    let at = (Arc::clone(&lane.topic), lane.partition);
                    let wanted = lane.position;
                    return Err(self.gap(at, wanted));
                }
            }
            bytes += out.iter().skip(before).map(content_bytes).sum::<usize>();
        }
        Ok(())
    }

    fn gap(&self, at: TopicPartition, wanted: i64) -> crate::error::Error {
        let asked = std::slice::from_ref(&at);
        match self.client.insist("asking for offsets", |client| client.watermarks(asked)) {
            Ok(held) => {
                let unknown = gap::Watermarks { low: wanted, high: wanted };
                let held = held.get(&at).copied().unwrap_or(unknown);
                gap::out_of_range(&at.0, at.1, wanted, held)
            }
            Err(error) => error,
        }
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) {
        for lane in &mut self.lanes {
            let named = |(topic, partition): &TopicPartition| {
                *partition == lane.partition && *topic == lane.topic
            };
            if partitions.iter().any(named) {
                lane.paused = paused;
            }
        }
    }
}

fn content_bytes(polled: &Polled) -> usize {
    let Polled::Record(record) = polled else { return 0 };
    let bytes = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
    bytes(&record.key) + bytes(&record.value)
}

impl Source for KafkaSource {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Polled>> {
        let deadline = Instant::now() + wait;
        loop {
            self.client.serve()?;
            let now = Instant::now();
            self.discover(now)?;
            let mut out = std::mem::take(&mut self.news);
            out.reserve(self.batch_records.min(TURN_RECORDS));
            self.drain(&mut out)?;
            if !out.is_empty() {
                return Ok(out);
            }
            self.check_brokers(now)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(out);
            }
            self.client.wait(left.min(NAP));
        }
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.set_paused(partitions, true);
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.set_paused(partitions, false);
        Ok(())
    }

    fn end_offsets(&mut self) -> Result<BTreeMap<TopicPartition, i64>> {
        // Whoever asks wants the ends of all that is there now, topics of a minute ago included.
        let now = Instant::now();
        self.next_discovery = now;
        self.discover(now)?;
        let partitions: Vec<TopicPartition> =
            self.lanes.iter().map(|lane| (lane.topic.clone(), lane.partition)).collect();
        let held =
            self.client.insist("asking for offsets", |client| client.watermarks(&partitions))?;
        Ok(held.into_iter().map(|(partition, held)| (partition, held.high)).collect())
    }

    fn know(&mut self, ids: TopicIds) -> Result<()> {
        self.ids = Some(ids);
        self.identify(self.lanes.iter().map(|lane| &*lane.topic).collect())
    }

    fn lag(&mut self) -> Vec<Lag> {
        let watch = self.client.watch();
        let lag = |lane: &Lane| Lag {
            topic: lane.topic.clone(),
            partition: lane.partition,
            position: lane.position,
            end: watch.end(&lane.topic, lane.partition),
            at_end: lane.at_end,
        };
        self.lanes.iter().map(lag).collect()
    }
}

/// How many partitions a topic has; `None` if there is no such topic.
pub fn partitions_of(options: &Options, topic: &str) -> Result<Option<i32>> {
    let listing = Client::new(options, 1)?
        .listing()
        .map_err(|cause| Error::unavailable(format!("brokers `{}`", options.brokers), cause))?;
    let found = listing.into_iter().find(|(name, _)| name == topic);
    Ok(found.and_then(|(_, partitions)| i32::try_from(partitions).ok()))
}
