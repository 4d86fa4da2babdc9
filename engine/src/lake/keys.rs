//! Rows by key: for one file, the hashes of a key's values in order, and where each row lies.
//!
//! An index belongs to its file as the file's rows do: it is built when a key is first asked for,
//! never changed, and dropped with the file; rows that are gone are left out by whoever looks. A merged
//! file takes its indexes over from those it was merged from. It is 13 bytes a row, 21 with an order,
//! on the heap or mapped like rows (`cold`). It must never be the only place of anything.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Int64Type, UInt32Type, UInt64Type};
use freshet_sql::maintain::keys::KeyExprs;
use freshet_sql::maintain::near::RangeKey;

use super::cold::Cold;
use super::kept::{Home, Of};
use super::order::{bucket_of, in_order};
use crate::error::{Error, Result};

/// The rows of one file in the order of their key's hash; an index with an order, then by that.
#[derive(Debug)]
pub struct KeyIndex {
    hashes: ScalarBuffer<u64>,
    /// Empty where the key has no order.
    orders: ScalarBuffer<i64>,
    rows: ScalarBuffer<u32>,
    /// Where the hashes begin whose top bits are at least this number.
    starts: Vec<u32>,
    shift: u32,
    mapped: bool,
}

/// Hashes to a bucket, about.
const PER_BUCKET: usize = 4;
/// An index of fewer rows mostly lies in the processor's caches.
const READ_AHEAD_ROWS: usize = 1 << 16;
/// Keys whose places are read ahead at once: the caches hold what is read of them until it is used.
pub const AHEAD_KEYS: usize = 2_048;
/// The new place of a row that a merge left behind.
pub(super) const LEFT_BEHIND: u32 = u32::MAX;

impl KeyIndex {
    /// Of the rows of a file that are found by this key, gone ones too.
    pub fn new(by: &KeyExprs, rows: &RecordBatch) -> freshet_sql::error::Result<Self> {
        Ok(Self::unordered(by.entries(rows)?))
    }

    /// Of a file's rows, ordered within each key.
    pub fn ordered(by: &RangeKey, rows: &RecordBatch) -> freshet_sql::error::Result<Self> {
        Ok(Self::with_order(by.places(rows)?.into_iter().zip(0..).collect()))
    }

    /// Of a file's rows by identity: one half is the hash, the other the order.
    pub(super) fn of_identities(identities: &[u128]) -> Self {
        Self::with_order(identities.iter().map(|i| halves(*i)).zip(0..).collect())
    }

    /// Of several files' rows after a merge: each index with the new places of its rows.
    pub(super) fn merged(parts: &[(&Self, &[u32])]) -> Self {
        let has_order = parts.iter().all(|(index, _)| index.orders.len() == index.rows.len());
        let moved = |places: &[u32], row: &u32| {
            places.get(*row as usize).copied().filter(|place| *place != LEFT_BEHIND)
        };
        if !has_order {
            let all = parts.iter().flat_map(|(index, places)| {
                let rows = index.hashes.iter().zip(index.rows.iter());
                rows.filter_map(|(hash, row)| Some((*hash, moved(places, row)?)))
            });
            return Self::unordered(all.collect());
        }
        let all = parts.iter().flat_map(|(index, places)| {
            let rows = index.hashes.iter().zip(index.orders.iter()).zip(index.rows.iter());
            rows.filter_map(|((hash, order), row)| Some(((*hash, *order), moved(places, row)?)))
        });
        Self::with_order(all.collect())
    }

    fn unordered(rows: Vec<(u64, u32)>) -> Self {
        let rows = in_order(rows, |(hash, _)| *hash);
        let (hashes, rows): (Vec<u64>, Vec<u32>) = rows.into_iter().unzip();
        Self::sorted(hashes.into(), Vec::new().into(), rows.into(), false)
    }

    fn with_order(rows: Vec<((u64, i64), u32)>) -> Self {
        let rows = in_order(rows, |((hash, _), _)| *hash);
        let places: Vec<u32> = rows.iter().map(|(_, row)| *row).collect();
        let (hashes, orders): (Vec<u64>, Vec<i64>) =
            rows.into_iter().map(|(place, _)| place).unzip();
        Self::sorted(hashes.into(), orders.into(), places.into(), false)
    }

    fn sorted(
        hashes: ScalarBuffer<u64>,
        orders: ScalarBuffer<i64>,
        rows: ScalarBuffer<u32>,
        mapped: bool,
    ) -> Self {
        let buckets = (hashes.len() / PER_BUCKET).next_power_of_two().max(1);
        let shift = 64 - buckets.trailing_zeros();
        let mut starts = Vec::with_capacity(buckets + 1);
        let mut at = 0;
        for bucket in 0..=buckets {
            while at < hashes.len() && bucket_of(hashes[at], shift) < bucket {
                at += 1;
            }
            starts.push(u32::try_from(at).unwrap_or(u32::MAX));
        }
        Self { hashes, orders, rows, starts, shift, mapped }
    }

    /// Where the rows of this hash begin and end.
    fn span(&self, hash: u64) -> std::ops::Range<usize> {
        let bucket = bucket_of(hash, self.shift);
        let from = self.starts.get(bucket).map_or(0, |s| *s as usize);
        let to = self.starts.get(bucket + 1).map_or(self.hashes.len(), |s| *s as usize);
        let within = &self.hashes[from..to];
        let begin = from + within.partition_point(|h| *h < hash);
        begin..from + within.partition_point(|h| *h <= hash)
    }

