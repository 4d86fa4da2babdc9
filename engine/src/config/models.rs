//! Where the dbt project lies, and the variables it gets.
//!
//! The `sql` crate reads the project itself. It must never hold what dbt_project.yml says already.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// `[models]` of the configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsOptions {
    /// The folder of dbt_project.yml.
    pub dir: PathBuf,
    /// Variables; they win over those of dbt_project.yml.
    #[serde(deserialize_with = "variables")]
    pub vars: BTreeMap<String, Json>,
}

impl Default for ModelsOptions {
    fn default() -> Self {
        Self { dir: "models".into(), vars: BTreeMap::new() }
    }
}

fn variables<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Json>, D::Error> {
    let table = toml::Table::deserialize(from)?;
    Ok(table.into_iter().map(|(name, value)| (name, json(value))).collect())
}

/// TOML's times become text, as dbt has them; a number that JSON lacks (inf, nan) becomes null.
fn json(value: toml::Value) -> Json {
    match value {
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(answer) => Json::Bool(answer),
        toml::Value::Datetime(time) => Json::String(time.to_string()),
        toml::Value::Array(items) => Json::Array(items.into_iter().map(json).collect()),
        toml::Value::Table(table) => {
            Json::Object(table.into_iter().map(|(name, value)| (name, json(value))).collect())
        }
    }
}
