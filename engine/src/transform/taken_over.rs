//! A history that was taken over, and events of the time that it tells already.
//!
//! Of a key's events within that time only the last one counts: it says what the open version must be. A
//! replay knows which that is; the line takes each for the last, from the history as it was taken over, so
//! that a backlog which is worked off after the history came makes no versions of what that tells better.
//! Once an event of a key came from behind that time all count. The line tells that by a version from there:
//! where it left none, as an event that changed nothing, a replay may have versions that end when they begin
//! and the line has not. It must never change a version of such a key.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::TimestampMicrosecondType;
use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::stored::Stored;
use freshet_sql::materialize::snapshot::{Event, fold, times};
use freshet_sql::rows::RowHasher;
use hashbrown::{HashMap, HashSet};

use super::history::{Told, onto_stored, versions_by_key, versions_of};
use super::planned::{PlannedModel, PlannedSnapshot};
use crate::error::{Error, Result};
use crate::lake::moment::Moment;
use crate::lake::scratch::Scratch;

/// Until when a history tells what became of each key.
pub(super) type Until = HashMap<u128, i64>;

/// A history that was taken over, and what is looked up of it.
#[derive(Debug, Default)]
pub struct TakenOver {
    versions: Vec<RecordBatch>,
    /// The latest time that it tells of.
    latest_us: OnceLock<i64>,
    /// While events of the time that it tells come.
    spans: Mutex<Option<Arc<Spans>>>,
}

#[derive(Debug)]
struct Spans {
    until: Until,
    /// The history itself, found by key.
    versions: Scratch,
}

/// When each of these versions ends; when it begins, where it has not ended.
fn ends(snapshot: &PlannedSnapshot, versions: &RecordBatch) -> Result<Vec<i64>> {
    let time = |name: &str| {
        let column = versions.column_by_name(name);
        let times = column.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        times.ok_or_else(|| Error::bug(format!("a history without `{name}`")))
    };
    let names = &snapshot.spec.names;
    let (from, to) = (time(&names.valid_from)?, time(&names.valid_to)?);
    let end = |row| if to.is_null(row) { from.value(row) } else { to.value(row) };
    Ok((0..versions.num_rows()).map(end).collect())
}

/// Until when the history that a snapshot took over tells of each key.
pub(super) fn until(snapshot: &PlannedSnapshot) -> Result<Until> {
    let mut until = Until::new();
    for versions in &snapshot.taken_over.versions {
        let keys = snapshot.spec.key_hasher().hashes(versions)?;
        for (key, end) in keys.into_iter().zip(ends(snapshot, versions)?) {
            let latest = until.entry(key).or_insert(end);
            *latest = end.max(*latest);
        }
    }
    Ok(until)
}

/// The versions of a snapshot's beginning, in a table beside the one that stands.
pub(super) fn beginning(model: &PlannedModel, snapshot: &PlannedSnapshot) -> Result<Scratch> {
    let mut versions = Scratch::new(model.spec.clone());
    for added in &snapshot.taken_over.versions {
        let removed = RecordBatch::new_empty(added.schema());
        versions.apply(&ChangeBatch { removed, added: added.clone() }, &[])?;
    }
    Ok(versions)
}

impl TakenOver {
    /// These versions, with the columns of the snapshot that goes on with them.
    pub fn of(versions: Vec<RecordBatch>) -> Self {
        Self { versions, ..Self::default() }
    }

    /// As they were taken over.
    pub fn versions(&self) -> &[RecordBatch] {
        &self.versions
    }

