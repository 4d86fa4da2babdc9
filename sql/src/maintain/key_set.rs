//! Sets of keys: distinct values of some expressions, told apart by a 64-bit hash.
//!
//! It must never hold a key twice: whoever joins with it would count rows twice.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use hashbrown::HashSet;

use super::keys::hashes_of;
use crate::error::Result;

/// Distinct keys.
#[derive(Debug, Clone)]
pub struct KeySet {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) hashes: HashSet<u64>,
}

impl KeySet {
    /// Keys in it.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether a key of this hash is in it.
    pub fn contains(&self, hash: u64) -> bool {
        self.hashes.contains(&hash)
    }

    /// The hashes of its keys, in no order.
    pub fn hashes(&self) -> impl Iterator<Item = u64> + '_ {
        self.hashes.iter().copied()
    }

    /// Some parts of each key.
    pub fn parts(&self, positions: &[usize]) -> Result<Self> {
        let all: Vec<ArrayRef> = positions.iter().map(|p| self.columns[*p].clone()).collect();
        let rows = self.columns.first().map_or(self.hashes.len(), |c| c.len());
        // Keys that differ elsewhere may be one here: each must be there once.
        let mut seen = HashSet::new();
        let first: Vec<u32> = (0u32..)
            .zip(hashes_of(&all, rows)?)
            .filter_map(|(row, hash)| seen.insert(hash).then_some(row))
            .collect();
        Self { columns: all, hashes: HashSet::new() }.taken(first)
    }

    /// The keys that `wanted` says yes to; it is given the keys as columns.
    pub fn only(&self, wanted: impl FnOnce(&[ArrayRef]) -> Result<Vec<bool>>) -> Result<Self> {
        if self.columns.is_empty() {
            return Ok(self.clone());
        }
        let kept: Vec<u32> = (0u32..)
            .zip(wanted(&self.columns)?)
            .filter_map(|(row, wanted)| wanted.then_some(row))
            .collect();
        self.taken(kept)
    }

    fn taken(&self, rows: Vec<u32>) -> Result<Self> {
        let rows = UInt32Array::from(rows);
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|c| take(c, &rows, None))
            .collect::<std::result::Result<_, _>>()?;
        let hashes = hashes_of(&columns, rows.len())?.into_iter().collect();
        Ok(Self { columns, hashes })
    }

    /// Without the keys of which a part is null: an equality never holds for them.
    pub fn without_nulls(&self) -> Result<Self> {
        let Some(rows) = self.columns.first().map(|c| c.len()) else { return Ok(self.clone()) };
        if self.columns.iter().all(|c| c.null_count() == 0) {
            return Ok(self.clone());
        }
        let whole = |row: &u32| self.columns.iter().all(|c| !c.is_null(*row as usize));
        let kept: Vec<u32> = (0..u32::try_from(rows).unwrap_or(u32::MAX)).filter(whole).collect();
        self.taken(kept)
    }

    /// Whether a part of some key is null.
    pub fn has_nulls(&self) -> bool {
        self.columns.iter().any(|c| c.null_count() > 0)
    }

    /// With the one key that is null in every part.
    pub fn with_null(&self) -> Result<Self> {
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|c| {
                let null = arrow::array::new_null_array(c.data_type(), 1);
                Ok::<_, crate::error::Error>(concat(&[c.as_ref(), null.as_ref()])?)
            })
            .collect::<Result<_>>()?;
        let rows = columns.first().map_or(0, |c| c.len());
        let hashes = hashes_of(&columns, rows)?.into_iter().collect();
        Ok(Self { columns, hashes })
    }

    /// The keys as columns.
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// The keys whose hash this says yes to.
    pub fn with(&self, wanted: impl Fn(u64) -> bool) -> Result<Self> {
        let own = hashes_of(&self.columns, self.columns.first().map_or(0, |c| c.len()))?;
        self.only(|_| Ok(own.iter().map(|hash| wanted(*hash)).collect()))
    }

    /// The keys that are in exactly one of two other sets.
    pub fn flipped(&self, one: &Self, other: &Self) -> Result<Self> {
        self.with(|hash| one.contains(hash) != other.contains(hash))
    }

    /// The keys that are not in another set.
    pub fn without(&self, other: &Self) -> Result<Self> {
        self.with(|hash| !other.contains(hash))
    }

    /// The one key that is null in every part.
    pub fn only_null(&self) -> Result<Self> {
        let nulls = self.columns.iter().map(|c| arrow::array::new_null_array(c.data_type(), 1));
        let columns: Vec<ArrayRef> = nulls.collect();
        let hashes = hashes_of(&columns, 1)?.into_iter().collect();
        Ok(Self { columns, hashes })
    }
}
