//! Cutting: what the reading thread hands over is put in order and cut into epochs, beside the step
//! of the epoch before.
//!
//! One epoch waits for the loop at most; what is read meanwhile stays in the cutter, up to its bound.
//! It must never let an epoch overtake another, nor go on after an error of the source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::reader::{Read, Reader};
use super::shares::{self, Share};
use super::sizes::content_bytes;
use super::spill::Spill;
use crate::clock::Clock;
use crate::epoch::content::Epoch;
use crate::epoch::cutter::Cutter;
use crate::epoch::item::Force;
use crate::epoch::loading::{CutState, Phase};
use crate::error::{Error, Result};
use crate::source::TopicPartition;

/// How often the cut looks at the clock when nothing is read.
const TICK: Duration = Duration::from_millis(20);

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

/// Whether reading goes on while an epoch waits for the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// Up to the buffer's bound.
    Buffer,
    /// No: what an epoch holds does not depend on how fast the loop is. For replays.
    Nothing,
}

/// How far was read since the run began, decided or not.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadSoFar {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Bytes that wait for a cut.
    pub buffered: usize,
}

/// Whether there is a taker of epochs left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taker {
    Waits,
    Gone,
}

/// Reads, cuts and hands epochs over.
pub struct Cutting {
    cutter: Cutter,
    reader: Reader,
    clock: Arc<dyn Clock>,
    random: Option<RandomCuts>,
    /// Nothing more is read while an epoch waits and so much does.
    ahead_bytes_max: usize,
    buffer_bytes_max: usize,
    spill: Spill,
    told_bytes: u64,
    at_end: BTreeSet<TopicPartition>,
    known: BTreeSet<TopicPartition>,
    paused: BTreeSet<TopicPartition>,
    ends: Option<oneshot::Receiver<Result<BTreeMap<TopicPartition, i64>>>>,
    so_far: ReadSoFar,
    until_random_cut: u64,
    /// Bytes of the epoch that waits for the loop.
    handed_bytes: usize,
}

impl Cutting {
    /// Nothing is read yet.
    pub fn new(
        cutter: Cutter,
        reader: Reader,
        clock: Arc<dyn Clock>,
        mut random: Option<RandomCuts>,
        spill: Spill,
        ahead: Ahead,
    ) -> Self {
        let buffer_bytes_max = cutter.buffer_bytes_max();
        Self {
            ahead_bytes_max: if ahead == Ahead::Nothing { 0 } else { buffer_bytes_max },
            buffer_bytes_max,
            until_random_cut: random.as_mut().map_or(0, RandomCuts::next),
            cutter,
            reader,
            clock,
            random,
            spill,
            told_bytes: 0,
            at_end: BTreeSet::new(),
            known: BTreeSet::new(),
            paused: BTreeSet::new(),
            ends: None,
            so_far: ReadSoFar::default(),
            handed_bytes: 0,
        }
    }

    /// What the cutter would go on from.
    pub fn state(&self) -> CutState {
        self.cutter.state()
    }

    /// Runs until `until`, or until nobody takes epochs any more. A source's error is handed over
    /// behind the epochs that were cut before it.
    pub async fn run(
        mut self,
        until: Until,
        out: mpsc::Sender<Result<Epoch>>,
        told: watch::Sender<ReadSoFar>,
    ) {
        if let Err(error) = self.cut_on(until, &out, &told).await {
            let _ = out.send(Err(error)).await;
        }
    }

    async fn cut_on(
        &mut self,
        until: Until,
        out: &mpsc::Sender<Result<Epoch>>,
        told: &watch::Sender<ReadSoFar>,
    ) -> Result<()> {
        loop {
            let full = out.capacity() == 0
                && self.cutter.buffered_bytes() + self.handed_bytes >= self.ahead_bytes_max;
            tokio::select! {
                () = out.closed() => return Ok(()),
                // What is held is at its bound: nothing more is read before the loop takes an epoch.
                _ = out.reserve(), if full => {}
                batch = self.reader.next(), if !full => {
                    let batch = batch.ok_or_else(|| Error::bug("the reading thread ended"))??;
                    if self.take(batch, out).await? == Taker::Gone {
                        return Ok(());
                    }
                    told.send_replace(self.so_far);
                }
                () = tokio::time::sleep(TICK) => {}
            }
            self.answer_end_offsets()?;
            let done = until == Until::CaughtUp && self.is_at_end();
            self.cut_what_fits(if done { Force::Yes } else { Force::No }, out);
            if out.capacity() > 0 {
                self.spill_what_is_too_much()?;
            }
            self.balance();
            if done && self.is_at_end() && self.is_drained() {
                return Ok(());
            }
        }
    }

