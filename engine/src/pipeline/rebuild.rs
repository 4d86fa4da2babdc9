//! Making anew from raw: a source's rows, and the histories that are folded from its images.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::maintain::recompute::StoredRows;
use freshet_sql::rows::RowHasher;
use hashbrown::{HashMap, HashSet};

use super::Pipeline;
use super::replay::{Rules, replay};
use super::step::changed;
use crate::epoch::loading::Loading;
use crate::error::Result;
use crate::lake::in_order::PART_EVENTS;
use crate::lake::index::Place;
use crate::lake::table::Table;
use crate::transform::folding::Folding;
use crate::transform::run::Input;

impl Pipeline {
    /// What must be made anew from raw in this epoch: sources under new columns or found wrong, and the
    /// history that forced snapshots are folded from. Gives back the epoch's own changes of such sources
    /// that don't decode.
    pub(super) async fn remake(
        &mut self,
        input: &mut Input,
        loading: Loading,
    ) -> Result<Vec<Undecoded>> {
        let mut undecoded = Vec::new();
        if matches!(loading, Loading::Reading { .. }) {
            return Ok(undecoded);
        }
        self.planned.session.set_time(input.time_us);
        input.forced = if matches!(loading, Loading::Finishing { .. }) {
            self.planned.models.iter().map(|m| m.name.clone()).collect()
        } else {
            self.forced.clone()
        };
        // What a source's replay changes is no change that its readers could follow.
        input.forced.extend(self.stale_sources.iter().cloned());
        self.planned.add_readers(&mut input.forced);
        let rules = Rules {
            store: &self.store,
            envelope: &self.envelope,
            dedupe_events: self.lake.dedupe_events,
            part_events: PART_EVENTS,
        };
        for (name, source) in self.catalog.iter() {
            let stale = self.stale_sources.contains(&source.relation);
            let folds = self.planned.models.iter();
            let folds =
                folds.filter(|m| input.forced.contains(&m.name) && m.folds(&source.relation));
            let folding =
                folds.map(|m| Folding::new(&self.planned, m)).collect::<Result<Vec<_>>>()?;
            if !stale && folding.is_empty() {
                continue;
            }
            let raw_table = self.tables.raw.get(&source.folder);
            let made = replay(rules, source, raw_table, folding, input.epoch).await?;
            input.history.extend(made.histories);
            if stale && let Some(table) = self.tables.source.get_mut(&source.relation) {
                let (change, gone) = instead(table, made.rows)?;
                table.apply_at(&change, &gone, input.epoch)?;
                changed(input, &source.relation, &change, table.hasher())?;
                let told = made.undecoded.into_iter();
                undecoded.extend(told.map(|(place, reason)| (name.clone(), place, reason)));
            }
        }
        Ok(undecoded)
    }
}

/// A change that does not decode: its table, its place among the epoch's changes of that, the reason.
pub(super) type Undecoded = (Arc<str>, usize, String);

/// Rows that are looked at together.
const LOOKED_AT: usize = 65_536;

/// What makes a source's table hold these rows and no others, and where those lie that go.
fn instead(table: &Table, rows: Vec<RecordBatch>) -> Result<(ChangeBatch, Vec<Place>)> {
    let schema = table.schema();
    let every = RowHasher::new(&schema, (0..schema.fields().len()).collect());
    let mut wanted: HashMap<u128, Vec<(usize, u64)>> = HashMap::new();
    for (batch, rows) in rows.iter().enumerate() {
        for (hash, row) in every.hashes(rows)?.into_iter().zip(0..) {
            wanted.entry(hash).or_default().push((batch, row));
        }
    }
    let mut gone = Vec::new();
    for places in table.all_but(&HashSet::new()).chunks(LOOKED_AT) {
        let held = places.iter().zip(every.hashes(&table.take(places)?)?);
        let without = held.filter(|(_, hash)| wanted.get_mut(hash).and_then(Vec::pop).is_none());
        gone.extend(without.map(|(place, _)| *place));
    }
    let mut missing: Vec<Vec<u64>> = vec![Vec::new(); rows.len()];
    wanted.into_values().flatten().for_each(|(batch, row)| missing[batch].push(row));
    let added = rows.iter().zip(missing).map(|(rows, mut missing)| {
        missing.sort_unstable();
        take_rows(rows, missing)
    });
    let added = added.collect::<std::result::Result<Vec<_>, _>>()?;
    let added = concat_batches(&schema, &added)?;
    Ok((ChangeBatch { removed: table.take(&gone)?, added }, gone))
}
