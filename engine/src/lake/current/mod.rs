//! A source table's current rows: what an epoch's changes make of them, in order.
//!
//! In: one table's changes as the epoch has them. Out: the net change of the current rows, and every
//! transaction's last image of a key. Redeliveries are dropped here, and values that Debezium left
//! out because they did not change are filled from the row as it stood. It must never take a
//! delete's `before` for values where the table has a key: only that is real.

mod decode;
mod fold;
mod keyless;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use freshet_sql::change::ChangeBatch;
use freshet_sql::rows::RowHasher;

use self::decode::{decode, stamp};
use self::fold::Fold;
use super::dedupe::{Delivery, Window};
use super::index::Place;
use super::table::Table;
use crate::envelope::change::Change;
use crate::envelope::options::Options;
use crate::envelope::schema::TableSchema;
use crate::error::Result;

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
    /// Where its removed rows lie, in their order: of equal rows it may matter which one goes.
    pub gone: Vec<Place>,
    /// Rows of every image below, under the current rows' schema.
    pub rows: RecordBatch,
    /// Each transaction's last image of each key, in order.
    pub images: Vec<Image>,
    /// What was met on the way.
    pub found: Found,
}

/// What was met on the way, besides rows.
#[derive(Debug, Default)]
pub struct Found {
    /// Changes whose row could not be decoded, by place in the input, with the reason.
    pub dead: Vec<(usize, String)>,
    /// Fields that rows had and the project does not declare: they are kept in raw alone.
    pub undeclared: BTreeSet<String>,
    /// For status.
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
    /// Whether the transaction made the key's row, which was not there before.
    pub created: bool,
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

/// Works one table's changes in. `stored` is the table before them; it is not changed.
pub fn resolve(
    table: &TableSchema,
    stored: &Table,
    changes: &[(usize, &Change)],
    window: &mut Window,
    options: &Options,
) -> Result<Resolved> {
    let mut found = Found::default();
    let admitted = admit(changes, window, &mut found.counts);
    let (decoded, rows) = decode(table, &admitted, options, &mut found)?;
    let rows = stamp(table, &decoded, &rows)?;
    if table.key.is_empty() {
        return keyless::resolve(table, stored, &decoded, &rows, found);
    }
    let keys = key_hashes(table, stored, &rows)?;
    let mut fold = Fold::new(stored, keys, &rows, found);
    for item in &decoded {
        fold.step(item)?;
    }
    fold.finish(table, &rows)
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

/// Tables without a key tell rows apart by their declared columns, so equal rows stay countable.
fn key_hashes(table: &TableSchema, stored: &Table, rows: &RecordBatch) -> Result<Vec<u128>> {
    let columns = identity(table);
    Ok(RowHasher::new(&stored.schema(), columns).hashes(rows)?)
}

/// The columns that tell one row of a source table from another.
pub fn identity(table: &TableSchema) -> Vec<usize> {
    if table.key.is_empty() { (0..table.columns.len()).collect() } else { table.key.clone() }
}
