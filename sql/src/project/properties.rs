//! Property files: what the yml files beside the models say about models, snapshots and sources.
//!
//! Read before any model, since a model's configuration starts here. They must never name a model
//! that does not exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Location, Result};
use crate::jinja::Jinja;
use crate::jinja::source::SourceFile;
use crate::jinja::value::to_json;
use crate::project::config::{self, Config, Setting};
use crate::project::model::{ColumnDoc, Notice};
use crate::project::settings::{Settings, below};
use crate::project::source::{self, Source};
use crate::project::yaml::{Node, Yaml};

/// What yml says about one model or snapshot.
#[derive(Debug, Clone)]
pub struct Properties {
    pub description: String,
    pub columns: Vec<ColumnDoc>,
    pub config: Config,
    pub tests: Vec<TestEntry>,
    /// A snapshot's `relation:`, which makes it a snapshot without a file.
    pub relation: Option<Yaml>,
    pub at: Location,
}

/// A data test as it was declared: on a whole table or on one of its columns.
#[derive(Debug, Clone)]
pub struct TestEntry {
    pub column: Option<String>,
    pub yaml: Yaml,
}

/// Everything that the property files say.
#[derive(Debug, Default)]
pub struct Declared {
    pub models: BTreeMap<String, Properties>,
    pub snapshots: BTreeMap<String, Properties>,
    pub sources: Vec<(Source, Vec<TestEntry>)>,
    pub notices: Vec<Notice>,
}

/// Keys of a property file that describe things without effect here.
const DESCRIBING: &[&str] =
    &["analyses", "exposures", "groups", "macros", "data_tests", "tests", "version"];
/// Keys whose entries do nothing yet; each is told once.
const NOT_RUN: &[&str] =
    &["metrics", "saved_queries", "seeds", "semantic_models", "unit_tests", "functions"];

const MODEL_KEYS: &[&str] = &[
    "access",
    "columns",
    "config",
    "constraints",
    "data_tests",
    "deprecation_date",
    "description",
    "docs",
    "group",
    "latest_version",
    "meta",
    "name",
    "relation",
    "tests",
    "time_spine",
];

const COLUMN_KEYS: &[&str] = &[
    "config",
    "constraints",
    "data_tests",
    "data_type",
    "description",
    "docs",
    "granularity",
    "meta",
    "name",
    "policy_tags",
    "quote",
    "tags",
    "tests",
];

/// Reads every yml file of the model and snapshot folders.
pub fn read(
    files: &BTreeMap<String, String>,
    settings: &Settings,
    jinja: &Jinja<'_>,
) -> Result<Declared> {
    let mut declared = Declared::default();
    let mut folders = settings.model_paths.clone();
    folders.extend(settings.snapshot_paths.iter().cloned());
    let is_yaml = |path: &&String| path.ends_with(".yml") || path.ends_with(".yaml");
    for path in files.keys().filter(is_yaml).filter(|path| below(&folders, path).is_some()) {
        let yaml = resolve(Yaml::parse(path, &files[path.as_str()])?, jinja)?;
        read_file(&yaml, &mut declared)?;
    }
    Ok(declared)
}

fn read_file(yaml: &Yaml, declared: &mut Declared) -> Result<()> {
    let mut known = vec!["models", "snapshots", "sources"];
    known.extend(DESCRIBING.iter().chain(NOT_RUN));
    yaml.allow("a property file", &known)?;
    for entry in yaml.entries("a property file")? {
        match entry.key.as_str() {
            "models" => read_models(&entry.value, "model", &mut declared.models)?,
            "snapshots" => read_models(&entry.value, "snapshot", &mut declared.snapshots)?,
            "sources" => {
                for source in entry.value.items("sources")? {
                    declared.sources.extend(source::read(source)?);
                }
            }
            key if NOT_RUN.contains(&key) => declared.notices.push(Notice {
                location: entry.at.clone(),
                message: format!("{key} are not supported yet and have no effect"),
            }),
            _ => {}
        }
    }
    Ok(())
}

