//! A snapshot's history: images of one source to versions of its keys.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::maintain::stored::{Stored, Wanted, When};
use freshet_sql::materialize::snapshot::{Event, fold};
use freshet_sql::plan::Session;
use freshet_sql::plan::live::LiveTable;
use freshet_sql::project::snapshot::HardDeletes;
use freshet_sql::rows::RowHasher;
use hashbrown::{HashMap, HashSet};

use super::planned::{ImageQueries, PlannedSnapshot};
use crate::error::{Error, Result};

/// One source's images, numbered.
#[derive(Debug, Clone)]
pub struct SourceImages {
    /// The current rows' columns, then the number; one row an image.
    pub rows: RecordBatch,
    /// One a row.
    pub facts: Vec<Fact>,
}

/// What is known of an image beside its row.
#[derive(Debug, Clone, Copy)]
pub struct Fact {
    /// Commit time, microseconds since 1970 UTC.
    pub at_us: i64,
    /// The transaction.
    pub tx: i64,
    /// Whether the key was deleted.
    pub deleted: bool,
    /// Whether its row was made, where none was.
    pub created: bool,
}

/// What a snapshot's query makes of images: an event for each, and the rows that they point at.
#[derive(Debug)]
pub(super) struct Told {
    pub rows: RecordBatch,
    /// In the order of the images.
    pub events: Vec<Event>,
    /// The keys of the events, in no order.
    pub keys: RecordBatch,
}

/// Folds events onto the stored versions of their keys.
pub(super) fn onto_stored(
    snapshot: &PlannedSnapshot,
    told: &Told,
    stored: &dyn Stored,
) -> Result<ChangeBatch> {
    let touched: HashSet<u128> = told.events.iter().map(|e| e.key).collect();
    let found = versions_by_key(snapshot, stored, &told.keys)?;
    let versions = versions_of(snapshot, &found, |key| touched.contains(&key))?;
    Ok(fold(&snapshot.spec, &versions, &told.rows, &told.events)?)
}

/// What a fold needs of the stored versions of these keys: the open ones, since no time of a key comes
/// before the last one's start, and all of keys that have none. History that was taken over may have
/// any times: then all.
pub(super) fn versions_by_key(
    snapshot: &PlannedSnapshot,
    stored: &dyn Stored,
    keys: &RecordBatch,
) -> Result<Vec<RecordBatch>> {
    let keys = snapshot.key_alone.set([keys])?;
    let every: Vec<usize> = (0..snapshot.spec.schema().fields().len()).collect();
    if !snapshot.taken_over.is_empty() {
        return Ok(stored.with_keys(&snapshot.key, &keys, &every, When::After, Wanted::Every)?);
    }
    let mut found =
        stored.with_keys(&snapshot.key_of_open, &keys, &every, When::After, Wanted::Every)?;
    let closed = keys.without(&snapshot.key.set(&found)?)?;
    found.extend(stored.with_keys(&snapshot.key, &closed, &every, When::After, Wanted::Every)?);
    Ok(found)
}

/// A snapshot that can't follow images, from the change of its query: one version an epoch at most.
pub async fn follow_change(
    snapshot: &PlannedSnapshot,
    change: &ChangeBatch,
    stored: &dyn Stored,
    at_us: i64,
    epoch: i64,
) -> Result<ChangeBatch> {
    let spec = &snapshot.spec;
    let hasher = spec.key_hasher();
    let (mut events, present) = arrivals(snapshot, &change.added, at_us, epoch)?;
    let mut left = HashSet::new();
    for key in hasher.hashes(&change.removed)? {
        if left.insert(key) && !present.contains(&key) {
            events.push(Event { key, at_us, tx: epoch, row: None });
        }
    }
    let keys = [&change.added, &change.removed]
        .map(|rows| rows.project(&spec.unique_key))
        .into_iter()
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let keys = concat_batches(&spec.key_schema(), &keys)?;
    let found = versions_by_key(snapshot, stored, &keys)?;
    let touched = |key| present.contains(&key) || left.contains(&key);
    let versions = versions_of(snapshot, &found, touched)?;
    if spec.hard_deletes == HardDeletes::Invalidate {
        // What has an open version is in the query: a row more of it is one too many.
        let open = open_keys(snapshot, &versions)?;
        if open.iter().any(|key| present.contains(key) && !left.contains(key)) {
            return Err(two_rows_of_one_key());
        }
    }
    Ok(fold(spec, &versions, &change.added, &events)?)
}

/// An event for each of the query's rows, and their keys, which must be distinct.
fn arrivals(
    snapshot: &PlannedSnapshot,
    rows: &RecordBatch,
    at_us: i64,
    epoch: i64,
) -> Result<(Vec<Event>, HashSet<u128>)> {
    let mut events = Vec::with_capacity(rows.num_rows());
    let mut keys = HashSet::new();
    for (row, key) in snapshot.spec.key_hasher().hashes(rows)?.into_iter().enumerate() {
        if !keys.insert(key) {
            return Err(two_rows_of_one_key());
        }
        events.push(Event { key, at_us, tx: epoch, row: Some(row) });
    }
    Ok((events, keys))
}

