//! The project: a dbt project's files in, checked models, sources and data tests out.
//!
//! The first station of the pure crate. A model passes through it as follows:
//!
//! 1. `settings` reads dbt_project.yml: folders, variables, configuration trees.
//! 2. `properties` reads the yml files (`yaml` and `nodes` keep the places), `source` the source
//!    tables.
//! 3. `draft` finds every model and snapshot; snapshot blocks are cut out in place.
//! 4. `prepare` renders each once (`jinja`) and merges its `config`; `compile` asks `graph` for the
//!    order, renders again, puts ephemeral models into their readers (`inline`) and takes the
//!    `fingerprint`.
//! 5. `suite` makes the data tests: dbt's four (`builtin`), the project's own (`generic`) and
//!    singular ones.
//!
//! It must never touch a file system, a clock or the environment: texts and lookups are passed in.
//! What it doesn't support it refuses with file, line and column.

mod builtin;
mod compile;
mod config;
pub mod datatest;
mod declare;
mod draft;
mod fingerprint;
mod generic;
mod inline;
pub mod model;
mod nodes;
mod prepare;
mod properties;
mod settings;
pub mod snapshot;
pub mod source;
mod suite;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::error::{Error, Location, Result};
use crate::jinja::context::Scope;
use crate::jinja::relation::Relation;
use crate::jinja::source::SourceFile;
use crate::jinja::{Jinja, Lookup};
use crate::project::compile::{Compiled, compile};
use crate::project::datatest::DataTest;
use crate::project::draft::Draft;
use crate::project::generic::GenericTest;
use crate::project::model::{Model, Node, Notice};
use crate::project::properties::Declared;
use crate::project::settings::{Settings, below};
use crate::project::source::Source;
use crate::project::suite::Suite;

/// What `target` is in templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub schema: String,
    pub database: String,
}

/// A checked dbt project.
///
/// All tables share one flat space of names: a model or snapshot stands under its own name, a
/// source table under `Source::relation_name()`, and compiled SQL names nothing else.
#[derive(Debug, Clone)]
pub struct Project {
    pub name: String,
    /// Models and snapshots, every one after all that it reads; ties by layer, then name.
    pub models: Vec<Model>,
    /// In the order of the files.
    pub sources: Vec<Source>,
    /// By name.
    pub tests: Vec<DataTest>,
    /// What was read and has no effect.
    pub notices: Vec<Notice>,
}

impl Project {
    /// Reads a project. `files` maps paths relative to its root, with `/`, to their texts; only
    /// .sql and .yml are read. `vars` are the command line's and win over dbt_project.yml.
    ///
    /// Fails with the first thing that is wrong or not supported, at its place.
    pub fn load(
        files: &BTreeMap<String, String>,
        vars: &BTreeMap<String, Json>,
        env: Lookup<'_>,
        target: &Target,
    ) -> Result<Project> {
        let settings = Settings::read(files, vars)?;
        let scope = Scope {
            project: settings.name.clone(),
            vars: settings.vars.clone(),
            ..Scope::default()
        };
        let mut jinja = Jinja::new(scope, target, env);
        let generics = read_macros(files, &settings, &mut jinja)?;
        let declared = properties::read(files, &settings, &jinja)?;
        let drafts = draft::collect(files, &settings, &declared)?;
        let sources = announce(&drafts, &declared, target, &jinja)?;
        let mut compiled = compile(drafts, &declared, &settings, &jinja)?;
        let suite = Suite {
            jinja: &jinja,
            models: &compiled.models,
            ephemerals: &compiled.ephemerals,
            sources: &sources,
            generics: &generics,
            defaults: config::of_folder(settings.tests.as_ref(), &[&settings.name])?,
        };
        let tests = tests_of(files, &settings, &declared, &compiled, &suite)?;
        Ok(Project {
            models: std::mem::take(&mut compiled.models),
            sources: declared.sources.into_iter().map(|(source, _)| source).collect(),
            tests,
            notices: declared.notices,
            name: settings.name,
        })
    }

    /// A model or snapshot by name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    /// The models that read a table, in build order.
    pub fn readers<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Model> {
        self.models.iter().filter(move |model| model.depends_on.contains(node))
    }
}

