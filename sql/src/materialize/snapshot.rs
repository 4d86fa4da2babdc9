//! SCD2: one version per key and source transaction, dated by the source's commit.
//!
//! The fold is a pure function of the events in their order: any batching gives the same rows.
//! Versions are half-open `[valid_from, valid_to)`; a key's times never run backwards, since a
//! commit time behind the version before it is lifted to that one's start.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use hashbrown::HashMap;
use std::sync::Arc;

use super::versions::{Base, Version, assemble};
use crate::change::{ChangeBatch, take_rows};
use crate::error::{Error, Result};
use crate::project::snapshot::{HardDeletes, SnapshotNames};
use crate::rows::RowHasher;

/// How a change is told from no change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// A row differs in one of these columns of the query.
    Check(Vec<usize>),
    /// This column of the query, a timestamp, is later than the open version's; it dates versions.
    Timestamp(usize),
}

/// A snapshot's rules over its query's schema.
#[derive(Debug, Clone)]
pub struct SnapshotSpec {
    /// The query's columns, without the added ones.
    pub query: SchemaRef,
    /// Positions of the unique key's columns.
    pub unique_key: Vec<usize>,
    /// How changes are told.
    pub strategy: Strategy,
    /// What deletes do.
    pub hard_deletes: HardDeletes,
    /// Names of the added columns.
    pub names: SnapshotNames,
}

impl SnapshotSpec {
    /// The stored table's schema: the query's columns, then the added ones.
    pub fn schema(&self) -> SchemaRef {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        let mut fields: Vec<Arc<Field>> = self.query.fields().iter().cloned().collect();
        let mut add = |name: &String, kind| fields.push(Arc::new(Field::new(name, kind, true)));
        add(&self.names.scd_id, DataType::Utf8);
        add(&self.names.updated_at, time.clone());
        add(&self.names.valid_from, time.clone());
        add(&self.names.valid_to, time);
        if self.hard_deletes == HardDeletes::NewRecord {
            add(&self.names.is_deleted, DataType::Utf8);
        }
        Arc::new(Schema::new(fields))
    }

    /// The unique key's columns alone.
    pub fn key_schema(&self) -> SchemaRef {
        let fields = self.unique_key.iter().map(|k| self.query.field(*k).clone());
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Hashes the unique key of stored rows and of query rows alike.
    pub fn key_hasher(&self) -> RowHasher {
        RowHasher::new(&self.query, self.unique_key.clone())
    }

    fn compare_hasher(&self) -> RowHasher {
        match &self.strategy {
            Strategy::Check(columns) => RowHasher::new(&self.query, columns.clone()),
            Strategy::Timestamp(column) => RowHasher::new(&self.query, vec![*column]),
        }
    }
}

/// What one source transaction left of one key.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// The unique key's hash.
    pub key: u128,
    /// The source's commit time, microseconds since 1970 UTC.
    pub at_us: i64,
    /// The source transaction, part of the version's identity.
    pub tx: i64,
    /// The query's row for it; `None` where the key was deleted or filtered out.
    pub row: Option<usize>,
}

#[derive(Default)]
struct KeyHistory {
    open: Option<Version>,
    /// The latest time the key's history has reached.
    reached: Option<i64>,
}

/// When each event happened, as versions are dated: when its transaction was committed, or what its row says.
pub fn times(spec: &SnapshotSpec, rows: &RecordBatch, events: &[Event]) -> Result<Vec<i64>> {
    let updated = updated_at(spec, rows)?;
    let time = |event: &Event| match (&updated, event.row) {
        (Some(times), Some(row)) => times[row].unwrap_or(event.at_us),
        _ => event.at_us,
    };
    Ok(events.iter().map(time).collect())
}

