//! Statements by their first words: transactions, DDL, stages, and what changes or reads rows.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use sqlparser::ast::Statement;

use super::answer::{Outcome, Refused, absent, compilation, said};
use super::rewrite::{self, Place};
use super::sessions::SessionId;
use super::{Shared, World, copy, ddl, merge, query, show, write};

const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs one statement; without a session, as an onlooker.
pub async fn run(shared: &Shared, session: Option<SessionId>, sql: &str) -> Outcome {
    let session = session.unwrap_or(0);
    let sql = sql.trim().trim_end_matches(';');
    let upper = sql.to_uppercase();
    let words: Vec<&str> = upper.split_whitespace().take(4).collect();
    let mut world = shared.world.lock().await;
    let place = place(&mut world, session);
    match words.as_slice() {
        ["BEGIN" | "START", ..] => {
            let name = sql.split('"').nth(1).unwrap_or_default().to_owned();
            world.tables.begin(session, name);
            said("Statement executed successfully.")
        }
        ["COMMIT", ..] => {
            world.tables.commit(session);
            shared.released.notify_waiters();
            said("Statement executed successfully.")
        }
        ["ROLLBACK", ..] => {
            world.tables.roll_back(session);
            shared.released.notify_waiters();
            said("Statement executed successfully.")
        }
        ["ALTER", "SESSION", "SET", "AUTOCOMMIT"] => {
            if let Some(session) = world.sessions.get(session) {
                session.manual = upper.ends_with("FALSE");
            }
            said("Statement executed successfully.")
        }
        ["SELECT", "CURRENT_TRANSACTION()"] => show::current(&world, session),
        ["SHOW", "TRANSACTIONS", ..] => show::transactions(&world),
        ["SELECT", call, ..] if call.starts_with("SYSTEM$ABORT_TRANSACTION") => {
            let id: String = call.chars().filter(char::is_ascii_digit).collect();
            let done = show::abort(&mut world, id.parse().unwrap_or(0));
            shared.released.notify_waiters();
            done
        }
        ["USE", kind @ ("DATABASE" | "SCHEMA"), ..] => {
            let name = sql.split_whitespace().nth(2).unwrap_or_default().replace('"', "");
            use_name(&mut world, session, kind, &name.to_uppercase());
            said("Statement executed successfully.")
        }
        ["USE" | "GRANT" | "COMMENT", ..] | ["ALTER", "SESSION" | "WAREHOUSE" | "USER", ..] => {
            said("Statement executed successfully.")
        }
        ["PUT", ..] => put(shared, &world, sql, &place),
        ["REMOVE" | "RM", ..] => {
            let path = staged(sql.split_whitespace().nth(1).unwrap_or_default(), &place);
            let gone = world.files.remove(&path.join("/"));
            said(&format!("{gone} removed"))
        }
        ["CREATE", ..] if !upper.contains(" TABLE ") => {
            create_object(&mut world, sql, &upper, &place)
        }
        ["COPY", ..] => load(shared, world, session, sql, &place).await,
        ["SELECT" | "WITH", ..] => query::select(&world, session, sql, &place).await,
        _ => parsed(shared, world, session, sql, &place).await,
    }
}

fn place(world: &mut World, session: SessionId) -> Place {
    let known = world.sessions.get(session);
    let of =
        |name: Option<&String>, default: &str| name.cloned().unwrap_or_else(|| default.to_owned());
    Place {
        database: of(known.as_ref().and_then(|s| s.database.as_ref()), "BANKING"),
        schema: of(known.as_ref().and_then(|s| s.schema.as_ref()), "PUBLIC"),
    }
}

fn use_name(world: &mut World, session: SessionId, kind: &str, name: &str) {
    if let Some(session) = world.sessions.get(session) {
        match (kind, name.split_once('.')) {
            ("SCHEMA", Some((database, schema))) => {
                session.database = Some(database.to_owned());
                session.schema = Some(schema.to_owned());
            }
            ("SCHEMA", None) => session.schema = Some(name.to_owned()),
            _ => session.database = Some(name.to_owned()),
        }
    }
}

/// `@"DB"."S"."STAGE"/folder/` as the stage's whole name and the folder.
fn staged(text: &str, place: &Place) -> [String; 2] {
    let text = text.trim_start_matches('@');
    let (stage, folder) = text.split_once('/').unwrap_or((text, ""));
    let parts: Vec<String> = stage.split('.').map(|p| p.trim_matches('"').to_uppercase()).collect();
    let stage = match parts.as_slice() {
        [name] => format!("{}.{}.{name}", place.database, place.schema),
        [schema, name] => format!("{}.{schema}.{name}", place.database),
        _ => parts.join("."),
    };
    [stage, folder.to_owned()]
}

