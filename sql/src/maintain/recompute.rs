//! Full recompute and difference: the rule that is right for every query.
//!
//! Rows are compared by their identity (every column but the audit ones), with multiplicities. A row
//! that is in both keeps what is stored, audit columns included.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::change::{ChangeBatch, gathered, take_rows};
use crate::error::Result;
use crate::rows::RowHasher;

/// A table as it is stored, looked up by row identity.
pub trait StoredRows {
    /// A stored row's place, as the store counts them.
    type Place: Copy + Eq + std::hash::Hash;
    /// Whether it holds no row.
    fn is_empty(&self) -> bool;
    /// The live places that hold a row of this identity.
    fn find(&self, identity: u128) -> Vec<Self::Place>;
    /// Every live place but those in `keep`.
    fn all_but(&self, keep: &hashbrown::HashSet<Self::Place>) -> Vec<Self::Place>;
    /// The rows at these places.
    fn rows_at(&self, places: &[Self::Place]) -> Result<RecordBatch>;
}

/// What turns `stored` into the rows of `fresh`.
pub fn difference<S: StoredRows>(
    stored: &S,
    fresh: Vec<RecordBatch>,
    schema: &SchemaRef,
    hasher: &RowHasher,
) -> Result<ChangeBatch> {
    if stored.is_empty() {
        let removed = RecordBatch::new_empty(schema.clone());
        return Ok(ChangeBatch { removed, added: gathered(schema, fresh)? });
    }
    let mut kept = hashbrown::HashSet::new();
    let mut added = Vec::new();
    for batch in &fresh {
        let mut new_rows = Vec::new();
        for (row, identity) in hasher.hashes(batch)?.into_iter().enumerate() {
            match stored.find(identity).into_iter().find(|place| !kept.contains(place)) {
                Some(place) => {
                    kept.insert(place);
                }
                None => new_rows.push(row as u64),
            }
        }
        if !new_rows.is_empty() {
            added.push(take_rows(batch, new_rows)?);
        }
    }
    let gone = stored.all_but(&kept);
    let removed = stored.rows_at(&gone)?;
    Ok(ChangeBatch { removed, added: gathered(schema, added)? })
}
