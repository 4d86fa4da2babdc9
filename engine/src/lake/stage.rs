//! A table's next log entry, and the files that it names.
//!
//! What is made here is visible to nobody before the epoch's decision names it.

use bytes::Bytes;

use super::commit::{self, Actions, DataChange, Stamp};
use super::file::{LiveFile, OWN_INDEX_ROWS};
use super::parquet::{Effort, encode};
use super::store::Store;
use super::table::Table;
use super::tables::{Tables, upload};
use super::vector;
use crate::cores;
use crate::error::Result;

/// A file of so many bytes of rows is put into the lake before the others are encoded.
const LARGE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 8 << 20 };

/// A file that the epoch must write before it is decided.
#[derive(Debug)]
pub struct Upload {
    /// Relative to the lake.
    pub path: String,
    /// Its bytes.
    pub body: Bytes,
}

/// A table's next log entry, and what goes with it.
#[derive(Debug)]
pub struct Staged {
    /// The version that it makes.
    pub version: u64,
    /// Its exact bytes.
    pub bytes: Bytes,
    /// The files that it names and that are not in the lake yet.
    pub uploads: Vec<Upload>,
    /// The files that it names no more, and their vectors, relative to the lake.
    pub removed: Vec<String>,
}

impl Table {
    /// The table's next log entry, if it changed since the last one.
    pub fn stage(&mut self, stamp: Stamp) -> Result<Option<Staged>> {
        let mut uploads = Vec::new();
        let mut actions = Actions { adds: Vec::new(), removes: std::mem::take(&mut self.dropped) };
        let empty: Vec<u32> =
            self.files.iter().filter(|(_, f)| f.live_rows() == 0).map(|(n, _)| *n).collect();
        for number in empty {
            self.drop_file(number, DataChange::Rows);
        }
        actions.removes.append(&mut self.dropped);
        if !self.merges_are_undisturbed(&actions) {
            // Readers skip what is layout alone: then rows that went with it would never go.
            actions.removes.iter_mut().for_each(|(_, change)| *change = DataChange::Rows);
            self.unnamed().for_each(|file| file.change = DataChange::Rows);
        }
        let mut packer = vector::Packer::new(&self.spec.path);
        for file in self.files.values_mut() {
            stage_file(&self.spec.path, file, &mut actions, &mut uploads, &mut packer)?;
        }
        uploads.extend(packer.finish().into_iter().map(|(path, body)| Upload { path, body }));
        let nothing = actions.adds.is_empty() && actions.removes.is_empty();
        if nothing && !self.identity.announce {
            return Ok(None);
        }
        let version = self.identity.next_version();
        let removed = actions.removed(&self.spec.path);
        let bytes = commit::entry(&self.identity, &self.spec.schema, actions, stamp)?;
        self.identity.version = Some(version);
        self.identity.announce = false;
        Ok(Some(Staged { version, bytes, uploads, removed }))
    }

    /// Whether merged files hold every row that their parts held in the version before.
    fn merges_are_undisturbed(&self, actions: &Actions) -> bool {
        let merged = |f: &&LiveFile| f.logged.is_none() && f.change == DataChange::Layout;
        let mut files = self.files.values().filter(merged).peekable();
        let parts = actions.removes.iter().any(|(_, change)| *change == DataChange::Layout);
        files.peek().is_some() == parts && files.all(|f| f.gone.len() == f.settled)
    }

    /// Files that no entry names yet.
    fn unnamed(&mut self) -> impl Iterator<Item = &mut LiveFile> {
        self.files.values_mut().filter(|file| file.logged.is_none())
    }

    pub(super) fn drop_file(&mut self, number: u32, change: DataChange) {
        self.own_index.retain(|own| *own != number);
        if let Some(file) = self.files.remove(&number)
            && let Some(vector) = file.logged.clone()
        {
            self.dropped.push((file.entry(vector), change));
        }
    }

    /// Files that no entry names yet and that are not encoded.
    fn unwritten(&mut self) -> impl Iterator<Item = &mut LiveFile> {
        self.unnamed().filter(|file| file.body.is_none() && file.live_rows() > 0)
    }
}

impl Tables {
    /// Encodes large new files and puts them into the lake, as many at a time as there is room for:
    /// where an epoch makes everything anew, their bodies would not fit beside the tables.
    pub async fn put_large(&mut self, store: &Store) -> Result<()> {
        let most = self.room.as_ref().map_or(usize::MAX, |room| room.merge_max());
        let mut files: Vec<(String, &mut LiveFile)> = Vec::new();
        for table in self.relations_mut() {
            let path = table.path().to_owned();
            let large = table.unwritten().filter(|file| file.row_bytes() >= LARGE_BYTES);
            files.extend(large.map(|file| (format!("{path}/{}", file.path), file)));
        }
        files.sort_by_key(|(_, file)| file.row_bytes());
        while !files.is_empty() {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while (part.len() < cores::count() || bytes < most)
                && let Some((path, file)) = files.pop()
            {
                bytes += file.row_bytes();
                part.push((path, file));
            }
            let made = cores::run(part, |(path, file)| {
                file.encode()?;
                // An empty body says that it is in the lake.
                let body = file.body.replace(Bytes::new()).unwrap_or_default();
                Ok(Upload { path, body })
            })?;
            upload(store, made).await?;
        }
        Ok(())
    }
}

/// Encodes the new files of all these tables on every core, the largest first.
pub(super) fn encode_all<'t>(tables: impl Iterator<Item = &'t mut Table>) -> Result<()> {
    let mut files: Vec<&mut LiveFile> = tables.flat_map(Table::unwritten).collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.rows.num_rows()));
    cores::run(files, LiveFile::encode).map(drop)
}

impl LiveFile {
    /// Makes its object, if it is not made yet.
    pub(super) fn encode(&mut self) -> Result<()> {
        if self.body.is_none() {
            // Small merged files are soon merged again.
            let kept = self.change == DataChange::Layout && self.rows.num_rows() >= OWN_INDEX_ROWS;
            let body = encode(&self.rows, if kept { Effort::Small } else { Effort::Quick })?;
            self.size = i64::try_from(body.len()).unwrap_or(i64::MAX);
            self.body = Some(body);
        }
        Ok(())
    }
}

fn stage_file(
    table: &str,
    file: &mut LiveFile,
    actions: &mut Actions,
    uploads: &mut Vec<Upload>,
    packer: &mut vector::Packer<'_>,
) -> Result<()> {
    let told = file.logged.as_ref().map(|d| d.as_ref().map_or(0, |d| d.cardinality));
    let gone = i64::try_from(file.gone.len()).unwrap_or(i64::MAX);
    if told == Some(gone) {
        return Ok(());
    }
    if file.logged.is_none() {
        file.encode()?;
        // A merge has put its object beside the epochs, as `put_large` did: then its body is empty.
        if let Some(body) = file.body.take().filter(|body| !body.is_empty()) {
            uploads.push(Upload { path: format!("{table}/{}", file.path), body });
        }
    }
    if let Some(before) = &file.logged {
        actions.removes.push((file.entry(before.clone()), DataChange::Rows));
    }
    let vector = if file.gone.is_empty() { None } else { Some(packer.add(&file.gone)?) };
    let change = if file.logged.is_some() { DataChange::Rows } else { file.change };
    actions.adds.push((file.entry(vector.clone()), change));
    file.logged = Some(vector);
    Ok(())
}
