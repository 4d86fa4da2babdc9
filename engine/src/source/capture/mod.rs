//! Records from a capture: a file of what Kafka held, as `kcat -J` writes it.
//!
//! Read whole, then handed out like Kafka would: in the file's order, or in a random interleaving
//! of partitions that its seed alone decides. Order within a partition is always kept. It must
//! never mend a bad line: it says which one it is.

pub mod line;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use line::write_line;

use super::arena::Arena;
use super::record::Record;
use super::{Lag, Polled, Source, TopicPartition};
use crate::error::{Error, Result};

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// In which order partitions are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As in the file.
    File,
    /// Each next record from a partition drawn at random, by this seed.
    Interleaved(u64),
}

/// A capture, read.
#[derive(Debug)]
pub struct CaptureSource {
    lanes: Vec<Lane>,
    /// What is told at the next poll.
    news: Vec<Polled>,
    /// The next draw; `None` keeps the file's order.
    draw: Option<u64>,
    batch_records: usize,
}

#[derive(Debug)]
struct Lane {
    at: TopicPartition,
    /// Records to come, each with its place in the file.
    rest: VecDeque<(usize, Record)>,
    /// The offset after the last record handed out.
    position: i64,
    /// The offset after the last initial read, or the start.
    reads_end: i64,
    /// The offset after the last record of the file.
    end: i64,
    paused: bool,
}

impl CaptureSource {
    /// Reads `path`, and hands out what lies at or after `offsets` (everything of a partition
    /// without an offset), `batch_records` at once.
    ///
    /// Errors: `Invalid` with file and line where the file can't be read, is larger than 2 GiB, or
    /// a partition's offsets don't rise.
    pub fn open(
        path: &Path,
        offsets: &BTreeMap<(String, i32), i64>,
        order: Order,
        batch_records: usize,
    ) -> Result<Self> {
        let mut lanes: Vec<Lane> = Vec::new();
        read(path, |place, record| {
            let found = lanes.iter_mut().find(|lane| lane.holds(&record));
            if let Some(lane) = found {
                return lane.push(place, record);
            }
            let at = (Arc::clone(&record.topic), record.partition);
            let stored = offsets.get(&(record.topic.to_string(), record.partition));
            let start = stored.copied().unwrap_or(record.offset);
            let mut lane = Lane::new(at, start);
            lane.push(place, record)?;
            lanes.push(lane);
            Ok(())
        })?;
        lanes.sort_by(|a, b| a.at.cmp(&b.at));
        let mut news = Vec::new();
        for lane in &lanes {
            let (topic, partition) = lane.at.clone();
            news.push(Polled::Assigned { topic, partition, offset: lane.position });
        }
        news.extend(lanes.iter().filter(|lane| lane.rest.is_empty()).map(Lane::at_end));
        let draw = match order {
            Order::File => None,
            Order::Interleaved(seed) => Some(seed),
        };
        Ok(Self { lanes, news, draw, batch_records: batch_records.max(1) })
    }

    /// The lane whose record is next.
    fn next_lane(&mut self) -> Option<usize> {
        let open = |lane: &&Lane| !lane.paused && !lane.rest.is_empty();
        let indexed = || self.lanes.iter().enumerate().filter(|(_, lane)| open(lane));
        let Some(draw) = &mut self.draw else {
            let first =
                indexed().min_by_key(|(_, lane)| lane.rest.front().map(|(place, _)| *place));
            return first.map(|(index, _)| index);
        };
        let count = self.lanes.iter().filter(open).count();
        if count == 0 {
            return None;
        }
        let chosen = (mix(draw) % count as u64) as usize;
        let mut left = self.lanes.iter().enumerate().filter(|(_, lane)| open(lane));
        left.nth(chosen).map(|(index, _)| index)
    }
}

impl Lane {
    fn new(at: TopicPartition, start: i64) -> Self {
        let (reads_end, end) = (start, start);
        Self { at, rest: VecDeque::new(), position: start, reads_end, end, paused: false }
    }

    fn holds(&self, record: &Record) -> bool {
        self.at.1 == record.partition && self.at.0 == record.topic
    }

