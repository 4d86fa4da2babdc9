//! The fold: decoded changes, in order, onto what the table holds.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{concat_batches, interleave};
use arrow::datatypes::Int64Type;
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::maintain::recompute::StoredRows;
use hashbrown::HashMap;

use super::decode::Decoded;
use super::{Found, Image, Resolved, schema};
use crate::envelope::change::{Change, Op, ReadMark};
use crate::envelope::schema::TableSchema;
use crate::error::Result;
use crate::lake::index::Place;
use crate::lake::keys::AHEAD_KEYS;
use crate::lake::table::Table;

/// The row of an image that a later one of the same transaction replaced.
const SUPERSEDED: usize = usize::MAX;

/// Where a row lies: in the batch being made, or stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Fresh(usize),
    Stored(Place),
}

impl Row {
    const fn stored(&self) -> Option<Place> {
        match self {
            Self::Fresh(_) => None,
            Self::Stored(place) => Some(*place),
        }
    }
}

fn number(column: &Int64Array, at: usize) -> Option<i64> {
    column.is_valid(at).then(|| column.value(at))
}

/// The state while changes are worked in.
pub(super) struct Fold<'t> {
    stored: &'t Table,
    keys: Vec<u128>,
    /// `_lsn` of the decoded rows, and where that column stands.
    positions: Int64Array,
    positions_at: usize,
    /// Up to which row what finds its key was read ahead.
    ahead: usize,
    /// What a touched key holds now; `None` once deleted.
    now: HashMap<u128, Option<Row>>,
    /// What a touched key held before the epoch.
    before: HashMap<u128, Option<Place>>,
    /// What a key held when it was last deleted here: a key change's new row takes values from it.
    gone: HashMap<u128, Row>,
    images: Vec<Image>,
    last_image: HashMap<u128, usize>,
    /// Values to take from another row: (row, column, from).
    fills: Vec<(usize, usize, Row)>,
    /// Stored rows that images point at, after the decoded ones.
    borrowed: Vec<Place>,
    truncated: bool,
    found: Found,
}

impl<'t> Fold<'t> {
    /// `rows` are the decoded ones, with [`super::ADDED`] after their own columns.
    pub(super) fn new(
        stored: &'t Table,
        keys: Vec<u128>,
        rows: &RecordBatch,
        found: Found,
    ) -> Self {
        let positions_at = rows.num_columns().saturating_sub(1);
        Self {
            stored,
            positions: rows.column(positions_at).as_primitive::<Int64Type>().clone(),
            positions_at,
            ahead: 0,
            now: HashMap::with_capacity(keys.len()),
            before: HashMap::with_capacity(keys.len()),
            last_image: HashMap::with_capacity(keys.len()),
            keys,
            gone: HashMap::new(),
            images: Vec::new(),
            fills: Vec::new(),
            borrowed: Vec::new(),
            truncated: false,
            found,
        }
    }

    fn current(&mut self, key: u128) -> Option<Row> {
        if let Some(row) = self.now.get(&key) {
            return *row;
        }
        let place = self.stored.first(key);
        self.before.insert(key, place);
        let row = if self.truncated { None } else { place.map(Row::Stored) };
        self.now.insert(key, row);
        row
    }

    pub(super) fn step(&mut self, item: &Decoded<'_>) -> Result<()> {
        if item.change.op == Op::Truncate {
            return self.truncate(item);
        }
        if item.row >= self.ahead {
            self.ahead = self.keys.len().min(item.row + AHEAD_KEYS);
            self.stored.read_ahead(&self.keys[item.row..self.ahead]);
        }
        let key = self.keys[item.row];
        let held = self.current(key);
        if self.is_stale(item.change, held) {
            self.found.counts.redelivered += 1;
            return Ok(());
        }
        let deleted = item.change.op == Op::Delete;
        if deleted {
            match held {
                Some(row) => _ = self.gone.insert(key, row),
                None => self.found.counts.unknown_deletes += 1,
            }
            self.now.insert(key, None);
        } else {
            self.fill(item, held);
            self.now.insert(key, Some(Row::Fresh(item.row)));
        }
        self.push_image(item, key, item.row, deleted);
        Ok(())
    }

    /// A position before the one the key already has: per key, positions only grow.
    fn is_stale(&self, change: &Change, held: Option<Row>) -> bool {
        let (Some(position), Some(row)) = (change.lsn, held) else { return false };
        let known = match row {
            Row::Fresh(at) => number(&self.positions, at),
            Row::Stored(place) => self.stored.row(place).and_then(|(rows, at)| {
                number(rows.column(self.positions_at).as_primitive::<Int64Type>(), at)
            }),
        };
        known.is_some_and(|known| position < known)
    }

