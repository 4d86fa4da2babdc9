//! One case: random tables and models, a random history in random epochs, and the comparison.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::query::{Columns, Query, Scope, model};
use super::rows::{History, random_columns, schema_of, type_of};
use super::tape::Tape;
use super::world::{Table, World};
use crate::change::ChangeBatch;
use crate::digest::row_texts;
use crate::maintain::{Maintained, Outcome};
use crate::plan::full::Way;
use crate::plan::live::LiveTable;
use crate::plan::{Prepared, Session};
use crate::rows::RowHasher;

/// A model of a case.
struct Model {
    name: String,
    query: Query,
    prepared: Prepared,
    maintained: Maintained,
    live: LiveTable,
}

/// What a case came to, for another engine to compare.
pub struct Told {
    pub text: String,
    /// Tables by name as SQL rows, models with their text, whether both engines mean it, and rows.
    pub tables: BTreeMap<String, Vec<String>>,
    /// Their columns as SQL declares them.
    pub columns: BTreeMap<String, String>,
    pub models: Vec<(String, String, bool, Vec<String>)>,
    /// Models followed without a full recompute, and those that were not.
    pub followed: usize,
    pub recomputed: usize,
}

/// Epochs are a day apart, in the days that rows are of.
fn time_of(epoch: u32) -> i64 {
    1_704_067_200_000_000 + (i64::from(epoch) + 1) * 86_400_000_000
}

/// Rows as sorted texts.
pub fn texts(rows: &[RecordBatch]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for batch in rows {
        let every: Vec<usize> = (0..batch.num_columns()).collect();
        all.extend(row_texts(batch, &every).unwrap());
    }
    all.sort_unstable();
    all
}

/// Runs the case of a tape: `Err` says what differs.
pub fn run(tape: &mut Tape) -> Result<Told, String> {
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(tape))
    }));
    played.unwrap_or_else(|panic| {
        Err(panic.downcast::<String>().map_or_else(|_| "a panic".to_owned(), |text| *text))
    })
}

/// Random tables, all empty, and random models over them.
struct Project {
    world: World,
    lives: BTreeMap<String, LiveTable>,
    sources: Vec<(String, Columns)>,
    models: Vec<Model>,
}

async fn project(session: &Session, tape: &mut Tape) -> Result<Project, String> {
    let mut world = World::default();
    let mut lives: BTreeMap<String, LiveTable> = BTreeMap::new();
    let mut relations = Vec::new();
    for at in 0..1 + tape.choose(3) {
        let name = format!("t{at}");
        let columns = random_columns(tape);
        let schema = schema_of(&columns);
        lives.insert(name.clone(), session.add(&name, schema.clone()).unwrap());
        world.tables.insert(name.clone(), Table::empty(&schema));
        relations.push((name, columns, true));
    }
    let sources: Vec<(String, Columns)> =
        relations.iter().map(|(name, columns, _)| (name.clone(), columns.clone())).collect();
    let mut models = Vec::new();
    for at in 0..1 + tape.choose(3) {
        let query = model(&Scope { relations: &relations }, tape, at * 1000);
        let name = format!("m{at}");
        let Ok(plan) = session.plan(&query.sql).await else {
            return Err(format!("generator: a query that does not plan: {}", query.sql));
        };
        let Ok(prepared) = session.prepare(plan) else {
            return Err(format!("generator: a query that does not optimize: {}", query.sql));
        };
        let maintained =
            Maintained::new(session, &prepared).await.map_err(|e| format!("{e}: {}", query.sql))?;
        let live = session.add(&name, prepared.schema()).unwrap();
        world.tables.insert(name.clone(), Table::empty(&prepared.schema()));
        relations.push((name.clone(), query.columns.clone(), query.portable));
        models.push(Model { name, query, prepared, maintained, live });
    }
    Ok(Project { world, lives, sources, models })
}

