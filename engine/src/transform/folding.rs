//! A snapshot's history folded anew: part by part, from every image of its source, in order.
//!
//! The fold does not care where its events are parted, so a part is worked in as an epoch is, onto a table
//! beside the one that stands. It must never read what stands.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::TimestampMicrosecondType;
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::materialize::snapshot::{Event, fold};
use hashbrown::{HashMap, HashSet};

use super::history::{SourceImages, Told, events_of, onto_stored, open_keys, versions_of};
use super::plan::{ImageQueries, Planned, PlannedModel, PlannedSnapshot};
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

/// What is known of a history that was taken over.
#[derive(Default)]
struct Imported {
    /// Until when it tells what became of each key.
    until: HashMap<u128, i64>,
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
        let mut versions = Scratch::new(model.spec.clone());
        let imported = Imported::of(snapshot)?;
        for added in &snapshot.imported {
            let removed = RecordBatch::new_empty(added.schema());
            versions.apply(&ChangeBatch { removed, added: added.clone() }, &[])?;
        }
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
        let told = self.imported.only_what_counts(told, created, images)?;
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
        if snapshot.imported.is_empty() {
            return Ok(own);
        }
        let spec = &snapshot.spec;
        let versions = versions_of(snapshot, &snapshot.imported, |_| true)?;
        let base = versions.project(&(0..spec.query.fields().len()).collect::<Vec<_>>())?;
        let time = |name: &str| {
            let column = versions.column_by_name(name);
            let times = column.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
            times.ok_or_else(|| Error::bug(format!("an imported history without `{name}`")))
        };
        let (from, to) = (time(&spec.names.valid_from)?, time(&spec.names.valid_to)?);
        for (row, key) in spec.key_hasher().hashes(&base)?.into_iter().enumerate() {
            let end = if to.is_null(row) { from.value(row) } else { to.value(row) };
            let latest = own.until.entry(key).or_insert(end);
            *latest = end.max(*latest);
        }
        own.unknown = open_keys(snapshot, &versions)?.into_iter().collect();
        Ok(own)
    }

    /// Of a key's events within the span that its imported history tells already, only the last one
    /// counts: it says what the open version must be. It is held until an event comes from behind that
    /// span, or the end. What does not depend on later events does not depend on where parts end.
    fn only_what_counts(
        &mut self,
        told: Told,
        created: Vec<bool>,
        images: &SourceImages,
    ) -> Result<Told> {
        if self.until.is_empty() {
            return Ok(told);
        }
        self.first_us = self.first_us.or(images.facts.first().map(|fact| fact.at_us));
        let (rows, events, created) = self.after_held(told.rows, told.events, created)?;
        let (mut now, mut held) = (Vec::new(), HashMap::new());
        for (at, (event, made)) in events.iter().zip(created).enumerate() {
            let until = self.until.get(&event.key);
            // Open since before the source was first read, and made after: it was gone by then.
            let ended = self.first_us.filter(|first| until.is_some_and(|until| until < first));
            if self.unknown.remove(&event.key) && made {
                now.extend(ended.map(|at_us| gone(event.key, at_us)));
            }
            let within = until.is_some_and(|end| event.at_us <= *end);
            if !within {
                now.extend(held.remove(&event.key).map(|at: usize| events[at]));
                now.push(*event);
                self.passed.insert(event.key);
            } else if !self.passed.contains(&event.key) {
                held.insert(event.key, at);
            }
        }
        let mut held: Vec<usize> = held.into_values().collect();
        held.sort_unstable();
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

    /// What is held at the end, and an end for each key that is open and that no event knows: it was
    /// deleted before the source was first read.
    fn rest(&mut self, snapshot: &PlannedSnapshot) -> (RecordBatch, Vec<Event>) {
        let none = || (RecordBatch::new_empty(snapshot.spec.query.clone()), Vec::new());
        let (rows, mut events) = self.held.take().unwrap_or_else(none);
        if let Some(at_us) = self.first_us {
            events.extend(self.unknown.drain().map(|key| gone(key, at_us)));
        }
        (rows, events)
    }
}

const fn gone(key: u128, at_us: i64) -> Event {
    Event { key, at_us, tx: 0, row: None }
}
