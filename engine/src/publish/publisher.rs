//! The task beside the line that keeps one target fresh.
//!
//! Epochs are folded in as they commit; the policy says when a push goes; whatever fails is tried
//! again later, and the line never waits for it. It must never hold more than what differs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use freshet_sql::change::ChangeBatch;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::attempt::Attempt;
use super::net::Pending;
use super::policy::Quiet;
use super::task::{Task, whole};
use crate::checkpoint::decision::Decision;
use crate::clock::Clock;
use crate::error::Result;

/// How often it is made sure that the task lives.
const ALIVE_LOOK: Duration = Duration::from_secs(1);
/// How long a stop waits for a push in hand.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What a publisher made of the epochs up to one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The epoch.
    pub epoch: u64,
    /// The number of the question that it answers.
    pub asked: u64,
    /// What it does now, in words.
    pub state: String,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

/// What the line and the task share.
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) woken: Notify,
    pub(super) seen: watch::Sender<Seen>,
}

#[derive(Default)]
pub(super) struct State {
    /// Absent until it is read from the lake.
    pub(super) pending: Option<Pending>,
    /// Epochs that committed meanwhile.
    pub(super) early: Vec<(u64, BTreeMap<String, ChangeBatch>)>,
    pub(super) latest: Option<Arc<Decision>>,
    pub(super) hurry: bool,
    /// How often somebody asked to settle.
    pub(super) asked: u64,
}

/// One target's publisher.
pub struct Publisher {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts the task; `latest` is the lake's last decision.
    pub fn start(
        attempt: Attempt,
        clock: Arc<dyn Clock>,
        latest: Option<&Decision>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            woken: Notify::new(),
            seen: watch::Sender::default(),
        });
        shared.lock().latest = latest.cloned().map(Arc::new);
        let (stop, stopped) = watch::channel(false);
        let quiet = attempt.policy.quiet_hours.iter().map(|q| Quiet::parse(q));
        let quiet = quiet.collect::<Result<Vec<_>>>()?;
        let task = Task::new(attempt, shared.clone(), clock, quiet);
        let task = tokio::spawn(task.run(stopped));
        Ok(Self { shared, stop, task: Some(task) })
    }

    /// An epoch has committed. Cheap: the change is folded in, nothing is sent.
    pub fn committed(&self, decision: &Decision, changes: &BTreeMap<String, ChangeBatch>) {
        let mut state = self.shared.lock();
        state.latest = Some(Arc::new(decision.clone()));
        let State { pending, early, .. } = &mut *state;
        match pending {
            None => early.push((decision.epoch, changes.clone())),
            Some(pending) => {
                if let Err(error) = pending.fold(decision.epoch, changes) {
                    tracing::warn!(%error, "changes could not be folded: the marts are sent whole");
                    whole(pending, decision.epoch);
                }
            }
        }
        drop(state);
        self.shared.woken.notify_one();
    }

    /// Waits until the epoch was pushed, or is known to wait, to be held or to fail.
    pub async fn settle(&self, epoch: u64) -> Seen {
        let mut seen = self.shared.seen.subscribe();
        let asked = {
            let mut state = self.shared.lock();
            state.hurry = true;
            state.asked += 1;
            state.asked
        };
        self.shared.woken.notify_one();
        let ended = || self.task.as_ref().is_none_or(JoinHandle::is_finished);
        loop {
            let answered = seen.wait_for(|seen| seen.epoch >= epoch && seen.asked >= asked);
            match tokio::time::timeout(ALIVE_LOOK, answered).await {
                Ok(Ok(seen)) => return seen.clone(),
                Ok(Err(_)) => break,
                Err(_) if ended() => break,
                Err(_) => {}
            }
        }
        let error = Some("the publisher ended".to_owned());
        Seen { epoch, asked, state: "stopped".to_owned(), error }
    }

    /// Ends the task; a push in hand gets a moment, and what it leaves the ledger tells.
    pub async fn finish(&mut self) {
        let _ = self.stop.send(true);
        let Some(mut task) = self.task.take() else { return };
        if tokio::time::timeout(STOP_GRACE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

impl Shared {
    /// The latest epoch, and the number of the latest question.
    pub(super) fn now(&self) -> (u64, u64) {
        let state = self.lock();
        (state.latest.as_ref().map_or(0, |d| d.epoch), state.asked)
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
