//! Where rows lie: a row's identity to its places.
//!
//! A table may hold exact duplicates, so an identity may have several places. Rows of small files,
//! which come and are merged all the time, stand in one hash table; a large file has an index of its
//! own, which is smaller, is merged with it and may lie on disk. Derived: built when a table is
//! loaded and never stored.

use std::sync::Arc;

use arrow::array::RecordBatch;
use freshet_sql::maintain::recompute::StoredRows;
use hashbrown::{HashSet, HashTable};

use super::file::{LiveFile, OWN_INDEX_ROWS};
use super::keys::KeyIndex;
use super::table::Table;
use crate::error::{Error, Result};

/// A row's place: the file's number within the table, and the physical row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file's number.
    pub file: u32,
    /// The row in the file, from 0, deleted ones counted.
    pub row: u32,
}

/// 24 bytes an entry: the identity in two halves, so that no padding is needed.
#[derive(Debug, Clone, Copy)]
struct Entry {
    identity: [u64; 2],
    place: Place,
}

/// Identity to places: the living rows of small files.
#[derive(Debug, Default)]
pub struct RowIndex {
    entries: HashTable<Entry>,
}

#[expect(clippy::cast_possible_truncation, reason = "splitting a number in two keeps both halves")]
const fn halves(identity: u128) -> [u64; 2] {
    [(identity >> 64) as u64, identity as u64]
}

impl RowIndex {
    /// Adds a row.
    pub fn insert(&mut self, identity: u128, place: Place) {
        let identity = halves(identity);
        self.entries.insert_unique(identity[1], Entry { identity, place }, |e| e.identity[1]);
    }

    /// Every place of an identity.
    pub fn places(&self, identity: u128) -> impl Iterator<Item = Place> {
        let identity = halves(identity);
        let found = self.entries.iter_hash(identity[1]);
        found.filter(move |e| e.identity == identity).map(|e| e.place)
    }

    /// Takes a row out.
    pub fn remove(&mut self, identity: u128, place: Place) {
        let identity = halves(identity);
        let same = |e: &Entry| e.identity == identity && e.place == place;
        if let Ok(found) = self.entries.find_entry(identity[1], same) {
            found.remove();
        }
    }

    /// Room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.entries.reserve(rows, |e| e.identity[1]);
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * (size_of::<Entry>() + 1)
    }
}

impl Table {
    /// The first place of an identity.
    pub(super) fn first(&self, identity: u128) -> Option<Place> {
        let small = self.index.places(identity).next();
        small.or_else(|| self.in_large(identity).next())
    }

    /// Has the processor read at once what finds these identities in large files.
    pub(super) fn read_ahead(&self, identities: &[u128]) {
        let files = self.own_index.iter().filter_map(|number| self.files.get(number));
        let indexes = files.filter_map(|file| file.identities.as_deref());
        indexes.for_each(|index| index.read_identities_ahead(identities));
    }

    /// Every place of an identity.
    pub(super) fn places(&self, identity: u128) -> Vec<Place> {
        self.index.places(identity).chain(self.in_large(identity)).collect()
    }

    /// Living rows of an identity in files that have their own index.
    fn in_large(&self, identity: u128) -> impl Iterator<Item = Place> {
        self.own_index.iter().flat_map(move |number| {
            let file = self.files.get(number);
            let index = file.and_then(|file| file.identities.as_deref());
            let rows = index.map_or(&[] as &[u32], |index| index.of_identity(identity));
            let living = rows.iter().filter(move |r| file.is_some_and(|f| !f.gone.contains(**r)));
            living.map(move |row| Place { file: *number, row: *row })
        })
    }

    /// Marks one row of an identity as gone, the one at this place if it is told; `None` where there is
    /// none.
    pub(super) fn forget(&mut self, identity: u128, at: Option<Place>) -> Option<Place> {
        let place = at.or_else(|| self.first(identity))?;
        let file = self.files.get_mut(&place.file)?;
        if !file.gone.insert(place.row) {
            return None;
        }
        file.touch(self.epoch);
        if file.identities.is_none() {
            self.index.remove(identity, place);
        }
        Some(place)
    }

    /// Takes a file in whose rows have these identities.
    pub(super) fn take_file(&mut self, file: LiveFile, identities: &[u128]) -> Result<()> {
        let number = self.next_file;
        self.next_file += 1;
        self.files.insert(number, file);
        self.index_file(number, identities)
    }

    /// Makes the living rows of a file findable.
    pub(super) fn index_file(&mut self, number: u32, identities: &[u128]) -> Result<()> {
        let Some(file) = self.files.get_mut(&number) else { return Ok(()) };
        if u32::try_from(identities.len()).is_err() {
            return Err(Error::bug("a file over 2^32 rows"));
        }
        file.touch(self.epoch);
        if identities.len() >= OWN_INDEX_ROWS {
            file.identities = Some(Arc::new(KeyIndex::of_identities(identities)));
            self.own_index.push(number);
            return Ok(());
        }
        self.index.reserve(file.live_rows());
        for row in file.living_rows() {
            if let Some(identity) = identities.get(row as usize) {
                self.index.insert(*identity, Place { file: number, row });
            }
        }
        Ok(())
    }
}

impl StoredRows for Table {
    type Place = Place;

    fn is_empty(&self) -> bool {
        self.files.values().all(|file| file.live_rows() == 0)
    }

    fn find(&self, identity: u128) -> Vec<Place> {
        self.places(identity)
    }

    fn all_but(&self, keep: &HashSet<Place>) -> Vec<Place> {
        let mut places = Vec::new();
        for (number, file) in &self.files {
            let here = file.living_rows().map(|row| Place { file: *number, row });
            places.extend(here.filter(|place| !keep.contains(place)));
        }
        places
    }

    fn rows_at(&self, places: &[Place]) -> freshet_sql::error::Result<RecordBatch> {
        self.take(places).map_err(|e| freshet_sql::error::Error::Bug(e.to_string()))
    }
}
