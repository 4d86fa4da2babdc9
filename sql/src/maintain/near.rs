//! Windows over a bounded range: a change reaches the rows near it, not its whole partition.
//!
//! A row at `s` sees rows of `[s - preceding, s + following]`. So a changed row at `t` reaches rows of
//! `[t - following, t + preceding]`, and these see nothing beyond that interval widened by both once
//! more. Rows whose order is null are peers of each other and of no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_expr::PhysicalExpr;

use super::keys::KeyExprs;
use super::{mutated, run_error};
use crate::error::{Error, Result};

/// Stands for a null order.
const NULL: i64 = i64::MIN;
/// The first place of all that are not null.
pub const FIRST: i64 = NULL + 1;

/// Keys with an order among the rows of each.
#[derive(Debug, Clone)]
pub struct RangeKey {
    by: KeyExprs,
    order: Arc<dyn PhysicalExpr>,
    /// The same for the same expressions over the same relation.
    pub name: Arc<str>,
}

/// Intervals of the order, both ends in them, by key's hash; sorted and apart.
#[derive(Debug, Clone, Default)]
pub struct Ranges(BTreeMap<u64, Vec<(i64, i64)>>);

impl RangeKey {
    /// From a key whose last part is the order.
    pub fn new(key: &KeyExprs) -> Option<Self> {
        let (by, order) = key.split_last()?;
        let name = format!("{} ordered by {order}", by.name).into();
        Some(Self { by, order, name })
    }

    /// Of each row: its key's hash, and its place in the order.
    pub fn places(&self, rows: &RecordBatch) -> Result<Vec<(u64, i64)>> {
        let order = self.order.evaluate(rows).map_err(run_error)?;
        let order = order.into_array(rows.num_rows()).map_err(run_error)?;
        let order = cast(&order, &DataType::Int64)?;
        let order = order
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| Error::Bug("an order that is no whole number".to_owned()))?;
        let at = |row: usize| if order.is_null(row) { NULL } else { order.value(row).max(FIRST) };
        let hashes = self.by.hashes(rows)?;
        Ok(hashes.into_iter().enumerate().map(|(row, hash)| (hash, at(row))).collect())
    }

    /// The rows that lie in the ranges.
    pub fn keep(&self, rows: &RecordBatch, ranges: &Ranges) -> Result<RecordBatch> {
        self.those(rows, ranges, true)
    }

    /// The rows that lie in none of the ranges.
    pub(super) fn drop(&self, rows: &RecordBatch, ranges: &Ranges) -> Result<RecordBatch> {
        self.those(rows, ranges, false)
    }

    fn those(&self, rows: &RecordBatch, ranges: &Ranges, within: bool) -> Result<RecordBatch> {
        let places = self.places(rows)?;
        let mask: BooleanArray =
            places.iter().map(|(hash, at)| Some(ranges.contain(*hash, *at) == within)).collect();
        Ok(filter_record_batch(rows, &mask)?)
    }
}

impl Ranges {
    /// One interval for every row, whatever its key; it must be by a key of no parts.
    pub(super) fn everywhere(from: i64, to: i64) -> Self {
        Self(BTreeMap::from([(0, vec![(from, to)])]))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each key's hash with its intervals.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[(i64, i64)])> {
        self.0.iter().map(|(hash, list)| (*hash, list.as_slice()))
    }

    /// Whether a place lies in one of them.
    pub fn contain(&self, hash: u64, at: i64) -> bool {
        let Some(list) = self.0.get(&hash) else { return false };
        let after = list.partition_point(|(from, _)| *from <= at);
        after > 0 && list[after - 1].1 >= at
    }

    /// Where the rows are whose order is null.
    pub(super) const NULLS: (i64, i64) = (NULL, NULL);

    /// Intervals by key's hash, in any order.
    pub(super) fn of(intervals: impl IntoIterator<Item = (u64, (i64, i64))>) -> Self {
        let mut all: BTreeMap<u64, Vec<(i64, i64)>> = BTreeMap::new();
        for (hash, interval) in intervals {
            all.entry(hash).or_default().push(interval);
        }
        for list in all.values_mut() {
            list.sort_unstable();
            let mut merged: Vec<(i64, i64)> = Vec::with_capacity(list.len());
            for (from, to) in list.drain(..) {
                match merged.last_mut() {
                    Some((_, end)) if *end >= from => *end = to.max(*end),
                    _ => merged.push((from, to)),
                }
            }
            *list = merged;
        }
        Self(all)
    }

    /// The places themselves.
    pub(super) fn at(places: &[(u64, i64)]) -> Self {
        Self::of(places.iter().map(|(hash, at)| (*hash, (*at, *at))))
    }

    fn around(places: &[(u64, i64)], before: i64, after: i64) -> Self {
        let around = places.iter().filter_map(|(hash, at)| {
            // A null is beside nothing, and nothing that is beside a time reaches the nulls.
            if *at == NULL && mutated("range: a null reaches nothing") {
                return None;
            }
            let interval = if *at == NULL {
                Self::NULLS
            } else {
                (at.saturating_sub(before).max(FIRST), at.saturating_add(after))
            };
            Some((*hash, interval))
        });
        Self::of(around)
    }

    /// Where rows are reached by changes at these places, over a distance.
    pub(super) fn reached(places: &[(u64, i64)], (preceding, following): (i64, i64)) -> Self {
        let (mut before, mut after) = (following, preceding);
        if mutated("range: reaches as far back as forward") {
            (before, after) = (after, before);
        }
        if mutated("range: the end is left out") {
            after = after.saturating_sub(1);
        }
        Self::around(places, before, after)
    }

    /// Where rows are seen by those that are reached.
    pub(super) fn seen(places: &[(u64, i64)], (preceding, following): (i64, i64)) -> Self {
        let both = following.saturating_add(preceding);
        Self::around(places, both, both)
    }
}