    /// Looks these up in turn, with their places in the index read ahead.
    pub(super) fn in_turn<T>(
        &self,
        wanted: &[T],
        hash: impl Fn(&T) -> u64,
        mut look_up: impl FnMut(&T),
    ) {
        for some in wanted.chunks(AHEAD_KEYS) {
            self.read_ahead(some.iter().map(&hash));
            some.iter().for_each(&mut look_up);
        }
    }

    /// Has the processor read at once where the rows of these hashes begin, of [`AHEAD_KEYS`] at most: looked
    /// up one by one, each lookup in a large index waits for memory twice or more.
    pub(super) fn read_ahead(&self, hashes: impl Iterator<Item = u64>) {
        if self.hashes.len() < READ_AHEAD_ROWS {
            return;
        }
        let from = |hash| self.starts.get(bucket_of(hash, self.shift)).map_or(0, |s| *s as usize);
        let begins: Vec<usize> = hashes.map(from).collect();
        let read = begins.iter().fold(0, |read: u64, at| {
            let order = self.orders.get(*at).copied().unwrap_or_default().cast_unsigned();
            let row = self.rows.get(*at).copied().unwrap_or_default();
            read ^ self.hashes.get(*at).copied().unwrap_or_default() ^ order ^ u64::from(row)
        });
        std::hint::black_box(read);
    }

    /// The rows of this hash whose order lies in an interval, both ends in it.
    pub fn rows_between(&self, hash: u64, interval: (i64, i64)) -> &[u32] {
        let span = self.span(hash);
        let Some(orders) = self.orders.get(span.clone()) else { return &[] };
        let from = span.start + orders.partition_point(|o| *o < interval.0);
        let to = span.start + orders.partition_point(|o| *o <= interval.1);
        self.rows.get(from..to).unwrap_or_default()
    }

    /// The rows of this hash and the order of each, of an index that has one.
    pub(super) fn in_order(&self, hash: u64) -> (&[i64], &[u32]) {
        let span = self.span(hash);
        let (orders, rows) = (self.orders.get(span.clone()), self.rows.get(span));
        (orders.unwrap_or_default(), rows.unwrap_or_default())
    }

    /// The rows of this hash.
    pub fn rows(&self, hash: u64) -> &[u32] {
        self.rows.get(self.span(hash)).unwrap_or_default()
    }

    /// [`Self::read_ahead`] of identities.
    pub(super) fn read_identities_ahead(&self, identities: &[u128]) {
        self.read_ahead(identities.iter().map(|identity| halves(*identity).0));
    }

    /// The rows of this identity, of an index of identities.
    pub(super) fn of_identity(&self, identity: u128) -> &[u32] {
        let (hash, order) = halves(identity);
        self.rows_between(hash, (order, order))
    }

    /// Bytes of its entries, wherever they lie.
    pub(super) fn bytes(&self) -> usize {
        self.hashes.len() * 8 + self.orders.len() * 8 + self.rows.len() * 4
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.starts.len() * 4 + if self.mapped { 0 } else { self.bytes() }
    }

    /// The same index, read from disk but for its buckets.
    pub(super) fn cooled(
        self: &Arc<Self>,
        cold: &Cold,
        place: (Option<&Home>, &Of),
    ) -> Result<Arc<Self>> {
        if self.mapped {
            return Ok(self.clone());
        }
        let (hashes, orders, rows) = columns(&cold.moved(place, &self.as_rows()?)?)?;
        let (starts, shift) = (self.starts.clone(), self.shift);
        Ok(Arc::new(Self { hashes, orders, rows, starts, shift, mapped: true }))
    }

    /// Its entries, as rows.
    pub(super) fn as_rows(&self) -> Result<RecordBatch> {
        let column = |values: ArrayRef, name: &'static str| (name, values);
        let mut columns = vec![
            column(Arc::new(UInt64Array::new(self.hashes.clone(), None)), "hash"),
            column(Arc::new(UInt32Array::new(self.rows.clone(), None)), "row"),
        ];
        if !self.orders.is_empty() {
            columns.push(column(Arc::new(Int64Array::new(self.orders.clone(), None)), "order"));
        }
        Ok(RecordBatch::try_from_iter(columns)?)
    }

    /// The index with these entries; `None` if they are none of an index.
    pub(super) fn from_rows(entries: &RecordBatch, mapped: bool) -> Option<Self> {
        let (hashes, orders, rows) = columns(entries).ok()?;
        Some(Self::sorted(hashes, orders, rows, mapped))
    }
}

type Columns = (ScalarBuffer<u64>, ScalarBuffer<i64>, ScalarBuffer<u32>);

fn columns(entries: &RecordBatch) -> Result<Columns> {
    let column = |name: &str| entries.column_by_name(name);
    let hashes = column("hash").and_then(|c| c.as_primitive_opt::<UInt64Type>());
    let rows = column("row").and_then(|c| c.as_primitive_opt::<UInt32Type>());
    let orders = column("order").and_then(|c| c.as_primitive_opt::<Int64Type>());
    let (Some(hashes), Some(rows)) = (hashes, rows) else {
        return Err(Error::corrupt("a local copy of an index has other columns"));
    };
    let orders = orders.map(|o| o.values().clone()).unwrap_or_default();
    Ok((hashes.values().clone(), orders, rows.values().clone()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "splitting a number in two keeps both halves"
)]
const fn halves(identity: u128) -> (u64, i64) {
    ((identity >> 64) as u64, identity as u64 as i64)
}