    fn push(&mut self, place: usize, record: Record) -> Result<()> {
        if let Some((_, last)) = self.rest.back()
            && record.offset <= last.offset
        {
            let (topic, partition) = &self.at;
            return Err(Error::invalid(format!(
                "offset {} of topic `{topic}`, partition {partition} comes after {}",
                record.offset, last.offset
            )));
        }
        if record.offset < self.position {
            return Ok(());
        }
        self.end = record.offset + 1;
        if is_initial_read(&record) {
            self.reads_end = self.end;
        }
        self.rest.push_back((place, record));
        Ok(())
    }

    fn at_end(&self) -> Polled {
        let (topic, partition) = self.at.clone();
        Polled::AtEnd { topic, partition }
    }
}

/// True for a read of the initial kind, by its text alone: the envelope is a later station's.
fn is_initial_read(record: &Record) -> bool {
    let Some(value) = record.value.as_deref() else { return false };
    let has = |word: &[u8]| value.windows(word.len()).any(|window| window == word);
    has(br#""op":"r""#) && !has(br#""snapshot":"incremental""#)
}

/// Calls `each` with every record of `path` and its line number; errors get file and line.
fn read(path: &Path, mut each: impl FnMut(usize, Record) -> Result<()>) -> Result<()> {
    let name = path.display();
    let cant = |cause: std::io::Error| Error::invalid(format!("capture `{name}`: {cause}"));
    let file = File::open(path).map_err(cant)?;
    let bytes = file.metadata().map_err(cant)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(Error::invalid(format!(
            "capture `{name}` has {bytes} bytes; {FILE_BYTES_MAX} can be read"
        ))
        .with_hint("split it by topic or by time and replay the parts one after the other"));
    }
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let (mut text, mut number) = (Vec::new(), 0);
    let mut reader = line::Reader::new(Arena::default());
    loop {
        text.clear();
        if lines.read_until(b'\n', &mut text).map_err(cant)? == 0 {
            return Ok(());
        }
        number += 1;
        let line = text.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let record = reader.read(line).map_err(|what| {
            Error::invalid(format!("{name}:{number}:{what}"))
                .with_hint("a line is one record as `kcat -C -J` writes it")
        })?;
        each(number, record)
            .map_err(|error| Error::invalid(format!("{name}:{number}: {error}")))?;
    }
}

/// The next draw (SplitMix64): a seed gives the same interleaving for ever.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Source for CaptureSource {
    fn poll(&mut self, wait: Duration) -> Result<Vec<Polled>> {
        let mut out = std::mem::take(&mut self.news);
        while out.len() < self.batch_records {
            let Some(index) = self.next_lane() else { break };
            let lane = &mut self.lanes[index];
            let Some((_, record)) = lane.rest.pop_front() else { break };
            lane.position = record.offset + 1;
            out.push(Polled::Record(record));
            if lane.rest.is_empty() {
                out.push(lane.at_end());
            }
        }
        if out.is_empty() {
            // A file never gets longer; the caller's pace is kept as with Kafka.
            std::thread::sleep(wait);
        }
        Ok(out)
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let named = self.lanes.iter_mut().filter(|lane| partitions.contains(&lane.at));
        named.for_each(|lane| lane.paused = true);
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let named = self.lanes.iter_mut().filter(|lane| partitions.contains(&lane.at));
        named.for_each(|lane| lane.paused = false);
        Ok(())
    }

    /// As if the file had been cut when the initial read was over: the offset after the last
    /// initial read of each partition, or its start where there is none.
    fn end_offsets(&mut self) -> Result<BTreeMap<TopicPartition, i64>> {
        Ok(self.lanes.iter().map(|lane| (lane.at.clone(), lane.reads_end)).collect())
    }

    fn lag(&mut self) -> Vec<Lag> {
        let lag = |lane: &Lane| Lag {
            topic: lane.at.0.clone(),
            partition: lane.at.1,
            position: lane.position,
            end: Some(lane.end),
            at_end: lane.rest.is_empty(),
        };
        self.lanes.iter().map(lag).collect()
    }
}
