//! What goes beside the marts: RAW, history that is taken over, a local file, logins and setup.

use std::collections::BTreeSet;

use freshet::emulator::faults::Fault;
use freshet::emulator::{Emulator, Options};
use freshet::publish::import;
use freshet::publish::options::{Authenticator, Local, Policy, Raw, StageEncryption};
use freshet::publish::snowflake::setup;
use freshet::publish::target::Target;

use super::bank::BankLake;
use super::target::{Pushing, number, options, snowflake, texts};

const MARTS: [&str; 2] = ["fact_transactions", "dim_accounts_current"];
const CUSTOMERS: [&str; 2] = ["dim_customers", "customer_segments"];

async fn emulator() -> Emulator {
    Emulator::start(0, Options { lock_timeout_ms: 40, ..Options::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_holds_every_event_once_and_stages_may_be_encrypted() {
    let emulator = emulator().await;
    let mut lake = BankLake::open(5, 37).await;
    let raw = Raw {
        schema: "RAW".to_owned(),
        column: "V".to_owned(),
        time_column: "INGESTED_AT".to_owned(),
        tables: Vec::new(),
    };
    let mut wanted = options(&emulator, &MARTS);
    let marts_alone = Pushing::new(&lake, snowflake(wanted.clone())).await;
    let mut attempt = marts_alone.attempt().await;
    marts_alone.until_pushed(&mut attempt, lake.last()).await;
    attempt.warehouse.close().await;
    lake.live(6).await;
    wanted.raw = Some(raw);
    wanted.stage_encryption = StageEncryption::Full;
    let target = snowflake(wanted);
    // Rows of the stack before stay alone until somebody says so.
    emulator
        .ask("create table RAW.ACCOUNTS (\"V\" variant, \"INGESTED_AT\" timestamp_ntz)")
        .await
        .unwrap();
    emulator
        .ask("insert into RAW.ACCOUNTS values ('{\"id\":1,\"__op\":\"r\"}', null)")
        .await
        .unwrap();
    let pushing = Pushing::new(&lake, target.clone()).await;
    let mut attempt = pushing.attempt().await;
    let refused = pushing.once(&mut attempt, lake.last()).await.unwrap_err().to_string();
    assert!(refused.contains("RAW.ACCOUNTS"), "{refused}");
    attempt.adopted = BTreeSet::from(["RAW.ACCOUNTS".to_owned()]);
    for _ in 0..4 {
        let pushing = Pushing::new(&lake, target.clone()).await;
        pushing.until_pushed(&mut attempt, lake.last()).await;
        lake.live(6).await;
    }
    let pushing = Pushing::new(&lake, target).await;
    emulator.faults().plan([(14, Fault::GoneAfter), (30, Fault::LostAfter)]);
    pushing.until_pushed(&mut attempt, lake.last()).await;
    emulator.faults().plan([]);
    let mut total = 0;
    for table in ["CUSTOMERS", "ACCOUNTS", "TRANSACTIONS"] {
        let rows = emulator.ask(&format!("select count(*) from RAW.{table}")).await.unwrap();
        let stored = lake.last().tables[&format!("raw/{}", table.to_lowercase())].version;
        assert!(stored > 0);
        total += number(&rows);
        let documents = emulator.ask(&format!("select V from RAW.{table}")).await.unwrap();
        for text in texts(&documents) {
            let row: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(row["id"].is_number() && row["__op"].is_string(), "{text}");
        }
    }
    assert_eq!(total as u64, lake.last().totals.events + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_taken_over_before_the_first_push() {
    let emulator = emulator().await;
    let lake = BankLake::open(6, 38).await;
    let history = "create table SNAPSHOTS.CUSTOMERS_SNAPSHOT (\"CUSTOMER_ID\" varchar, \
        \"FIRST_NAME\" varchar, \"LAST_NAME\" varchar, \"EMAIL\" varchar, \"CREATED_AT\" timestamp_ntz, \
        \"LOAD_TIMESTAMP\" timestamp_ntz, \"DBT_SCD_ID\" varchar, \"DBT_UPDATED_AT\" timestamp_ntz, \
        \"DBT_VALID_FROM\" timestamp_ntz, \"DBT_VALID_TO\" timestamp_ntz)";
    emulator.ask(history).await.unwrap();
    let (planned, _) = lake.planned().await;
    let snapshot = planned.models.iter().find(|m| m.name == "customers_snapshot").unwrap();
    let spec = &snapshot.snapshot.as_ref().unwrap().spec;
    // Customer 1: an older version, then one that may go on; customer 999 is long gone. Customer 2
    // has a version in the future: what the source told before it is told already.
    let known = "select CUSTOMER_ID, FIRST_NAME, LAST_NAME, EMAIL from ANALYTICS.DIM_CUSTOMERS where CUSTOMER_ID = '1'";
    let target = snowflake(options(&emulator, &CUSTOMERS));
    let pushing = Pushing::new(&lake, target.clone()).await;
    let mut attempt = pushing.attempt().await;
    pushing.until_pushed(&mut attempt, lake.last()).await;
    assert_eq!(texts(&emulator.ask(known).await.unwrap()), ["1"]);
    for values in [
        "select '1', 'Old', LAST_NAME, EMAIL, null as C, null as L, 'a', '2020-01-01 00:00:00' as U, '2020-01-01 00:00:00' as F, '2021-01-01 00:00:00' as T from ANALYTICS.DIM_CUSTOMERS where CUSTOMER_ID = '1'",
        "select '1', FIRST_NAME, LAST_NAME, EMAIL, null as C, null as L, 'b', '2021-01-01 00:00:00' as U, '2021-01-01 00:00:00' as F, null as T from ANALYTICS.DIM_CUSTOMERS where CUSTOMER_ID = '1'",
        "select '2', 'Later', LAST_NAME, EMAIL, null as C, null as L, 'd', '2020-01-01 00:00:00' as U, '2020-01-01 00:00:00' as F, '2027-01-01 00:00:00' as T from ANALYTICS.DIM_CUSTOMERS where CUSTOMER_ID = '2'",
        "values ('999', 'Gone', 'Gone', 'g@x', null, null, 'c', '2019-01-01 00:00:00', '2019-01-01 00:00:00', null)",
    ] {
        emulator.ask(&format!("insert into SNAPSHOTS.CUSTOMERS_SNAPSHOT {values}")).await.unwrap();
    }
    let store = lake.store();
    let warehouse = attempt.warehouse.as_mut();
    let table = "SNAPSHOTS.CUSTOMERS_SNAPSHOT";
    let done = import::import(warehouse, &store, "customers_snapshot", spec, table).await.unwrap();
    assert_eq!((done.versions, done.open), (4, 2));
    let again = import::import(warehouse, &store, "customers_snapshot", spec, table).await;
    assert!(again.unwrap_err().to_string().contains("taken over before"));
    warehouse.close().await;

    let mut lake = lake.reopen(None).await;
    assert!(lake.pipeline.wants_rebuild());
    lake.live(3).await;
    let pushing = Pushing::new(&lake, target).await;
    let mut attempt = pushing.attempt().await;
    pushing.until_pushed(&mut attempt, lake.last()).await;
    pushing.assert_same(lake.last(), "with its history").await;
    let ask = async |sql: &str| texts(&emulator.ask(sql).await.unwrap());
    let versions = "select FIRST_NAME from ANALYTICS.DIM_CUSTOMERS where CUSTOMER_ID = '1' and EFFECTIVE_FROM < '2025-01-01 00:00:00' order by EFFECTIVE_FROM";
    assert_eq!(ask(versions).await.len(), 2);
    let gone =
        "select cast(IS_CURRENT as varchar) from ANALYTICS.DIM_CUSTOMERS where CUSTOMER_ID = '999'";
    assert_eq!(ask(gone).await, ["false"]);
}

/// The same lake to a SQLite file: the other target of the same face.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_file_holds_the_same_rows_and_refuses_the_same_things() {
    let mut lake = BankLake::open(20, 39).await;
    let path = lake.folder.path().join("warehouse.sqlite");
    let target = Target::Local(Local { path: path.clone(), policy: Policy::default() });
    let mut attempt = Pushing::new(&lake, target.clone()).await.attempt().await;
    for epoch in 0..15 {
        if epoch > 0 {
            lake.live(5).await;
        }
        let pushing = Pushing::new(&lake, target.clone()).await;
        assert!(pushing.until_pushed(&mut attempt, lake.last()).await.is_empty());
        pushing.assert_same(lake.last(), &format!("epoch {epoch}")).await;
    }
    let other = BankLake::open(3, 40).await;
    let pushing = Pushing::new(&other, target).await;
    let mut attempt = pushing.attempt().await;
    let refused = pushing.once(&mut attempt, other.last()).await.unwrap_err().to_string();
    assert!(refused.contains("another lake"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_needs_the_right_secret_and_the_setup_asks_for_little() {
    let options_of = Options { secret: Some("rose".to_owned()), ..Options::default() };
    let emulator = Emulator::start(0, options_of).await.unwrap();
    let lake = BankLake::open(3, 41).await;
    let pushing = Pushing::new(&lake, snowflake(options(&emulator, &MARTS))).await;
    let mut attempt = pushing.attempt().await;
    let refused = pushing.once(&mut attempt, lake.last()).await.unwrap_err();
    assert!(refused.to_string().contains("390100") && !refused.to_string().contains("tulip"));
    assert_eq!(refused.exit_code(), 3);
    let Target::Snowflake(target, _) = &pushing.target else { panic!("not Snowflake") };
    let target = freshet::publish::options::Snowflake {
        authenticator: Authenticator::KeyPair,
        ..target.as_ref().clone()
    };
    let script = setup::script(&target, &pushing.contracts, Some("REPORT"));
    for wanted in [
        "AUTO_SUSPEND = 60",
        "RSA_PUBLIC_KEY",
        "TYPE = SERVICE",
        "QUERY_TAG",
        "Key of the transaction",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
    for unwanted in ["ACCOUNTADMIN", "OWNERSHIP", "ALL PRIVILEGES"] {
        assert!(!script.contains(unwanted), "{unwanted}");
    }
}
