//! Minimal compaction: files of one size class are merged into the next, so that a table of n rows
//! has a number of files that grows with log n, and beyond the last class with n over a million.
//!
//! It says what is due; merges are made beside the epochs (`merge`) and decided with the next one.

use std::collections::BTreeMap;

use super::file::LiveFile;
use super::merge::Merge;
use super::table::Table;
use crate::error::Result;

/// Rows of the smallest class; each next one holds `merge_files` times more.
const CLASS_ROWS: usize = 2048;
/// Files of so many rows are not merged any more, and a merge takes no more files once it has as many:
/// what it holds in memory is bounded.
const MERGED_ROWS_MAX: usize = 1 << 20;
/// A file with more than this share of rows gone is rewritten, in percent.
const GONE_PERCENT: usize = 50;
/// Below this, a half-empty file costs nothing worth a rewrite.
const REWRITE_ROWS_MIN: usize = 4096;
/// A class of so many times the files that make a merge waits for one.
pub(super) const CROWDED: usize = 6;

impl Table {
    /// The merge that is due, if one is; it holds no more rows than so many bytes, if it can.
    pub fn due(&self, merge_files: usize, bytes_max: usize, epoch: u64) -> Option<Merge> {
        let worn = self.files.iter().find(|(_, f)| {
            let rows = f.rows.num_rows();
            rows >= REWRITE_ROWS_MIN && f.live_rows() * 100 < rows * (100 - GONE_PERCENT)
        });
        if let Some((number, _)) = worn {
            return Some(self.merge_of(&[*number], epoch));
        }
        let full = |numbers: &Vec<u32>| numbers.len() >= merge_files.max(2);
        let class = self.classes(merge_files, bytes_max).into_values().find(full)?;
        let (mut due, mut rows, mut bytes) = (Vec::new(), 0, 0);
        for number in class {
            if due.len() >= 2 && (rows >= MERGED_ROWS_MAX || bytes >= bytes_max) {
                break;
            }
            rows += self.files.get(&number).map_or(0, LiveFile::live_rows);
            bytes += self.files.get(&number).map_or(0, LiveFile::row_bytes);
            due.push(number);
        }
        Some(self.merge_of(&due, epoch))
    }

    /// Whether merges have fallen far behind.
    pub fn is_crowded(&self, merge_files: usize, bytes_max: usize) -> bool {
        let most = merge_files.max(2) * CROWDED;
        let is_full = |class: &Vec<u32>| class.len() >= most;
        self.files.len() >= most && self.classes(merge_files, bytes_max).values().any(is_full)
    }

    /// Files by size class.
    fn classes(&self, merge_files: usize, bytes_max: usize) -> BTreeMap<u32, Vec<u32>> {
        let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (number, file) in &self.files {
            let rows = file.live_rows();
            if rows < MERGED_ROWS_MAX && file.row_bytes() < bytes_max {
                let class = (rows / CLASS_ROWS).max(1).ilog(merge_files.max(2));
                classes.entry(class).or_default().push(*number);
            }
        }
        classes
    }

    /// Merges all that is due, at once; answers how many merges that were.
    pub fn compact(&mut self, merge_files: usize, epoch: u64) -> Result<usize> {
        let mut merges = 0;
        while let Some(merge) = self.due(merge_files, usize::MAX, epoch) {
            merges += 1;
            self.install(merge.run()?)?;
        }
        Ok(merges)
    }
}
