//! A project, ready to run: what each source, model, snapshot and test is known by.
//!
//! It is made by [`super::plan`] and holds no rows but those of histories that were taken over. It must
//! never be other than the project's files say.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;
use freshet_sql::error::Location;
use freshet_sql::lineage::Lineage;
use freshet_sql::maintain::keys::KeyExprs;
use freshet_sql::maintain::{Cost, Maintained};
use freshet_sql::materialize::snapshot::SnapshotSpec;
use freshet_sql::plan::live::LiveTable;
use freshet_sql::plan::{Prepared, Session};
use freshet_sql::project::datatest::Severity;
use freshet_sql::project::model::Node;

use super::steps::Step;
use super::taken_over::TakenOver;
use crate::lake::spec::TableSpec;

/// A source as the planner sees it.
#[derive(Debug, Clone)]
pub struct SourceColumns {
    /// The relation's name in compiled SQL.
    pub relation: String,
    /// The current rows' columns.
    pub schema: SchemaRef,
    /// Names of the primary key's columns.
    pub key: Vec<String>,
}

/// A model, ready to run.
#[derive(Debug)]
pub struct PlannedModel {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub layer: String,
    /// What it reads.
    pub inputs: Vec<Node>,
    /// Hexadecimal.
    pub fingerprint: String,
    /// Its query.
    pub query: Prepared,
    /// How its query follows what it reads.
    pub maintained: Maintained,
    /// What a change costs at worst.
    pub cost: Cost,
    /// What the lake stores.
    pub spec: TableSpec,
    /// Audit columns, and whether rows change by time alone.
    pub lineage: Lineage,
    /// Its rows, for the models below.
    pub live: LiveTable,
    /// How it is kept, where it is a snapshot.
    pub snapshot: Option<PlannedSnapshot>,
    /// Where it is written.
    pub location: Location,
}

impl PlannedModel {
    /// Whether it is a snapshot that is folded from this source's images.
    pub fn folds(&self, relation: &str) -> bool {
        self.images_of() == Some(relation)
    }

    /// The source whose images it is folded from, of a snapshot that follows images.
    pub fn images_of(&self) -> Option<&str> {
        let images = self.snapshot.as_ref()?.images.as_ref().ok()?;
        Some(&images.source)
    }

    /// Whether it is a history that was taken over.
    pub fn is_imported(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| !snapshot.taken_over.is_empty())
    }
}

/// A snapshot, ready to run.
#[derive(Debug)]
pub struct PlannedSnapshot {
    /// Its rules.
    pub spec: SnapshotSpec,
    /// Its unique key, over versions.
    pub key: KeyExprs,
    /// The same, over those that have not ended.
    pub key_of_open: KeyExprs,
    /// The same over the key's columns alone.
    pub key_alone: KeyExprs,
    /// The query over images, or why there is none.
    pub images: std::result::Result<ImageQueries, String>,
    /// History that was taken over: what a rebuild folds onto.
    pub taken_over: TakenOver,
}

/// A snapshot's two queries over images.
#[derive(Debug)]
pub struct ImageQueries {
    /// Rows, with the image's number last.
    pub rows: Prepared,
    /// The number and the unique key, for every image.
    pub keys: Prepared,
    /// The source whose images they read.
    pub source: String,
}

/// A source's relations.
#[derive(Debug)]
pub struct PlannedSource {
    /// Current rows.
    pub live: LiveTable,
    /// Images of the epoch, with their numbers.
    pub images: LiveTable,
}

/// A data test, ready to run.
#[derive(Debug)]
pub struct PlannedTest {
    /// dbt's name.
    pub name: String,
    /// The model it is about.
    pub model: String,
    /// What a failing row means.
    pub severity: Severity,
    /// What it reads.
    pub inputs: Vec<Node>,
    /// Returns the failing rows.
    pub query: Prepared,
    /// How they follow what it reads.
    pub maintained: Maintained,
    /// Of its text: what was counted for another text counts for nothing.
    pub fingerprint: String,
    /// Whether rows fail by time alone.
    pub by_time: bool,
}

/// A whole project, ready to run.
pub struct Planned {
    /// Runs its queries.
    pub session: Session,
    /// By relation name.
    pub sources: BTreeMap<String, PlannedSource>,
    /// In graph order.
    pub models: Vec<PlannedModel>,
    /// In the project's order.
    pub tests: Vec<PlannedTest>,
    /// What is due at once of both.
    pub(super) steps: Vec<Step>,
}

impl Planned {
    /// Adds whatever reads these models, at any distance: what was wrong or made anew above gives no
    /// change that could be followed.
    pub fn add_readers(&self, names: &mut BTreeSet<String>) {
        for model in &self.models {
            if model.inputs.iter().any(|input| names.contains(input.name())) {
                names.insert(model.name.clone());
            }
        }
    }

    /// Bytes of what its queries remember between epochs, about. Beyond this bound all of it is
    /// forgotten: it is derived.
    pub fn remembered_bytes(&self, bytes_max: usize) -> usize {
        let models = self.models.iter().map(|m| &m.maintained);
        let all = || models.clone().chain(self.tests.iter().map(|t| &t.maintained));
        let bytes = all().map(Maintained::held_bytes).sum();
        if bytes <= bytes_max {
            return bytes;
        }
        tracing::debug!(bytes, bytes_max, "what queries remember of groups is forgotten");
        all().for_each(Maintained::forget);
        0
    }

    /// A relation as full runs read it.
    pub fn live(&self, name: &str) -> Option<&LiveTable> {
        let model = || self.models.iter().find(|m| m.name == name).map(|m| &m.live);
        self.sources.get(name).map(|s| &s.live).or_else(model)
    }
}
