//! Rows that do not fit into memory: moved to a file on the local disk and read through its mapping.
//!
//! A mapped batch is used like any other: the kernel brings in the pages that are read and drops them
//! when it needs the room, so a look by key costs the few pages it touches. That is why colder rows
//! are not read through Parquet's statistics and bloom filters: those only rule row groups out, and
//! what remains is decoded to find one row. The file has no name and is gone with its last reader; it
//! is derived, and must never be written to once it is mapped.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::root_as_footer;
use arrow::ipc::writer::FileWriter;
use bytes::Bytes;
use memmap2::Mmap;

use super::kept::{Home, Of};
use crate::error::{Error, Result};

/// Bytes at an Arrow file's end: the footer's length and the magic word.
const TRAILER: usize = 10;

/// A process's folder of files with names, before its number.
const WORK: &str = "freshet-work-";

/// Where cold rows go.
#[derive(Debug, Clone)]
pub struct Cold {
    folder: PathBuf,
}

impl Cold {
    /// Files are made in `folder`; empty means the system's folder for temporary files.
    pub fn new(folder: &str) -> Self {
        let folder = if folder.is_empty() { system_folder() } else { PathBuf::from(folder) };
        Self { folder }
    }

    /// A folder of this process for files that have names. What a process that was killed left in its
    /// own goes.
    pub(super) fn work_folder(&self) -> Result<PathBuf> {
        let named = |pid: &str| self.folder.join(format!("{WORK}{pid}"));
        let own = named(&std::process::id().to_string());
        let made = || {
            std::fs::create_dir_all(&self.folder)?;
            for entry in std::fs::read_dir(&self.folder)?.flatten() {
                let name = entry.file_name();
                let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(WORK)) else {
                    continue;
                };
                let runs = Path::new("/proc").join(pid).exists();
                if named(pid) == own || !runs {
                    std::fs::remove_dir_all(entry.path())?;
                }
            }
            std::fs::create_dir(&own)
        };
        let what = format!("cannot make the folder \"{}\"", own.display());
        made().map_err(|e| Error::unavailable(what, e))?;
        Ok(own)
    }

    /// The same rows, read from disk: from their copy for a quick start, if there is one.
    pub(super) fn moved(
        &self,
        (home, of): (Option<&Home>, &Of),
        rows: &RecordBatch,
    ) -> Result<RecordBatch> {
        if let Some(home) = home
            && !home.lacks(of)
            && let Some(copy) = home.find(of, |found| found == rows.num_rows(), |_| false)
        {
            return Ok(copy.rows);
        }
        let map = self.written(rows).map_err(|cause| {
            let what = format!(
                "cannot keep {} MiB of cold rows in \"{}\"; free some space there, name another \
                 folder in memory.cold_dir, or raise memory.bytes_max",
                rows.get_array_memory_size() >> 20,
                self.folder.display()
            );
            Error::unavailable(what, cause)
        })?;
        Ok(decoded(&Buffer::from(Bytes::from_owner(map)))?)
    }

    fn written(&self, rows: &RecordBatch) -> std::result::Result<Mmap, ArrowError> {
        let file = tempfile::tempfile_in(&self.folder)?;
        let mut writer =
            FileWriter::try_new(BufWriter::with_capacity(1 << 20, file), &rows.schema())?;
        writer.write(rows)?;
        writer.finish()?;
        let file = writer.into_inner()?.into_inner().map_err(std::io::Error::from)?;
        Ok(map(&file)?)
    }
}

/// The one batch of an Arrow file, whose columns are slices of it.
pub(super) fn decoded(file: &Buffer) -> std::result::Result<RecordBatch, ArrowError> {
    let broken = || ArrowError::IpcError("a file of cold rows is cut off".to_owned());
    let trailer = file.len().checked_sub(TRAILER).ok_or_else(broken)?;
    let end: [u8; TRAILER] = file[trailer..].try_into().map_err(|_| broken())?;
    let footer = trailer.checked_sub(read_footer_length(end)?).ok_or_else(broken)?;
    let footer =
        root_as_footer(&file[footer..trailer]).map_err(|e| ArrowError::IpcError(e.to_string()))?;
    let schema = Arc::new(fb_to_schema(footer.schema().ok_or_else(broken)?));
    let mut decoder = FileDecoder::new(schema, footer.version()).with_require_alignment(true);
    let slice = |block: &arrow::ipc::Block| {
        let offset = usize::try_from(block.offset()).map_err(|_| broken())?;
        let body = usize::try_from(block.bodyLength()).map_err(|_| broken())?;
        let meta = usize::try_from(block.metaDataLength()).map_err(|_| broken())?;
        Ok::<Buffer, ArrowError>(file.slice_with_length(offset, body + meta))
    };
    for block in footer.dictionaries().iter().flatten() {
        decoder.read_dictionary(block, &slice(block)?)?;
    }
    let block = footer.recordBatches().and_then(|blocks| blocks.iter().next());
    let block = block.ok_or_else(broken)?;
    decoder.read_record_batch(block, &slice(block)?)?.ok_or_else(broken)
}

/// What `TMPDIR` names, else `/var/tmp`: `/tmp` often lies in memory.
pub fn system_folder() -> PathBuf {
    let on_disk = PathBuf::from("/var/tmp");
    let named = std::env::var_os("TMPDIR").is_some();
    if !named && on_disk.is_dir() { on_disk } else { std::env::temp_dir() }
}

/// A file that nobody changes any more, to be read as memory.
#[expect(unsafe_code, reason = "a mapping is unsound only where its file changes: see below")]
pub fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: either the file has no name, this is the only handle on it, and it is closed unwritten
    // after this call; or it is a copy for a quick start, which got its name when it was whole, and
    // which is only read and deleted since: nobody changes or shortens what is mapped.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn moved_rows_are_the_same_rows() {
        let list: ListArray = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from(vec![Some(7), None, Some(-1)]))),
            ("text", Arc::new(StringArray::from(vec![Some(""), Some("ü|\\"), None]))),
            ("list", Arc::new(list)),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let cold = Cold::new(dir.path().to_str().unwrap());
        let moved = cold.moved((None, &Of::Rows), &rows.slice(1, 2)).unwrap();
        assert_eq!(moved, rows.slice(1, 2));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has no name");
        drop(dir);
        assert_eq!(moved, rows.slice(1, 2), "and lives as long as its rows");
    }

    #[test]
    fn a_missing_folder_is_told_with_its_key() {
        let rows = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
        let said =
            Cold::new("/no/such/folder").moved((None, &Of::Rows), &rows).unwrap_err().to_string();
        assert!(said.contains("memory.cold_dir"), "{said}");
    }

    #[test]
    fn a_killed_process_leaves_nothing_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let cold = Cold::new(folder.path().join("deep/er").to_str().unwrap());
        let own = cold.work_folder().unwrap();
        let (gone, lives) =
            (own.with_file_name(format!("{WORK}0")), own.with_file_name(format!("{WORK}1")));
        for path in [&gone, &lives] {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join("spilled"), "rows").unwrap();
        }
        std::fs::write(own.join("spilled"), "rows").unwrap();
        assert_eq!(cold.work_folder().unwrap(), own);
        assert!(!own.join("spilled").exists() && !gone.exists() && lives.join("spilled").exists());
    }
}
