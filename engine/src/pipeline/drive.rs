//! Driving the line: read, cut, step, until told to stop or caught up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::Pipeline;
use super::reader::{Read, Reader};
use super::shares::{self, Share};
use super::sizes::content_bytes;
use crate::checkpoint::decide::Decided;
use crate::checkpoint::decision::Decision;
use crate::clock::Clock;
use crate::epoch::content::Epoch;
use crate::epoch::cutter::Cutter;
use crate::epoch::item::Force;
use crate::epoch::loading::Phase;
use crate::error::{Error, Result};
use crate::source::TopicPartition;

/// How often the cut looks at the clock when nothing is read.
const TICK: Duration = Duration::from_millis(20);
/// An epoch in hand is given up this long after the stop: it was not decided, so nothing is lost.
const STOP_GRACE: Duration = Duration::from_secs(8);

/// When to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Only when stopped.
    Stopped,
    /// When every partition is at its end and nothing waits.
    CaughtUp,
}

/// Cuts at random places instead of by bounds: tests of law 1 and of recovery.
#[derive(Debug, Clone, Copy)]
pub struct RandomCuts {
    /// The generator's state.
    pub seed: u64,
    /// Most records between two cuts.
    pub items_max: u64,
}

impl RandomCuts {
    /// Records until the next cut (SplitMix64).
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % self.items_max.max(1) + 1
    }
}

/// What the watcher of a run is told.
#[derive(Debug)]
pub enum Progress<'p> {
    /// An epoch is done.
    Epoch(&'p Decision),
    /// Records were read up to here, decided or not.
    Read {
        /// Records since the start of the run.
        records: u64,
        /// Bytes of their keys and values.
        bytes: u64,
        /// Bytes that wait for a cut.
        buffered: usize,
    },
}

/// A run of the line.
pub struct Driver<'d> {
    /// The lake and its project.
    pub pipeline: &'d mut Pipeline,
    /// Cuts epochs.
    pub cutter: Cutter,
    /// Reads the source.
    pub reader: Reader,
    /// Tells milliseconds for the cut.
    pub clock: Arc<dyn Clock>,
    /// Random cuts, in tests.
    pub random: Option<RandomCuts>,
    /// Set to end the run.
    pub stop: watch::Receiver<bool>,
    /// Told how it goes.
    pub watcher: &'d mut (dyn FnMut(Progress<'_>) + Send),
}

/// What the loop keeps between batches.
#[derive(Default)]
struct State {
    at_end: BTreeSet<TopicPartition>,
    known: BTreeSet<TopicPartition>,
    paused: BTreeSet<TopicPartition>,
    ends: Option<oneshot::Receiver<Result<BTreeMap<TopicPartition, i64>>>>,
    records: u64,
    bytes: u64,
    until_random_cut: u64,
}