/// The SQL files below some folders.
fn sql_below<'a>(
    files: &'a BTreeMap<String, String>,
    folders: &'a [String],
) -> impl Iterator<Item = (&'a str, Arc<SourceFile>)> {
    files.iter().filter_map(|(path, text)| {
        let (_, rest) = below(folders, path)?;
        path.ends_with(".sql").then(|| (rest, Arc::new(SourceFile::new(path, text))))
    })
}

/// Macros go to the renderer; the project's own tests, which may stand among them, are returned.
fn read_macros(
    files: &BTreeMap<String, String>,
    settings: &Settings,
    jinja: &mut Jinja<'_>,
) -> Result<BTreeMap<String, GenericTest>> {
    let mut generics = BTreeMap::new();
    for (_, file) in sql_below(files, &settings.macro_paths) {
        let before = generics.len();
        generic::collect(&file, &mut generics)?;
        if generics.len() == before {
            jinja.add_macros(file);
        } else if file.text.contains("endmacro") {
            let message = "macros and tests in one file are not supported yet";
            return Err(Error::invalid(Location::top(&file.path), message)
                .hinted("move the tests to tests/generic".to_owned()));
        }
    }
    for (rest, file) in sql_below(files, &settings.test_paths) {
        if rest.starts_with("generic/") {
            generic::collect(&file, &mut generics)?;
        }
    }
    Ok(generics)
}

/// Tells the renderer every name; gives the relation name of each source table. Names that occur
/// twice are refused.
fn announce(
    drafts: &[Draft],
    declared: &Declared,
    target: &Target,
    jinja: &Jinja<'_>,
) -> Result<BTreeMap<(String, String), String>> {
    let mut taken: BTreeMap<String, Location> = BTreeMap::new();
    let mut take = |name: String, at: &Location| match taken.insert(name.clone(), at.clone()) {
        Some(first) => Err(Error::invalid(
            at.clone(),
            format!("the name \"{name}\" is already taken at {first}"),
        )
        .hinted("models, snapshots and source tables share one space of names".to_owned())),
        None => Ok(()),
    };
    let mut models = BTreeMap::new();
    for draft in drafts {
        take(draft.name.clone(), &draft.at)?;
        let relation = Relation::new(&draft.name, &target.schema, &target.database);
        models.insert(draft.name.clone(), relation);
    }
    let (mut sources, mut names) = (BTreeMap::new(), BTreeMap::new());
    for (source, _) in &declared.sources {
        take(source.relation_name(), &source.location)?;
        let key = (source.name.clone(), source.table.clone());
        let relation = Relation::new(&source.relation_name(), &source.schema, &target.database);
        sources.insert(key.clone(), relation);
        names.insert(key, source.relation_name());
    }
    jinja.change(|scope| {
        scope.models = models;
        scope.sources = sources;
    });
    Ok(names)
}

/// All tests by name; two of one name are refused.
fn tests_of(
    files: &BTreeMap<String, String>,
    settings: &Settings,
    declared: &Declared,
    compiled: &Compiled,
    suite: &Suite<'_>,
) -> Result<Vec<DataTest>> {
    let mut tests: BTreeMap<String, DataTest> = BTreeMap::new();
    let mut add = |test: Option<DataTest>| -> Result<()> {
        let Some(test) = test else { return Ok(()) };
        if let Some(first) = tests.get(&test.name) {
            let message = format!("the test \"{}\" is already at {}", test.name, first.location);
            return Err(Error::invalid(test.location, message)
                .hinted("remove one, or give it a name: of its own".to_owned()));
        }
        tests.insert(test.name.clone(), test);
        Ok(())
    };
    let table = |name: &str| {
        let found = suite.jinja.relation(name);
        found.ok_or_else(|| Error::Bug(format!("the table \"{name}\" was never announced")))
    };
    for (name, properties) in declared.models.iter().chain(&declared.snapshots) {
        if !compiled.disabled.contains(name) {
            for entry in &properties.tests {
                add(suite.declared(&table(name)?, ("", name), entry)?)?;
            }
        }
    }
    for (source, entries) in &declared.sources {
        for entry in entries {
            let label = format!("{}_{}", source.name, source.table);
            let table = table(&source.relation_name())?;
            add(suite.declared(&table, ("source_", &label), entry)?)?;
        }
    }
    for (rest, file) in sql_below(files, &settings.test_paths) {
        if !rest.starts_with("generic/") {
            add(suite.singular(&file)?)?;
        }
    }
    Ok(tests.into_values().collect())
}
