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
        let told = events_of(session, self.snapshot, self.queries, relation, images).await?;
        let told = self.imported.only_what_counts(told, images)?;
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
    /// span, or the end.
    fn only_what_counts(&mut self, told: Told, images: &SourceImages) -> Result<Told> {
        if self.until.is_empty() {
            return Ok(told);
        }
        let first = images.facts.iter().map(|(at_us, _, _)| *at_us).min();
        self.first_us = self.first_us.into_iter().chain(first).min();
        told.events.iter().for_each(|event| _ = self.unknown.remove(&event.key));
        let (rows, events) = match self.held.take() {
            None => (told.rows, told.events),
            Some((held, mut events)) => {
                let before = held.num_rows();
                let moved = |e: Event| Event { row: e.row.map(|row| row + before), ..e };
                events.extend(told.events.into_iter().map(moved));
                (concat_batches(&held.schema(), [&held, &told.rows])?, events)
            }
        };
        let within = |e: &Event| self.until.get(&e.key).is_some_and(|end| e.at_us <= *end);
        let behind: HashSet<u128> = events.iter().filter(|e| !within(e)).map(|e| e.key).collect();
        let mut last: HashMap<u128, usize> = HashMap::new();
        for (at, event) in events.iter().enumerate().filter(|(_, e)| within(e)) {
            last.insert(event.key, at);
        }
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for (at, event) in events.into_iter().enumerate() {
            match last.get(&event.key) {
                _ if !within(&event) => now.push(event),
                Some(last) if *last == at && behind.contains(&event.key) => now.push(event),
                Some(last) if *last == at => later.push(event),
                _ => {}
            }
        }
        let picked = later.iter().filter_map(|e| e.row).map(|row| row as u64).collect();
        let held = take_rows(&rows, picked)?;
        let mut place = 0;
        for event in &mut later {
            event.row = event.row.map(|_| {
                place += 1;
                place - 1
            });
        }
        self.held = Some((held, later));
        Ok(Told { rows, events: now, keys: told.keys })
    }

    /// What is held at the end, and an end for each key that is open and that no event knows: it was
    /// deleted before the source was first read.
    fn rest(&mut self, snapshot: &PlannedSnapshot) -> (RecordBatch, Vec<Event>) {
        let none = || (RecordBatch::new_empty(snapshot.spec.query.clone()), Vec::new());
        let (rows, mut events) = self.held.take().unwrap_or_else(none);
        if let Some(at_us) = self.first_us {
            let gone = self.unknown.drain();
            events.extend(gone.map(|key| Event { key, at_us, tx: 0, row: None }));
        }
        (rows, events)
    }
}
