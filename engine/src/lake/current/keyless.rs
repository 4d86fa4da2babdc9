//! A table without a key: equal rows are counted one by one.
//!
//! A row that goes is one of those that hold its values, which an event tells whole only under REPLICA
//! IDENTITY FULL; where it does not, the event is a dead letter. A new read of the table replaces every
//! row from before its position. It must never guess which of unequal rows is meant.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::Int64Type;
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::maintain::recompute::StoredRows;
use freshet_sql::rows::RowHasher;
use hashbrown::{HashMap, HashSet};

use super::decode::{Decoded, NO_ROW};
use super::{Found, Resolved, identity};
use crate::envelope::change::{Op, ReadMark};
use crate::envelope::schema::TableSchema;
use crate::error::Result;
use crate::lake::index::Place;
use crate::lake::table::Table;

/// What the table holds while changes are worked in.
struct Kept<'t> {
    stored: &'t Table,
    hashes: Vec<u128>,
    positions: Int64Array,
    /// Rows of the epoch that are there, by what they hold.
    fresh: HashMap<u128, Vec<usize>>,
    gone: HashSet<Place>,
    /// Rows below this position went with a read.
    floor: Option<i64>,
}

/// Works changes in. `rows` are the decoded ones, with [`super::ADDED`] after their own columns.
pub(super) fn resolve(
    table: &TableSchema,
    stored: &Table,
    decoded: &[Decoded<'_>],
    rows: &RecordBatch,
    mut found: Found,
) -> Result<Resolved> {
    let rows = filled(decoded, rows, &mut found)?;
    let hashes = RowHasher::new(&stored.schema(), identity(table)).hashes(&rows)?;
    let positions = rows.columns().last().map(|column| column.as_primitive::<Int64Type>().clone());
    let positions = positions.unwrap_or_else(|| Int64Array::from(Vec::<i64>::new()));
    let (fresh, gone) = (HashMap::new(), HashSet::new());
    let mut kept = Kept { stored, hashes, positions, fresh, gone, floor: None };
    for item in decoded {
        match item.change.op {
            Op::Create => kept.came(item.row),
            Op::Read => {
                if item.change.initial != ReadMark::Incremental {
                    kept.replace(item.change.lsn)?;
                }
                kept.came(item.row);
            }
            Op::Truncate => kept.replace(item.change.lsn.or(Some(i64::MAX)))?,
            Op::Update | Op::Delete => {
                let before = item.moved_from.unwrap_or(item.row);
                if !kept.went(before) {
                    found.counts.unknown_deletes += 1;
                }
                if item.change.op == Op::Update {
                    kept.came(item.row);
                }
            }
        }
    }
    let mut added: Vec<u64> = kept.fresh.into_values().flatten().map(|row| row as u64).collect();
    added.sort_unstable();
    let mut gone: Vec<Place> = kept.gone.into_iter().collect();
    gone.sort_unstable();
    let change = ChangeBatch { removed: stored.take(&gone)?, added: take_rows(&rows, added)? };
    Ok(Resolved { change, gone, rows, images: Vec::new(), found })
}

impl Kept<'_> {
    fn came(&mut self, row: usize) {
        if let Some(hash) = self.hashes.get(row) {
            self.fresh.entry(*hash).or_default().push(row);
        }
    }

    /// Takes one row away that holds what this one does; says whether there was one.
    fn went(&mut self, like: usize) -> bool {
        let Some(hash) = self.hashes.get(like) else { return false };
        if self.fresh.get_mut(hash).and_then(Vec::pop).is_some() {
            return true;
        }
        let places = self.stored.find(*hash).into_iter();
        let left = places.filter(|place| !self.gone.contains(place)).min();
        left.is_some_and(|place| self.gone.insert(place))
    }

    /// A read at this position found all that there was: every row from before it goes.
    fn replace(&mut self, position: Option<i64>) -> Result<()> {
        let Some(position) = position.filter(|p| self.floor.is_none_or(|floor| floor < *p)) else {
            return Ok(());
        };
        self.floor = Some(position);
        let positions = &self.positions;
        for rows in self.fresh.values_mut() {
            rows.retain(|row| !is_before(positions, *row, position));
        }
        let all = self.stored.all_but(&self.gone);
        let lsn = self.stored.schema().fields().len() - 1;
        let stored = self.stored.take_columns(&all, &[lsn])?;
        let stored = stored.column(0).as_primitive::<Int64Type>();
        let before = all.iter().enumerate().filter(|(row, _)| is_before(stored, *row, position));
        self.gone.extend(before.map(|(_, place)| *place));
        Ok(())
    }
}

fn is_before(positions: &Int64Array, row: usize, position: i64) -> bool {
    positions.is_null(row) || positions.value(row) < position
}

/// The decoded rows with the values that an update left out as unchanged: those of the row before it.
fn filled(decoded: &[Decoded<'_>], rows: &RecordBatch, found: &mut Found) -> Result<RecordBatch> {
    let mut from: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
    for item in decoded.iter().filter(|item| item.row != NO_ROW) {
        for column in item.gaps.unavailable.iter().chain(item.gaps.missing.iter()) {
            match item.moved_from {
                Some(before) => {
                    found.counts.filled += 1;
                    from.entry(column).or_default().push((item.row, before));
                }
                None => found.counts.unfilled += 1,
            }
        }
    }
    if from.is_empty() {
        return Ok(rows.clone());
    }
    let mut columns = rows.columns().to_vec();
    for (column, list) in from {
        let mut places: Vec<u64> = (0..rows.num_rows() as u64).collect();
        list.into_iter().for_each(|(row, before)| places[row] = before as u64);
        columns[column] = take(&columns[column], &UInt64Array::from(places), None)?;
    }
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}
