//! A table's digest by ranges of its key, so that a difference can be looked for where it lies.
//!
//! A row lies in the range that the first bits of its identity's hash name. Each range has the digest
//! of its rows; together they add up to the table's. They are kept by the changes, never by a scan.

use arrow::array::RecordBatch;
use freshet_sql::digest::row_hashes;
use freshet_sql::rows::RowHasher;

use crate::error::Result;

/// Ranges of a table.
pub const RANGES: usize = 16;

/// One digest a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ranges([u64; RANGES]);

/// The range that a row of this identity lies in.
pub const fn range_of(identity: u128) -> usize {
    (identity >> 124) as usize
}

/// What tells rows: one identity and one digest each.
#[derive(Debug, Default)]
pub struct Marks {
    /// By which they are found.
    pub identities: Vec<u128>,
    /// What they add to their table's digest.
    pub digests: Vec<u64>,
}

impl Marks {
    /// Of rows: `digest` are the columns that count.
    pub fn of(rows: &RecordBatch, identity: &RowHasher, digest: &[usize]) -> Result<Self> {
        Ok(Self { identities: identity.hashes(rows)?, digests: row_hashes(rows, digest)? })
    }
}

impl Ranges {
    /// Of rows: `identity` tells in which range each lies, `digest` are the columns that count.
    pub fn of(rows: &[RecordBatch], identity: &RowHasher, digest: &[usize]) -> Result<Self> {
        let mut ranges = Self::default();
        for batch in rows {
            ranges.add(&Marks::of(batch, identity, digest)?, false);
        }
        Ok(ranges)
    }

    /// After a change: what its removed and its added rows are told by.
    pub fn change(&mut self, [removed, added]: [&Marks; 2]) {
        self.add(removed, true);
        self.add(added, false);
    }

    fn add(&mut self, rows: &Marks, less: bool) {
        for (identity, hash) in rows.identities.iter().zip(&rows.digests) {
            let range = &mut self.0[range_of(*identity)];
            *range = if less { range.wrapping_sub(*hash) } else { range.wrapping_add(*hash) };
        }
    }

    /// The table's digest.
    pub fn digest(&self) -> u64 {
        self.0.iter().fold(0, |sum, range| sum.wrapping_add(*range))
    }

    /// Which ranges differ.
    pub fn differing(&self, other: &Self) -> Vec<usize> {
        (0..RANGES).filter(|r| self.0[*r] != other.0[*r]).collect()
    }

    /// As stored: sixteen hexadecimal digits a range.
    pub fn encode(&self) -> String {
        self.0.iter().map(|range| format!("{range:016x}")).collect()
    }

    /// From what [`Ranges::encode`] gave.
    pub fn decode(text: &str) -> Option<Self> {
        let mut ranges = Self::default();
        for (range, at) in ranges.0.iter_mut().zip((0..).step_by(16)) {
            *range = u64::from_str_radix(text.get(at..at + 16)?, 16).ok()?;
        }
        Some(ranges)
    }
}
