//! Minimal compaction: files of one size class are merged into the next, so that a table of n rows
//! has a number of files that grows with log n.
//!
//! It runs between epochs on rows that are in memory, and is decided with the next epoch.

use super::table::Table;
use crate::error::Result;

/// Rows of the smallest class; each next one holds `merge_files` times more.
const CLASS_ROWS: usize = 2048;
/// A file with more than this share of rows gone is rewritten, in percent.
const GONE_PERCENT: usize = 50;
/// Below this, a half-empty file costs nothing worth a rewrite.
const REWRITE_ROWS_MIN: usize = 4096;

impl Table {
    /// Merges what is due; answers how many files it took.
    pub fn compact(&mut self, merge_files: usize, epoch: u64) -> Result<usize> {
        let mut taken = 0;
        let worn: Vec<u32> = self
            .files
            .iter()
            .filter(|(_, f)| {
                let rows = f.rows.num_rows();
                rows >= REWRITE_ROWS_MIN && f.live_rows() * 100 < rows * (100 - GONE_PERCENT)
            })
            .map(|(n, _)| *n)
            .collect();
        for number in worn {
            taken += 1;
            self.merge(&[number], epoch)?;
        }
        while let Some(numbers) = self.crowded_class(merge_files.max(2)) {
            taken += numbers.len();
            self.merge(&numbers, epoch)?;
        }
        Ok(taken)
    }

    fn crowded_class(&self, merge_files: usize) -> Option<Vec<u32>> {
        let mut classes: std::collections::BTreeMap<u32, Vec<u32>> =
            std::collections::BTreeMap::new();
        for (number, file) in &self.files {
            let class = (file.live_rows() / CLASS_ROWS).max(1).ilog(merge_files);
            classes.entry(class).or_default().push(*number);
        }
        classes.into_values().find(|numbers| numbers.len() >= merge_files)
    }
}