fn put(shared: &Shared, world: &World, sql: &str, place: &Place) -> Outcome {
    let target = sql.split_whitespace().find(|w| w.starts_with('@')).unwrap_or_default();
    let [stage, folder] = staged(target, place);
    if !world.tables.objects.contains(&stage) {
        return Err(absent("Stage", &stage));
    }
    let endpoint = format!("http://{}", shared.address);
    let query = uuid::Uuid::new_v4().to_string();
    let data = world.files.upload(&endpoint, &stage, &folder, &query);
    let schema = Arc::new(Schema::empty());
    Ok(super::answer::Done { schema, batches: Vec::new(), kind: 0x7100, data: Some(data) })
}

/// Databases, schemas, roles, warehouses and stages have a name and nothing else, but for a stage's
/// encryption.
fn create_object(world: &mut World, sql: &str, upper: &str, place: &Place) -> Outcome {
    const NOISE: [&str; 7] = ["CREATE", "OR", "REPLACE", "IF", "NOT", "EXISTS", "TRANSIENT"];
    let mut words = sql.split_whitespace().filter(|w| !NOISE.contains(&w.to_uppercase().as_str()));
    let kind = words.next().unwrap_or_default().to_uppercase();
    let name = words.next().unwrap_or_default();
    if kind == "STAGE" {
        let [stage, _] = staged(name, place);
        let encrypted = !upper.contains("SNOWFLAKE_SSE");
        world.files.stage(&stage, encrypted);
        world.tables.objects.insert(stage);
    }
    said("created")
}

type Held<'w> = tokio::sync::MutexGuard<'w, World>;

/// Waits until no other transaction holds a table.
async fn unlocked<'w>(
    shared: &'w Shared,
    mut world: Held<'w>,
    session: SessionId,
    name: &str,
) -> std::result::Result<Held<'w>, Refused> {
    let wait = match world.options.lock_timeout_ms {
        0 => LOCK_TIMEOUT,
        ms => Duration::from_millis(ms),
    };
    let until = tokio::time::Instant::now() + wait;
    while world.tables.is_locked(session, name) {
        let released = shared.released.notified();
        drop(world);
        if tokio::time::timeout_at(until, released).await.is_err() {
            let message = format!(
                "statement aborted because the number of waiters for '{name}' or the lock timeout was exceeded"
            );
            return Err(Refused { code: "000625", state: "57014", message });
        }
        world = shared.world.lock().await;
    }
    Ok(world)
}

async fn load(
    shared: &Shared,
    world: Held<'_>,
    session: SessionId,
    sql: &str,
    place: &Place,
) -> Outcome {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let (Some(table), Some(from)) = (words.get(2), words.iter().find(|w| w.starts_with('@')))
    else {
        return Err(compilation("copy what, and where from?"));
    };
    let [name, _] = staged(table, place);
    let path = staged(from, place).join("/");
    let mut world = unlocked(shared, world, session, &name).await?;
    copy::copy(&mut world, session, &name, &path)
}

async fn parsed(
    shared: &Shared,
    world: Held<'_>,
    session: SessionId,
    sql: &str,
    place: &Place,
) -> Outcome {
    let statement = rewrite::parse(sql)?;
    let mut world = match write::target(&statement, place) {
        Some(name) => {
            let mut world = unlocked(shared, world, session, &name).await?;
            if world.sessions.get(session).is_some_and(|s| s.manual) {
                world.tables.begin(session, String::new());
            }
            world
        }
        None => world,
    };
    let world = &mut *world;
    match statement {
        Statement::Insert(_) => write::insert(world, session, statement, place).await,
        Statement::Update(_) => write::update(world, session, statement, place).await,
        Statement::Delete(_) => write::delete(world, session, statement, place).await,
        Statement::Merge(_) => merge::merge(world, session, statement, place).await,
        Statement::CreateTable(create) => {
            world.tables.commit(session);
            shared.released.notify_waiters();
            ddl::create_table(world, session, &create, place)
        }
        Statement::AlterTable(alter) => {
            world.tables.commit(session);
            shared.released.notify_waiters();
            let name = rewrite::whole(&alter.name, place);
            for operation in &alter.operations {
                ddl::alter_table(world, session, &name, operation)?;
            }
            said("Statement executed successfully.")
        }
        Statement::Drop { names, if_exists, .. } => {
            world.tables.commit(session);
            for name in &names {
                let name = rewrite::whole(name, place);
                if !world.tables.drop_table(session, &name) && !if_exists {
                    return Err(absent("Table", &name));
                }
            }
            said("dropped")
        }
        _ => Err(compilation("the emulator does not know this statement")),
    }
}
