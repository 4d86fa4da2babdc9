//! A replay from raw, in parts of any size, gives the tables that the line came to.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use freshet::cli::bank_project::{self, FILES};
use freshet::envelope::options::Options;
use freshet::lake::parquet::{Effort, encode};
use freshet::lake::{layout, raw};
use freshet::pipeline::Pipeline;
use freshet::pipeline::catalog::{Catalog, SourceTable};
use freshet::pipeline::load::take_imports;
use freshet::pipeline::project::target;
use freshet::pipeline::replay::{Replayed, Rules, replay};
use freshet::transform::folding::Folding;
use freshet::transform::planned::Planned;
use freshet::transform::proof::proof;
use freshet::transform::taken_over::TakenOver;
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
fn open_version(versions: &RecordBatch, key: usize, of: &ArrayRef) -> RecordBatch {
    let ends = versions.column_by_name("dbt_valid_to").unwrap();
    let open = (0..versions.num_rows()).rev().find(|row| ends.is_null(*row)).unwrap();
    let open = versions.slice(open, 1);
    let from = open.schema().index_of("dbt_valid_from").unwrap();
    let mut columns = open.columns().to_vec();
    columns[key] = cast(of, columns[key].data_type()).unwrap();
    columns[from] = cast(&Int64Array::from(vec![0]), columns[from].data_type()).unwrap();
    RecordBatch::try_new(open.schema(), columns).unwrap()
}

/// The key of a row that is in these versions and not in those before.
fn new_key(then: &RecordBatch, now: &RecordBatch, key: usize) -> ArrayRef {
    let [known, texts] = [then, now].map(|rows| row_texts(rows, &[key]).unwrap());
    let row = texts.iter().position(|text| !known.contains(text)).unwrap();
    now.column(key).slice(row, 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_was_taken_over_is_gone_on_with_in_parts_of_any_size() {
    let mut bank = BankLake::open(40, 22).await;
    for _ in 0..4 {
        bank.live(25).await;
    }
    let (mut planned, catalog) = bank.planned().await;
    let then = histories(&bank).await;
    // What comes now lies behind what was taken over.
    for _ in 0..8 {
        bank.live(25).await;
    }
    // One key that nobody ever hears of, and one that was gone before the first read and comes again.
    let now = histories(&bank).await;
    for model in planned.models.iter_mut().filter(|m| m.images_of().is_some()) {
        let [then, now] = [&then[&model.name], &now[&model.name]];
        let snapshot = model.snapshot.as_mut().unwrap();
        let key = snapshot.spec.unique_key[0];
        let unheard_of: ArrayRef = Arc::new(Int64Array::from(vec![987_654_321]));
        let again = new_key(then, now, key);
        let [unheard_of, again] = [unheard_of, again].map(|of| open_version(then, key, &of));
        snapshot.taken_over = TakenOver::of(vec![then.clone(), unheard_of, again]);
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
                let standing = texts(slice::from_ref(&now[name]));
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

/// The bank's project with snapshots by a column that says when a row changed, three seconds before its commit.
fn dated_by_a_column() -> Project {
    let mut files: BTreeMap<String, String> =
        FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let mut edited = 0;
    for (path, text) in &mut files {
        let column = "cast(_commit_at as timestamp(6)) - interval '3 seconds' as changed_at";
        let (from, to) = match path.as_str() {
            "staging/stg_accounts.sql" | "staging/stg_customers.sql" => {
                ("cast(current_timestamp", format!("{column},\n    cast(current_timestamp"))
            }
            path if path.starts_with("snapshots/") && path.ends_with(".sql") => {
                ("    created_at\n", "    created_at,\n    changed_at\n".to_owned())
            }
            _ => continue,
        };
        assert!(text.contains(from), "{path}");
        *text = text.replace(from, &to);
        *text = text.replace("'check'", "'timestamp',\n    updated_at='changed_at'");
        let of_check = text.lines().filter(|line| !line.trim_start().starts_with("check_cols"));
        *text = of_check.collect::<Vec<_>>().join("\n");
        edited += 1;
    }
    assert_eq!(edited, 4, "staging and snapshots of customers and accounts");
    Project::load(&files, &BTreeMap::new(), &|_| None, &target()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_what_a_taken_over_history_tells_adds_nothing_to_it() {
    adds_nothing(&bank_project::load().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_to_one_that_is_dated_by_a_column() {
    adds_nothing(&dated_by_a_column()).await;
}

async fn adds_nothing(project: &Project) {
    // As a warehouse had it: the first half of the bank's life.
    let mut before = BankLake::open_with(project.clone(), None, 40, 23).await;
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
        let bank = BankLake::open_with(project.clone(), None, 40, 23).await;
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
