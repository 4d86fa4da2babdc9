//! Whoever reads all marts and the ledger in one statement sees one epoch, in which the bank's
//! balances sum to its books.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use freshet::emulator::{Emulator, Options};

use super::bank::BankLake;
use super::long;
use super::target::{Pushing, number, options, snowflake};

const MARTS: [&str; 3] = ["dim_accounts_current", "customer_summary", "account_summary"];

/// Lowest and highest epoch of the ledger, the balances by account, by summary and by customer, in
/// one statement.
const ONE_LOOK: &str = "select \
    (select min(\"EPOCH\") from BANKING.FRESHET.LEDGER) * 1000000000 + 0 as E, \
    (select max(\"EPOCH\") from BANKING.FRESHET.LEDGER) * 1000000000 + 0 as F, \
    (select coalesce(sum(BALANCE), 0) from BANKING.ANALYTICS.DIM_ACCOUNTS_CURRENT) * 100 as A, \
    (select coalesce(sum(BALANCE), 0) from BANKING.ANALYTICS.ACCOUNT_SUMMARY) * 100 as S, \
    (select coalesce(sum(TOTAL_BALANCE), 0) from BANKING.ANALYTICS.CUSTOMER_SUMMARY) * 100 as C";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_two_epochs_mixed() {
    let pushes = if long() { 1_000 } else { 60 };
    let emulator = Arc::new(Emulator::start(0, Options::default()).await.unwrap());
    let mut lake = BankLake::open(5, 21).await;
    let target = snowflake(options(&emulator, &MARTS));
    let planned = BankLake::open(1, 1).await;
    let planned = Pushing::new(&planned, target).await;
    let mut attempt = planned.on(&lake).attempt().await;
    planned.on(&lake).until_pushed(&mut attempt, lake.last()).await;
    let (over, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reader = tokio::spawn({
        let (over, looks, emulator) = (over.clone(), looks.clone(), emulator.clone());
        async move {
            let mut seen = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let rows = emulator.ask(ONE_LOOK).await.unwrap();
                let cell = |at: usize| number(&[rows[0].project(&[at]).unwrap()]);
                assert_eq!(cell(0), cell(1), "two epochs in one ledger");
                let epoch = usize::try_from(cell(0) / 1_000_000_000).unwrap();
                seen.push((epoch, [cell(2), cell(3), cell(4)]));
                looks.fetch_add(1, Ordering::Relaxed);
                // Leaves the pushes a core of their own.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            seen
        }
    });
    for _ in 0..pushes {
        lake.live(2).await;
        planned.on(&lake).until_pushed(&mut attempt, lake.last()).await;
    }
    over.store(true, Ordering::Relaxed);
    let seen = reader.await.unwrap();
    assert!(looks.load(Ordering::Relaxed) > pushes / 2, "the reader hardly looked");
    for (epoch, sums) in seen {
        let books = lake.books[epoch - 1];
        assert_eq!(sums, [books; 3], "epoch {epoch}");
    }
    planned.on(&lake).assert_same(lake.last(), "in the end").await;
}