    fn fill(&mut self, item: &Decoded<'_>, held: Option<Row>) {
        let held = held.or_else(|| {
            let old = self.keys[item.moved_from?];
            match self.now.get(&old) {
                Some(row) => row.or_else(|| self.gone.get(&old).copied()),
                None => self.stored.first(old).map(Row::Stored),
            }
        });
        for column in item.gaps.unavailable.iter().chain(item.gaps.missing.iter()) {
            match held {
                Some(from) => {
                    self.found.counts.filled += 1;
                    self.fills.push((item.row, column, from));
                }
                None => self.found.counts.unfilled += 1,
            }
        }
    }

    fn push_image(&mut self, item: &Decoded<'_>, key: u128, row: usize, deleted: bool) {
        let tx = item.change.tx_id.unwrap_or(0);
        let created = item.change.op == Op::Create;
        let (place, at_us) = (item.place, item.change.commit_us);
        let mut image = Image { place, row, at_us, tx, deleted, created };
        let same_transaction = |last: &Image| {
            item.change.tx_id.is_some_and(|tx| tx == last.tx)
                && item.change.initial == ReadMark::None
        };
        if let Some(last) = self.last_image.get(&key)
            && same_transaction(&self.images[*last])
        {
            self.images[*last].row = SUPERSEDED;
            image.created |= self.images[*last].created;
        }
        self.last_image.insert(key, self.images.len());
        self.images.push(image);
    }

    /// Every row goes: each living key gets a delete image.
    fn truncate(&mut self, item: &Decoded<'_>) -> Result<()> {
        if !self.truncated {
            let all = self.stored.all_but(&hashbrown::HashSet::new());
            let hashes = self.stored.hasher().hashes(&self.stored.take(&all)?)?;
            for (key, place) in hashes.into_iter().zip(all) {
                self.before.entry(key).or_insert(Some(place));
                self.now.entry(key).or_insert(Some(Row::Stored(place)));
            }
            self.truncated = true;
        }
        let mut living: Vec<(u128, Row)> =
            self.now.iter().filter_map(|(key, row)| row.map(|row| (*key, row))).collect();
        living.sort_by_key(|(key, _)| *key);
        for (key, row) in living {
            self.now.insert(key, None);
            let row = match row {
                Row::Fresh(row) => row,
                Row::Stored(place) => {
                    self.borrowed.push(place);
                    self.keys.len() + self.borrowed.len() - 1
                }
            };
            self.push_image(item, key, row, true);
        }
        Ok(())
    }

    pub(super) fn finish(self, table: &TableSchema, rows: &RecordBatch) -> Result<Resolved> {
        let schema = schema(table);
        let filled = self.filled(rows)?;
        let rows = if self.borrowed.is_empty() {
            filled
        } else {
            concat_batches(&schema, [&filled, &self.stored.take(&self.borrowed)?])?
        };
        let mut gone: Vec<Place> = Vec::new();
        let mut added: Vec<u64> = Vec::new();
        for (key, row) in &self.now {
            let before = self.before.get(key).copied().flatten();
            match row {
                Some(Row::Stored(_)) => {}
                Some(Row::Fresh(row)) => {
                    gone.extend(before);
                    added.push(*row as u64);
                }
                None => gone.extend(before),
            }
        }
        gone.sort_unstable();
        added.sort_unstable();
        let change =
            ChangeBatch { removed: self.stored.take(&gone)?, added: take_rows(&rows, added)? };
        let images = self.images.into_iter().filter(|i| i.row != SUPERSEDED).collect();
        Ok(Resolved { change, gone, rows, images, found: self.found })
    }

    /// The decoded rows with unchanged values put in; a value may come through several rows.
    fn filled(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if self.fills.is_empty() {
            return Ok(rows.clone());
        }
        let places: Vec<Place> = self.fills.iter().filter_map(|f| f.2.stored()).collect();
        let stored = self.stored.take(&places)?;
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        let mut touched: Vec<usize> = self.fills.iter().map(|f| f.1).collect();
        touched.sort_unstable();
        touched.dedup();
        for column in touched {
            let mut from: Vec<(usize, usize)> = (0..rows.num_rows()).map(|r| (0, r)).collect();
            let mut next_stored = 0;
            for (row, of, source) in &self.fills {
                let origin = match source {
                    Row::Fresh(other) => from[*other],
                    Row::Stored(_) => {
                        next_stored += 1;
                        (1, next_stored - 1)
                    }
                };
                if *of == column {
                    from[*row] = origin;
                }
            }
            let sources = [rows.column(column).as_ref(), stored.column(column).as_ref()];
            columns[column] = interleave(&sources, &from)?;
        }
        Ok(RecordBatch::try_new(rows.schema(), columns)?)
    }
}
