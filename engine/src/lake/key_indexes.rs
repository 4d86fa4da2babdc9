//! A file's indexes by key: each is read from its local copy or built when it is first asked for.
//!
//! They go with their file, and must never be the only place of anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cold::Cold;
use super::kept::{Home, Of};
use super::keys::KeyIndex;
use crate::error::Result;

/// Indexes by the key's name.
pub(super) type Named = BTreeMap<Arc<str>, Arc<KeyIndex>>;

/// A file's indexes.
#[derive(Debug, Default)]
pub struct KeyIndexes {
    known: Mutex<Named>,
    /// Where copies of them lie.
    home: Option<Arc<Home>>,
}

impl KeyIndexes {
    pub(super) fn new(known: Named) -> Self {
        Self { known: Mutex::new(known), home: None }
    }

    /// Copies may lie there.
    pub(super) fn settle(&mut self, home: Option<Arc<Home>>) {
        self.home = home;
    }

    /// The index of this name over as many rows as fit; if it was not asked for before it is read from
    /// its copy, or built.
    pub(super) fn get(
        &self,
        (name, fits): (&Arc<str>, &dyn Fn(usize) -> bool),
        build: impl FnOnce() -> freshet_sql::error::Result<KeyIndex>,
    ) -> freshet_sql::error::Result<Arc<KeyIndex>> {
        let mut known = self.known();
        if let Some(index) = known.get(name) {
            return Ok(index.clone());
        }
        let index = Arc::new(self.copy(name, fits).map_or_else(build, Ok)?);
        known.insert(name.clone(), index.clone());
        Ok(index)
    }

    fn copy(&self, name: &Arc<str>, fits: &dyn Fn(usize) -> bool) -> Option<KeyIndex> {
        let found = self.home.as_ref()?.find(&Of::Key(name.clone()), fits, |_| true)?;
        KeyIndex::from_rows(&found.rows, found.mapped)
    }

    fn known(&self) -> MutexGuard<'_, Named> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that there are now.
    pub(super) fn all(&self) -> Named {
        self.known().clone()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.known().values().map(|index| index.heap_bytes()).sum()
    }

    /// Moves all to disk.
    pub(super) fn cool(&self, cold: &Cold) -> Result<()> {
        for (name, index) in self.known().iter_mut() {
            *index = index.cooled(cold, (self.home.as_deref(), &Of::Key(name.clone())))?;
        }
        Ok(())
    }
}
