//! One push: rows are staged and loaded first, then one transaction moves tables and ledger.
//!
//! Any refusal rolls back; any lost answer ends the session, and the next attempt reads the ledger.
//! What the server says it deleted, updated and inserted must be what the change says.

use tokio::time::Instant;

use super::answer::{Refusal, Rows};
use super::load::{bare, load_all, raw_load};
use super::session::Failure;
use super::{Snowflake, zombies};
use crate::error::Result;
use crate::failpoint;
use crate::publish::moves::{Move, Push, RawMove, TableMove};
use crate::publish::warehouse::{Cost, Pushed};

/// While a push is in its transaction nothing commits by itself: were the transaction ended from
/// outside, the statements behind it would else take effect one by one.
const AUTOCOMMIT_OFF: &str = "ALTER SESSION SET AUTOCOMMIT = FALSE";
const AUTOCOMMIT_ON: &str = "ALTER SESSION SET AUTOCOMMIT = TRUE";
const WHICH: &str = "SELECT CURRENT_TRANSACTION()";

/// Why the transaction did not commit.
enum Stop {
    Failure(Failure),
    Ended(Pushed),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Pushes; see the trait.
pub async fn push(snowflake: &mut Snowflake, push: &Push) -> Result<Pushed> {
    let before = snowflake.requests();
    let mut cost = Cost { rows: push.rows_sent() as u64, ..Cost::default() };
    let began = Instant::now();
    let staged = load_all(snowflake, push, &mut cost).await;
    if let Err(error) = staged {
        snowflake.drop_session().await;
        return Err(error);
    }
    let ended = match transaction(snowflake, push).await {
        Ok(()) => {
            cost.warehouse_seconds = began.elapsed().as_secs_f64();
            // It is committed: what fails from here on is mended by the next push.
            if let Err(error) = tidy(snowflake, push).await {
                tracing::warn!(%error, "pushed; the time it became visible is recorded later");
            }
            cost.requests += snowflake.requests() - before;
            return Ok(Pushed::Done(cost));
        }
        Err(Stop::Ended(ended)) => Ok(ended),
        Err(Stop::Failure(failure)) => {
            let refused = matches!(failure, Failure::Refused(_));
            let error = failure.into_error("a push");
            if !refused {
                snowflake.lost.insert(push.id.clone());
                snowflake.drop_session().await;
                return Err(error);
            }
            Err(error)
        }
    };
    if roll_back(snowflake).await.is_err() {
        snowflake.drop_session().await;
    }
    ended
}

async fn roll_back(snowflake: &mut Snowflake) -> std::result::Result<(), Failure> {
    if let Some(session) = snowflake.session.as_mut() {
        session.run("ROLLBACK").await?;
        session.run(AUTOCOMMIT_ON).await?;
    }
    Ok(())
}

/// The moment at which the push became visible is told, and its files go.
async fn tidy(snowflake: &mut Snowflake, push: &Push) -> Result<()> {
    snowflake.run(AUTOCOMMIT_ON, "letting statements commit again").await?;
    let visible = snowflake.names.visible();
    snowflake.run(&visible, "recording when a push became visible").await?;
    // The first push of a process also takes what an earlier one left behind.
    let all = std::mem::take(&mut snowflake.time_due);
    failpoint::hit("pushed");
    let own = if all { String::new() } else { format!("{}/", push.id) };
    let remove = format!("REMOVE {}", snowflake.names.staged(&format!("{}/{own}", push.lake)));
    snowflake.run(&remove, "removing staged files").await.map(|_| ())
}

async fn say(snowflake: &mut Snowflake, sql: &str) -> std::result::Result<Rows, Failure> {
    let session = snowflake.session.as_mut();
    session.ok_or(Failure::SessionGone)?.run(sql).await
}

/// BEGIN and the lock. A transaction that an earlier life of this lake left open is ended first.
async fn begin(snowflake: &mut Snowflake, push: &Push) -> std::result::Result<(), Failure> {
    let begin = zombies::begin(push);
    let lock = snowflake.names.lock();
    say(snowflake, AUTOCOMMIT_OFF).await?;
    say(snowflake, &begin).await?;
    match say(snowflake, &lock).await {
        Err(Failure::Refused(refusal)) if zombies::is_locked(&refusal) => {
            say(snowflake, "ROLLBACK").await?;
            if !zombies::end(snowflake, push).await? {
                return Err(Failure::Refused(refusal));
            }
            say(snowflake, &begin).await?;
            say(snowflake, &lock).await.map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

async fn transaction(snowflake: &mut Snowflake, push: &Push) -> std::result::Result<(), Stop> {
    begin(snowflake, push).await?;
    failpoint::hit("locked");
    let which = say(snowflake, WHICH).await?;
    let facts = snowflake.names.facts();
    let rows = say(snowflake, &facts).await?;
    let facts = super::read_facts(&rows).map_err(|e| Stop::Failure(Failure::Lost(e)))?;
    if facts.generation > push.generation {
        return Err(Stop::Ended(Pushed::Fenced(facts.generation)));
    }
    let strange = facts.lake.as_ref().is_some_and(|lake| *lake != push.lake);
    if strange || facts.pushed() != push.from || !push.stands_on(&facts) {
        return Err(Stop::Ended(Pushed::Moved));
    }
    if snowflake.time_due {
        // A crash left out when the push before became visible: before this one does, at the latest.
        let visible = snowflake.names.visible();
        say(snowflake, &visible).await?;
    }
    for table in &push.tables {
        apply(snowflake, table).await?;
        failpoint::hit("moved");
    }
    for raw in &push.raw {
        append(snowflake, raw).await?;
    }
    let ledger = snowflake.names.ledger(&push.ledger(), &push.id);
    for sql in ledger {
        say(snowflake, &sql).await?;
    }
    let sign = snowflake.names.sign(push.generation, &push.lake);
    say(snowflake, &sign).await?;
    if push.from != Some(push.to) {
        let epoch = snowflake.names.epoch(push);
        say(snowflake, &epoch).await?;
    }
    failpoint::hit("committing");
    // Whoever ended our transaction from outside has pushed since: what is open now is a half.
    if say(snowflake, WHICH).await?.single() != which.single() {
        return Err(Stop::Ended(Pushed::Moved));
    }
    say(snowflake, "COMMIT").await?;
    failpoint::hit("pushed");
    Ok(())
}

/// Changes one mart, and compares the server's counts with what must have happened.
async fn apply(snowflake: &mut Snowflake, table: &TableMove) -> std::result::Result<(), Stop> {
    let contract = &table.contract;
    let mut expected: Vec<(&str, usize)> = Vec::new();
    let mut counts = Vec::new();
    let inserted = "number of rows inserted";
    match &table.what {
        Move::Overwrite { rows, .. } => {
            let sql = snowflake.names.overwrite(contract);
            let done = say(snowflake, &sql).await?;
            expected.push((inserted, rows.iter().map(|b| b.num_rows()).sum()));
            counts.push(done.count(inserted));
        }
        Move::Merge(change) => {
            let sql = snowflake.names.merge(contract);
            let done = say(snowflake, &sql).await.map_err(|f| not_unique(f, &contract.table))?;
            for (name, rows) in [
                (inserted, change.inserts.num_rows()),
                ("number of rows updated", change.updates.num_rows()),
                ("number of rows deleted", change.deletes.num_rows()),
            ] {
                expected.push((name, rows));
                counts.push(done.count(name));
            }
        }
        Move::Replace { rows, before, .. } => {
            let sql = snowflake.names.delete_keys(contract);
            let deleted = "number of rows deleted";
            expected.push((deleted, *before));
            counts.push(say(snowflake, &sql).await?.count(deleted));
            let sql = snowflake.names.insert_rows(contract);
            expected.push((inserted, rows.num_rows()));
            counts.push(say(snowflake, &sql).await?.count(inserted));
        }
    }
    for ((name, rows), counted) in expected.into_iter().zip(counts) {
        if counted != Some(rows as u64) {
            let counted = counted.map_or("nothing".to_owned(), |n| n.to_string());
            let what = format!("{name}: {counted}, expected {rows}");
            let table = contract.table.clone();
            return Err(Stop::Ended(Pushed::Differs { table, what }));
        }
    }
    Ok(())
}

/// A merge that meets a key twice says so by an error of its own.
fn not_unique(failure: Failure, table: &str) -> Stop {
    const DUPLICATE_ROW: &str = "100090";
    match failure {
        Failure::Refused(Refusal { code, .. }) if code == DUPLICATE_ROW => {
            let what = "a key is not unique".to_owned();
            Stop::Ended(Pushed::Differs { table: table.to_owned(), what })
        }
        other => Stop::Failure(other),
    }
}

async fn append(snowflake: &mut Snowflake, raw: &RawMove) -> std::result::Result<(), Stop> {
    let rows: usize = raw.rows.iter().map(|b| b.num_rows()).sum();
    let Some(options) = snowflake.options.raw.clone().filter(|_| rows > 0) else { return Ok(()) };
    let load = snowflake.names.load(&raw_load(&raw.table));
    let sql = snowflake.names.append_raw(&options, bare(&raw.table), &load);
    let inserted = "number of rows inserted";
    let counted = say(snowflake, &sql).await?.count(inserted);
    if counted != Some(rows as u64) {
        let what = format!("{inserted}: {counted:?}, expected {rows}");
        return Err(Stop::Ended(Pushed::Differs { table: raw.table.clone(), what }));
    }
    Ok(())
}
