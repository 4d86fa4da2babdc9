//! An epoch's relations as maintenance reads them: the lake's tables, each with its change.

use std::collections::BTreeMap;

use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::stored::{Relations, Stored};
use freshet_sql::project::model::Node;

use crate::lake::moment::Moment;
use crate::lake::tables::Tables;

/// What an epoch changed, by relation.
pub type Changes = BTreeMap<String, ChangeBatch>;

/// The relations that one query reads.
pub struct View<'a>(BTreeMap<&'a str, Moment<'a>>);

impl<'a> View<'a> {
    /// Of these inputs, with what changed in them so far.
    pub fn new(tables: &'a Tables, inputs: &'a [Node], changes: [&'a Changes; 2]) -> Self {
        let mut all = BTreeMap::new();
        for name in inputs.iter().map(Node::name) {
            let Some(table) = tables.relation(name) else { continue };
            let change = changes.iter().find_map(|c| c.get(name));
            all.insert(name, Moment { table, change });
        }
        Self(all)
    }

    /// Rows that entered and left these relations.
    pub fn changed_rows(&self) -> u64 {
        self.0.values().filter_map(|m| m.change).map(|c| c.len() as u64).sum()
    }

    /// Rows in these relations.
    pub fn rows(&self) -> u64 {
        self.0.values().map(|m| m.table.rows() as u64).sum()
    }

    /// The relation of which the largest part changed: its name, rows changed, and rows there.
    pub fn most_changed(&self) -> Option<(&'a str, u64, u64)> {
        let share = |(name, moment): (&&'a str, &Moment<'a>)| {
            let changed = moment.change.map_or(0, |c| c.len() as u64);
            (*name, changed, moment.table.rows() as u64)
        };
        let of = |(_, changed, rows): &(&str, u64, u64)| changed * 1000 / (*rows).max(1);
        self.0.iter().map(share).max_by_key(of)
    }
}

impl Relations for View<'_> {
    fn stored(&self, relation: &str) -> Option<&dyn Stored> {
        self.0.get(relation).map(|moment| moment as &dyn Stored)
    }

    fn change(&self, relation: &str) -> Option<&ChangeBatch> {
        self.0.get(relation).and_then(|moment| moment.change)
    }
}
