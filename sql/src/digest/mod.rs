//! The order-free digest of a table: what the lake, the change log and the warehouse agree on.
//!
//! A table's digest is the sum modulo 2^64 over its rows of the lower 64 bits, read big-endian, of
//! the MD5 of the row's canonical text. Sums commute, so an epoch adds its new rows and subtracts
//! its old ones. Snowflake's `MD5_NUMBER_LOWER64` computes the same number.
//!
//! Canonical text: the row's columns in schema order, audit columns left out, joined by `|`.
//! Null is `\N`; in text, `\` and `|` are escaped by `\`. Booleans are `true`/`false`; integers and
//! decimals are plain digits, decimals with exactly their scale; dates `YYYY-MM-DD`; timestamps
//! `YYYY-MM-DD HH:MM:SS.ffffff` in UTC; binary is lower-case hex; floats are their shortest form
//! that reads back to the same value.

mod plain;
mod side_by_side;
mod text;

use arrow::array::RecordBatch;
use md5::{Digest, Md5};

use crate::change::ChangeBatch;
use crate::error::Result;
use text::Texts;

/// The digest of these rows over these columns: zero for no rows.
pub fn digest(batch: &RecordBatch, columns: &[usize]) -> Result<u64> {
    Ok(row_hashes(batch, columns)?.into_iter().fold(0, u64::wrapping_add))
}

/// The hash of each row over these columns; a table's digest is their sum.
pub fn row_hashes(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<u64>> {
    let mut hashes = Vec::with_capacity(batch.num_rows());
    Texts::of(batch, columns)?.in_groups(|texts| side_by_side::lower64s(texts, &mut hashes));
    Ok(hashes)
}

/// The canonical text of each row over these columns.
pub fn row_texts(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<String>> {
    let mut made = Vec::with_capacity(batch.num_rows());
    let own = |text: &&[u8]| String::from_utf8_lossy(text).into_owned();
    Texts::of(batch, columns)?.in_groups(|texts| made.extend(texts.iter().map(own)));
    Ok(made)
}

/// The digest after a change, from the one before it.
pub fn advance(before: u64, change: &ChangeBatch, columns: &[usize]) -> Result<u64> {
    let added = digest(&change.added, columns)?;
    let removed = digest(&change.removed, columns)?;
    Ok(before.wrapping_add(added).wrapping_sub(removed))
}

/// The lower 64 bits of an MD5, big-endian: Snowflake's `MD5_NUMBER_LOWER64`.
pub fn lower64(text: &[u8]) -> u64 {
    let hash = Md5::digest(text);
    let mut lower = [0u8; 8];
    lower.copy_from_slice(&hash[8..16]);
    u64::from_be_bytes(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn lower64_is_what_snowflake_computes() {
        assert_eq!(lower64(b"Snowflake"), 9_203_306_159_527_282_910);
    }

    fn batch(ids: Vec<i64>, names: Vec<Option<&str>>) -> RecordBatch {
        RecordBatch::try_from_iter(vec![
            ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
            ("name", Arc::new(StringArray::from(names)) as ArrayRef),
        ])
        .unwrap()
    }

    #[test]
    fn order_does_not_matter_and_changes_add_up() {
        let both = batch(vec![1, 2], vec![Some("a|b"), None]);
        let turned = batch(vec![2, 1], vec![None, Some("a|b")]);
        let whole = digest(&both, &[0, 1]).unwrap();
        assert_eq!(whole, digest(&turned, &[0, 1]).unwrap());
        let change = ChangeBatch { removed: both.slice(1, 1), added: both.slice(0, 0) };
        let rest = digest(&both.slice(0, 1), &[0, 1]).unwrap();
        assert_eq!(advance(whole, &change, &[0, 1]).unwrap(), rest);
    }

    #[test]
    fn a_null_is_not_its_text() {
        let null = digest(&batch(vec![1], vec![None]), &[0, 1]).unwrap();
        let text = digest(&batch(vec![1], vec![Some("\\N")]), &[0, 1]).unwrap();
        assert_ne!(null, text);
    }
}