impl Driver<'_> {
    /// Runs until `until`; `Ok(Overtaken)` asks for a fresh start from the lake.
    pub async fn run(&mut self, until: Until) -> Result<Decided> {
        let mut state = State::default();
        if let Some(random) = &mut self.random {
            state.until_random_cut = random.next();
        }
        if self.pipeline.wants_rebuild() {
            let empty = Epoch::empty(self.cutter.state());
            if self.step(&empty).await? == Decided::Overtaken {
                return Ok(Decided::Overtaken);
            }
        }
        loop {
            if *self.stop.borrow() {
                return Ok(Decided::Ours);
            }
            let mut stop = self.stop.clone();
            let since = Instant::now();
            tokio::select! {
                batch = self.reader.next() => {
                    shares::add(Share::Starved, since);
                    let batch = batch.ok_or_else(|| Error::bug("the reading thread ended"))??;
                    if self.take(batch, &mut state).await? == Decided::Overtaken {
                        return Ok(Decided::Overtaken);
                    }
                }
                () = tokio::time::sleep(TICK) => {}
                _ = stop.changed() => continue,
            }
            self.answer_end_offsets(&mut state).await?;
            let done = self.is_at_end(&state);
            let force = if until == Until::CaughtUp && done { Force::Yes } else { Force::No };
            if self.cut_all(force).await? == Decided::Overtaken {
                return Ok(Decided::Overtaken);
            }
            self.balance(&mut state);
            if until == Until::CaughtUp && done && self.is_at_end(&state) && self.is_drained() {
                return Ok(Decided::Ours);
            }
        }
    }

    async fn take(&mut self, batch: Vec<Read>, state: &mut State) -> Result<Decided> {
        let since = Instant::now();
        let now_ms = self.clock.now_us() / 1000;
        for read in batch {
            match read {
                Read::Assigned(key, offset) => {
                    self.cutter.add_partition(&key.0, key.1, offset);
                    state.known.insert(key);
                }
                Read::AtEnd(key) => {
                    self.cutter.at_end(&key.0, key.1, now_ms);
                    state.at_end.insert(key);
                }
                Read::Item(item) => {
                    if !state.at_end.is_empty() {
                        state.at_end.remove(&(item.topic.clone(), item.partition));
                    }
                    state.records += 1;
                    state.bytes += content_bytes(item.bytes);
                    self.cutter.push(item, now_ms);
                    if let Some(random) = &mut self.random {
                        state.until_random_cut -= 1;
                        if state.until_random_cut == 0 {
                            state.until_random_cut = random.next();
                            self.answer_end_offsets(state).await?;
                            if self.cut_all(Force::Yes).await? == Decided::Overtaken {
                                return Ok(Decided::Overtaken);
                            }
                        }
                    }
                }
            }
        }
        shares::add(Share::Cut, since);
        let buffered = self.cutter.buffered_bytes();
        (self.watcher)(Progress::Read { records: state.records, bytes: state.bytes, buffered });
        Ok(Decided::Ours)
    }

    async fn cut_all(&mut self, force: Force) -> Result<Decided> {
        loop {
            let now_ms = self.clock.now_us() / 1000;
            let cut = shares::time(Share::Cut, || self.cutter.cut(now_ms, force));
            let Some(epoch) = cut else { return Ok(Decided::Ours) };
            if self.step(&epoch).await? == Decided::Overtaken {
                return Ok(Decided::Overtaken);
            }
            if *self.stop.borrow() {
                return Ok(Decided::Ours);
            }
        }
    }

    /// One epoch; given up if it outlasts the stop's grace.
    async fn step(&mut self, epoch: &Epoch) -> Result<Decided> {
        let mut stop = self.stop.clone();
        let given_up = async {
            let _ = stop.wait_for(|stop| *stop).await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        let decided = tokio::select! {
            decided = self.pipeline.step(epoch) => decided?,
            () = given_up => {
                tracing::warn!("the epoch in hand was given up; it is made anew at the next start");
                return Ok(Decided::Ours);
            }
        };
        if decided == Decided::Ours
            && let Some(decision) = self.pipeline.last()
        {
            (self.watcher)(Progress::Epoch(decision));
        }
        Ok(decided)
    }

    /// While an initial read is under way, the cut wants to know where the topics end.
    async fn answer_end_offsets(&mut self, state: &mut State) -> Result<()> {
        if state.ends.is_none() && self.cutter.wants_end_offsets() {
            state.ends = Some(self.reader.end_offsets());
        }
        if let Some(ends) = &mut state.ends {
            match ends.try_recv() {
                Ok(found) => {
                    self.cutter.set_end_offsets(found?);
                    state.ends = None;
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => state.ends = None,
            }
        }
        Ok(())
    }

    /// Pauses partitions that are far ahead of those the cut waits for.
    fn balance(&mut self, state: &mut State) {
        let wanted: BTreeSet<TopicPartition> = self.cutter.paused().into_iter().collect();
        let pause: Vec<_> = wanted.difference(&state.paused).cloned().collect();
        let resume: Vec<_> = state.paused.difference(&wanted).cloned().collect();
        if !pause.is_empty() {
            self.reader.pause(pause);
        }
        if !resume.is_empty() {
            self.reader.resume(resume);
        }
        state.paused = wanted;
    }

    fn is_at_end(&self, state: &State) -> bool {
        !state.known.is_empty() && state.known.is_subset(&state.at_end) && state.ends.is_none()
    }

    /// A read that has ended at the source waits for its last epoch.
    fn is_drained(&self) -> bool {
        let ending = matches!(self.cutter.state().phase, Phase::Asking | Phase::Ending);
        self.cutter.buffered_bytes() == 0 && !ending
    }
}
