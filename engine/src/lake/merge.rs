//! A merge of live files: made beside the epochs from rows that are shared, and put in between two.
//!
//! Rows that go while it is made are marked in the merged file when it is put in. Merged rows lie in
//! the order of the table's key, so that the bounds of row groups mean something to readers. Indexes by
//! key are merged too, not built anew. It must never change what a table holds.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, interleave, interleave_record_batch, lexsort_to_indices};
use bytes::Bytes;
use freshet_sql::rows::RowHasher;
use roaring::RoaringBitmap;

use super::commit::DataChange;
use super::file::{LiveFile, OWN_INDEX_ROWS, living};
use super::index::Place;
use super::key_indexes::{KeyIndexes, Named};
use super::keys::{KeyIndex, LEFT_BEHIND};
use super::store::Store;
use super::table::{Table, file_name};
use crate::error::{Error, Result};

/// One of the files, as it was when the merge began.
#[derive(Debug)]
struct Part {
    number: u32,
    rows: RecordBatch,
    gone: RoaringBitmap,
    keys: Named,
}

/// Files to merge.
#[derive(Debug)]
pub struct Merge {
    table: String,
    name: String,
    parts: Vec<Part>,
    hasher: RowHasher,
    cluster: Vec<usize>,
}

/// Where a part's rows lie in the merged file.
#[derive(Debug)]
struct Moved {
    number: u32,
    places: Vec<u32>,
}

/// The file that they become.
#[derive(Debug)]
pub struct Merged {
    table: String,
    file: LiveFile,
    identities: Vec<u128>,
    moved: Vec<Moved>,
}

impl Table {
    /// A merge of these files.
    pub(super) fn merge_of(&self, numbers: &[u32], epoch: u64) -> Merge {
        let part = |number: &u32| {
            let file = self.files.get(number)?;
            let (rows, gone, keys) = (file.rows.clone(), file.gone.clone(), file.keys.all());
            Some(Part { number: *number, rows, gone, keys })
        };
        Merge {
            table: self.spec.path.clone(),
            name: file_name(epoch),
            parts: numbers.iter().filter_map(part).collect(),
            hasher: self.hasher.clone(),
            cluster: self.spec.cluster(),
        }
    }

    /// Puts a merged file in the place of its parts.
    pub fn install(&mut self, merged: Merged) -> Result<()> {
        let Merged { mut file, identities, moved, .. } = merged;
        let number = self.next_file;
        self.next_file += 1;
        let large = file.identities.is_some();
        for part in moved {
            let old = self.files.get(&part.number);
            let small = old.is_none_or(|old| old.identities.is_none());
            for (row, place) in (0..).zip(&part.places) {
                let at = Place { file: part.number, row };
                if *place == LEFT_BEHIND {
                    continue;
                }
                if old.is_none_or(|old| old.gone.contains(row)) {
                    file.gone.insert(*place);
                    continue;
                }
                let identity = identities.get(*place as usize);
                let identity = *identity.ok_or_else(|| Error::bug("a merged row is nowhere"))?;
                if small {
                    self.index.remove(identity, at);
                }
                if !large {
                    self.index.insert(identity, Place { file: number, row: *place });
                }
            }
            self.drop_file(part.number, DataChange::Layout);
        }
        if file.live_rows() == 0 {
            return Ok(());
        }
        file.settled = file.gone.len();
        file.touch(self.epoch);
        if large {
            self.own_index.push(number);
        }
        self.files.insert(number, file);
        Ok(())
    }
}

impl Merge {
    /// Relative to the lake.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Rows that it takes, dead ones too.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows.num_rows()).sum()
    }

    /// Makes the merged file. Takes a while for a large one.
    pub fn run(self) -> Result<Merged> {
        let mut merged = self.unwritten()?;
        merged.file.encode()?;
        Ok(merged)
    }

    /// The same for a table that nobody stores.
    pub(super) fn unwritten(self) -> Result<Merged> {
        let order = self.order()?;
        let mut moved: Vec<Moved> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let places = vec![LEFT_BEHIND; part.rows.num_rows()];
            moved.push(Moved { number: part.number, places });
        }
        for (new, (part, row)) in (0..).zip(&order) {
            if let Some(place) = moved[*part].places.get_mut(*row) {
                *place = new;
            }
        }
        let batches: Vec<&RecordBatch> = self.parts.iter().map(|p| &p.rows).collect();
        let rows = interleave_record_batch(&batches, &order)?;
        let identities = self.hasher.hashes(&rows)?;
        let mut file = LiveFile::new(self.name.clone(), rows, DataChange::Layout);
        if identities.len() >= OWN_INDEX_ROWS {
            file.identities = Some(Arc::new(KeyIndex::of_identities(&identities)));
        }
        file.keys = KeyIndexes::new(self.keys(&moved));
        Ok(Merged { table: self.table, file, identities, moved })
    }

    /// Living rows by part and row, in the order in which the merged file has them.
    fn order(&self) -> Result<Vec<(usize, usize)>> {
        let living = self.parts.iter().enumerate().flat_map(|(at, part)| {
            living(&part.rows, &part.gone).map(move |row| (at, row as usize))
        });
        let living: Vec<(usize, usize)> = living.collect();
        let mut by = Vec::with_capacity(self.cluster.len());
        for column in &self.cluster {
            let columns: Vec<_> = self.parts.iter().map(|p| p.rows.column(*column)).collect();
            let columns: Vec<_> = columns.into_iter().map(AsRef::as_ref).collect();
            by.push(SortColumn { values: interleave(&columns, &living)?, options: None });
        }
        // Some types have no order: then the rows stay as they came.
        let Ok(sorted) = lexsort_to_indices(&by, None) else { return Ok(living) };
        let at = |index: &u32| living.get(*index as usize).copied();
        Ok(sorted.values().iter().filter_map(at).collect())
    }

    /// The indexes that every part has.
    fn keys(&self, moved: &[Moved]) -> Named {
        let Some(first) = self.parts.first() else { return Named::new() };
        let mut merged = Named::new();
        for name in first.keys.keys() {
            let pairs = self.parts.iter().zip(moved);
            let indexes = pairs.map(|(part, moved)| {
                part.keys.get(name).map(|index| (index.as_ref(), moved.places.as_slice()))
            });
            if let Some(indexes) = indexes.collect::<Option<Vec<_>>>() {
                merged.insert(name.clone(), Arc::new(KeyIndex::merged(&indexes)));
            }
        }
        merged
    }
}

impl Merged {
    /// Relative to the lake.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Puts the merged file's object into the lake, where no entry names it yet.
    pub async fn put(&mut self, store: &Store) -> Result<()> {
        if let Some(body) = self.file.body.replace(Bytes::new()) {
            store.put(&format!("{}/{}", self.table, self.file.path), body).await?;
        }
        Ok(())
    }
}
