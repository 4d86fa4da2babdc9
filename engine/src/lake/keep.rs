//! Which copies for a quick start are missing, and the job that writes them.
//!
//! Files with an index of their own have copies (`kept`): of their rows, of that index, and of each
//! index by a key. They are written beside the epochs from buffers that are shared, and deleted when
//! the table has no such file any more. It must never run twice at a time: what it deletes is what was
//! not live when it was made.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use super::commit::FileEntry;
use super::file::LiveFile;
use super::kept::{Home, Kept, Of};
use super::keys::KeyIndex;
use super::spec::TableSpec;
use super::table::Table;
use super::tables::Tables;
use crate::error::Result;

/// Bytes of one job's copies, about, and a share of the bound at most: it holds them until it ends.
const JOB_BYTES: usize = 64 << 20;
/// A job beside epochs rests so many times as long as it works: it has an eighth of a core.
const REST_SHARE: u32 = 7;
/// How soon a job that rests hears that it is to stop.
const STOP_HEARD: Duration = Duration::from_millis(20);

/// What a missing copy is made from.
#[derive(Debug)]
enum Source {
    Rows(RecordBatch),
    Index(Arc<KeyIndex>),
}

/// Copies to write, after those are deleted that no live file has.
#[derive(Debug)]
pub struct Keep {
    kept: Kept,
    live: BTreeSet<Arc<Path>>,
    missing: Vec<(Arc<Home>, Of, Source)>,
    /// Set to end it before its time.
    stop: Arc<AtomicBool>,
}

impl Tables {
    /// The next job, if copies are missing or there are some of files other than those of `swept`.
    pub fn keep(&mut self, swept: &BTreeSet<Arc<Path>>) -> Option<Keep> {
        let room = self.room.as_ref()?;
        let (kept, most) = (room.kept()?.clone(), room.merge_max().min(JOB_BYTES));
        let (mut live, mut missing, mut bytes) = (BTreeSet::new(), Vec::new(), 0);
        for table in self.relations_mut() {
            let spec = table.spec.clone();
            for file in table.files.values_mut().filter(|f| f.identities.is_some()) {
                file.settle(&kept, &spec);
                let Some(home) = file.home() else { continue };
                live.insert(home.folder());
                if bytes < most && file.logged.is_some() {
                    bytes += missing_of(file, &spec, &home, &mut missing);
                }
            }
        }
        let is_due = !missing.is_empty() || live != *swept;
        is_due.then(|| Keep { kept, live, missing, stop: Arc::default() })
    }
}

/// Adds the copies that a file lacks; answers their bytes, about.
fn missing_of(
    file: &LiveFile,
    spec: &TableSpec,
    home: &Arc<Home>,
    missing: &mut Vec<(Arc<Home>, Of, Source)>,
) -> usize {
    let mut bytes = 0;
    let mut lack = |of: Of, size: usize, source: Source| {
        if home.lacks(&of) {
            bytes += size;
            missing.push((home.clone(), of, source));
        }
    };
    lack(Of::Rows, file.row_bytes(), Source::Rows(file.rows.clone()));
    if let Some(index) = &file.identities {
        let of = Of::Identities(spec.identity.clone());
        lack(of, index.bytes(), Source::Index(index.clone()));
    }
    for (name, index) in file.keys.all() {
        lack(Of::Key(name), index.bytes(), Source::Index(index));
    }
    bytes
}

impl Keep {
    /// The files whose copies stay.
    pub fn live(&self) -> BTreeSet<Arc<Path>> {
        self.live.clone()
    }

    /// Set to end it without the copy in hand.
    pub fn stop(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Does it beside epochs, which keep most of the cores and of the disk: a restart is not tomorrow.
    pub fn run_beside(self) -> Result<()> {
        let (stop, mut since) = (self.stop(), Instant::now());
        self.write(|| {
            let rests_until = Instant::now() + since.elapsed() * REST_SHARE;
            while Instant::now() < rests_until && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(STOP_HEARD);
            }
            since = Instant::now();
            !stop.load(Ordering::Relaxed)
        })
    }

    /// Does it at once.
    pub fn run(self) -> Result<()> {
        self.write(|| true)
    }

    fn write(self, mut goes_on: impl FnMut() -> bool) -> Result<()> {
        self.kept.sweep(&self.live)?;
        for (home, of, source) in self.missing {
            match source {
                Source::Rows(rows) => home.write(&of, &rows, &mut goes_on)?,
                Source::Index(index) => home.write(&of, &index.as_rows()?, &mut goes_on)?,
            }
            if !goes_on() {
                break;
            }
        }
        Ok(())
    }
}

impl Kept {
    /// The file that an entry names, from its copies: its rows, and its index by identity if there is
    /// one. `fits` says whether so many bytes are held in memory.
    pub(super) fn file(
        &self,
        spec: &TableSpec,
        entry: &FileEntry,
        fits: impl Fn(usize) -> bool,
    ) -> Option<LiveFile> {
        let home = self.home(&spec.path, &entry.path)?;
        let rows = home.find(&Of::Rows, |rows| rows == entry.rows, &fits)?;
        if rows.rows.schema().fields() != spec.schema.fields() {
            return None;
        }
        let mut file = LiveFile::found(entry.path.clone(), rows);
        let index =
            home.find(&Of::Identities(spec.identity.clone()), |rows| rows == entry.rows, &fits);
        let index = index.and_then(|found| KeyIndex::from_rows(&found.rows, found.mapped));
        file.identities = index.map(Arc::new);
        file.settle_at(Some(home));
        Some(file)
    }
}

impl Table {
    /// Makes indexes by key anew when they are asked for, and takes none from a copy.
    pub fn forget_indexes(&mut self) {
        self.files.values_mut().for_each(LiveFile::forget_indexes);
    }

    /// Takes a file in that has its index by identity.
    pub(super) fn take_indexed(&mut self, file: LiveFile) {
        file.touch(self.epoch);
        self.own_index.push(self.next_file);
        self.files.insert(self.next_file, file);
        self.next_file += 1;
    }
}
