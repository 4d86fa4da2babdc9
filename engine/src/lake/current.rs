//! A source table's current rows: what an epoch's changes make of them, in order.
//!
//! In: one table's changes as the epoch has them. Out: the net change of the current rows, and every
//! transaction's last image of a key. Redeliveries are dropped here, and values that Debezium left
//! out because they did not change are filled from the row as it stood. It must never take a
//! delete's `before` for values: only its key is real.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, interleave};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use freshet_sql::change::{ChangeBatch, take_rows};
use freshet_sql::maintain::recompute::StoredRows;
use freshet_sql::rows::RowHasher;
use hashbrown::HashMap;

use super::dedupe::{Delivery, Window};
use super::index::Place;
use super::table::Table;
use crate::envelope::change::{Change, Op, ReadMark};
use crate::envelope::options::Options;
use crate::envelope::rows::{Gaps, RowDecoder};
use crate::envelope::schema::TableSchema;
use crate::error::{Error, Result};

/// Columns that every source table has after its own: the last change's commit time, transaction
/// and position.
pub const ADDED: [&str; 3] = ["_commit_at", "_tx_id", "_lsn"];

/// The schema of a source table's current rows.
pub fn schema(table: &TableSchema) -> SchemaRef {
    let mut fields = table.arrow_schema().fields().to_vec();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    for (name, kind) in ADDED.into_iter().zip([utc, DataType::Int64, DataType::Int64]) {
        fields.push(Arc::new(Field::new(name, kind, true)));
    }
    Arc::new(Schema::new(fields))
}

/// What became of a table's changes.
#[derive(Debug)]
pub struct Resolved {
    /// The net change of the current rows.
    pub change: ChangeBatch,
    /// Rows of every image below, under the current rows' schema.
    pub rows: RecordBatch,
    /// Each transaction's last image of each key, in order.
    pub images: Vec<Image>,
    /// Changes whose row could not be decoded, by place in the input.
    pub dead: Vec<(usize, String)>,
    /// What was met on the way.
    pub counts: Counts,
}

/// One transaction's last image of a key.
#[derive(Debug, Clone, Copy)]
pub struct Image {
    /// Place among the epoch's changes of the table.
    pub place: usize,
    /// Row in [`Resolved::rows`]; a deleted one has only its key.
    pub row: usize,
    /// Commit time, microseconds since 1970 UTC.
    pub at_us: i64,
    /// The transaction; 0 where unknown.
    pub tx: i64,
    /// Whether the key was deleted.
    pub deleted: bool,
}

/// Counted for status.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Dropped: seen before.
    pub redelivered: u64,
    /// Filled from the row as it stood.
    pub filled: u64,
    /// Left null, since no row of the key was known.
    pub unfilled: u64,
    /// Deletes of keys that were not there.
    pub unknown_deletes: u64,
    /// Infinite times that were brought to the ends of the calendar.
    pub infinities: u64,
}

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

/// A change that decoded, with its row in the decoded batch.
struct Decoded<'a> {
    place: usize,
    change: &'a Change,
    gaps: Gaps,
    /// Row of the old key, for the second half of a key change.
    moved_from: Option<usize>,
    row: usize,
}

/// Works one table's changes in. `stored` is the table before them; it is not changed.
pub fn resolve(
    table: &TableSchema,
    stored: &Table,
    changes: &[(usize, &Change)],
    window: &mut Window,
    options: &Options,
) -> Result<Resolved> {
    let mut counts = Counts::default();
    let admitted = admit(changes, window, &mut counts);
    let (decoded, rows, dead) = decode(table, &admitted, options, &mut counts)?;
    let rows = stamp(table, &decoded, &rows)?;
    if table.key.is_empty() {
        return keyless(&decoded, rows, dead, counts);
    }
    let keys = key_hashes(table, stored, &rows)?;
    let mut fold = Fold::new(stored, keys, counts);
    for item in &decoded {
        fold.step(item, &rows)?;
    }
    fold.finish(table, &rows, dead)
}

