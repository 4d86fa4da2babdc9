//! Copies of large files on the local disk that outlive the process: a start reads or maps them
//! instead of decoding Parquet, hashing rows and sorting indexes.
//!
//! A copy is an Arrow file of a live file's rows or of one of its indexes, with a checksum at its end;
//! it comes under its name only once it is whole and on disk. What it was made by (its format, the
//! planner's version, the hash functions) is part of its folder's name. A copy is derived: where one is
//! missing, broken or of another make, the lake is read. It must never be changed or shortened once it
//! has its name, since readers map it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::error::ArrowError;
use arrow::ipc::writer::FileWriter;
use bytes::Bytes;
use freshet_sql::digest::lower64;
use freshet_sql::maintain::make;
use tempfile::NamedTempFile;
use twox_hash::XxHash3_128;

use super::cold::{decoded, map};
use crate::error::{Error, Result};

/// Raised when what a copy holds changes its meaning.
const FORMAT: u32 = 2;
/// The checksum's bytes.
const CHECKSUM: usize = 16;

/// Bytes of a copy that are written at a time: no more wait for the disk, so that who else writes to it is
/// not held up.
const STEP: usize = if cfg!(test) { 64 } else { 16 << 20 };

/// What a copy is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// A file's rows.
    Rows,
    /// Its index by the identity that these columns make.
    Identities(Vec<usize>),
    /// Its index by this key.
    Key(Arc<str>),
}

impl Of {
    fn file(&self) -> String {
        match self {
            Self::Rows => "rows.arrow".to_owned(),
            Self::Identities(columns) => {
                format!("identities-{:016x}.arrow", lower64(format!("{columns:?}").as_bytes()))
            }
            Self::Key(name) => format!("key-{:016x}.arrow", lower64(name.as_bytes())),
        }
    }
}

/// Where the copies of one lake's files lie.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// In `folder`. Copies of another make are deleted.
    pub fn open(folder: &Path, lake: &str) -> Result<Self> {
        let of_lake = folder.join(format!("lake-{:016x}", lower64(lake.as_bytes())));
        let kept = Self { folder: of_lake.join(format!("{FORMAT}-{:016x}", make::number()?)) };
        std::fs::create_dir_all(&of_lake)
            .and_then(|()| remove_all_but(&of_lake, |path| path == kept.folder))
            .and_then(|()| std::fs::create_dir_all(&kept.folder))
            .map_err(|cause| failure(&of_lake, cause))?;
        Ok(kept)
    }

    /// Deletes every copy: their room is needed.
    pub(super) fn clear(&self) -> Result<()> {
        remove_all_but(&self.folder, |_| false).map_err(|cause| failure(&self.folder, cause))
    }

    /// The place of one file's copies; `None` where its name makes no folder.
    pub(super) fn home(&self, table: &str, file: &str) -> Option<Arc<Home>> {
        let is_plain = !file.is_empty() && !file.starts_with('.') && !file.contains(['/', '\\']);
        let folder = self.folder.join(table.replace('/', ".")).join(file).into();
        let root = self.folder.clone();
        is_plain.then(|| Arc::new(Home { folder, root, there: Mutex::default() }))
    }

    /// Deletes the copies of a table.
    pub(super) fn remove(&self, table: &str) -> Result<()> {
        let folder = self.folder.join(table.replace('/', "."));
        match std::fs::remove_dir_all(&folder) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failure(&folder, cause)),
            _ => Ok(()),
        }
    }

    /// Deletes every copy but those in these places, and what is left of copies that were not finished.
    pub(super) fn sweep(&self, live: &BTreeSet<Arc<Path>>) -> Result<()> {
        let sweep = || -> io::Result<()> {
            std::fs::create_dir_all(&self.folder)?;
            remove_all_but(&self.folder, Path::is_dir)?;
            for table in std::fs::read_dir(&self.folder)? {
                remove_all_but(&table?.path(), |file| live.contains(file))?;
            }
            Ok(())
        };
        sweep().map_err(|cause| failure(&self.folder, cause))
    }
}

/// The place of one file's copies.
#[derive(Debug)]
pub(super) struct Home {
    folder: Arc<Path>,
    /// Where a copy lies until it is whole.
    root: PathBuf,
    /// Copies that are known to be there and whole.
    there: Mutex<BTreeSet<Of>>,
}

/// A copy that is being written, step by step.
struct Stepped<F> {
    temp: NamedTempFile,
    since: usize,
    goes_on: F,
}

