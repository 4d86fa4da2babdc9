//! Room in memory: what tables, full runs, merges and what is remembered may hold.
//!
//! Each has a part of what the process may have; where the rest of the process needs more than was left for
//! it, tables have less. It must never change what a table holds.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use freshet_sql::change::ChangeBatch;
use freshet_sql::plan::full::Bound;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::cold::Cold;
use super::commit::FileEntry;
use super::file::LiveFile;
use super::kept::Kept;
use super::options::{Memory, Options, TABLES_BYTES_MIN};
use super::spec::TableSpec;
use super::table::Table;
use crate::error::{Error, Result};
use crate::memory;

/// Files of fewer rows stay: they are merged soon.
pub(super) const MOVED_ROWS_MIN: usize = if cfg!(test) { 16 } else { 1024 };
/// What the full runs of an epoch are given at least.
const WORK_BYTES_MIN: usize = 32 << 20;
/// What queries may remember beside the tables, as a share of the bound.
const BESIDE_SHARE: usize = 8;
/// What a merge may hold, as a share of the bound, and at least.
const MERGE_SHARE: usize = 8;
const MERGE_BYTES_MIN: usize = 4 << 20;
/// Tables that are decoded and indexed at a time at start: each takes a core.
pub const LOADED_AT_ONCE: usize = 2;
/// Bytes of rows to a byte of their file, about.
const EXPANDED: usize = 4;
/// Of what the process may have, the share that its allocator needs beside what is in use.
const SPARE_SHARE: usize = 8;
/// Of their part, what tables keep whatever else the process needs.
const LEAST_SHARE: usize = 4;
/// Of what full runs read, what they hold beside it, about.
const WORK_SHARE: usize = 2;

/// The bound, and where the rest goes.
#[derive(Debug)]
pub struct Room {
    pub(super) bytes_max: usize,
    process_bytes_max: usize,
    pub(super) cold: Cold,
    pub(super) kept: Option<Kept>,
    work_bytes: usize,
    work: OnceLock<Option<Bound>>,
    /// Who decodes a file while tables are loaded.
    turns: Semaphore,
    /// Bytes of what is being loaded.
    loaded: AtomicUsize,
    /// Bytes of what queries remember beside the tables.
    pub(super) beside: AtomicUsize,
}

impl Room {
    /// Room for tables of a lake that is about to be loaded.
    pub fn new(options: &Memory) -> Self {
        let bytes_max = usize::try_from(options.resolved()).unwrap_or(usize::MAX);
        let cold = Cold::new(&options.cold_dir);
        // Tables have three quarters of what an epoch's work is given the fourth of.
        let work_bytes = (bytes_max / 3).max(WORK_BYTES_MIN);
        let work = OnceLock::new();
        Self {
            bytes_max,
            process_bytes_max: usize::try_from(options.process_bytes_max).unwrap_or(usize::MAX),
            cold,
            kept: None,
            work_bytes,
            work,
            turns: Semaphore::new(LOADED_AT_ONCE),
            loaded: AtomicUsize::new(0),
            beside: AtomicUsize::new(0),
        }
    }

    /// What queries may remember of groups.
    pub const fn beside_max(&self) -> usize {
        self.bytes_max / BESIDE_SHARE
    }

    /// What a merge may hold beside the tables.
    pub fn merge_max(&self) -> usize {
        (self.bytes_max / MERGE_SHARE).max(MERGE_BYTES_MIN)
    }

    /// What tables have whatever else the process needs.
    fn least(&self) -> usize {
        (self.bytes_max / LEAST_SHARE).max(TABLES_BYTES_MIN.min(self.bytes_max))
    }

    /// What tables and what is remembered, now so many bytes, may hold beside work of so many more: their
    /// part, or less where the rest of the process has more in use than is left for it.
    pub(super) fn bytes_now(&self, held: usize, work: usize) -> usize {
        let in_use = memory::in_use().filter(|_| self.process_bytes_max > 0);
        in_use.map_or(self.bytes_max, |in_use| {
            let most = self.process_bytes_max / SPARE_SHARE * (SPARE_SHARE - 1);
            let rest = in_use.saturating_sub(held).saturating_add(work);
            most.saturating_sub(rest).clamp(self.least(), self.bytes_max)
        })
    }

    /// What full runs side by side may hold beside what they read, about.
    pub(super) fn work_bytes(&self, read: usize) -> usize {
        (read / WORK_SHARE).min(self.work_bytes.saturating_mul(2))
    }

    /// They remember so many bytes, which are taken from the tables' room.
    pub fn set_beside(&self, bytes: usize) {
        self.beside.store(bytes, Ordering::Relaxed);
    }

    /// Whether so many bytes are more than a run may hold.
    pub const fn is_beyond_work(&self, bytes: usize) -> bool {
        bytes > self.work_bytes
    }

