//! A table without a key: equal rows are counted one by one.
//!
//! A row that goes is one of those that hold its values, which an event tells whole only under REPLICA
//! IDENTITY FULL; where it does not, the event is a dead letter. A new read of the table replaces every
//! row from before its position; one that begins anew at the very same position can't be told from the
//! first, and counts beside it. It must never guess which of unequal rows is meant.

use std::collections::BinaryHeap;

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
    /// Rows of the epoch that are there, by what they hold: the last by position first.
    fresh: HashMap<u128, BinaryHeap<(Option<i64>, usize)>>,
    /// The same of stored rows, of those that were asked for; the last one at the end.
    known: HashMap<u128, Vec<(Option<i64>, Place)>>,
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
    let (fresh, known, gone) = (HashMap::new(), HashMap::new(), HashSet::new());
    let mut kept = Kept { stored, hashes, positions, fresh, known, gone, floor: None };
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
                if !kept.went(before)? {
                    found.counts.unknown_deletes += 1;
                }
                if item.change.op == Op::Update {
                    kept.came(item.row);
                }
            }
        }
    }
    let fresh = kept.fresh.into_values().flatten();
    let mut added: Vec<u64> = fresh.map(|(_, row)| row as u64).collect();
    added.sort_unstable();
    let mut gone: Vec<Place> = kept.gone.into_iter().collect();
    gone.sort_unstable();
    let change = ChangeBatch { removed: stored.take(&gone)?, added: take_rows(&rows, added)? };
    Ok(Resolved { change, gone, rows, images: Vec::new(), found })
}

impl Kept<'_> {
    fn position(&self, row: usize) -> Option<i64> {
        self.positions.is_valid(row).then(|| self.positions.value(row))
    }

    fn came(&mut self, row: usize) {
        let Some(hash) = self.hashes.get(row) else { return };
        let position = self.position(row);
        if position < self.floor {
            // It goes with the next row of that read, as it would in an epoch of its own.
            self.floor = None;
        }
        self.fresh.entry(*hash).or_default().push((position, row));
    }

    /// Takes one row away that holds what this one does, the last by position: which one goes must not
    /// depend on where epochs were cut. Says whether there was one.
    fn went(&mut self, like: usize) -> Result<bool> {
        let Some(hash) = self.hashes.get(like).copied() else { return Ok(false) };
        if !self.known.contains_key(&hash) {
            let places = self.stored.find(hash);
            let positions = positions_of(self.stored, &places)?;
            let mut list: Vec<_> = positions.into_iter().zip(places).collect();
            list.sort_unstable();
            self.known.insert(hash, list);
        }
        let known = self.known.entry(hash).or_default();
        while known.pop_if(|(_, place)| self.gone.contains(place)).is_some() {}
        let fresh = self.fresh.entry(hash).or_default();
        let is_fresh = fresh.peek().map(|(position, _)| *position);
        let is_known = known.last().map(|(position, _)| *position);
        Ok(if is_fresh.is_some() && is_fresh >= is_known {
            fresh.pop().is_some()
        } else {
            known.pop().is_some_and(|(_, place)| self.gone.insert(place))
        })
    }

    /// A read at this position found all that there was: every row from before it goes.
    fn replace(&mut self, position: Option<i64>) -> Result<()> {
        let Some(position) = position.filter(|p| self.floor.is_none_or(|floor| floor < *p)) else {
            return Ok(());
        };
        self.floor = Some(position);
        let is_before = |of: &Option<i64>| of.is_none_or(|of| of < position);
        for rows in self.fresh.values_mut() {
            rows.retain(|(of, _)| !is_before(of));
        }
        let all = self.stored.all_but(&self.gone);
        let positions = positions_of(self.stored, &all)?.into_iter();
        let before = positions.zip(all).filter(|(of, _)| is_before(of));
        self.gone.extend(before.map(|(_, place)| place));
        Ok(())
    }
}

fn positions_of(table: &Table, places: &[Place]) -> Result<Vec<Option<i64>>> {
    let lsn = table.schema().fields().len() - 1;
    let rows = table.take_columns(places, &[lsn])?;
    Ok(rows.column(0).as_primitive::<Int64Type>().iter().collect())
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