impl<F: FnMut() -> bool> Write for Stepped<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.temp.write(bytes.get(..STEP).unwrap_or(bytes))?;
        self.since += written;
        if self.since >= STEP {
            self.since = 0;
            self.temp.as_file().sync_data()?;
            if !(self.goes_on)() {
                return Err(io::Error::other("it is to end"));
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

/// A copy that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub rows: RecordBatch,
    pub bytes: usize,
    /// Whether it is read from disk.
    pub mapped: bool,
}

impl Home {
    pub fn folder(&self) -> Arc<Path> {
        self.folder.clone()
    }

    pub fn lacks(&self, of: &Of) -> bool {
        !self.there.lock().unwrap_or_else(PoisonError::into_inner).contains(of)
    }

    fn note(&self, of: &Of, is_there: bool) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if is_there {
            there.insert(of.clone())
        } else {
            there.remove(of)
        };
    }

    /// Writes a copy. It is there after a power cut too, or it is not there at all: so it is where
    /// `goes_on`, which is asked every [`STEP`] bytes, says no.
    pub fn write(
        &self,
        of: &Of,
        rows: &RecordBatch,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<()> {
        let mut stopped = false;
        let step = || {
            stopped = !goes_on();
            !stopped
        };
        match self.written(&self.folder.join(of.file()), rows, step) {
            Ok(()) => self.note(of, true),
            Err(_) if stopped => {}
            Err(cause) => return Err(failure(&self.folder, cause)),
        }
        Ok(())
    }

    fn written(
        &self,
        path: &Path,
        rows: &RecordBatch,
        goes_on: impl FnMut() -> bool,
    ) -> std::result::Result<(), ArrowError> {
        std::fs::create_dir_all(&self.folder)?;
        let temp = NamedTempFile::new_in(&self.root)?;
        let out = BufWriter::with_capacity(1 << 20, Stepped { temp, since: 0, goes_on });
        let mut writer = FileWriter::try_new(out, &rows.schema())?;
        writer.write(rows)?;
        writer.finish()?;
        let mut temp = writer.into_inner()?.into_inner().map_err(io::Error::from)?.temp;
        // Nobody writes while this mapping is there: it ends with the statement.
        let sum = XxHash3_128::oneshot(&map(temp.as_file())?);
        temp.write_all(&sum.to_le_bytes())?;
        temp.as_file().sync_all()?;
        temp.persist(path).map_err(io::Error::from)?;
        Ok(())
    }

    /// The whole copy of this, if there is one of as many rows as it must have: in memory where its bytes
    /// fit, else mapped.
    pub fn find(
        &self,
        of: &Of,
        is_whole: impl FnOnce(usize) -> bool,
        fits: impl FnOnce(usize) -> bool,
    ) -> Option<Found> {
        let path = self.folder.join(of.file());
        let found = File::open(&path).ok().and_then(|file| match read(&file, fits) {
            Ok(found) if is_whole(found.rows.num_rows()) => Some(found),
            Ok(_) => None,
            Err(why) => {
                tracing::warn!(path = %path.display(), %why, "a local copy is broken: it is deleted");
                let _ = std::fs::remove_file(&path);
                None
            }
        });
        self.note(of, found.is_some());
        found
    }
}

fn read(
    mut file: &File,
    fits: impl FnOnce(usize) -> bool,
) -> std::result::Result<Found, ArrowError> {
    let cut = || ArrowError::IpcError("it is cut off".to_owned());
    let length = usize::try_from(file.metadata()?.len()).map_err(|_| cut())?;
    let bytes = length.checked_sub(CHECKSUM).ok_or_else(cut)?;
    let mapped = !fits(length);
    let whole = if mapped {
        Buffer::from(Bytes::from_owner(map(file)?))
    } else {
        let mut whole = MutableBuffer::from_len_zeroed(length);
        file.read_exact(&mut whole)?;
        whole.into()
    };
    let sum: [u8; CHECKSUM] = whole.get(bytes..).ok_or_else(cut)?.try_into().map_err(|_| cut())?;
    if XxHash3_128::oneshot(&whole[..bytes]) != u128::from_le_bytes(sum) {
        return Err(ArrowError::IpcError("its checksum is of other bytes".to_owned()));
    }
    let rows = decoded(&whole.slice_with_length(0, bytes))?;
    Ok(Found { rows, bytes: length, mapped })
}

/// Deletes what lies in a folder, but what is to stay.
fn remove_all_but(folder: &Path, stays: impl Fn(&Path) -> bool) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if stays(&path) {
            continue;
        }
        if path.is_dir() {
            std::fs::remove_dir_all(path)?;
        } else {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn failure(folder: &Path, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    let what = format!(
        "cannot keep copies for a quick start in \"{}\"; free some space there, or name another \
         folder in memory.cold_dir",
        folder.display()
    );
    Error::unavailable(what, cause)
}