async fn play(tape: &mut Tape) -> Result<Told, String> {
    let session = Session::new().unwrap();
    let Project { mut world, lives, sources, models } = project(&session, tape).await?;
    let mut history = History::default();
    let mut told = Told {
        text: String::new(),
        tables: BTreeMap::new(),
        columns: BTreeMap::new(),
        models: Vec::new(),
        followed: 0,
        recomputed: 0,
    };
    for model in &models {
        told.text.push_str(&format!("{}: {}\n", model.name, model.query.sql));
    }
    let epochs = 2 + tape.choose(4);
    for epoch in 0..epochs {
        session.set_time(time_of(epoch));
        for (source, columns) in &sources {
            let change = history.changes(source, columns, tape);
            for (sign, rows) in [("-", &change.removed), ("+", &change.added)] {
                for row in texts(std::slice::from_ref(rows)) {
                    told.text.push_str(&format!("epoch {epoch} {source} {sign} {row}\n"));
                }
            }
            let table = world.tables.get_mut(source).unwrap();
            table.change(change);
            lives[source].set(vec![table.after.clone()]);
        }
        for model in &models {
            let gated = tape.chance(7);
            follow(&session, &mut world, model, (epoch, gated), &mut told).await?;
        }
    }
    for (source, columns) in &sources {
        let list = columns.iter().map(|(name, kind)| format!("{name} {}", type_of(*kind).1));
        told.columns.insert(source.clone(), list.collect::<Vec<_>>().join(", "));
        told.tables.insert(source.clone(), texts(&[world.tables[source].after.clone()]));
    }
    for model in &models {
        let rows = texts(&[world.tables[&model.name].after.clone()]);
        told.models.push((model.name.clone(), model.query.sql.clone(), model.query.portable, rows));
    }
    Ok(told)
}

/// What goes node by node shares the nodes with maintenance: where no order decides, DataFusion's own plan of
/// the whole says the same.
async fn agrees(session: &Session, model: &Model, expected: &[RecordBatch]) -> bool {
    if !model.maintained.is_ordered() || !model.query.portable {
        return true;
    }
    // Some plans in one piece it refuses to make, and in some it takes the sort from under an offset.
    let sql = &model.query.sql;
    if sql.contains(" offset ") || session.physical(model.prepared.optimized()).await.is_err() {
        return true;
    }
    let (rows, _) = session.run_whole(&model.prepared, Way::default()).await.unwrap();
    texts(&rows) == texts(expected)
}

/// Brings a model up to date and compares it with its recompute.
async fn follow(
    session: &Session,
    world: &mut World,
    model: &Model,
    (epoch, gated): (u32, bool),
    told: &mut Told,
) -> Result<(), String> {
    let fail = |what: String, told: &Told| format!("{what} in epoch {epoch}\n{}", told.text);
    let expected = if model.maintained.is_ordered() {
        model.maintained.whole(session, world).await
    } else {
        // In one partition and in several: the same rows.
        let wide = if model.maintained.is_wide() { 1 + epoch as usize % 3 } else { 1 };
        let way = Way { wide, ..Way::default() };
        session.run_whole(&model.prepared, way).await.map(|(rows, _)| rows)
    };
    let expected =
        expected.map_err(|e| fail(format!("{} can't be recomputed: {e}", model.name), told))?;
    let schema = model.prepared.schema();
    if !agrees(session, model, &expected).await {
        return Err(fail(format!("{} differs node by node from its whole plan", model.name), told));
    }
    let hasher = RowHasher::new(&schema, (0..schema.fields().len()).collect());
    // As the cost gate may decide at any time.
    let outcome = if epoch == 0 || gated {
        model.maintained.forget();
        Ok(Outcome::Full("the gate".to_owned()))
    } else {
        model.maintained.change(session, world, &hasher, time_of(epoch - 1), u64::MAX).await
    };
    let outcome =
        outcome.map_err(|e| fail(format!("{} can't be followed: {e}", model.name), told))?;
    let table = world.tables.get_mut(&model.name).unwrap();
    let change = match outcome {
        Outcome::Change(change, _) => {
            told.followed += 1;
            change
        }
        Outcome::Full(_) => {
            told.recomputed += usize::from(epoch > 0 && !gated);
            let fresh = concat_batches(&schema, &expected).unwrap();
            ChangeBatch { removed: table.after.clone(), added: fresh }.consolidate(&hasher).unwrap()
        }
    };
    let stored = texts(std::slice::from_ref(&table.after));
    for row in texts(std::slice::from_ref(&change.removed)) {
        if stored.binary_search(&row).is_err() {
            return Err(fail(format!("{} retracts a row it lacks: {row}", model.name), told));
        }
    }
    let before = table.clone();
    let applied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut next = before;
        next.change(change);
        next
    }));
    let Ok(next) = applied else {
        return Err(fail(format!("{} retracts a row twice", model.name), told));
    };
    *table = next;
    model.live.set(vec![table.after.clone()]);
    let (have, want) = (texts(std::slice::from_ref(&table.after)), texts(&expected));
    if have != want {
        let extra: Vec<&String> = have.iter().filter(|r| !want.contains(r)).collect();
        let lost: Vec<&String> = want.iter().filter(|r| !have.contains(r)).collect();
        return Err(fail(format!("{} differs: extra {extra:?}, lost {lost:?}", model.name), told));
    }
    Ok(())
}
