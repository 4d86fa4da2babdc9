//! A failure at every request of a push, before and after its effect: one at a time, then two.
//!
//! Whatever fails, the attempts that follow bring the target to the epoch: its tables have the
//! lake's hashes, its ledger the lake's facts, and EPOCHS one row for the push.

use freshet::emulator::faults::{ALL, Fault};
use freshet::emulator::{Emulator, Options, Snapshot};

use super::bank::BankLake;
use super::long;
use super::target::{Pushing, number, options, snowflake};

const MARTS: [&str; 2] = ["fact_transactions", "dim_accounts_current"];

struct Bench<'l> {
    emulator: Emulator,
    before: Snapshot,
    pushing: Pushing<'l>,
    epoch: u64,
}

/// The target holds the lake's first epoch; the last one waits.
async fn bench(lake: &BankLake) -> Bench<'_> {
    let emulator =
        Emulator::start(0, Options { lock_timeout_ms: 40, ..Options::default() }).await.unwrap();
    let pushing = Pushing::new(lake, snowflake(options(&emulator, &MARTS))).await;
    let mut attempt = pushing.attempt().await;
    assert!(pushing.until_pushed(&mut attempt, &lake.decisions[0]).await.is_empty());
    attempt.warehouse.close().await;
    pushing.assert_same(&lake.decisions[0], "the first push").await;
    let before = emulator.snapshot().await;
    Bench { emulator, before, pushing, epoch: lake.last().epoch }
}

impl Bench<'_> {
    /// Requests of a push without a fault.
    async fn requests(&self) -> u64 {
        self.run(&[], "no fault").await;
        self.emulator.faults().requests()
    }

    async fn run(&self, faults: &[(u64, Fault)], context: &str) {
        self.emulator.restore(&self.before).await;
        self.emulator.faults().plan(faults.iter().copied());
        let decision = self.pushing.lake.last();
        let mut attempt = self.pushing.attempt().await;
        self.pushing.until_pushed(&mut attempt, decision).await;
        let requests = self.emulator.faults().requests();
        self.emulator.faults().plan([]);
        // A time that a fault left out is recorded before the next push.
        let sql =
            format!("select count(*) from BANKING.FRESHET.EPOCHS where \"EPOCH\" = {}", self.epoch);
        assert_eq!(number(&self.emulator.ask(&sql).await.unwrap()), 1, "{context}: EPOCHS");
        self.pushing.assert_same(decision, context).await;
        attempt.warehouse.close().await;
        // The count of the push alone, for whoever asks next.
        self.emulator.faults().plan([]);
        self.emulator.faults().count(requests);
    }
}

async fn lake() -> BankLake {
    let mut lake = BankLake::open(6, 11).await;
    lake.live(40).await;
    lake.live(25).await;
    lake
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_failure_the_tables_are_the_marts_and_the_ledger_is_true() {
    let lake = lake().await;
    let mut bench = bench(&lake).await;
    let requests = bench.requests().await;
    assert!(requests > 20, "a push of {requests} requests is not one");
    for at in 1..=requests {
        for fault in ALL {
            bench.run(&[(at, fault)], &format!("{fault:?} at {at} of {requests}")).await;
        }
    }
    // A client that repeats what got no answer, under the same id: its effect is there once.
    bench.pushing.tries = 3;
    for at in 1..=requests {
        for fault in [Fault::LostBefore, Fault::LostAfter] {
            bench.run(&[(at, fault)], &format!("{fault:?} at {at}, repeated")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_two_failures_too() {
    let lake = lake().await;
    let bench = bench(&lake).await;
    let requests = bench.requests().await;
    // Every pair of places in the long run, every seventh in a quick one; of kinds one pair each, which
    // go round, so that every pair of kinds is met several times.
    let kinds = ALL.len();
    let mut turn = 0;
    let mut pairs = 0;
    for first in 1..=requests {
        // The second may fall into the attempt that mends the first.
        for second in first + 1..=requests + 8 {
            let faults = [(first, ALL[turn / kinds % kinds]), (second, ALL[turn % kinds])];
            turn += 1;
            if long() || turn % 7 == 0 {
                bench.run(&faults, &format!("{faults:?}")).await;
                pairs += 1;
            }
        }
    }
    assert!(pairs > 50, "{pairs} pairs only");
}

/// An account that is away for a day: epochs go on, and the first push after it is one push of the
/// net change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_day_away_one_push_of_what_differs_is_enough() {
    let mut lake = BankLake::open(6, 12).await;
    for _ in 0..12 {
        lake.live(10).await;
    }
    let bench = bench(&lake).await;
    bench.emulator.faults().always(Some(Fault::LostBefore));
    let mut attempt = bench.pushing.attempt().await;
    for decision in &lake.decisions[1..] {
        assert!(bench.pushing.once(&mut attempt, decision).await.is_err());
    }
    bench.emulator.faults().always(Some(Fault::Refused));
    assert!(bench.pushing.once(&mut attempt, lake.last()).await.is_err());
    bench.emulator.faults().always(None);
    bench.pushing.until_pushed(&mut attempt, lake.last()).await;
    bench.pushing.assert_same(lake.last(), "after a day").await;
    let pushes = bench.emulator.ask("select count(*) from BANKING.FRESHET.EPOCHS").await.unwrap();
    assert_eq!(number(&pushes), 2);
}
