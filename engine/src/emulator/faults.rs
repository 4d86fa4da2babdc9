//! What goes wrong: at the n-th request, before or after its effect.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No answer, and no effect.
    LostBefore,
    /// The effect happens; the answer is lost.
    LostAfter,
    /// The session is gone, and what was open in it undone.
    SessionGone,
    /// The session's token has run out; it can be renewed.
    TokenExpired,
    /// The statement runs long: its result must be asked for.
    Slow,
    /// The statement is refused, as for want of credits; the transaction stays open.
    Refused,
    /// The request waits until it is woken, then goes on: a client that slept.
    Sleeps,
    /// Both: the effect happens, the answer is lost, and the session with it.
    GoneAfter,
}

/// All kinds, for tests that try each.
pub const ALL: [Fault; 7] = [
    Fault::LostBefore,
    Fault::LostAfter,
    Fault::SessionGone,
    Fault::TokenExpired,
    Fault::Slow,
    Fault::Refused,
    Fault::GoneAfter,
];

/// The plan, and how far it has come.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
    fell_asleep: Notify,
    woken: Notify,
}

#[derive(Debug, Default)]
struct State {
    requests: u64,
    planned: BTreeMap<u64, Fault>,
    always: Option<Fault>,
}

impl Faults {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts from 1 again, with this plan: request number to fault.
    pub fn plan(&self, planned: impl IntoIterator<Item = (u64, Fault)>) {
        let planned = planned.into_iter().collect();
        *self.state() = State { requests: 0, planned, always: None };
    }

    /// Every request has this fault, until told otherwise: an account that is down.
    pub fn always(&self, fault: Option<Fault>) {
        self.state().always = fault;
    }

    /// Requests since the plan was made.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Goes on counting from here.
    pub fn count(&self, requests: u64) {
        self.state().requests = requests;
    }

    /// Returns once a request sleeps.
    pub async fn asleep(&self) {
        self.fell_asleep.notified().await;
    }

    /// Wakes it.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Sleeps, where that is the fault.
    pub(super) async fn sleep(&self, fault: Option<Fault>) {
        if fault == Some(Fault::Sleeps) {
            self.fell_asleep.notify_one();
            self.woken.notified().await;
        }
    }

    /// The fault of the request that just came.
    pub(super) fn next(&self) -> Option<Fault> {
        let mut state = self.state();
        state.requests += 1;
        let number = state.requests;
        state.planned.remove(&number).or(state.always)
    }
}
