//! The emulator's SQL, and the rules of its transactions.

use std::sync::Arc;

use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::answer::Outcome;
use super::{Emulator, Options, Shared, statements};

async fn started() -> Emulator {
    Emulator::start(0, Options { lock_timeout_ms: 50, ..Options::default() }).await.unwrap()
}

/// A session without HTTP around it.
async fn session(emulator: &Emulator) -> u64 {
    emulator.shared.world.lock().await.sessions.open().0
}

async fn run(shared: &Arc<Shared>, session: u64, sql: &str) -> Outcome {
    statements::run(shared, Some(session), sql).await
}

/// Rows as texts, in their order.
async fn rows(emulator: &Emulator, session: u64, sql: &str) -> Vec<String> {
    let done = run(&emulator.shared, session, sql).await;
    let done = done.unwrap_or_else(|refused| panic!("{sql}: {}", refused.message));
    let options = FormatOptions::default().with_null("-");
    let mut texts = Vec::new();
    for batch in &done.batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|c| {
                ArrayFormatter::try_new(c.as_ref(), &options).unwrap().value(row).to_string()
            });
            texts.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    texts
}

const TABLES: [&str; 4] = [
    "create table A.T (\"K\" varchar, \"N\" number(18,2), \"AT\" timestamp_ntz(6))",
    "insert into A.T (K, N) values ('a', 1.5), ('b', 2), (null, 3)",
    "create or replace temporary table A.S (\"K\" varchar, \"N\" number(18,2), \"AT\" timestamp_ntz(6), \"_OP\" varchar)",
    "insert into A.S values ('a', 9.25, '2026-01-02 03:04:05.000006', 'U'), (null, 0, null, 'D'), ('c', 7, null, 'U')",
];
const MERGE: &str = "MERGE INTO \"BANKING\".\"A\".\"T\" AS T USING \"BANKING\".\"A\".\"S\" AS S \
    ON T.\"K\" IS NOT DISTINCT FROM S.\"K\" WHEN MATCHED AND S.\"_OP\" = 'D' THEN DELETE \
    WHEN MATCHED AND S.\"_OP\" = 'U' THEN UPDATE SET \"K\" = S.\"K\", \"N\" = S.\"N\", \"AT\" = S.\"AT\" \
    WHEN NOT MATCHED AND S.\"_OP\" = 'U' THEN INSERT (\"K\", \"N\", \"AT\") VALUES (S.\"K\", S.\"N\", S.\"AT\")";
const ALL: &str = "select K, N, \"AT\" from A.T order by K nulls last";

#[tokio::test]
async fn a_merge_deletes_updates_and_inserts_by_a_key_that_may_be_null() {
    let emulator = started().await;
    let s = session(&emulator).await;
    for sql in TABLES {
        rows(&emulator, s, sql).await;
    }
    assert_eq!(rows(&emulator, s, MERGE).await, ["1 1 1"]);
    let wanted = ["a 9.25 2026-01-02T03:04:05.000006", "b 2.00 -", "c 7.00 -"];
    assert_eq!(rows(&emulator, s, ALL).await, wanted);
    let deleted = "delete from A.T as T using A.S as S where S.\"_OP\" = 'U' and T.K is not distinct from S.K";
    assert_eq!(rows(&emulator, s, deleted).await, ["2"]);
    assert_eq!(rows(&emulator, s, "insert overwrite into A.T (K) select K from A.S").await, ["3"]);
    assert_eq!(rows(&emulator, s, "update A.T set N = 4 where K = 'a'").await, ["1"]);
    assert_eq!(rows(&emulator, s, "select count(*), sum(N) from A.T").await, ["3 4.00"]);
}

#[tokio::test]
async fn two_source_rows_for_one_target_are_an_error() {
    let emulator = started().await;
    let s = session(&emulator).await;
    for sql in TABLES {
        rows(&emulator, s, sql).await;
    }
    rows(&emulator, s, "insert into A.S values ('a', 1, null, 'U')").await;
    let refused = run(&emulator.shared, s, MERGE).await.unwrap_err();
    assert_eq!(refused.code, "100090");
    assert_eq!(rows(&emulator, s, "select count(*) from A.T").await, ["3"]);
}

#[tokio::test]
async fn a_transaction_is_seen_when_it_commits_and_locks_what_it_writes() {
    let emulator = started().await;
    let (one, two) = (session(&emulator).await, session(&emulator).await);
    rows(&emulator, one, TABLES[0]).await;
    rows(&emulator, one, "begin transaction name \"freshet/x\"").await;
    rows(&emulator, one, TABLES[1]).await;
    assert_eq!(rows(&emulator, one, "select count(*) from A.T").await, ["3"]);
    assert_eq!(rows(&emulator, two, "select count(*) from A.T").await, ["0"]);
    let locked = run(&emulator.shared, two, "delete from A.T").await.unwrap_err();
    assert_eq!(locked.code, "000625");
    assert!(run(&emulator.shared, one, "select nothing from A.T").await.is_err());
    rows(&emulator, one, "commit").await;
    assert_eq!(rows(&emulator, two, "select count(*) from A.T").await, ["3"]);
}

#[tokio::test]
async fn a_transaction_can_be_ended_by_another_session_and_ddl_commits() {
    let emulator = started().await;
    let (one, two) = (session(&emulator).await, session(&emulator).await);
    rows(&emulator, one, TABLES[0]).await;
    rows(&emulator, one, "begin transaction name \"freshet/x\"").await;
    rows(&emulator, one, TABLES[1]).await;
    let open = rows(&emulator, two, "show transactions").await;
    assert_eq!(open, [format!("1 {one} freshet/x")]);
    rows(&emulator, two, "select SYSTEM$ABORT_TRANSACTION(1)").await;
    assert_eq!(rows(&emulator, one, "select count(*) from A.T").await, ["0"]);
    rows(&emulator, one, "begin").await;
    rows(&emulator, one, TABLES[1]).await;
    rows(&emulator, one, "alter table A.T add column \"MORE\" boolean").await;
    rows(&emulator, one, "rollback").await;
    let found = rows(&emulator, two, "select count(*), count(MORE) from A.T").await;
    assert_eq!(found, ["3 0"]);
}

#[tokio::test]
async fn columns_are_told_and_hashes_are_snowflakes() {
    let emulator = started().await;
    let s = session(&emulator).await;
    rows(&emulator, s, TABLES[0]).await;
    let columns = "select COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE from \
        \"BANKING\".INFORMATION_SCHEMA.COLUMNS where TABLE_SCHEMA = 'A' order by ORDINAL_POSITION";
    let wanted = ["K TEXT - -", "N NUMBER 18 2", "AT TIMESTAMP_NTZ - -"];
    assert_eq!(rows(&emulator, s, columns).await, wanted);
    let hash = "select MD5_NUMBER_LOWER64('Snowflake')";
    assert_eq!(rows(&emulator, s, hash).await, ["9203306159527282910"]);
    let texts = "select TO_VARCHAR(cast('2026-01-02 03:04:05.5' as timestamp_ntz), \
        'YYYY-MM-DD HH24:MI:SS.FF6'), CHR(92), cast(cast(1.5 as number(18,2)) as varchar)";
    assert_eq!(rows(&emulator, s, texts).await, ["2026-01-02 03:04:05.500000 \\ 1.50"]);
}
