//! A table's next log entry, and the files that it names.
//!
//! What is made here is visible to nobody before the epoch's decision names it.

use bytes::Bytes;

use super::commit::{self, Actions, DataChange, Stamp};
use super::file::{LiveFile, OWN_INDEX_ROWS};
use super::parquet::{Effort, encode};
use super::table::Table;
use super::vector;
use crate::cores;
use crate::error::Result;

/// A file that the epoch must write before it is decided.
#[derive(Debug)]
pub struct Upload {
    /// Relative to the lake.
    pub path: String,
    /// Its bytes.
    pub body: Bytes,
}

impl Table {
    /// The table's next log entry and the files it names, if it changed since the last one.
    pub fn stage(&mut self, stamp: Stamp) -> Result<Option<(u64, Bytes, Vec<Upload>)>> {
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
        let bytes = commit::entry(&self.identity, &self.spec.schema, actions, stamp)?;
        self.identity.version = Some(version);
        self.identity.announce = false;
        Ok(Some((version, bytes, uploads)))
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
        // A merge has put its object beside the epochs: then there is an empty body.
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
