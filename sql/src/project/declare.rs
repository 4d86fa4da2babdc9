//! A data test's declaration in yml, in all the spellings that dbt takes, and dbt's name for it.
//!
//! It reads what is written and refuses what it doesn't know; whether the test exists is the next
//! file's question.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::{Error, Location, Result, did_you_mean};
use crate::project::config::{self, Config, Setting};
use crate::project::datatest::Severity;
use crate::project::properties::TestEntry;
use crate::project::yaml::{Node, Yaml};

/// A declared test.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// `not_null`, `unique`, .. or a test of the project's.
    pub test: String,
    pub at: Location,
    /// From the column that it stands under, or the argument `column_name`.
    pub column: Option<String>,
    /// Without model and column_name.
    pub arguments: BTreeMap<String, Setting>,
    /// `name:`, which replaces the made one.
    pub name: Option<String>,
    pub config: Config,
}

/// Settings that may stand beside a test's arguments.
const SETTINGS: &[&str] = &[
    "alias",
    "database",
    "enabled",
    "error_if",
    "fail_calc",
    "group",
    "limit",
    "meta",
    "schema",
    "severity",
    "store_failures",
    "store_failures_as",
    "tags",
    "warn_if",
    "where",
];

/// Reads one entry of `data_tests:`.
pub fn read(entry: &TestEntry) -> Result<Declaration> {
    let yaml = &entry.yaml;
    let (test, at, body) = match &yaml.node {
        Node::Scalar(Json::String(name)) => (name.clone(), yaml.at.clone(), None),
        Node::Map(entries) => match (yaml.get("test_name"), &entries[..]) {
            (Some(name), _) => (name.text("test_name")?, name.at.clone(), Some(yaml)),
            (None, [only]) => (only.key.clone(), only.at.clone(), Some(&only.value)),
            _ => {
                return Err(Error::invalid(yaml.at.clone(), "a data test has one key, its name")
                    .hinted("indent its arguments below it".to_owned()));
            }
        },
        _ => {
            return Err(Error::invalid(yaml.at.clone(), "a data test is a name or a map"));
        }
    };
    let mut declared = Declaration {
        test,
        at,
        column: entry.column.clone(),
        arguments: BTreeMap::new(),
        name: None,
        config: Config::new(),
    };
    for item in body.map_or(Ok(&[][..]), |body| body.entries("a data test"))? {
        let setting = Setting { value: item.value.json(), at: item.value.at.clone() };
        match item.key.as_str() {
            "name" => declared.name = Some(item.value.text("name")?),
            "test_name" | "description" => {}
            "config" => declared.config.extend(config::from_yaml(&item.value, "config")?),
            "arguments" => declared.add_arguments(&item.value)?,
            key if SETTINGS.contains(&key) => {
                declared.config.insert(key.to_owned(), setting);
            }
            _ => declared.add_argument(&item.key, setting)?,
        }
    }
    config::check(&declared.config)?;
    declared.refuse_settings()?;
    Ok(declared)
}

impl Declaration {
    fn add_arguments(&mut self, yaml: &Yaml) -> Result<()> {
        for item in yaml.entries("arguments")? {
            let setting = Setting { value: item.value.json(), at: item.value.at.clone() };
            self.add_argument(&item.key, setting)?;
        }
        Ok(())
    }

    fn add_argument(&mut self, key: &str, setting: Setting) -> Result<()> {
        if key != "column_name" {
            self.arguments.insert(key.to_owned(), setting);
        } else if let Json::String(column) = setting.value {
            self.column = Some(column);
        } else {
            return Err(config::wrong(key, &setting, "a text"));
        }
        Ok(())
    }

    fn refuse_settings(&self) -> Result<()> {
        for key in ["error_if", "warn_if", "fail_calc", "limit"] {
            if let Some(setting) = self.config.get(key).filter(|setting| !setting.value.is_null()) {
                let message = format!("{key} of a data test is not supported yet");
                return Err(Error::invalid(setting.at.clone(), message)
                    .hinted("put the threshold into the test's query".to_owned()));
            }
        }
        Ok(())
    }

    /// The name that dbt makes: test, table and all arguments in the order of their names.
    /// `prefix` is dbt's `source_` for tests on sources.
    pub fn full_name(&self, prefix: &str, table: &str) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let column = self.column.as_ref().map(|column| Json::from(column.as_str()));
        let mut all: BTreeMap<&str, &Json> =
            self.arguments.iter().map(|(key, setting)| (key.as_str(), &setting.value)).collect();
        if let Some(column) = &column {
            all.insert("column_name", column);
        }
        let parts: Vec<String> = all.into_values().flat_map(parts).collect();
        let identifier = format!("{}_{table}", self.test.replace('.', "_"));
        format!("{prefix}{identifier}_{}", parts.join("__"))
    }
}

/// An argument in a name: its items, with everything but letters, digits and `_` as one `_`.
fn parts(value: &Json) -> Vec<String> {
    let text = |item: &Json| match item {
        Json::String(text) => clean(text),
        Json::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Json::Null => "None".to_owned(),
        other => clean(&other.to_string()),
    };
    match value {
        Json::Array(items) => items.iter().map(text).collect(),
        Json::Object(entries) => entries.values().map(text).collect(),
        single => vec![text(single)],
    }
}

fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut gap = false;
    for letter in text.chars() {
        let kept = letter.is_ascii_alphanumeric() || letter == '_';
        if kept {
            cleaned.push(letter);
        } else if !gap {
            cleaned.push('_');
        }
        gap = !kept;
    }
    cleaned
}

/// The severity that a configuration asks for.
pub fn severity(config: &Config) -> Result<Severity> {
    let Some(word) = config::text(config, "severity")? else {
        return Ok(Severity::Error);
    };
    match word.to_lowercase().as_str() {
        "error" => Ok(Severity::Error),
        "warn" => Ok(Severity::Warn),
        other => {
            let at = config.get("severity").map(|setting| setting.at.clone());
            let message = format!("severity can't be \"{other}\"");
            let hint = did_you_mean(other, ["error", "warn"])
                .unwrap_or_else(|| "it is error or warn".to_owned());
            Err(Error::Invalid { location: at, message, hint: Some(hint) })
        }
    }
}
