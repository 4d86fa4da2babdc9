//! What the project reader hands on: models as compiled SQL with everything needed to keep them.
//!
//! Types only. They must never hold what a file does not say: no plan, no state, no path on disk.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::Location;
use crate::jinja::source::{SourceMap, offset_of};
use crate::project::snapshot::SnapshotConfig;

/// A model or a snapshot.
#[derive(Debug, Clone)]
pub struct Model {
    /// Unique among models, snapshots and source tables: the engine's table name.
    pub name: String,
    /// The folder it belongs to: staging, snapshots, marts, ...
    pub layer: String,
    /// Relative to the project's root.
    pub path: String,
    /// The file as written; for a snapshot declared in yml, the query made from `relation:`.
    pub raw: String,
    /// Compiled SQL: references are table names, ephemeral models are CTEs.
    pub sql: String,
    pub materialized: Materialized,
    /// From the config `unique_key`, else from `meta.unique_key`; empty if neither is there.
    pub unique_key: Vec<String>,
    /// What the SQL reads: models, then sources, each in order of appearance; through ephemeral
    /// models, never they.
    pub depends_on: Vec<Node>,
    pub description: String,
    pub columns: Vec<ColumnDoc>,
    /// The merged configuration, every key.
    pub config: BTreeMap<String, Json>,
    /// Changes when its rows could: by its SQL (comments and spacing aside), its materialization
    /// and keys, or anything above it.
    pub fingerprint: u64,
    /// Where it begins: the file's top, the snapshot's name, or the yml entry.
    pub location: Location,
    pub(crate) map: SourceMap,
}

impl Model {
    /// Whether it has a table of its own; ephemeral models live in their readers' SQL.
    pub fn is_stored(&self) -> bool {
        self.materialized != Materialized::Ephemeral
    }

    /// The place in the project's files of a line and column of `sql`, both from 1.
    ///
    /// Exact for text that stands in a file, also within loops, and in an ephemeral model's file
    /// for what came from there. Within the value of a `{{ .. }}` it is that expression, and what
    /// a macro wrote is where it was called.
    pub fn locate(&self, line: u32, column: u32) -> Location {
        let offset = offset_of(&self.sql, line, column);
        self.map.locate(offset).unwrap_or_else(|| self.location.clone())
    }
}

/// How a model is kept. A view is kept like a table: all models move together, so a reader could
/// not tell the two apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Materialized {
    Table,
    View,
    /// Kept exact like a table: `is_incremental()` is always false.
    Incremental,
    Ephemeral,
    Snapshot(Box<SnapshotConfig>),
}

/// Something a model or test reads, by table name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    Model(String),
    /// The relation name, such as `banking__customers`.
    Source(String),
}

impl Node {
    /// The name of the table.
    pub fn name(&self) -> &str {
        match self {
            Self::Model(name) | Self::Source(name) => name,
        }
    }
}

/// What yml says about a column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnDoc {
    pub name: String,
    pub description: String,
    pub data_type: Option<String>,
}

/// Something that was understood and has no effect here, or an entry that matches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub location: Location,
    pub message: String,
}