    /// What a run over so many bytes may hold; none where they are few enough to be held all.
    pub fn work(&self, bytes: usize) -> Option<&Bound> {
        if !self.is_beyond_work(bytes) {
            return None;
        }
        let made = || {
            let folder = self.cold.work_folder()?;
            Ok::<_, Error>(Bound::new(self.work_bytes, &folder)?)
        };
        let bound = self.work.get_or_init(|| {
            made().inspect_err(|error| tracing::warn!(%error, "full runs have no bound")).ok()
        });
        bound.as_ref()
    }

    /// The same, with copies of a lake's large files for a quick start, if a folder is named for them.
    /// A folder that can't be used costs the quick start and nothing else.
    pub fn keeping(options: &Memory, lake: &Options) -> Self {
        let room = Self::new(options);
        if options.cold_dir.is_empty() {
            return room;
        }
        let lake = format!("{} {}", lake.url, lake.s3_endpoint.as_deref().unwrap_or_default());
        let kept = Kept::open(Path::new(&options.cold_dir), &lake);
        let kept = kept.inspect_err(|error| tracing::warn!(%error, "no restart will be quick"));
        Self { kept: kept.ok(), ..room }
    }

    /// Where copies are kept, if they are.
    pub(super) const fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Deletes a table's copies: where the lake's own files are what counts, right or wrong. No job may
    /// be writing some.
    pub fn forget_copies(&self, table: &str) -> Result<()> {
        self.kept.as_ref().map_or(Ok(()), |kept| kept.remove(table))
    }

    /// Whether so many bytes more fit beside what is loaded.
    fn fits(&self, loaded: usize, more: usize) -> bool {
        // The allocator is asked only where it matters.
        loaded + more <= self.least() || loaded + more <= self.bytes_now(loaded, 0)
    }

    /// A file of a table that is being loaded, from its copies.
    pub(super) fn copy(&self, spec: &TableSpec, entry: &FileEntry) -> Option<LiveFile> {
        let fits = |bytes| self.fits(self.loaded.load(Ordering::Relaxed), bytes);
        self.kept.as_ref()?.file(spec, entry, fits)
    }

    /// Waits until a file of so many bytes may be decoded: one that takes much of the memory is decoded
    /// alone.
    pub(super) async fn turn(&self, bytes: i64) -> Option<SemaphorePermit<'_>> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let alone = bytes.saturating_mul(EXPANDED) > self.work_bytes;
        let turns = if alone { LOADED_AT_ONCE } else { 1 };
        self.turns.acquire_many(u32::try_from(turns).unwrap_or(1)).await.ok()
    }

    /// Takes a file in that is being loaded: to disk, where there is no room.
    pub(super) fn take_in(&self, file: &mut LiveFile, identity: &[usize]) -> Result<()> {
        let bytes = file.heap_bytes();
        let held = self.loaded.fetch_add(bytes, Ordering::Relaxed);
        if file.rows.num_rows() >= MOVED_ROWS_MIN && !self.fits(held + bytes, 0) {
            file.cool(&self.cold, identity)?;
            self.loaded.fetch_sub(bytes - file.heap_bytes(), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Table {
    /// Bytes that it holds in memory.
    pub fn heap_bytes(&self) -> usize {
        self.index.heap_bytes() + self.files.values().map(LiveFile::heap_bytes).sum::<usize>()
    }

    /// Bytes of its rows and indexes, wherever they lie.
    pub fn all_bytes(&self) -> usize {
        self.heap_bytes() + self.cold_bytes()
    }

    /// Lets this epoch's change have its added rows as the table has them, where it has moved them to
    /// disk: they are not held in memory beside it. One new file is one application of one change.
    pub fn hold_once(&self, change: &mut ChangeBatch) {
        let mut new = self.files.range(self.first_new_file..).map(|(_, file)| file);
        if let (Some(file), None) = (new.next(), new.next())
            && file.cold_bytes() > 0
            && file.rows.num_rows() == change.added.num_rows()
        {
            change.added = file.rows.clone();
        }
    }

    /// Bytes of its rows that lie on disk.
    pub fn cold_bytes(&self) -> usize {
        self.files.values().map(LiveFile::cold_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_less_where_the_rest_of_the_process_needs_more() {
        const PART: usize = 1 << 30;
        // What they may hold beside so much work, half of it held.
        let now = |parts: u64, work| {
            let process_bytes_max = parts * PART as u64;
            let bytes_max = PART as u64;
            let memory = Memory { bytes_max, process_bytes_max, cold_dir: String::new() };
            Room::new(&memory).bytes_now(PART / 2, work)
        };
        // Of eight parts one is the allocator's; tests beside this one hold far less than half a part.
        assert_eq!(now(8, 4 * PART), PART, "there is room for the work beside them");
        assert!((PART / 4..=PART / 2).contains(&now(8, 6 * PART + PART / 2)), "for half of them");
        assert_eq!(now(8, 20 * PART), PART / 4, "they keep a quarter in any case");
        assert_eq!(now(0, 20 * PART), PART, "without a bound of the process their part");
    }
}
