//! What maintenance needs of a stored relation, whoever stores it.
//!
//! A relation is read as it was before the epoch or as it is after it: never anything between, and
//! never a mixture, which is the classic error of joins over changes.

use arrow::array::RecordBatch;

use super::keys::{KeyExprs, KeySet};
use super::near::{RangeKey, Ranges};
use crate::change::ChangeBatch;
use crate::error::Result;

/// A moment at which a relation is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// As the epoch before left it.
    Before,
    /// With this epoch's change.
    After,
}

/// How many rows of a key are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    Every,
    /// At least one, where there is one: whether there are any, by the key's hash.
    Any,
}

/// A relation that can be read by key. Batches have the asked columns of it, in that order.
pub trait Stored: Sync {
    /// How many rows there are, about.
    fn rows(&self) -> usize;

    /// Every row.
    fn all(&self, columns: &[usize], when: When) -> Result<Vec<RecordBatch>>;

    /// At least the rows whose key is in `keys`, of those that are found by the index. Where every row
    /// is wanted: for any key of which it gives a row, all of them.
    fn with_keys(
        &self,
        index: &KeyExprs,
        keys: &KeySet,
        columns: &[usize],
        when: When,
        wanted: Wanted,
    ) -> Result<Vec<RecordBatch>>;

    /// Of these keys at least those with so many rows before the epoch, or after it.
    fn keys_of_at_least(&self, index: &KeyExprs, keys: &KeySet, rows: usize) -> Result<KeySet>;

    /// For each of these ranges the place of the row that lies so many rows before it, and of the one
    /// so many after it, with this epoch's change; the first place and the last there are where that
    /// many do not lie there. Rows whose order is null do not count.
    fn beside(
        &self,
        index: &RangeKey,
        ranges: &[(u64, (i64, i64))],
        rows: usize,
    ) -> Result<Vec<(i64, i64)>>;

    /// At least the rows in these ranges; for any place of which it gives a row, all of them.
    fn with_ranges(
        &self,
        index: &RangeKey,
        ranges: &Ranges,
        columns: &[usize],
        when: When,
    ) -> Result<Vec<RecordBatch>>;
}

/// The relations of a project and what this epoch changed in them.
pub trait Relations: Sync {
    /// A relation's rows; `None` for one that was not given, which is an error of the caller.
    fn stored(&self, relation: &str) -> Option<&dyn Stored>;

    /// What this epoch removed from it and added to it; a row may be in both.
    fn change(&self, relation: &str) -> Option<&ChangeBatch>;
}