fn admit<'a>(
    changes: &[(usize, &'a Change)],
    window: &mut Window,
    counts: &mut Counts,
) -> Vec<(usize, &'a Change)> {
    let mut admitted = Vec::with_capacity(changes.len());
    for (place, change) in changes {
        match window.admit(change) {
            Delivery::First => admitted.push((*place, *change)),
            Delivery::Again | Delivery::BeforeWindow => counts.redelivered += 1,
        }
    }
    admitted
}

type DeadPlaces = Vec<(usize, String)>;

/// Every change gets a row of its own, a delete one with only its key; truncates get none.
fn decode<'a>(
    table: &TableSchema,
    changes: &[(usize, &'a Change)],
    options: &Options,
    counts: &mut Counts,
) -> Result<(Vec<Decoded<'a>>, RecordBatch, DeadPlaces)> {
    let declared = Arc::new(table.clone());
    let mut decoders = WireDecoders { declared, options, open: None, batches: Vec::new(), rows: 0 };
    let mut decoded = Vec::with_capacity(changes.len());
    let mut dead = Vec::new();
    for (place, change) in changes {
        let decoder = decoders.of(change)?;
        let appended = match (change.op, &change.after, &change.key) {
            (Op::Truncate, _, _) => Ok(None),
            (Op::Delete, _, Some(key)) => decoder.append_key(key).map(|()| Some(Gaps::default())),
            (Op::Delete, _, None) => Err(crate::envelope::change::Malformed::new(
                "a delete without a key can't name its row; give the table a primary key or \
                 REPLICA IDENTITY FULL",
            )),
            (_, Some(after), _) => decoder.append(after).map(Some),
            (_, None, _) => Err(crate::envelope::change::Malformed::new("the event has no `after`")),
        };
        match appended {
            Err(why) => dead.push((*place, why.reason)),
            Ok(None) => decoded.push(Decoded {
                place: *place,
                change,
                gaps: Gaps::default(),
                moved_from: None,
                row: usize::MAX,
            }),
            Ok(Some(gaps)) => {
                let row = decoders.rows;
                decoders.rows += 1;
                let moved_from = match &change.moved_from {
                    Some(old) if decoders.of(change)?.append_key(old).is_ok() => {
                        decoders.rows += 1;
                        Some(row + 1)
                    }
                    _ => None,
                };
                decoded.push(Decoded { place: *place, change, gaps, moved_from, row });
            }
        }
    }
    counts.infinities += decoders.infinities();
    Ok((decoded, decoders.finish(table)?, dead))
}

/// A decoder per message schema: a message that brings one says how its own values are written.
struct WireDecoders<'o> {
    declared: Arc<TableSchema>,
    options: &'o Options,
    open: Option<(usize, RowDecoder)>,
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl WireDecoders<'_> {
    fn of(&mut self, change: &Change) -> Result<&mut RowDecoder> {
        let wire = change.wire_schema.as_ref().map_or(0, |w| Arc::as_ptr(w) as usize);
        if self.open.as_ref().is_none_or(|(open, _)| *open != wire) {
            if let Some((_, mut decoder)) = self.open.take() {
                self.batches.push(decoder.finish()?);
            }
            let schema = match &change.wire_schema {
                Some(wire) => Arc::new(self.declared.written_as(wire)),
                None => self.declared.clone(),
            };
            self.open = Some((wire, RowDecoder::new(schema, self.options)));
        }
        match &mut self.open {
            Some((_, decoder)) => Ok(decoder),
            None => Err(Error::bug("no decoder is open")),
        }
    }

    fn infinities(&self) -> u64 {
        self.open.as_ref().map_or(0, |(_, d)| d.infinities())
    }

    fn finish(mut self, table: &TableSchema) -> Result<RecordBatch> {
        if let Some((_, mut decoder)) = self.open.take() {
            self.batches.push(decoder.finish()?);
        }
        Ok(concat_batches(&table.arrow_schema(), &self.batches)?)
    }
}

/// Adds commit time, transaction and position to each decoded row.
fn stamp(table: &TableSchema, decoded: &[Decoded<'_>], rows: &RecordBatch) -> Result<RecordBatch> {
    let mut at = vec![None; rows.num_rows()];
    let mut tx = vec![None; rows.num_rows()];
    let mut lsn = vec![None; rows.num_rows()];
    for item in decoded.iter().filter(|d| d.row != usize::MAX) {
        at[item.row] = Some(item.change.commit_us);
        tx[item.row] = item.change.tx_id;
        lsn[item.row] = item.change.lsn;
    }
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns.push(Arc::new(TimestampMicrosecondArray::from(at).with_timezone("UTC")));
    columns.push(Arc::new(Int64Array::from(tx)));
    columns.push(Arc::new(Int64Array::from(lsn)));
    Ok(RecordBatch::try_new(schema(table), columns)?)
}

/// Tables without a key tell rows apart by their declared columns, so equal rows stay countable.
fn key_hashes(table: &TableSchema, stored: &Table, rows: &RecordBatch) -> Result<Vec<u128>> {
    let columns = identity(table);
    Ok(RowHasher::new(&stored.schema(), columns).hashes(rows)?)
}

/// A table without a key only grows: its inserts and reads are counted one by one.
fn keyless(
    decoded: &[Decoded<'_>],
    rows: RecordBatch,
    mut dead: DeadPlaces,
    counts: Counts,
) -> Result<Resolved> {
    let mut added = Vec::new();
    for item in decoded {
        match item.change.op {
            Op::Create | Op::Read => added.push(item.row as u64),
            _ => dead.push((
                item.place,
                "the table has no key, so this change can't be applied to one of its rows; give \
                 it a primary key"
                    .to_owned(),
            )),
        }
    }
    let removed = RecordBatch::new_empty(rows.schema());
    let change = ChangeBatch { removed, added: take_rows(&rows, added)? };
    Ok(Resolved { change, rows, images: Vec::new(), dead, counts })
}

/// The columns that tell one row of a source table from another.
pub fn identity(table: &TableSchema) -> Vec<usize> {
    if table.key.is_empty() { (0..table.columns.len()).collect() } else { table.key.clone() }
}

/// The state while changes are worked in.
struct Fold<'t> {
    stored: &'t Table,
    keys: Vec<u128>,
    /// What a touched key holds now; `None` once deleted.
    now: HashMap<u128, Option<Row>>,
    /// What a touched key held before the epoch.
    before: HashMap<u128, Option<Place>>,
    images: Vec<Image>,
    last_image: HashMap<u128, usize>,
    /// Values to take from another row: (row, column, from).
    fills: Vec<(usize, usize, Row)>,
    /// Stored rows that images point at, after the decoded ones.
    borrowed: Vec<Place>,
    truncated: bool,
    counts: Counts,
}

impl<'t> Fold<'t> {
    fn new(stored: &'t Table, keys: Vec<u128>, counts: Counts) -> Self {
        Self {
            stored,
            keys,
            now: HashMap::new(),
            before: HashMap::new(),
            images: Vec::new(),
            last_image: HashMap::new(),
            fills: Vec::new(),
            borrowed: Vec::new(),
            truncated: false,
            counts,
        }
    }

    fn current(&mut self, key: u128) -> Option<Row> {
        if let Some(row) = self.now.get(&key) {
            return *row;
        }
        let place = self.stored.index.first(key);
        self.before.insert(key, place);
        let row = if self.truncated { None } else { place.map(Row::Stored) };
        self.now.insert(key, row);
        row
    }

    fn step(&mut self, item: &Decoded<'_>, rows: &RecordBatch) -> Result<()> {
        if item.change.op == Op::Truncate {
            return self.truncate(item);
        }
        let key = self.keys[item.row];
        let held = self.current(key);
        if self.is_stale(item.change, held, rows)? {
            self.counts.redelivered += 1;
            return Ok(());
        }
        let deleted = item.change.op == Op::Delete;
        if deleted {
            if held.is_none() {
                self.counts.unknown_deletes += 1;
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
    fn is_stale(&self, change: &Change, held: Option<Row>, rows: &RecordBatch) -> Result<bool> {
        let (Some(position), Some(row)) = (change.lsn, held) else { return Ok(false) };
        let (batch, at) = match row {
            Row::Fresh(at) => (rows.clone(), at),
            Row::Stored(place) => (self.stored.take(&[place])?, 0),
        };
        let column = batch.column_by_name("_lsn").map(|c| c.as_primitive::<Int64Type>().clone());
        Ok(column.is_some_and(|c| c.is_valid(at) && position < c.value(at)))
    }

    fn fill(&mut self, item: &Decoded<'_>, held: Option<Row>) {
        let held = held.or_else(|| {
            let old = self.keys[item.moved_from?];
            self.now.get(&old).copied().flatten().or_else(|| {
                self.before.get(&old).copied().flatten().map(Row::Stored)
            }).or_else(|| self.stored.index.first(old).map(Row::Stored))
        });
        for column in item.gaps.unavailable.iter().chain(item.gaps.missing.iter()) {
            match held {
                Some(from) => {
                    self.counts.filled += 1;
                    self.fills.push((item.row, column, from));
                }
                None => self.counts.unfilled += 1,
            }
        }
    }

    fn push_image(&mut self, item: &Decoded<'_>, key: u128, row: usize, deleted: bool) {
        let tx = item.change.tx_id.unwrap_or(0);
        let image = Image { place: item.place, row, at_us: item.change.commit_us, tx, deleted };
        let same_transaction = |last: &Image| {
            item.change.tx_id.is_some_and(|tx| tx == last.tx)
                && item.change.initial == ReadMark::None
        };
        if let Some(last) = self.last_image.get(&key)
            && same_transaction(&self.images[*last])
        {
            self.images[*last].row = SUPERSEDED;
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

    fn finish(
        self,
        table: &TableSchema,
        rows: &RecordBatch,
        dead: DeadPlaces,
    ) -> Result<Resolved> {
        let schema = schema(table);
        let filled = self.filled(rows)?;
        let borrowed = self.stored.take(&self.borrowed)?;
        let rows = concat_batches(&schema, [&filled, &borrowed])?;
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
        Ok(Resolved { change, rows, images, dead, counts: self.counts })
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
