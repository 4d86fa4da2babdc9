//! A replay from raw, in parts of any size, gives the tables that the line came to.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use freshet::envelope::options::Options;
use freshet::lake::parquet::{Effort, encode};
use freshet::lake::{layout, raw};
use freshet::pipeline::Pipeline;
use freshet::pipeline::catalog::{Catalog, SourceTable};
use freshet::pipeline::load::take_imports;
use freshet::pipeline::replay::{Replayed, Rules, replay};
use freshet::transform::folding::Folding;
use freshet::transform::plan::{Planned, PlannedModel};
use freshet::transform::proof::proof;
use freshet_sql::digest::row_texts;
use freshet_sql::project::Project;

use crate::publish::bank::BankLake;

/// One source, and the histories of its images.
async fn replayed(
    pipeline: &Pipeline,
    planned: &Planned,
    source: &SourceTable,
    part_events: usize,
) -> Option<Replayed> {
    let last = pipeline.last().unwrap();
    let path = layout::raw(&source.folder);
    let version = last.tables.get(&path)?.version;
    let store = pipeline.store();
    let table = raw::table(store, path, version).await.unwrap();
    let models = planned.models.iter().filter(|m| m.folds(&source.relation));
    let folding = models.map(|m| Folding::new(planned, m).unwrap()).collect();
    let envelope = &Options::default();
    let rules = Rules { store, envelope, dedupe_events: 1_000_000, part_events };
    Some(replay(rules, source, Some(&table), folding, last.epoch).await.unwrap())
}

async fn plan(project: &Project) -> (Planned, Catalog) {
    let catalog = Catalog::of(project, &Options::default()).unwrap();
    (Planned::new(project, &catalog.columns()).await.unwrap(), catalog)
}

