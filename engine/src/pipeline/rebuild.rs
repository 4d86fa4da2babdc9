//! Making anew from raw: the images a source ever had, and its current rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::maintain::recompute::StoredRows;
use freshet_sql::rows::RowHasher;
use hashbrown::{HashMap, HashSet};

use super::Pipeline;
use super::catalog::SourceTable;
use super::step::changed;
use crate::envelope::change::Change;
use crate::envelope::options::Options;
use crate::epoch::loading::Loading;
use crate::error::Result;
use crate::lake::append::AppendTable;
use crate::lake::current::{Resolved, resolve};
use crate::lake::dedupe::Window;
use crate::lake::index::Place;
use crate::lake::raw;
use crate::lake::store::Store;
use crate::lake::table::Table;
use crate::transform::history::SourceImages;
use crate::transform::run::Input;

/// Works every raw event of a source in again, those of the running epoch included, from an empty
/// table.
///
/// Numbers of images are those of raw, so that a rebuilt history equals the one that was followed.
pub async fn replay(
    store: &Store,
    source: &SourceTable,
    raw_table: Option<&AppendTable>,
    options: &Options,
) -> Result<(Resolved, BTreeMap<usize, i64>)> {
    let mut events: Vec<(i64, Change)> = Vec::new();
    if let Some(table) = raw_table {
        let take = |rows: RecordBatch| {
            events.extend(raw::changes(&rows, &source.schema.name)?);
            Ok(())
        };
        table.read_each(store, take).await?;
    }
    events.sort_by_key(|(seq, _)| *seq);
    let numbers = events.iter().enumerate().map(|(place, (seq, _))| (place, *seq)).collect();
    let list: Vec<(usize, &Change)> =
        events.iter().enumerate().map(|(place, (_, change))| (place, change)).collect();
    let empty = Table::fresh(source.spec());
    let mut window = Window::new(events.len().max(1));
    let resolved = resolve(&source.schema, &empty, &list, &mut window, options)?;
    Ok((resolved, numbers))
}

/// Images as the transform takes them, numbered.
pub fn numbered(resolved: &Resolved, number: impl Fn(usize) -> i64) -> Result<SourceImages> {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};
    let rows = resolved.images.iter().map(|i| i.row as u64).collect();
    let rows = take_rows(&resolved.rows, rows)?;
    let numbers: Int64Array = resolved.images.iter().map(|i| Some(number(i.place))).collect();
    let mut numbers: Vec<i64> = numbers.values().to_vec();
    // A truncate gives one image a key, all at one place: they stay in order and apart.
    for i in 1..numbers.len() {
        if numbers[i] <= numbers[i - 1] {
            numbers[i] = numbers[i - 1] + 1;
        }
    }
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(freshet_sql::maintain::images::SEQ, DataType::Int64, false)));
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(numbers)));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let facts = resolved.images.iter().map(|i| (i.at_us, i.tx, i.deleted)).collect();
    Ok(SourceImages { rows, facts })
}

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
        input.forced = if matches!(loading, Loading::Finishing { .. }) {
            self.planned.models.iter().map(|m| m.name.clone()).collect()
        } else {
            self.forced.clone()
        };
        // What a source's replay changes is no change that its readers could follow.
        input.forced.extend(self.stale_sources.iter().cloned());
        self.planned.add_readers(&mut input.forced);
        let wanted: BTreeSet<String> = self
            .planned
            .models
            .iter()
            .filter(|m| input.forced.contains(&m.name))
            .filter_map(|m| m.snapshot.as_ref()?.images.as_ref().ok())
            .map(|queries| queries.source.clone())
            .collect();
        let sources: Vec<SourceTable> = self.catalog.iter().map(|(_, s)| s.clone()).collect();
        for source in sources {
            let stale = self.stale_sources.contains(&source.relation);
            if !stale && !wanted.contains(&source.relation) {
                continue;
            }
            let raw_table = self.tables.raw.get(&source.folder);
            let (resolved, numbers) =
                replay(&self.store, &source, raw_table, &self.envelope).await?;
            let images =
                numbered(&resolved, |place| numbers.get(&place).copied().unwrap_or_default())?;
            input.history.insert(source.relation.clone(), images);
            if stale && let Some(table) = self.tables.source.get_mut(&source.relation) {
                let (change, gone) = instead(table, resolved.change.added)?;
                table.apply_at(&change, &gone, input.epoch)?;
                changed(input, &source.relation, &change, table.hasher())?;
                undecoded.extend(resolved.found.dead.iter().filter_map(|(at, reason)| {
                    let (epoch, place) = raw::place_of(*numbers.get(at)?);
                    let name = source.schema.name.clone();
                    (epoch == input.epoch).then(|| (name, place, reason.clone()))
                }));
            }
        }
        Ok(undecoded)
    }
}

/// A change that does not decode: its table, its place among the epoch's changes of that, the reason.
pub(super) type Undecoded = (Arc<str>, usize, String);

/// What makes a source's table hold these rows and no others, and where those lie that go.
fn instead(table: &Table, rows: RecordBatch) -> Result<(ChangeBatch, Vec<Place>)> {
    let schema = table.schema();
    let every = RowHasher::new(&schema, (0..schema.fields().len()).collect());
    let mut wanted: HashMap<u128, Vec<u64>> = HashMap::new();
    for (hash, row) in every.hashes(&rows)?.into_iter().zip(0..) {
        wanted.entry(hash).or_default().push(row);
    }
    let mut gone = table.all_but(&HashSet::new());
    let mut held = every.hashes(&table.take(&gone)?)?.into_iter();
    gone.retain(|_| {
        let hash = held.next().unwrap_or_default();
        wanted.get_mut(&hash).and_then(Vec::pop).is_none()
    });
    let mut missing: Vec<u64> = wanted.into_values().flatten().collect();
    missing.sort_unstable();
    let change = ChangeBatch { removed: table.take(&gone)?, added: take_rows(&rows, missing)? };
    Ok((change, gone))
}
