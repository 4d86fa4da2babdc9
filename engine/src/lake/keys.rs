//! Rows by key: for one file, the hashes of a key's values in order, and where each row lies.
//!
//! An index belongs to its file as the file's rows do: it is built when a key is first asked for,
//! never changed, and dropped with the file; rows that are gone are left out by whoever looks. It is
//! 12 bytes a row. It must never be the only place of anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use freshet_sql::maintain::keys::KeyExprs;
use freshet_sql::maintain::near::RangeKey;

/// The rows of one file in the order of their key's hash; an index with an order, then by that.
#[derive(Debug)]
pub struct KeyIndex {
    hashes: Vec<u64>,
    /// Empty where the key has no order.
    orders: Vec<i64>,
    rows: Vec<u32>,
    /// Where the hashes begin whose top bits are at least this number.
    starts: Vec<u32>,
    shift: u32,
}

/// Hashes to a bucket, about.
const PER_BUCKET: usize = 4;

impl KeyIndex {
    /// Of a file's rows, gone ones too.
    pub fn new(by: &KeyExprs, rows: &RecordBatch) -> freshet_sql::error::Result<Self> {
        let hashes = by.hashes(rows)?;
        let mut order: Vec<(u64, u32)> = hashes.into_iter().zip(0..).collect();
        order.sort_unstable();
        let (hashes, rows) = order.into_iter().unzip();
        Ok(Self::sorted(hashes, Vec::new(), rows))
    }

    /// Of a file's rows, ordered within each key.
    pub fn ordered(by: &RangeKey, rows: &RecordBatch) -> freshet_sql::error::Result<Self> {
        let places = by.places(rows)?;
        let mut order: Vec<((u64, i64), u32)> = places.into_iter().zip(0..).collect();
        order.sort_unstable();
        let rows = order.iter().map(|(_, row)| *row).collect();
        let (hashes, orders) = order.into_iter().map(|(place, _)| place).unzip();
        Ok(Self::sorted(hashes, orders, rows))
    }

    fn sorted(hashes: Vec<u64>, orders: Vec<i64>, rows: Vec<u32>) -> Self {
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
        Self { hashes, orders, rows, starts, shift }
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

    /// The rows of this hash whose order lies in an interval, both ends in it.
    pub fn rows_between(&self, hash: u64, interval: (i64, i64)) -> &[u32] {
        let span = self.span(hash);
        let Some(orders) = self.orders.get(span.clone()) else { return &[] };
        let from = span.start + orders.partition_point(|o| *o < interval.0);
        let to = span.start + orders.partition_point(|o| *o <= interval.1);
        self.rows.get(from..to).unwrap_or_default()
    }

    /// The rows of this hash.
    pub fn rows(&self, hash: u64) -> &[u32] {
        self.rows.get(self.span(hash)).unwrap_or_default()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a bucket's number is below 2^32")]
const fn bucket_of(hash: u64, shift: u32) -> usize {
    if shift >= 64 { 0 } else { (hash >> shift) as usize }
}

/// A file's indexes by the key's name.
#[derive(Debug, Default)]
pub struct KeyIndexes(Mutex<BTreeMap<Arc<str>, Arc<KeyIndex>>>);

impl KeyIndexes {
    /// The index of this name; built if it was not asked for before.
    pub(super) fn get(
        &self,
        name: &Arc<str>,
        build: impl FnOnce() -> freshet_sql::error::Result<KeyIndex>,
    ) -> freshet_sql::error::Result<Arc<KeyIndex>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = known.get(name) {
            return Ok(index.clone());
        }
        let index = Arc::new(build()?);
        known.insert(name.clone(), index.clone());
        Ok(index)
    }
}
