//! One target's task: it looks, decides by the policy, pushes, and remembers.
//!
//! Whatever fails is tried again later. It must never lose what waits: what was taken goes back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::attempt::{Attempt, Ended};
use super::cursor::{self, Cursor, PushRecord};
use super::net::{Pending, Waiting};
use super::policy::{self, Facts, Quiet, Verdict};
use super::publisher::{Seen, Shared};
use super::snowflake::REFUSED_LOGIN;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Pauses after failures.
const RETRY_SECONDS: [u64; 6] = [1, 5, 15, 60, 180, 300];
/// The pause after a login that was refused.
const REFUSED_LOGIN_SECONDS: u64 = 600;
/// How often a held target is looked at again.
const HELD_LOOK: Duration = Duration::from_secs(5);
/// Epochs of waiting after which what waits is saved, so that a restart needs no older change log.
const SAVE_EPOCHS: u64 = 200;
/// Waits for the stop; the watch's guard is dropped at once.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Marks every mart to be sent whole, up to an epoch.
pub(super) fn whole(pending: &mut Pending, epoch: u64) {
    for waiting in pending.marts.values_mut() {
        *waiting = Waiting::Whole("its changes could not be folded".to_owned());
    }
    pending.to = epoch;
}

/// The task's state.
pub(super) struct Task {
    attempt: Attempt,
    cursor: Cursor,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    quiet: Vec<Quiet>,
    failures: usize,
    saved_to: u64,
    /// The latest epoch, and the latest question, when the last look began.
    looked_at: (u64, u64),
}

impl Task {
    /// A task that has not looked yet.
    pub fn new(
        attempt: Attempt,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        quiet: Vec<Quiet>,
    ) -> Self {
        let cursor = Cursor::default();
        Self { attempt, cursor, shared, clock, quiet, failures: 0, saved_to: 0, looked_at: (0, 0) }
    }

