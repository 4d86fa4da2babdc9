//! A table's next log entry, and the files that it names.
//!
//! What is made here is visible to nobody before the epoch's decision names it.

use bytes::Bytes;

use super::commit::{self, Actions, DataChange, Stamp};
use super::file::{LiveFile, OWN_INDEX_ROWS};
use super::parquet::{Effort, encode};
use super::table::Table;
use super::tables::Tables;
use super::vector;
use crate::cores;
use crate::error::Result;

/// A file of so many bytes of rows goes into the lake before the others are encoded.
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
    /// The next large new files, encoded, to be put into the lake before the others are: as many as there
    /// is room for, and one a core at least. Where an epoch makes everything anew, the bodies of all would
    /// not fit beside the tables. None where all are given out.
    pub fn encode_large(&mut self) -> Result<Vec<Upload>> {
        let most = self.merge_max();
        let mut files: Vec<(String, &mut LiveFile)> = Vec::new();
        for table in self.relations_mut() {
            let path = table.path().to_owned();
            let large = table.unwritten().filter(|file| file.row_bytes() >= LARGE_BYTES);
            files.extend(large.map(|file| (format!("{path}/{}", file.path), file)));
        }
        files.sort_by_key(|(_, file)| file.row_bytes());
        let (mut part, mut bytes) = (Vec::new(), 0);
        while (part.len() < cores::count() || bytes < most)
            && let Some((path, file)) = files.pop()
        {
            bytes += file.row_bytes();
            part.push((path, file));
        }
        cores::run(part, |(path, file)| {
            file.encode()?;
            // An empty body says that it needs no upload any more.
            let body = file.body.replace(Bytes::new()).unwrap_or_default();
            Ok(Upload { path, body })
        })
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
        // A merge has put its object beside the epochs, or it was given out with the large ones: then
        // its body is empty.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use freshet_sql::change::ChangeBatch;

    use super::*;
    use crate::lake::options::Options;
    use crate::lake::spec::TableSpec;
    use crate::lake::store::Store;
    use crate::lake::tables::{Entry, upload};
    use crate::lake::{layout, load};

    fn rows(count: i64) -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
        RecordBatch::try_from_iter_with_nullable(vec![("id", ids, true)]).unwrap()
    }

    #[tokio::test]
    async fn large_files_are_given_out_once_and_named_like_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::at(dir.path().display().to_string())).unwrap();
        let spec = |name: &str| TableSpec::whole_rows(name.to_owned(), rows(0).schema(), &[]);
        let mut tables = Tables::default();
        for (name, count) in [("marts/small", 3), ("marts/large", 2000), ("marts/larger", 4000)] {
            let mut table = Table::fresh(spec(name));
            table.begin_epoch(1);
            table.apply(&ChangeBatch { removed: rows(0), added: rows(count) }, 1).unwrap();
            tables.models.insert(name.to_owned(), table);
        }
        let mut large = Vec::new();
        while let part = tables.encode_large().unwrap()
            && !part.is_empty()
        {
            large.extend(part.iter().map(|upload| upload.path.clone()));
            assert!(part.iter().all(|upload| !upload.body.is_empty()));
            upload(&store, part).await.unwrap();
        }
        assert_eq!(large.len(), 2, "{large:?}");
        let stamp = Stamp { epoch: 1, time_ms: 1, retention_minutes: 60 };
        let (entries, others) = tables.stage(stamp).unwrap();
        assert!(others.iter().all(|upload| upload.path.starts_with("marts/small/")));
        upload(&store, others).await.unwrap();
        assert!(tables.models.keys().all(|name| entries.iter().any(|e| e.table == *name)));
        for Entry { table, version, bytes, .. } in entries {
            let Some(held) = tables.models.get(&table) else { continue };
            let size = large.iter().find_map(|path| path.strip_prefix(&format!("{table}/")));
            if let Some(name) = size {
                let object = store.get(&format!("{table}/{name}")).await.unwrap().unwrap();
                let told = format!("\"path\":\"{name}\"");
                let text = std::str::from_utf8(&bytes).unwrap();
                let line = text.lines().find(|line| line.contains(&told)).unwrap();
                assert!(line.contains(&format!("\"size\":{}", object.len())), "{line}");
            }
            store.create(&layout::log_entry(&table, version), bytes).await.unwrap();
            let again = load::table(&store, spec(&table), version, None).await.unwrap();
            assert_eq!((again.rows(), again.digest()), (held.rows(), held.digest()));
        }
    }
}
