//! Data tests: a query each that returns the rows that must not exist.
//!
//! Types only. Running them, and what a failure holds back, is the engine's.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::Location;
use crate::jinja::source::{SourceMap, offset_of};
use crate::project::model::Node;

/// A data test, ready to run.
#[derive(Debug, Clone)]
pub struct DataTest {
    /// dbt's name for it, unique in the project.
    pub name: String,
    /// The table it is declared on; for a singular test the first one it reads.
    pub model: String,
    pub column: Option<String>,
    pub kind: TestKind,
    pub severity: Severity,
    /// Only rows for which this SQL holds are tested; `sql` says so already.
    pub where_: Option<String>,
    /// Returns the failing rows (for some kinds one row per failing value); empty: passed.
    pub sql: String,
    pub depends_on: Vec<Node>,
    pub location: Location,
    pub(crate) map: SourceMap,
}

impl DataTest {
    /// The place of a line and column of `sql`, as `Model::locate` gives it.
    pub fn locate(&self, line: u32, column: u32) -> Location {
        let offset = offset_of(&self.sql, line, column);
        self.map.locate(offset).unwrap_or_else(|| self.location.clone())
    }
}

/// What is tested. The four of dbt are told apart so that they can be run on changes alone.
#[derive(Debug, Clone, PartialEq)]
pub enum TestKind {
    NotNull {
        column: String,
    },
    Unique {
        column: String,
    },
    /// Nulls pass. `quote`: the values are texts, else they stand in SQL as they are.
    AcceptedValues {
        column: String,
        values: Vec<String>,
        quote: bool,
    },
    /// Nulls pass. `to` is a table's name.
    Relationships {
        column: String,
        to: String,
        field: String,
    },
    /// A test of the project's own; arguments as declared, without model and column.
    Generic {
        test: String,
        arguments: BTreeMap<String, Json>,
    },
    Singular,
}

/// What a failing test means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The epoch's marts are not published.
    Error,
    /// It is told.
    Warn,
}