/// The keys of open versions, in the order of their rows.
pub(super) fn open_keys(snapshot: &PlannedSnapshot, versions: &RecordBatch) -> Result<Vec<u128>> {
    let spec = &snapshot.spec;
    let base = versions.project(&(0..spec.query.fields().len()).collect::<Vec<_>>())?;
    let ends = versions.column_by_name(&spec.names.valid_to);
    let keys = spec.key_hasher().hashes(&base)?.into_iter().enumerate();
    let open = keys.filter(|(row, _)| ends.is_some_and(|c| c.is_null(*row)));
    Ok(open.map(|(_, key)| key).collect())
}

fn two_rows_of_one_key() -> Error {
    Error::failed("a snapshot's query has two rows of one unique key; make its unique_key unique")
}

/// The query's rows for each image, the events that point at them, and their keys. And of each event:
/// whether its row was made, where none was.
pub(super) async fn events_of(
    session: &Session,
    snapshot: &PlannedSnapshot,
    queries: &ImageQueries,
    relation: &LiveTable,
    images: &SourceImages,
) -> Result<(Told, Vec<bool>)> {
    let _alone = relation.alone().await;
    relation.set(vec![images.rows.clone()]);
    let keys = session.run(&queries.keys).await?;
    let living = images.facts.iter().enumerate().filter(|(_, f)| !f.deleted).map(|(i, _)| i as u64);
    relation.set(vec![take_rows(&images.rows, living.collect())?]);
    let rows = session.run(&queries.rows).await?;
    relation.set(Vec::new());
    let numbers = column_of_numbers(&images.rows)?;
    let place: HashMap<i64, usize> =
        numbers.values().iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let rows = concat_batches(&queries.rows.schema(), &rows)?;
    let row_of = rows_by_number(&rows)?;
    let rows = without_number(snapshot, &rows)?;
    let keys = concat_batches(&queries.keys.schema(), &keys)?;
    let key_numbers = keys.column(0).as_primitive::<Int64Type>();
    let keys = keys_alone(snapshot, &keys)?;
    let hashes = RowHasher::all_but(&keys.schema(), &[]).hashes(&keys)?;
    let mut numbered: Vec<(i64, Event, bool)> = Vec::with_capacity(hashes.len());
    for (row, key) in hashes.into_iter().enumerate() {
        let number = key_numbers.value(row);
        let image = place.get(&number).ok_or_else(|| Error::bug("an image without a number"))?;
        let Fact { at_us, tx, created, .. } = images.facts[*image];
        let row = row_of.get(&number).copied();
        numbered.push((number, Event { key, at_us, tx, row }, created));
    }
    numbered.sort_by_key(|(number, _, _)| *number);
    let (events, created) = numbered.into_iter().map(|(_, event, made)| (event, made)).unzip();
    Ok((Told { rows, events, keys }, created))
}

/// A snapshot that can't follow images: the query's rows at the epoch's end against open versions.
pub async fn at_epoch_end(
    snapshot: &PlannedSnapshot,
    fresh: &[RecordBatch],
    stored: &[RecordBatch],
    at_us: i64,
    epoch: i64,
) -> Result<ChangeBatch> {
    let rows = concat_batches(&snapshot.spec.query, fresh)?;
    let versions = versions_of(snapshot, stored, |_| true)?;
    let (mut events, present) = arrivals(snapshot, &rows, at_us, epoch)?;
    for key in open_keys(snapshot, &versions)? {
        if !present.contains(&key) {
            events.push(Event { key, at_us, tx: epoch, row: None });
        }
    }
    Ok(fold(&snapshot.spec, &versions, &rows, &events)?)
}

fn column_of_numbers(rows: &RecordBatch) -> Result<Int64Array> {
    let last = rows.columns().last().ok_or_else(|| Error::bug("images without columns"))?;
    Ok(last.as_primitive::<Int64Type>().clone())
}

fn rows_by_number(rows: &RecordBatch) -> Result<HashMap<i64, usize>> {
    let mut by_number = HashMap::with_capacity(rows.num_rows());
    for (row, number) in column_of_numbers(rows)?.values().iter().enumerate() {
        if by_number.insert(*number, row).is_some() {
            return Err(Error::failed(
                "a snapshot's query gives two rows for one change of its source; its unique_key \
                 must be unique at every moment",
            ));
        }
    }
    Ok(by_number)
}

fn without_number(snapshot: &PlannedSnapshot, rows: &RecordBatch) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = rows.columns()[..rows.num_columns() - 1].to_vec();
    Ok(RecordBatch::try_new(snapshot.spec.query.clone(), columns)?)
}

/// The keys query's rows as stored versions have them: the same columns and types.
fn keys_alone(snapshot: &PlannedSnapshot, keys: &RecordBatch) -> Result<RecordBatch> {
    let schema = snapshot.spec.key_schema();
    let columns = keys.columns()[1..]
        .iter()
        .zip(schema.fields())
        .map(|(c, f)| arrow::compute::cast(c, f.data_type()))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

pub(super) fn versions_of(
    snapshot: &PlannedSnapshot,
    stored: &[RecordBatch],
    wanted: impl Fn(u128) -> bool,
) -> Result<RecordBatch> {
    let hasher = snapshot.spec.key_hasher();
    let schema = snapshot.spec.schema();
    let mut picked = Vec::new();
    for batch in stored {
        let hashes = hasher.hashes(batch)?;
        let rows = hashes.iter().enumerate().filter(|(_, h)| wanted(**h)).map(|(i, _)| i as u64);
        picked.push(take_rows(batch, rows.collect())?);
    }
    Ok(concat_batches(&schema, &picked)?)
}
