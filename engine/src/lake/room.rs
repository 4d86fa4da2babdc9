//! Room in memory: which rows stay there, within one bound over all tables.
//!
//! Beyond the bound the files that were not used for longest are moved to the local disk, the
//! largest first, with their indexes. They read alike from there, slower where the kernel has dropped
//! their pages. It must never change what a table holds.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use freshet_sql::change::ChangeBatch;
use freshet_sql::plan::full::Bound;

use super::cold::Cold;
use super::commit::FileEntry;
use super::file::LiveFile;
use super::kept::Kept;
use super::options::{Memory, Options};
use super::table::{Table, TableSpec};
use super::tables::Tables;
use crate::error::{Error, Result};

/// Files of fewer rows stay: they are merged soon.
const MOVED_ROWS_MIN: usize = if cfg!(test) { 16 } else { 1024 };
/// What the full runs of an epoch are given at least.
const WORK_BYTES_MIN: usize = 32 << 20;
/// What queries may remember beside the tables, as a share of the bound.
const BESIDE_SHARE: usize = 8;
/// What a merge may hold, as a share of the bound, and at least.
const MERGE_SHARE: usize = 8;
const MERGE_BYTES_MIN: usize = 4 << 20;
/// Once the bound is passed, this share of it is kept, in percent.
const KEPT_PERCENT: usize = 90;

/// The bound, and where the rest goes.
#[derive(Debug)]
pub struct Room {
    bytes_max: usize,
    cold: Cold,
    kept: Option<Kept>,
    work_bytes: usize,
    work: OnceLock<Option<Bound>>,
    /// Bytes of what is being loaded.
    loaded: AtomicUsize,
    /// Bytes of what queries remember beside the tables.
    beside: AtomicUsize,
}

/// What tables hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// Bytes in memory.
    pub hot_bytes: u64,
    /// Bytes that they may hold at most.
    pub bytes_max: u64,
    /// Bytes of what queries remember beside them, within the same bound.
    #[serde(default)]
    pub remembered_bytes: u64,
    /// Bytes on the local disk.
    pub cold_bytes: u64,
    /// Tables of which something lies there.
    pub cold: Vec<String>,
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
            cold,
            kept: None,
            work_bytes,
            work,
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

    /// They remember so many bytes, which are taken from the tables' room.
    pub fn set_beside(&self, bytes: usize) {
        self.beside.store(bytes, Ordering::Relaxed);
    }

    /// What a run over so many bytes may hold; none where they are few enough to be held all.
    pub fn work(&self, bytes: usize) -> Option<&Bound> {
        if bytes <= self.work_bytes {
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

    /// A file of a table that is being loaded, from its copies.
    pub(super) fn copy(&self, spec: &TableSpec, entry: &FileEntry) -> Option<LiveFile> {
        let fits = |bytes| self.loaded.load(Ordering::Relaxed) + bytes <= self.bytes_max;
        self.kept.as_ref()?.file(spec, entry, fits)
    }

    /// Takes a file in that is being loaded: to disk, where there is no room.
    pub(super) fn take_in(&self, file: &mut LiveFile, identity: &[usize]) -> Result<()> {
        let bytes = file.heap_bytes();
        let held = self.loaded.fetch_add(bytes, Ordering::Relaxed);
        if held + bytes > self.bytes_max && file.rows.num_rows() >= MOVED_ROWS_MIN {
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

    /// This epoch's change, its added rows as the table has them where it has moved them to disk: they
    /// are not held in memory beside it.
    pub fn held_once(&self, change: ChangeBatch) -> ChangeBatch {
        let mut new = self.files.range(self.first_new_file..).map(|(_, file)| file);
        let (Some(file), None) = (new.next(), new.next()) else { return change };
        if file.cold_bytes() == 0 || file.rows.num_rows() != change.added.num_rows() {
            return change;
        }
        ChangeBatch { added: file.rows.clone(), ..change }
    }

    /// Bytes of its rows that lie on disk.
    pub fn cold_bytes(&self) -> usize {
        self.files.values().map(LiveFile::cold_bytes).sum()
    }
}

impl Tables {
    fn hot_bytes(&self) -> usize {
        self.relations().map(Table::heap_bytes).sum()
    }

    /// What a merge may hold beside the tables.
    pub fn merge_max(&self) -> usize {
        self.room.as_ref().map_or(usize::MAX, |room| room.merge_max())
    }

    /// What is held now.
    pub fn held(&self) -> Held {
        let is_cold = |table: &&Table| table.cold_bytes() > 0;
        Held {
            hot_bytes: self.hot_bytes() as u64,
            bytes_max: self.room.as_ref().map_or(0, |room| room.bytes_max as u64),
            remembered_bytes: self
                .room
                .as_ref()
                .map_or(0, |room| room.beside.load(Ordering::Relaxed) as u64),
            cold_bytes: self.relations().map(|t| t.cold_bytes() as u64).sum(),
            cold: self.relations().filter(is_cold).map(|t| t.path().to_owned()).collect(),
        }
    }

    /// Moves rows to disk until what is left fits.
    pub fn make_room(&mut self) -> Result<()> {
        let Some(room) = self.room.clone() else { return Ok(()) };
        let mut hot = self.hot_bytes() + room.beside.load(Ordering::Relaxed);
        if hot <= room.bytes_max {
            return Ok(());
        }
        let kept = room.bytes_max / 100 * KEPT_PERCENT;
        let mut files = Vec::new();
        for table in self.relations_mut() {
            let identity = &table.spec.identity;
            let large = table.files.values_mut().filter(|f| f.rows.num_rows() >= MOVED_ROWS_MIN);
            files.extend(large.map(|file| (file.heap_bytes(), file, identity)));
        }
        files.sort_by_key(|(bytes, file, _)| {
            (file.used.load(Ordering::Relaxed), std::cmp::Reverse(*bytes))
        });
        for (bytes, file, identity) in files {
            if hot <= kept {
                break;
            }
            let mut cooled = file.cool(&room.cold, identity);
            if let (Err(error), Some(kept)) = (&cooled, &room.kept) {
                // Rows that have no room come before copies that save some seconds.
                tracing::warn!(%error, "local copies are deleted to make room on the disk");
                kept.clear()?;
                cooled = file.cool(&room.cold, identity);
            }
            cooled?;
            hot -= bytes.saturating_sub(file.heap_bytes());
        }
        tracing::debug!(hot_bytes = hot, bytes_max = room.bytes_max, "moved cold rows to disk");
        Ok(())
    }
}