/// Says where a replay of all sources comes to other tables than those that stand.
pub async fn differences(
    pipeline: &Pipeline,
    project: &Project,
    part_events: usize,
) -> Result<(), String> {
    let (mut planned, catalog) = plan(project).await;
    take_imports(pipeline.store(), &mut planned).await.unwrap();
    for (_, source) in catalog.iter() {
        let Some(made) = replayed(pipeline, &planned, source, part_events).await else { continue };
        let tables = made.histories.iter().chain([(&source.relation, &made.rows)]);
        for (name, rows) in tables {
            let standing = pipeline.tables().relation(name).unwrap();
            let found = proof(name, pipeline.last().unwrap().epoch, standing, rows).unwrap();
            if !found.holds() {
                return Err(format!("in parts of {part_events}: {}", found.summary()));
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_any_size_come_to_the_tables_of_the_line() {
    let mut bank = BankLake::open(40, 21).await;
    for _ in 0..8 {
        bank.live(25).await;
    }
    for part_events in [1, 10, 1000, usize::MAX] {
        differences(&bank.pipeline, &bank.project, part_events).await.unwrap();
    }
}

/// Rows as sorted texts.
fn texts(rows: &[RecordBatch]) -> Vec<String> {
    let all = rows.iter().flat_map(|batch| {
        let every: Vec<usize> = (0..batch.num_columns()).collect();
        row_texts(batch, &every).unwrap()
    });
    let mut all: Vec<String> = all.collect();
    all.sort_unstable();
    all
}

/// A version like the last of these that is open, of another key and from before the bank's first day.
fn open_version(versions: &[RecordBatch], key: usize, of: &ArrayRef) -> RecordBatch {
    let open = versions.iter().find_map(|batch| {
        let ends = batch.column_by_name("dbt_valid_to").unwrap();
        let row = (0..batch.num_rows()).rev().find(|row| ends.is_null(*row))?;
        Some(batch.slice(row, 1))
    });
    let open = open.unwrap();
    let from = open.schema().index_of("dbt_valid_from").unwrap();
    let mut columns = open.columns().to_vec();
    columns[key] = cast(of, columns[key].data_type()).unwrap();
    columns[from] = cast(&Int64Array::from(vec![0]), columns[from].data_type()).unwrap();
    RecordBatch::try_new(open.schema(), columns).unwrap()
}

/// The key of a row that is in these versions and not in those before.
fn new_key(then: &[RecordBatch], now: &[RecordBatch], key: usize) -> ArrayRef {
    let known: Vec<String> = then.iter().flat_map(|b| row_texts(b, &[key]).unwrap()).collect();
    let found = now.iter().find_map(|batch| {
        let texts = row_texts(batch, &[key]).unwrap();
        let row = texts.iter().position(|text| !known.contains(text))?;
        Some(batch.column(key).slice(row, 1))
    });
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_was_taken_over_is_gone_on_with_in_parts_of_any_size() {
    let mut bank = BankLake::open(40, 22).await;
    for _ in 0..4 {
        bank.live(25).await;
    }
    let (mut planned, catalog) = bank.planned().await;
    let standing = |bank: &BankLake, name: &str| -> Vec<RecordBatch> {
        bank.pipeline.tables().relation(name).unwrap().scan().unwrap()
    };
    let follows = |m: &&mut PlannedModel| m.snapshot.as_ref().is_some_and(|s| s.images.is_ok());
    for model in planned.models.iter_mut().filter(follows) {
        model.snapshot.as_mut().unwrap().imported = standing(&bank, &model.name);
    }
    // What comes now lies behind what was taken over.
    for _ in 0..8 {
        bank.live(25).await;
    }
    // One key that nobody ever hears of, and one that was gone before the first read and comes again.
    for model in planned.models.iter_mut().filter(follows) {
        let now = standing(&bank, &model.name);
        let snapshot = model.snapshot.as_mut().unwrap();
        let (key, then) = (snapshot.spec.unique_key[0], &mut snapshot.imported);
        let unheard_of: ArrayRef = Arc::new(Int64Array::from(vec![987_654_321]));
        let again = new_key(then, &now, key);
        let more = [unheard_of, again].map(|of| open_version(then, key, &of));
        then.extend(more);
    }
    let mut compared = 0;
    for (_, source) in catalog.iter() {
        let at_once = replayed(&bank.pipeline, &planned, source, usize::MAX).await.unwrap();
        for part_events in [1, 10, 100] {
            let in_parts = replayed(&bank.pipeline, &planned, source, part_events).await.unwrap();
            for (name, versions) in &at_once.histories {
                let wanted = texts(versions);
                assert_eq!(wanted, texts(&in_parts.histories[name]), "{name} in {part_events}");
                // It is the one that stands, and those two, which have ended.
                let standing = texts(&standing(&bank, name));
                let more: Vec<&String> = wanted.iter().filter(|t| !standing.contains(t)).collect();
                assert_eq!((more.len(), wanted.len()), (2, standing.len() + 2), "{name}: {more:?}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 3, "the bank has snapshots");
}

/// The histories of a bank that follow images, by name.
async fn histories(bank: &BankLake) -> BTreeMap<String, RecordBatch> {
    let (planned, _) = bank.planned().await;
    let follows = planned.models.iter().filter(|m| m.images_of().is_some());
    let named = follows.map(|model| {
        let versions = bank.pipeline.tables().relation(&model.name).unwrap();
        let rows = concat_batches(&versions.schema(), &versions.scan().unwrap()).unwrap();
        (model.name.clone(), rows)
    });
    named.collect()
}

/// The same, the open ones begun so much earlier, as a warehouse dates them by a column of the row.
fn dated_earlier(versions: &RecordBatch, by_us: i64) -> RecordBatch {
    let schema = versions.schema();
    let [from, to] = ["dbt_valid_from", "dbt_valid_to"].map(|name| schema.index_of(name).unwrap());
    let times = cast(versions.column(from), &DataType::Int64).unwrap();
    let times = times.as_primitive::<Int64Type>();
    let ends = versions.column(to);
    let moved = times
        .iter()
        .enumerate()
        .map(|(row, at)| at.map(|at| if ends.is_null(row) { at - by_us } else { at }));
    let moved: ArrayRef = Arc::new(moved.collect::<Int64Array>());
    let mut columns = versions.columns().to_vec();
    columns[from] = cast(&moved, schema.field(from).data_type()).unwrap();
    RecordBatch::try_new(schema, columns).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_what_a_taken_over_history_tells_adds_nothing_to_it() {
    // As a warehouse had it: the first half of the bank's life.
    let mut before = BankLake::open(40, 23).await;
    for _ in 0..6 {
        before.live(25).await;
    }
    let taken_over = histories(&before).await;
    assert!(taken_over.len() >= 2 && taken_over.values().all(|rows| rows.num_rows() > 40));
    for _ in 0..6 {
        before.live(25).await;
    }
    let wanted = histories(&before).await;
    for earlier_us in [0, 20_000] {
        // Read first, then taken over, and all of that life still waits.
        let bank = BankLake::open(40, 23).await;
        for (name, versions) in &taken_over {
            let body = encode(&dated_earlier(versions, earlier_us), Effort::Small).unwrap();
            bank.store().put(&layout::imported(name), body).await.unwrap();
        }
        let mut bank = bank.reopen(None).await;
        for at in 0..12 {
            for part in [9, 16] {
                bank.live(part).await;
            }
            let found = differences(&bank.pipeline, &bank.project, 64).await;
            found.unwrap_or_else(|e| panic!("{earlier_us} at {at}: {e}"));
        }
        for (name, found) in histories(&bank).await {
            let [wanted, found] = [&wanted[&name], &found].map(|rows| texts(slice::from_ref(rows)));
            assert!(earlier_us > 0 || wanted == found, "{name} has other versions than without");
        }
    }
}
