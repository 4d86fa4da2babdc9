//! Driving the line: epoch after epoch through the step, until told to stop or caught up.
//!
//! Reading and cutting have a thread of their own each, so that the next epoch is ready
//! while this one commits; epochs themselves go one by one.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::Pipeline;
use super::cutting::{Cutting, ReadSoFar, Until};
use super::shares::{self, Share};
use crate::checkpoint::decide::Decided;
use crate::checkpoint::decision::Decision;
use crate::epoch::content::Epoch;
use crate::epoch::loading::Phase;
use crate::error::{Error, Result};

/// An epoch in hand is given up this long after the stop: it was not decided, so nothing is lost.
const STOP_GRACE: Duration = Duration::from_secs(8);

/// What the watcher of a run is told.
#[derive(Debug)]
pub enum Progress<'p> {
    /// An epoch is done.
    Epoch(&'p Decision),
    /// Records were read up to here.
    Read(ReadSoFar),
}

/// A run of the line.
pub struct Driver<'d> {
    /// The lake and its project.
    pub pipeline: &'d mut Pipeline,
    /// Set to end the run.
    pub stop: watch::Receiver<bool>,
    /// After so long without an epoch an empty one is made, where rows change by time alone or a model
    /// is to be made anew.
    pub timer: Duration,
    /// Told how it goes.
    pub watcher: &'d mut (dyn FnMut(Progress<'_>) + Send),
}

impl Driver<'_> {
    /// Runs until `until`; `Ok(Overtaken)` asks for a fresh start from the lake.
    pub async fn run(&mut self, cutting: Cutting, until: Until) -> Result<Decided> {
        if self.pipeline.wants_rebuild() {
            let empty = Epoch::empty(cutting.state());
            if self.step(&empty).await? == Decided::Overtaken {
                return Ok(Decided::Overtaken);
            }
        }
        let (out, epochs) = mpsc::channel(1);
        let (told, read) = watch::channel(ReadSoFar::default());
        // On a thread of its own: it spills to disk and waits for the reading thread's end.
        let runtime = Handle::current();
        let task =
            tokio::task::spawn_blocking(move || runtime.block_on(cutting.run(until, out, told)));
        let outcome = self.take_epochs(epochs, read, until).await;
        task.await.map_err(|_| Error::bug("cutting epochs ended in a panic"))?;
        outcome
    }

    /// Dropping `epochs` at the end is what ends the cutting.
    async fn take_epochs(
        &mut self,
        mut epochs: mpsc::Receiver<Result<Epoch>>,
        mut read: watch::Receiver<ReadSoFar>,
        until: Until,
    ) -> Result<Decided> {
        let mut stop = self.stop.clone();
        let (goes_on, by_time) = (until == Until::Stopped, self.pipeline.changes_by_time());
        let mut last = Instant::now();
        loop {
            if *stop.borrow() {
                return Ok(Decided::Ours);
            }
            let since = Instant::now();
            tokio::select! {
                next = epochs.recv() => {
                    shares::add(Share::Starved, since);
                    let Some(epoch) = next else {
                        (self.watcher)(Progress::Read(*read.borrow()));
                        return Ok(Decided::Ours);
                    };
                    if self.step(&epoch?).await? == Decided::Overtaken {
                        return Ok(Decided::Overtaken);
                    }
                    last = Instant::now();
                }
                () = tokio::time::sleep_until((last + self.timer).into()), if goes_on => {
                    if let Some(state) = self.pipeline.cut_state().filter(|s| s.phase == Phase::Done)
                        && (by_time || self.pipeline.is_wished().await?)
                        && self.step(&Epoch::empty(state)).await? == Decided::Overtaken
                    {
                        return Ok(Decided::Overtaken);
                    }
                    last = Instant::now();
                }
                Ok(()) = read.changed() => {
                    shares::add(Share::Starved, since);
                    let so_far = *read.borrow_and_update();
                    (self.watcher)(Progress::Read(so_far));
                }
                Ok(()) = stop.changed() => {}
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
}