    /// Whether none was taken over.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    fn latest_us(&self, snapshot: &PlannedSnapshot) -> Result<i64> {
        if let Some(known) = self.latest_us.get() {
            return Ok(*known);
        }
        let mut latest = i64::MIN;
        for versions in &snapshot.taken_over.versions {
            latest = ends(snapshot, versions)?.into_iter().fold(latest, i64::max);
        }
        Ok(*self.latest_us.get_or_init(|| latest))
    }

    fn spans(&self, model: &PlannedModel, snapshot: &PlannedSnapshot) -> Result<Arc<Spans>> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*spans {
            return Ok(known.clone());
        }
        let made = Spans { until: until(snapshot)?, versions: beginning(model, snapshot)? };
        Ok(spans.insert(Arc::new(made)).clone())
    }

    /// None came: what is looked up by key needs no room.
    fn forget(&self) {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Folds events onto what is stored of a history that goes on with one that was taken over.
pub(super) fn onto_taken_over(
    model: &PlannedModel,
    snapshot: &PlannedSnapshot,
    told: &Told,
    stored: &dyn Stored,
) -> Result<ChangeBatch> {
    let latest_us = snapshot.taken_over.latest_us(snapshot)?;
    let times = times(&snapshot.spec, &told.rows, &told.events)?;
    if times.iter().all(|at_us| *at_us > latest_us) {
        snapshot.taken_over.forget();
        return onto_stored(snapshot, told, stored);
    }
    let spans = snapshot.taken_over.spans(model, snapshot)?;
    let until = &spans.until;
    let found = versions_by_key(snapshot, stored, &told.keys)?;
    let mut passed = passed(snapshot, until, &found)?;
    // Of these the history begins anew where it was taken over: what was made of events before goes.
    let (mut touched, mut anew) = (HashSet::new(), HashSet::new());
    for (event, at_us) in told.events.iter().zip(&times) {
        let is_first = touched.insert(event.key);
        if is_first && is_within(until, event.key, *at_us) && !passed.contains(&event.key) {
            anew.insert(event.key);
        }
    }
    let dated = (told.events.as_slice(), times.as_slice());
    let (mut events, held) = only_what_counts(until, dated, &mut passed, |_| None);
    events.extend(held.into_iter().map(|at| told.events[at]));
    let began = Moment { table: spans.versions.table(), change: None };
    let taken = versions_by_key(snapshot, &began, &told.keys)?;
    let taken = versions_of(snapshot, &taken, |key| anew.contains(&key))?;
    let stay = |key| touched.contains(&key) && !anew.contains(&key);
    let stay = versions_of(snapshot, &found, stay)?;
    let gone = versions_of(snapshot, &found, |key| anew.contains(&key))?;
    let schema = snapshot.spec.schema();
    let from = concat_batches(&schema, [&stay, &taken])?;
    let change = fold(&snapshot.spec, &from, &told.rows, &events)?;
    let removed = concat_batches(&schema, [&change.removed, &gone])?;
    let added = concat_batches(&schema, [&change.added, &taken])?;
    Ok(ChangeBatch { removed, added }
        .consolidate(&RowHasher::all_but(&schema, &model.lineage.audit))?)
}

/// Whether a history that was taken over tells of a key at this time.
fn is_within(until: &Until, key: u128, at_us: i64) -> bool {
    until.get(&key).is_some_and(|until| at_us <= *until)
}

/// Keys with a version from behind what was taken over.
fn passed(
    snapshot: &PlannedSnapshot,
    until: &Until,
    versions: &[RecordBatch],
) -> Result<HashSet<u128>> {
    let mut passed = HashSet::new();
    for batch in versions {
        let keys = snapshot.spec.key_hasher().hashes(batch)?.into_iter();
        let behind = keys.zip(ends(snapshot, batch)?);
        passed.extend(behind.filter(|(key, end)| !is_within(until, *key, *end)).map(|(k, _)| k));
    }
    Ok(passed)
}

/// Events that count, and the places of those that do if nothing comes behind them: of each key's events
/// within its span the last, until one came from behind that (`passed`, which is kept), and all from then on.
/// They are given with the time of each; `before` may have one go before each.
pub(super) fn only_what_counts(
    until: &Until,
    (events, times): (&[Event], &[i64]),
    passed: &mut HashSet<u128>,
    mut before: impl FnMut(usize) -> Option<Event>,
) -> (Vec<Event>, Vec<usize>) {
    let (mut now, mut held) = (Vec::new(), HashMap::new());
    for (at, event) in events.iter().enumerate() {
        now.extend(before(at));
        if passed.contains(&event.key) || !is_within(until, event.key, times[at]) {
            now.extend(held.remove(&event.key).map(|at: usize| events[at]));
            now.push(*event);
            passed.insert(event.key);
        } else {
            held.insert(event.key, at);
        }
    }
    let mut held: Vec<usize> = held.into_values().collect();
    held.sort_unstable();
    (now, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_within_the_span_counts_and_all_from_the_first_behind_it() {
        let until = Until::from([(1, 100)]);
        let counts = |events: &[(u128, i64)]| {
            let events: Vec<Event> = events
                .iter()
                .map(|(key, at_us)| Event { key: *key, at_us: *at_us, tx: 0, row: None })
                .collect();
            let times: Vec<i64> = events.iter().map(|event| event.at_us).collect();
            let mut passed = HashSet::new();
            let (now, held) = only_what_counts(&until, (&events, &times), &mut passed, |_| None);
            let now: Vec<(u128, i64)> = now.iter().map(|event| (event.key, event.at_us)).collect();
            (now, held, passed.contains(&1))
        };
        assert_eq!(counts(&[(1, 10), (1, 30)]), (vec![], vec![1], false));
        assert_eq!(counts(&[(1, 10), (1, 30), (1, 101)]), (vec![(1, 30), (1, 101)], vec![], true));
        let clock_went_back = [(1, 101), (1, 100)];
        assert_eq!(counts(&clock_went_back), (clock_went_back.to_vec(), vec![], true));
        assert_eq!(counts(&[(2, 10), (2, 20)]), (vec![(2, 10), (2, 20)], vec![], false));
    }
}
