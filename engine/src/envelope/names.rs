//! Names that many records share, kept once.
//!
//! Only saves memory and comparisons; it must never change a name.

use std::collections::HashSet;
use std::sync::Arc;

/// The names met so far: of tables and connectors.
#[derive(Default)]
pub(super) struct Names {
    known: HashSet<Arc<str>>,
    joined: String,
}

impl Names {
    /// The shared copy of a name.
    pub fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = Arc::from(name);
        self.known.insert(shared.clone());
        shared
    }

    /// The shared copy of `schema.table`.
    pub fn table(&mut self, schema: &str, table: &str) -> Arc<str> {
        let mut name = std::mem::take(&mut self.joined);
        name.clear();
        name.extend([schema, ".", table]);
        let shared = self.share(&name);
        self.joined = name;
        shared
    }
}
