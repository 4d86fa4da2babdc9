//! What a table is to hold: its columns, and what its rows are known by.
//!
//! It says nothing of the rows themselves, and must never change while a table stands.

use arrow::datatypes::SchemaRef;

/// What a table is to hold.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// Relative to the lake: `marts/dim_customers`.
    pub path: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Columns that tell one row from another: a source's key, or all that are no audit columns.
    pub identity: Vec<usize>,
    /// Columns that the digest covers: all but audit columns.
    pub digest: Vec<usize>,
    /// Columns in whose order merged files lie; none means the key, or the first where there is none.
    pub order: Vec<usize>,
}

impl TableSpec {
    /// A table without a key: rows are told apart by all but their audit columns.
    pub fn whole_rows(path: String, schema: SchemaRef, audit: &[String]) -> Self {
        let plain: Vec<usize> = (0..schema.fields().len())
            .filter(|i| !audit.contains(schema.field(*i).name()))
            .collect();
        Self { path, schema, identity: plain.clone(), digest: plain, order: Vec::new() }
    }

    /// The same, whose merged files lie in the order of these columns, of those that there are.
    pub fn in_order_of(mut self, names: &[String]) -> Self {
        self.order = names.iter().filter_map(|name| self.schema.index_of(name).ok()).collect();
        self
    }

    /// The columns that its rows are known by, if it has a key.
    pub fn known_by(&self) -> Option<&[usize]> {
        if !self.order.is_empty() {
            return Some(&self.order);
        }
        (self.identity.len() < self.digest.len()).then_some(&self.identity)
    }

    /// The columns in whose order merged files lie.
    pub(super) fn cluster(&self) -> Vec<usize> {
        let first = || self.identity.first().copied().into_iter().collect();
        self.known_by().map_or_else(first, <[usize]>::to_vec)
    }
}
