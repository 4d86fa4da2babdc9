//! Where rows lie: a row's identity to its places, in memory.
//!
//! A table may hold exact duplicates, so an identity may have several places. Derived: it is built
//! when a table is loaded and never stored.

use hashbrown::HashTable;

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

/// Identity to places.
#[derive(Debug, Default)]
pub struct RowIndex {
    entries: HashTable<Entry>,
}

#[expect(clippy::cast_possible_truncation, reason = "splitting a number in two keeps both halves")]
const fn halves(identity: u128) -> [u64; 2] {
    [(identity >> 64) as u64, identity as u64]
}

impl RowIndex {
    /// Live rows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no live row.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a row.
    pub fn insert(&mut self, identity: u128, place: Place) {
        let identity = halves(identity);
        self.entries.insert_unique(identity[1], Entry { identity, place }, |e| e.identity[1]);
    }

    /// The first place of an identity.
    pub fn first(&self, identity: u128) -> Option<Place> {
        let identity = halves(identity);
        self.entries.find(identity[1], |e| e.identity == identity).map(|e| e.place)
    }

    /// Every place of an identity.
    pub fn places(&self, identity: u128) -> Vec<Place> {
        let identity = halves(identity);
        let found = self.entries.iter_hash(identity[1]);
        found.filter(|e| e.identity == identity).map(|e| e.place).collect()
    }

    /// Takes one copy of an identity out.
    pub fn take(&mut self, identity: u128) -> Option<Place> {
        let identity = halves(identity);
        let found = self.entries.find_entry(identity[1], |e| e.identity == identity).ok()?;
        Some(found.remove().0.place)
    }

    /// Points a row that was rewritten to its new place.
    pub fn repoint(&mut self, identity: u128, from: Place, to: Place) {
        let identity = halves(identity);
        let same = |e: &Entry| e.identity == identity && e.place == from;
        if let Some(entry) = self.entries.find_mut(identity[1], same) {
            entry.place = to;
        }
    }

    /// Room for so many more rows.
    pub fn reserve(&mut self, rows: usize) {
        self.entries.reserve(rows, |e| e.identity[1]);
    }
}