    /// Runs until it is told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let next = match self.step().await {
                Ok(Some(pause)) => pause,
                Ok(None) => {
                    self.looked_at = (u64::MAX, u64::MAX);
                    self.say("stopped").await;
                    return;
                }
                Err(error) => self.failed(&error).await,
            };
            // After a failure only the pause ends the wait, unless somebody waits for the outcome.
            let woken = self.failures == 0 || self.shared.lock().hurry;
            tokio::select! {
                () = self.shared.woken.notified(), if woken => {}
                () = tokio::time::sleep(next) => {}
                () = told(&mut stop) => {
                    self.save_if_due(true).await;
                    self.attempt.warehouse.close().await;
                    return;
                }
            }
        }
    }

    async fn failed(&mut self, error: &Error) -> Duration {
        let target = self.attempt.target.clone();
        let mut seconds = RETRY_SECONDS[self.failures.min(RETRY_SECONDS.len() - 1)];
        // Another wrong password so soon might lock the user.
        if error.to_string().contains(REFUSED_LOGIN) {
            seconds = REFUSED_LOGIN_SECONDS;
        }
        self.failures += 1;
        tracing::warn!(target_name = target, %error, "publishing failed; trying again in {seconds} s");
        self.cursor.error = Some(error.to_string());
        self.say("trying again after a failure").await;
        self.save_if_due(false).await;
        Duration::from_secs(seconds)
    }

    /// Remembers what it does, in the lake, for `status`.
    async fn say(&mut self, state: &str) {
        let error = self.cursor.error.clone();
        let (epoch, asked) = self.looked_at;
        let seen = Seen { epoch, asked, state: state.to_owned(), error };
        self.shared.seen.send_replace(seen);
        if self.cursor.state != state || self.cursor.error.is_some() {
            state.clone_into(&mut self.cursor.state);
            self.describe();
            let store = &self.attempt.store;
            if let Err(error) = self.cursor.write(store, &self.attempt.target).await {
                tracing::debug!(%error, "what the publisher does could not be remembered");
            }
        }
    }

    fn describe(&mut self) {
        let state = self.shared.lock();
        if let Some(pending) = &state.pending {
            self.cursor.waiting_to = pending.to;
            self.cursor.waiting = pending
                .marts
                .iter()
                .map(|(mart, waiting)| {
                    let text = match waiting {
                        Waiting::Net(net) => net.held().to_string(),
                        Waiting::Whole(why) => format!("whole: {why}"),
                    };
                    (mart.clone(), text)
                })
                .collect();
        }
    }

    /// What waits, from the lake: at the start, and whenever the ledger says another epoch.
    async fn load(&mut self) -> Result<()> {
        let latest = self.shared.lock().latest.clone();
        let Some(latest) = latest else { return Ok(()) };
        let span = (self.cursor.epoch, latest.epoch);
        let attempt = &self.attempt;
        let rows_max = attempt.policy.pending_rows_max;
        let mut pending =
            cursor::waiting(&attempt.store, &attempt.target, &attempt.contracts, span, rows_max)
                .await?;
        let mut state = self.shared.lock();
        for (epoch, changes) in state.early.drain(..) {
            pending.fold(epoch, &changes)?;
        }
        state.pending = Some(pending);
        Ok(())
    }

    /// One look: `None` ends the task.
    async fn step(&mut self) -> Result<Option<Duration>> {
        self.looked_at = self.shared.now();
        if self.shared.lock().pending.is_none() {
            self.cursor = Cursor::read(&self.attempt.store, &self.attempt.target).await?;
            self.cursor.credits_per_hour = self.attempt.credits_per_hour;
            self.load().await?;
        }
        let facts = self.facts().await?;
        match policy::decide(&self.attempt.policy, &self.quiet, &facts) {
            Verdict::Idle => {
                self.failures = 0;
                self.say("nothing waits").await;
                self.save_if_due(false).await;
                Ok(Some(Duration::from_secs(3_600)))
            }
            Verdict::Wait(until, why) => {
                self.say(&format!("waiting: {why}")).await;
                self.save_if_due(false).await;
                let pause = u64::try_from(until - facts.now_us).unwrap_or(0);
                Ok(Some(Duration::from_micros(pause.max(1_000))))
            }
            Verdict::Hold(why) => {
                self.say(&format!("held: {why}")).await;
                self.save_if_due(false).await;
                Ok(Some(HELD_LOOK))
            }
            Verdict::Push => self.push().await,
        }
    }

    async fn facts(&mut self) -> Result<Facts> {
        let (waits, failed_tests, hurry) = {
            let mut state = self.shared.lock();
            // Events may wait that change no mart: RAW wants them.
            let events = state.latest.as_ref().map_or(0, |d| d.totals.events);
            let raw = self.attempt.raw.is_some() && events > self.cursor.events;
            let waits = match &mut state.pending {
                Some(pending) => raw || !pending.is_empty()?,
                None => false,
            };
            let ready = state.latest.as_ref().is_some_and(|d| !d.models.is_empty());
            let hurry = state.hurry;
            let failed = state.latest.iter().flat_map(|d| d.failed_tests());
            (waits && ready, failed.map(|t| t.name.clone()).collect(), hurry)
        };
        let holds = if waits {
            cursor::holds(&self.attempt.store, &self.attempt.target).await?
        } else {
            Vec::new()
        };
        Ok(Facts {
            now_us: self.clock.now_us(),
            last_push_us: self.cursor.recent.last().map(|r| r.at_us),
            waits,
            hurry,
            failed_tests,
            holds,
            mean: self.cursor.mean(),
            credits_per_hour: self.attempt.credits_per_hour,
        })
    }

    /// Takes what waits and pushes it; what fails goes back.
    async fn push(&mut self) -> Result<Option<Duration>> {
        let (mut taken, decision) = {
            let mut state = self.shared.lock();
            let Some(decision) = state.latest.clone() else {
                return Ok(Some(Duration::from_secs(1)));
            };
            // An epoch may have come since the look: its tests are judged like any other's.
            let failed = decision.failed_tests().next().is_some();
            if failed && self.attempt.policy.hold_on_failed_tests {
                return Ok(Some(Duration::ZERO));
            }
            let Some(taken) = state.pending.take() else { return Ok(Some(Duration::ZERO)) };
            state.pending = Some(taken.successor());
            (taken, decision)
        };
        // A decision and what waits are told in one lock: they name the same epoch.
        let ended = self.attempt.run(&mut taken, &decision).await;
        match ended {
            Ok(Ended::Pushed(cost)) => {
                let record = PushRecord::new(self.clock.now_us(), &decision, cost);
                self.failures = 0;
                if !self.attempt.raw_behind {
                    self.cursor.events = decision.totals.events;
                }
                self.cursor.pushed(record);
                tracing::info!(
                    target_name = self.attempt.target,
                    epoch = decision.epoch,
                    rows = cost.rows,
                    delay_ms = record.delay_ms,
                    "published"
                );
                "pushed".clone_into(&mut self.cursor.state);
                self.describe();
                self.cursor.write(&self.attempt.store, &self.attempt.target).await?;
                Ok(Some(Duration::ZERO))
            }
            Ok(Ended::Fenced(generation)) => {
                self.cursor.error = Some(format!("generation {generation} publishes here now"));
                tracing::error!(generation, "another instance publishes to this target: stopping");
                Ok(None)
            }
            Ok(Ended::Moved(epoch)) => {
                self.cursor.epoch = epoch;
                // Whatever committed since is in the lake too.
                self.shared.lock().pending = None;
                self.load().await?;
                Ok(Some(Duration::ZERO))
            }
            Err(error) => {
                self.put_back(taken);
                Err(error)
            }
        }
    }

    async fn save_if_due(&mut self, at_stop: bool) {
        let taken = {
            let mut state = self.shared.lock();
            let due = state.pending.as_ref().is_some_and(|p| {
                let since = p.from.unwrap_or(0).max(self.saved_to);
                p.to >= since + SAVE_EPOCHS || (at_stop && p.to > since)
            });
            if !due {
                return;
            }
            let Some(taken) = state.pending.take() else { return };
            state.pending = Some(taken.successor());
            taken
        };
        let mut taken = taken;
        self.saved_to = taken.to;
        let saved = cursor::save(&self.attempt.store, &self.attempt.target, &mut taken).await;
        if let Err(error) = saved {
            tracing::debug!(%error, "what waits could not be saved");
        }
        self.put_back(taken);
    }

    /// What was taken waits again, before what came meanwhile.
    fn put_back(&self, mut taken: Pending) {
        let mut state = self.shared.lock();
        if let Some(later) = state.pending.take()
            && let Err(error) = taken.absorb(later)
        {
            tracing::warn!(%error, "changes could not be folded: the marts are sent whole");
            let to = taken.to;
            whole(&mut taken, to);
        }
        state.pending = Some(taken);
    }
}