/// Folds events, in order, onto the stored versions of the keys they touch.
///
/// `stored` holds every stored version of those keys, under the stored schema; `rows` the query's
/// rows that events point at, under the query's schema.
pub fn fold(
    spec: &SnapshotSpec,
    stored: &RecordBatch,
    rows: &RecordBatch,
    events: &[Event],
) -> Result<ChangeBatch> {
    let mut histories = open_versions(spec, stored)?;
    let compare = spec.compare_hasher().hashes(rows)?;
    let mut closed: Vec<Version> = Vec::new();
    for (event, at) in events.iter().zip(times(spec, rows, events)?) {
        let history = histories.entry(event.key).or_default();
        let from = history.reached.map_or(at, |reached| reached.max(at));
        match event.row {
            Some(row) => {
                if let Some(open) = &history.open {
                    let same = match spec.strategy {
                        Strategy::Check(_) => open.compare == compare[row],
                        Strategy::Timestamp(_) => at <= open.updated,
                    };
                    if same && !open.deleted {
                        continue;
                    }
                }
                closed.extend(history.open.take().map(|v| v.closed_at(from)));
                history.open = Some(Version {
                    base: Base::Fresh(row),
                    compare: compare[row],
                    updated: at,
                    from,
                    to: None,
                    tx: event.tx,
                    deleted: false,
                    stored_id: None,
                });
                history.reached = Some(from);
            }
            None => delete(spec, history, from, event.tx, &mut closed),
        }
    }
    let open = histories.into_values().filter_map(|h| h.open);
    let mut versions: Vec<Version> = closed;
    versions.extend(open);
    emit(spec, stored, rows, versions)
}

fn delete(
    spec: &SnapshotSpec,
    history: &mut KeyHistory,
    at: i64,
    tx: i64,
    closed: &mut Vec<Version>,
) {
    if spec.hard_deletes == HardDeletes::Ignore || history.open.as_ref().is_none_or(|v| v.deleted) {
        return;
    }
    let Some(open) = history.open.take() else { return };
    let tombstone =
        Version { from: at, updated: at, tx, deleted: true, stored_id: None, ..open.clone() };
    closed.push(open.closed_at(at));
    history.reached = Some(at);
    if spec.hard_deletes == HardDeletes::NewRecord {
        history.open = Some(tombstone);
    }
}

/// Versions that were stored as they are now cancel out; what is left is the change.
fn emit(
    spec: &SnapshotSpec,
    stored: &RecordBatch,
    rows: &RecordBatch,
    versions: Vec<Version>,
) -> Result<ChangeBatch> {
    let fresh: Vec<Version> =
        versions.into_iter().filter(|v| v.stored_id.is_none() || v.to.is_some()).collect();
    let replaced = fresh.iter().filter_map(|v| v.stored_id.map(|row| row as u64)).collect();
    Ok(ChangeBatch {
        removed: take_rows(stored, replaced)?,
        added: assemble(spec, stored, rows, &fresh)?,
    })
}

fn updated_at(spec: &SnapshotSpec, rows: &RecordBatch) -> Result<Option<Vec<Option<i64>>>> {
    let Strategy::Timestamp(column) = spec.strategy else { return Ok(None) };
    let array =
        rows.column(column).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| {
            Error::invalid_nowhere(format!(
                "updated_at `{}` is not a timestamp",
                spec.query.field(column).name()
            ))
        })?;
    Ok(Some(array.iter().collect()))
}

fn open_versions(spec: &SnapshotSpec, stored: &RecordBatch) -> Result<HashMap<u128, KeyHistory>> {
    let mut histories: HashMap<u128, KeyHistory> = HashMap::new();
    if stored.num_rows() == 0 {
        return Ok(histories);
    }
    let base = stored.project(&(0..spec.query.fields().len()).collect::<Vec<_>>())?;
    let keys = spec.key_hasher().hashes(&base)?;
    let compare = spec.compare_hasher().hashes(&base)?;
    let time = |name: &str| {
        stored
            .column_by_name(name)
            .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| Error::Bug(format!("a stored snapshot lacks `{name}`")))
    };
    let from = time(&spec.names.valid_from)?;
    let to = time(&spec.names.valid_to)?;
    let updated = time(&spec.names.updated_at)?;
    let deleted =
        stored.column_by_name(&spec.names.is_deleted).and_then(|c| c.as_string_opt::<i32>());
    for row in 0..stored.num_rows() {
        let history = histories.entry(keys[row]).or_default();
        let end = if to.is_null(row) { from.value(row) } else { to.value(row) };
        history.reached = Some(history.reached.map_or(end, |reached| reached.max(end)));
        if to.is_null(row) {
            history.open = Some(Version {
                base: Base::Stored(row),
                compare: compare[row],
                updated: updated.value(row),
                from: from.value(row),
                to: None,
                tx: 0,
                deleted: deleted.is_some_and(|d| d.value(row) == "True"),
                stored_id: Some(row),
            });
        }
    }
    Ok(histories)
}
