//! Source tables: what `sources:` in a yml file says about the tables that changes arrive in.
//!
//! They are the graph's roots. Column types are kept in the words of the database they come from;
//! reading them is the envelope's.

use serde_json::Value as Json;

use crate::error::{Error, Location, Result};
use crate::project::model::ColumnDoc;
use crate::project::properties::{TestEntry, columns, tests_of};
use crate::project::yaml::Yaml;

/// A table of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The source, such as `banking`.
    pub name: String,
    pub schema: String,
    /// The table, as models name it.
    pub table: String,
    /// The table's name in the database, where it differs.
    pub identifier: String,
    pub description: String,
    /// In the order of the file; `data_type` in the database's words.
    pub columns: Vec<ColumnDoc>,
    /// From `config.meta.primary_key` or `meta.primary_key`; empty if neither is there.
    pub primary_key: Vec<String>,
    /// From `meta.topic`: the topic its changes come from, where it isn't the usual one.
    pub topic: Option<String>,
    pub location: Location,
}

impl Source {
    /// The table's name in the one flat space that models, snapshots and sources share:
    /// `<source>__<table>`.
    pub fn relation_name(&self) -> String {
        format!("{}__{}", self.name, self.table)
    }
}

const SOURCE_KEYS: &[&str] = &[
    "config",
    "data_tests",
    "database",
    "description",
    "enabled",
    "freshness",
    "loaded_at_field",
    "loaded_at_query",
    "loader",
    "meta",
    "name",
    "overrides",
    "quoting",
    "schema",
    "tables",
    "tags",
    "tests",
];

const TABLE_KEYS: &[&str] = &[
    "columns",
    "config",
    "data_tests",
    "description",
    "docs",
    "enabled",
    "external",
    "freshness",
    "identifier",
    "loaded_at_field",
    "loaded_at_query",
    "loader",
    "meta",
    "name",
    "quoting",
    "tags",
    "tests",
];

/// Reads one entry of `sources:` into its tables, each with the tests declared on it.
pub fn read(yaml: &Yaml) -> Result<Vec<(Source, Vec<TestEntry>)>> {
    yaml.allow("a source", SOURCE_KEYS)?;
    let name = yaml.name("a source")?;
    let schema = yaml.optional_text("schema")?;
    let mut tables = Vec::new();
    if let Some(list) = yaml.get("tables") {
        for table in list.items("tables")? {
            table.allow("a source table", TABLE_KEYS)?;
            let of = Source {
                schema: if schema.is_empty() { name.clone() } else { schema.clone() },
                name: name.clone(),
                ..read_table(table, yaml)?
            };
            tables.push((of, tests_of(table)?));
        }
    }
    Ok(tables)
}

fn read_table(table: &Yaml, source: &Yaml) -> Result<Source> {
    let name = table.name("a source table")?;
    let identifier = table.optional_text("identifier")?;
    let columns = columns(table)?;
    let primary_key = match meta(table, source, "primary_key") {
        Some(key) => key.texts("primary_key")?,
        None => Vec::new(),
    };
    for key in &primary_key {
        if !columns.is_empty() && !columns.iter().any(|column| column.name == *key) {
            let message = format!("primary_key names \"{key}\", which \"{name}\" has no column of");
            let at = meta(table, source, "primary_key").map_or(&table.at, |yaml| &yaml.at);
            let known = columns.iter().map(|column| column.name.as_str());
            return Err(
                Error::invalid(at.clone(), message).hinted(crate::error::did_you_mean(key, known))
            );
        }
    }
    Ok(Source {
        name: String::new(),
        schema: String::new(),
        identifier: if identifier.is_empty() { name.clone() } else { identifier },
        table: name,
        description: table.optional_text("description")?,
        columns,
        primary_key,
        topic: meta(table, source, "topic").map(|topic| topic.text("topic")).transpose()?,
        location: table.get("name").map_or_else(|| table.at.clone(), |name| name.at.clone()),
    })
}

/// A key of meta: the table's own before its source's, `config.meta` before `meta`.
fn meta<'a>(table: &'a Yaml, source: &'a Yaml, key: &str) -> Option<&'a Yaml> {
    [table, source].into_iter().find_map(|yaml| {
        let newer = yaml.get("config").and_then(|config| config.get("meta"));
        let metas = [newer, yaml.get("meta")];
        let mut found = metas.into_iter().flatten().filter_map(|meta| meta.get(key));
        found.next().filter(|value| value.json() != Json::Null)
    })
}