fn read_models(list: &Yaml, what: &str, into: &mut BTreeMap<String, Properties>) -> Result<()> {
    for yaml in list.items(what)? {
        yaml.allow(&format!("a {what}"), MODEL_KEYS)?;
        let name = yaml.name(&format!("a {what}"))?;
        let at = yaml.get("name").map_or_else(|| yaml.at.clone(), |name| name.at.clone());
        let properties = Properties {
            description: yaml.optional_text("description")?,
            columns: columns(yaml)?,
            config: configuration(yaml)?,
            tests: tests_of(yaml)?,
            relation: yaml.get("relation").cloned(),
            at: at.clone(),
        };
        if let Some(first) = into.insert(name.clone(), properties) {
            let message = format!("the {what} \"{name}\" is already described at {}", first.at);
            return Err(Error::invalid(at, message));
        }
    }
    Ok(())
}

/// `config:` and what may stand beside it.
fn configuration(yaml: &Yaml) -> Result<Config> {
    let mut config = match yaml.get("config") {
        Some(inner) => config::from_yaml(inner, "config")?,
        None => Config::new(),
    };
    for key in ["meta", "docs", "group", "access"] {
        if let Some(value) = yaml.get(key)
            && !config.contains_key(key)
        {
            let setting = Setting { value: value.json(), at: value.at.clone() };
            config.insert(key.to_owned(), setting);
        }
    }
    Ok(config)
}

/// The columns of a model or source table.
pub fn columns(yaml: &Yaml) -> Result<Vec<ColumnDoc>> {
    let mut columns: Vec<ColumnDoc> = Vec::new();
    let Some(list) = yaml.get("columns") else {
        return Ok(columns);
    };
    for column in list.items("columns")? {
        column.allow("a column", COLUMN_KEYS)?;
        let name = column.name("a column")?;
        if columns.iter().any(|other| other.name == name) {
            return Err(Error::invalid(
                column.at.clone(),
                format!("column \"{name}\" is there twice"),
            ));
        }
        let data_type = column.optional_text("data_type")?;
        columns.push(ColumnDoc {
            name,
            description: column.optional_text("description")?,
            data_type: (!data_type.is_empty()).then_some(data_type),
        });
    }
    Ok(columns)
}

/// The tests declared on a table and on its columns, under either spelling.
pub fn tests_of(yaml: &Yaml) -> Result<Vec<TestEntry>> {
    let mut tests = Vec::new();
    let mut add = |of: &Yaml, column: Option<String>| -> Result<()> {
        for key in ["data_tests", "tests"] {
            if let Some(list) = of.get(key) {
                tests.extend(
                    list.items(key)?
                        .iter()
                        .map(|test| TestEntry { column: column.clone(), yaml: test.clone() }),
                );
            }
        }
        Ok(())
    };
    add(yaml, None)?;
    if let Some(columns) = yaml.get("columns") {
        for column in columns.items("columns")? {
            add(column, Some(column.name("a column")?))?;
        }
    }
    Ok(tests)
}

/// Evaluates the Jinja in values, except in descriptions (which are text) and in tests (whose
/// arguments may name models that are not known yet).
fn resolve(yaml: Yaml, jinja: &Jinja<'_>) -> Result<Yaml> {
    let Yaml { node, at } = yaml;
    let node = match node {
        Node::Scalar(scalar) => Node::Scalar(match scalar.as_str() {
            Some(text) if text.contains("{{") || text.contains("{%") => {
                evaluated(text, &at, jinja)?
            }
            _ => scalar,
        }),
        Node::List(items) => {
            Node::List(items.into_iter().map(|item| resolve(item, jinja)).collect::<Result<_>>()?)
        }
        Node::Map(mut entries) => {
            for entry in &mut entries {
                if !matches!(entry.key.as_str(), "description" | "tests" | "data_tests") {
                    entry.value = resolve(entry.value.clone(), jinja)?;
                }
            }
            Node::Map(entries)
        }
    };
    Ok(Yaml { node, at })
}

/// A yml text with Jinja in it: a single expression keeps its kind, anything else is text.
pub fn evaluated(text: &str, at: &Location, jinja: &Jinja<'_>) -> Result<serde_json::Value> {
    let file = Arc::new(SourceFile::pinned(text, at.clone()));
    let only = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    if let Some(expression) = only.filter(|inner| !inner.contains("{{")) {
        let (value, _) = jinja.evaluate(expression.trim(), &file)?;
        return to_json(&value)
            .ok_or_else(|| Error::invalid(at.clone(), "this expression has no value"));
    }
    Ok(jinja.render(text, &file, BTreeMap::new(), Vec::new())?.text.into())
}
