//! Contents of waiting records on disk: for a transaction that is larger than the buffer.
//!
//! Contents are written to a file without a name and come back as slices of its mapping: the kernel
//! brings in what is read and drops what is not, so that they hold no memory of their own. It must
//! never write to a file again once it is mapped.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use bytes::Bytes;
use memmap2::Mmap;

use crate::error::{Error, Result};
use crate::lake::cold::{map, system_folder};

/// Where contents go, and how much went there.
#[derive(Debug)]
pub struct Spill {
    folder: PathBuf,
    bytes: u64,
}

impl Spill {
    /// Files are made in `folder`; empty means the system's folder for temporary files.
    pub fn new(folder: &str) -> Self {
        let folder = if folder.is_empty() { system_folder() } else { PathBuf::from(folder) };
        Self { folder, bytes: 0 }
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same contents, on disk. The file is gone when the last of them is.
    pub fn keep(&mut self, contents: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let total: usize = contents.iter().map(Bytes::len).sum();
        if total == 0 {
            return Ok(contents);
        }
        let map = self.written(&contents).map_err(|cause| {
            let what = format!(
                "cannot keep {} MiB of waiting records in \"{}\"; free some space there, or name \
                 another folder in epoch.spill_dir",
                total >> 20,
                self.folder.display()
            );
            Error::unavailable(what, cause)
        })?;
        self.bytes += total as u64;
        let mut rest = Bytes::from_owner(map);
        Ok(contents.iter().map(|content| rest.split_to(content.len())).collect())
    }

    fn written(&self, contents: &[Bytes]) -> std::io::Result<Mmap> {
        let file = tempfile::tempfile_in(&self.folder)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        for content in contents {
            out.write_all(content)?;
        }
        map(&out.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_back_equal_and_a_missing_folder_is_told() {
        let contents =
            vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![7; 100_000])];
        let mut spill = Spill::new("");
        assert_eq!(spill.keep(contents.clone()).unwrap(), contents);
        assert_eq!(spill.bytes(), 100_003);
        assert_eq!(spill.keep(vec![Bytes::new()]).unwrap(), [Bytes::new()]);
        let missing = Spill::new("/nowhere/at/all").keep(contents).unwrap_err().to_string();
        assert!(missing.contains("epoch.spill_dir"), "{missing}");
    }
}
