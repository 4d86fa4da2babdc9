//! A snapshot's history folded anew: part by part, from every image of its source, in order.
//!
//! The fold does not care where its events are parted, so a part is worked in as an epoch is, onto a table
//! beside the one that stands. It must never read what stands.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use freshet_sql::change::take_rows;
use freshet_sql::materialize::snapshot::{Event, SnapshotSpec, fold, times};
use hashbrown::HashSet;

use super::history::{SourceImages, Told, events_of, onto_stored, open_keys, versions_of};
use super::planned::{ImageQueries, Planned, PlannedModel, PlannedSnapshot};
use super::taken_over::{self, Until, only_what_counts};
use crate::error::{Error, Result};
use crate::lake::moment::Moment;
use crate::lake::scratch::Scratch;

/// One snapshot's history in the making.
pub struct Folding<'p> {
    planned: &'p Planned,
    model: &'p PlannedModel,
    snapshot: &'p PlannedSnapshot,
    queries: &'p ImageQueries,
    versions: Scratch,
    imported: Imported,
}

/// What a replay knows so far of a history that was taken over.
#[derive(Default)]
struct Imported {
    /// Until when it tells what became of each key.
    until: Until,
    /// Keys that are open in it and that no event knew so far.
    unknown: HashSet<u128>,
    /// Keys of which an event came from behind that.
    passed: HashSet<u128>,
    /// The last event of each key within its span, until one comes from behind it.
    held: Option<(RecordBatch, Vec<Event>)>,
    /// The time of the first image.
    first_us: Option<i64>,
}

impl<'p> Folding<'p> {
    /// Of a snapshot that follows images, from the history that was taken over, if one was.
    pub fn new(planned: &'p Planned, model: &'p PlannedModel) -> Result<Self> {
        let bug = || Error::bug(format!("\"{}\" follows no images", model.name));
        let snapshot = model.snapshot.as_ref().ok_or_else(bug)?;
        let queries = snapshot.images.as_ref().map_err(|_| bug())?;
        let versions = taken_over::beginning(model, snapshot)?;
        let imported = Imported::of(snapshot)?;
        Ok(Self { planned, model, snapshot, queries, versions, imported })
    }

    /// The snapshot's name.
    pub fn name(&self) -> &str {
        &self.model.name
    }

    /// Works the next images in.
    pub async fn part(&mut self, images: &SourceImages) -> Result<()> {
        let relation = self.planned.sources.get(&self.queries.source).map(|s| &s.images);
        let relation = relation.ok_or_else(|| Error::bug("a snapshot of an unknown source"))?;
        let session = &self.planned.session;
        let (told, created) =
            events_of(session, self.snapshot, self.queries, relation, images).await?;
        let told = self.imported.only_what_counts(&self.snapshot.spec, told, created, images)?;
        let own = Moment { table: self.versions.table(), change: None };
        let change = onto_stored(self.snapshot, &told, &own)?;
        self.versions.apply(&change, &[])
    }

    /// The versions, when the last part is in.
    pub fn finish(mut self) -> Result<Vec<RecordBatch>> {
        let (rows, events) = self.imported.rest(self.snapshot);
        if !events.is_empty() {
            let touched: HashSet<u128> = events.iter().map(|e| e.key).collect();
            let found = self.versions.table().scan()?;
            let found = versions_of(self.snapshot, &found, |key| touched.contains(&key))?;
            let change = fold(&self.snapshot.spec, &found, &rows, &events)?;
            self.versions.apply(&change, &[])?;
        }
        self.versions.into_rows()
    }
}

impl Imported {
    fn of(snapshot: &PlannedSnapshot) -> Result<Self> {
        let mut own = Self::default();
        if snapshot.taken_over.is_empty() {
            return Ok(own);
        }
        own.until = taken_over::until(snapshot)?;
        let versions = versions_of(snapshot, snapshot.taken_over.versions(), |_| true)?;
        own.unknown = open_keys(snapshot, &versions)?.into_iter().collect();
        Ok(own)
    }

    /// Of a key's events within the span that its imported history tells already, only the last one
    /// counts: it says what the open version must be. It is held until an event comes from behind that
    /// span, or the end. What does not depend on later events does not depend on where parts end.
    fn only_what_counts(
        &mut self,
        spec: &SnapshotSpec,
        told: Told,
        created: Vec<bool>,
        images: &SourceImages,
    ) -> Result<Told> {
        if self.until.is_empty() {
            return Ok(told);
        }
        self.first_us = self.first_us.or(images.facts.first().map(|fact| fact.at_us));
        let (rows, events, created) = self.after_held(told.rows, told.events, created)?;
        let (until, unknown, first_us) = (&self.until, &mut self.unknown, self.first_us);
        let before = |at: usize| {
            let key = events[at].key;
            // Open since before the source was first read, and made after: it was gone by then.
            let ended = first_us.filter(|first| until.get(&key).is_some_and(|until| until < first));
            let made = unknown.remove(&key) && created[at];
            ended.filter(|_| made).map(|at_us| gone(key, at_us))
        };
        let times = times(spec, &rows, &events)?;
        let (now, held) = only_what_counts(until, (&events, &times), &mut self.passed, before);
        let picked = held.iter().filter_map(|at| events[*at].row).map(|row| row as u64).collect();
        let mut place = 0..;
        let moved = held.iter().map(|at| {
            let row = events[*at].row.and_then(|_| place.next());
            Event { row, ..events[*at] }
        });
        self.held = Some((take_rows(&rows, picked)?, moved.collect()));
        Ok(Told { rows, events: now, keys: told.keys })
    }

    /// These events, and before them those that are held.
    fn after_held(
        &mut self,
        rows: RecordBatch,
        events: Vec<Event>,
        created: Vec<bool>,
    ) -> Result<(RecordBatch, Vec<Event>, Vec<bool>)> {
        let Some((held, mut all)) = self.held.take() else { return Ok((rows, events, created)) };
        let (before, count) = (held.num_rows(), all.len());
        let moved = |e: Event| Event { row: e.row.map(|row| row + before), ..e };
        all.extend(events.into_iter().map(moved));
        let created = std::iter::repeat_n(false, count).chain(created).collect();
        Ok((concat_batches(&held.schema(), [&held, &rows])?, all, created))
    }

    /// What is held at the end, and an end for each key that was open before the source was first read and
    /// that no event knows: it was deleted before that. One that was dated later may still be told of.
    fn rest(&mut self, snapshot: &PlannedSnapshot) -> (RecordBatch, Vec<Event>) {
        let none = || (RecordBatch::new_empty(snapshot.spec.query.clone()), Vec::new());
        let (rows, mut events) = self.held.take().unwrap_or_else(none);
        if let Some(at_us) = self.first_us {
            let until = &self.until;
            let ended = |key: &u128| until.get(key).is_some_and(|until| *until < at_us);
            events.extend(self.unknown.drain().filter(ended).map(|key| gone(key, at_us)));
        }
        (rows, events)
    }
}

const fn gone(key: u128, at_us: i64) -> Event {
    Event { key, at_us, tx: 0, row: None }
}