    async fn take(&mut self, batch: Vec<Read>, out: &mpsc::Sender<Result<Epoch>>) -> Result<Taker> {
        let since = Instant::now();
        let now_ms = self.clock.now_us() / 1000;
        for read in batch {
            match read {
                Read::Assigned(key, offset) => {
                    self.cutter.add_partition(&key.0, key.1, offset);
                    self.known.insert(key);
                }
                Read::AtEnd(key) => {
                    self.cutter.at_end(&key.0, key.1, now_ms);
                    self.at_end.insert(key);
                }
                Read::Item(item) => {
                    if !self.at_end.is_empty() {
                        self.at_end.remove(&(item.topic.clone(), item.partition));
                    }
                    self.so_far.records += 1;
                    self.so_far.bytes += content_bytes(item.bytes);
                    self.cutter.push(item, now_ms);
                    if self.is_random_cut() {
                        self.answer_end_offsets()?;
                        if self.cut_all(out).await == Taker::Gone {
                            return Ok(Taker::Gone);
                        }
                    }
                }
            }
        }
        shares::add(Share::Cut, since);
        self.so_far.buffered = self.cutter.buffered_bytes();
        Ok(Taker::Waits)
    }

    fn is_random_cut(&mut self) -> bool {
        let Some(random) = &mut self.random else { return false };
        self.until_random_cut -= 1;
        let here = self.until_random_cut == 0;
        if here {
            self.until_random_cut = random.next();
        }
        here
    }

    /// Cuts as long as the loop has room for an epoch.
    fn cut_what_fits(&mut self, force: Force, out: &mpsc::Sender<Result<Epoch>>) {
        while let Ok(permit) = out.try_reserve() {
            let Some(epoch) = self.cut(force) else { return };
            permit.send(Ok(epoch));
        }
    }

    /// Cuts all that is whole, and waits until the loop has taken it.
    async fn cut_all(&mut self, out: &mpsc::Sender<Result<Epoch>>) -> Taker {
        while let Some(epoch) = self.cut(Force::Yes) {
            if out.send(Ok(epoch)).await.is_err() {
                return Taker::Gone;
            }
        }
        Taker::Waits
    }

    fn cut(&mut self, force: Force) -> Option<Epoch> {
        let now_ms = self.clock.now_us() / 1000;
        let epoch = shares::time(Share::Cut, || self.cutter.cut(now_ms, force))?;
        self.handed_bytes = epoch.bytes;
        Some(epoch)
    }

    /// While an initial read is under way, the cut wants to know where the topics end.
    fn answer_end_offsets(&mut self) -> Result<()> {
        if self.ends.is_none() && self.cutter.wants_end_offsets() {
            self.ends = Some(self.reader.end_offsets());
        }
        if let Some(ends) = &mut self.ends {
            match ends.try_recv() {
                Ok(found) => {
                    self.cutter.set_end_offsets(found?);
                    self.ends = None;
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => self.ends = None,
            }
        }
        Ok(())
    }

    /// Pauses partitions that are far ahead of those the cut waits for.
    fn balance(&mut self) {
        let wanted: BTreeSet<TopicPartition> = self.cutter.paused().into_iter().collect();
        let pause: Vec<_> = wanted.difference(&self.paused).cloned().collect();
        let resume: Vec<_> = self.paused.difference(&wanted).cloned().collect();
        if !pause.is_empty() {
            self.reader.pause(pause);
        }
        if !resume.is_empty() {
            self.reader.resume(resume);
        }
        self.paused = wanted;
    }

    /// What can't be cut, though the loop would take it, and is more than the buffer may hold lies on
    /// disk meanwhile.
    fn spill_what_is_too_much(&mut self) -> Result<()> {
        if self.cutter.movable_bytes() < self.buffer_bytes_max {
            return Ok(());
        }
        let (cutter, spill) = (&mut self.cutter, &mut self.spill);
        cutter.move_contents(|contents| spill.keep(contents))?;
        // Told when it begins and each time it has doubled.
        if self.spill.bytes() >= 2 * self.told_bytes {
            self.told_bytes = self.spill.bytes();
            let mib = self.told_bytes >> 20;
            tracing::warn!(mib, "records of a transaction larger than the buffer wait on disk");
        }
        Ok(())
    }

    fn is_at_end(&self) -> bool {
        !self.known.is_empty() && self.known.is_subset(&self.at_end) && self.ends.is_none()
    }

    /// A read that has ended at the source waits for its last epoch.
    fn is_drained(&self) -> bool {
        let ending = matches!(self.cutter.state().phase, Phase::Asking | Phase::Ending);
        self.cutter.buffered_bytes() == 0 && !ending
    }
}
