//! Targets that are not ours, keys and columns, zombies, two instances.

use std::collections::BTreeSet;
use std::time::Duration;

use freshet::cli::bank_project;
use freshet::emulator::faults::Fault;
use freshet::emulator::{Emulator, Options};
use freshet::publish::attempt::Ended;

use super::bank::BankLake;
use super::target::{Pushing, counts, number, options, snowflake};

const MARTS: [&str; 2] = ["fact_transactions", "dim_accounts_current"];
const CUSTOMERS: [&str; 2] = ["dim_customers", "customer_segments"];

async fn emulator() -> Emulator {
    Emulator::start(0, Options { lock_timeout_ms: 40, ..Options::default() }).await.unwrap()
}

/// Every mart, epoch by epoch, by merges, replaced keys and whole tables: what travels is what
/// changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_marts_follow_and_only_changed_rows_travel() {
    let emulator = emulator().await;
    let mut lake = BankLake::open(30, 31).await;
    let target = snowflake(options(&emulator, &[]));
    let mut attempt = Pushing::new(&lake, target.clone()).await.attempt().await;
    for epoch in 0..12 {
        if epoch > 0 {
            lake.live(4).await;
        }
        let pushing = Pushing::new(&lake, target.clone()).await;
        assert!(pushing.until_pushed(&mut attempt, lake.last()).await.is_empty());
        pushing.assert_same(lake.last(), &format!("epoch {epoch}")).await;
    }
    let last = emulator
        .ask("select \"ROWS_SENT\" from BANKING.FRESHET.EPOCHS order by \"EPOCH\" desc limit 1")
        .await
        .unwrap();
    let stored: u64 = lake
        .last()
        .tables
        .iter()
        .filter(|(p, _)| p.starts_with("marts/"))
        .map(|(_, t)| t.rows)
        .sum();
    assert!((number(&last) as u64) < stored / 2, "{} of {stored} rows", number(&last));
    let late =
        emulator.ask("select count(*) from BANKING.FRESHET.EPOCHS where \"VISIBLE_AT\" is null");
    assert_eq!(number(&late.await.unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_not_ours_stay_until_somebody_says_so() {
    let emulator = emulator().await;
    let lake = BankLake::open(5, 32).await;
    let pushing = Pushing::new(&lake, snowflake(options(&emulator, &MARTS))).await;
    emulator
        .ask("create table ANALYTICS.DIM_ACCOUNTS_CURRENT (\"ACCOUNT_ID\" varchar)")
        .await
        .unwrap();
    let theirs = "insert into ANALYTICS.DIM_ACCOUNTS_CURRENT values ('theirs')";
    emulator.ask(theirs).await.unwrap();
    let mut attempt = pushing.attempt().await;
    let refused = pushing.once(&mut attempt, lake.last()).await.unwrap_err().to_string();
    assert!(
        refused.contains("DIM_ACCOUNTS_CURRENT") && refused.contains("--overwrite"),
        "{refused}"
    );
    let found = counts(&emulator, &["DIM_ACCOUNTS_CURRENT", "FACT_TRANSACTIONS"]).await;
    assert_eq!((found["DIM_ACCOUNTS_CURRENT"], found["FACT_TRANSACTIONS"]), (1, -1));
    attempt.adopted = BTreeSet::from(["DIM_ACCOUNTS_CURRENT".to_owned()]);
    pushing.until_pushed(&mut attempt, lake.last()).await;
    pushing.assert_same(lake.last(), "taken over").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_lake_is_refused_and_rows_that_others_changed_are_found() {
    let emulator = emulator().await;
    let (mut one, two) = (BankLake::open(60, 33).await, BankLake::open(5, 34).await);
    let target = snowflake(options(&emulator, &MARTS));
    let pushing = Pushing::new(&one, target.clone()).await;
    let mut attempt = pushing.attempt().await;
    pushing.until_pushed(&mut attempt, one.last()).await;
    let other = Pushing::new(&two, target.clone()).await;
    let mut strange = other.attempt().await;
    let refused = other.once(&mut strange, two.last()).await.unwrap_err().to_string();
    assert!(refused.contains("another lake") && refused.contains("reset"), "{refused}");

    emulator
        .ask("delete from ANALYTICS.DIM_ACCOUNTS_CURRENT where ACCOUNT_ID like '1_'")
        .await
        .unwrap();
    let found = pushing.compare(one.last()).await;
    let accounts = found.iter().find(|f| f.table == "DIM_ACCOUNTS_CURRENT").unwrap();
    assert!(!accounts.same && accounts.keys.iter().any(|(key, _)| key == "10"), "{accounts:?}");
    // A push that touches a row which is gone changes nothing and says so.
    let mut failure = None;
    for _ in 0..40 {
        one.live(6).await;
        let pushing = Pushing::new(&one, target.clone()).await;
        if let Err(error) = pushing.once(&mut attempt, one.last()).await {
            failure = Some(error.to_string());
            break;
        }
    }
    let failure = failure.unwrap_or_else(|| panic!("no epoch touched an account that is gone"));
    assert!(failure.contains("DIM_ACCOUNTS_CURRENT") && failure.contains("verify"), "{failure}");
    attempt.warehouse.forget(&["DIM_ACCOUNTS_CURRENT".to_owned()], false).await.unwrap();
    attempt.known = None;
    attempt.adopted = BTreeSet::from(["DIM_ACCOUNTS_CURRENT".to_owned()]);
    let pushing = Pushing::new(&one, target).await;
    pushing.until_pushed(&mut attempt, one.last()).await;
    pushing.assert_same(one.last(), "written whole").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_column_is_added_and_a_dropped_one_refused() {
    let emulator = emulator().await;
    let lake = BankLake::open(8, 35).await;
    let target = snowflake(options(&emulator, &CUSTOMERS));
    let mut attempt = Pushing::new(&lake, target.clone()).await.attempt().await;
    Pushing::new(&lake, target.clone()).await.until_pushed(&mut attempt, lake.last()).await;
    attempt.warehouse.close().await;

    let mut files: std::collections::BTreeMap<String, String> =
        bank_project::FILES.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
    let edit = |files: &mut std::collections::BTreeMap<String, String>, from: &str, to: &str| {
        let text = files.get_mut("marts/customer_segments.sql").unwrap();
        assert!(text.contains(from), "{text}");
        *text = text.replacen(from, to, 1);
    };
    edit(
        &mut files,
        "from {{ ref('customer_summary') }}",
        ", 7 as seven from {{ ref('customer_summary') }}",
    );
    let mut lake = lake.reopen(Some(load(&files))).await;
    lake.live(5).await;
    let pushing = Pushing::new(&lake, target.clone()).await;
    let mut attempt = pushing.attempt().await;
    pushing.until_pushed(&mut attempt, lake.last()).await;
    pushing.assert_same(lake.last(), "a column more").await;
    attempt.warehouse.close().await;

    edit(&mut files, ", 7 as seven ", "");
    let mut lake = lake.reopen(Some(load(&files))).await;
    lake.live(5).await;
    let pushing = Pushing::new(&lake, target).await;
    let mut attempt = pushing.attempt().await;
    let refused = pushing.once(&mut attempt, lake.last()).await.unwrap_err().to_string();
    assert!(refused.contains("SEVEN") && refused.contains("DROP COLUMN"), "{refused}");
    attempt.policy.allow_dropped_columns = true;
    pushing.until_pushed(&mut attempt, lake.last()).await;
    pushing.assert_same(lake.last(), "a column less").await;
}

/// A mart without a key is sent whole; one whose key is not unique has its touched keys replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_may_be_absent_or_not_unique() {
    for (key, sent_whole) in [("", true), (", unique_key='segment'", false)] {
        let emulator = emulator().await;
        let lake = BankLake::open(40, 42).await;
        let mut files: std::collections::BTreeMap<String, String> =
            bank_project::FILES.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        let text = files.get_mut("marts/customer_segments.sql").unwrap();
        *text = text.replacen(", unique_key='customer_id'", key, 1);
        assert!(!text.contains("unique_key='customer_id'"), "{text}");
        let mut lake = lake.reopen(Some(load(&files))).await;
        lake.live(1).await;
        let target = snowflake(options(&emulator, &["customer_segments"]));
        let pushing = Pushing::new(&lake, target.clone()).await;
        let mut attempt = pushing.attempt().await;
        pushing.until_pushed(&mut attempt, lake.last()).await;
        for _ in 0..6 {
            lake.live(3).await;
            let pushing = Pushing::new(&lake, target.clone()).await;
            assert!(pushing.until_pushed(&mut attempt, lake.last()).await.is_empty());
            pushing.assert_same(lake.last(), key).await;
        }
        if sent_whole {
            let last = "select \"ROWS_SENT\" from BANKING.FRESHET.EPOCHS \
                order by \"EPOCH\" desc limit 1";
            let rows = lake.last().tables["marts/customer_segments"].rows as i64;
            assert_eq!(number(&emulator.ask(last).await.unwrap()), rows);
        }
    }
}

fn load(files: &std::collections::BTreeMap<String, String>) -> freshet_sql::project::Project {
    let target = freshet::pipeline::project::target();
    freshet_sql::project::Project::load(files, &Default::default(), &|_| None, &target).unwrap()
}

/// The way of a later generation: an older instance is told, and changes nothing; a transaction that
/// a killed one left open is ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_instances_the_older_is_fenced_and_a_zombies_lock_is_broken() {
    let emulator = emulator().await;
    let mut lake = BankLake::open(5, 36).await;
    let target = snowflake(options(&emulator, &MARTS));
    let mut old = Pushing::new(&lake, target.clone()).await.attempt().await;
    Pushing::new(&lake, target.clone()).await.until_pushed(&mut old, lake.last()).await;
    lake.live(5).await;
    // Killed inside its transaction: the session stays, with its lock.
    let requests = {
        emulator.faults().plan([]);
        let snapshot = emulator.snapshot().await;
        let pushing = Pushing::new(&lake, target.clone()).await;
        let mut probe = pushing.attempt().await;
        pushing.until_pushed(&mut probe, lake.last()).await;
        let requests = emulator.faults().requests();
        probe.warehouse.close().await;
        emulator.restore(&snapshot).await;
        requests
    };
    let pushing = Pushing::new(&lake, target.clone()).await;
    let mut killed = pushing.attempt().await;
    // From the middle of the transaction on, nothing is answered: not even the logout.
    emulator.faults().plan((requests - 6..requests + 40).map(|n| (n, Fault::LostBefore)));
    assert!(pushing.once(&mut killed, lake.last()).await.is_err());
    std::mem::forget(killed);
    emulator.faults().plan([]);
    let mut newer = Pushing::new(&lake, target.clone()).await;
    newer.generation = 2;
    let mut attempt = newer.attempt().await;
    newer.until_pushed(&mut attempt, lake.last()).await;
    newer.assert_same(lake.last(), "over a zombie").await;
    lake.live(5).await;
    let pushing = Pushing::new(&lake, target).await;
    let mut old = pushing.attempt().await;
    let ended = pushing.once(&mut old, lake.last()).await.unwrap();
    assert_eq!(ended, Ended::Fenced(2));
}

/// An instance that sleeps inside its transaction, is ended from outside, and goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_wakes_up_in_the_middle_changes_nothing() {
    let emulator = emulator().await;
    let mut lake = BankLake::open(20, 43).await;
    let target = snowflake(options(&emulator, &MARTS));
    let mut first = Pushing::new(&lake, target.clone()).await.attempt().await;
    Pushing::new(&lake, target.clone()).await.until_pushed(&mut first, lake.last()).await;
    first.warehouse.close().await;
    lake.live(5).await;
    let old = lake.last().clone();
    lake.live(5).await;
    let mut total = 0;
    for at in 8..30 {
        let snapshot = emulator.snapshot().await;
        let sleeper = Pushing::new(&lake, target.clone()).await;
        let mut attempt = sleeper.attempt().await;
        emulator.faults().plan([(at, Fault::Sleeps)]);
        let (slept, ()) = tokio::join!(sleeper.once(&mut attempt, &old), async {
            let asleep = emulator.faults().asleep();
            tokio::time::timeout(Duration::from_secs(20), asleep).await.expect("it sleeps");
            let mut newer = Pushing::new(&lake, target.clone()).await;
            newer.generation = 2;
            let mut attempt = newer.attempt().await;
            newer.until_pushed(&mut attempt, lake.last()).await;
            attempt.warehouse.close().await;
            emulator.faults().wake();
        });
        attempt.warehouse.close().await;
        emulator.faults().plan([]);
        let context = format!("asleep at {at}: {slept:?}");
        let mut newer = Pushing::new(&lake, target.clone()).await;
        newer.generation = 2;
        newer.assert_same(lake.last(), &context).await;
        total += usize::from(!matches!(slept, Ok(Ended::Pushed(_))));
        emulator.restore(&snapshot).await;
    }
    assert!(total > 10, "the sleeper was hardly met in its transaction");
}

/// A column of another type is refused with what would change it, and changed when that is allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_of_another_type_is_changed_only_where_it_may_be() {
    let emulator = emulator().await;
    let lake = BankLake::open(5, 44).await;
    emulator
        .ask("create table ANALYTICS.DIM_ACCOUNTS_CURRENT (\"ACCOUNT_ID\" varchar, \"BALANCE\" float)")
        .await
        .unwrap();
    let pushing = Pushing::new(&lake, snowflake(options(&emulator, &MARTS))).await;
    let mut attempt = pushing.attempt().await;
    let refused = pushing.once(&mut attempt, lake.last()).await.unwrap_err().to_string();
    assert!(refused.contains("BALANCE") && refused.contains("ADD COLUMN"), "{refused}");
    attempt.policy.allow_type_changes = true;
    pushing.until_pushed(&mut attempt, lake.last()).await;
    pushing.assert_same(lake.last(), "money is a number").await;
}
