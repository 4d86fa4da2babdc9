//! A model's configuration: where each value came from, which of several wins, what is refused.
//!
//! The order is dbt's: config() in the file, then the yml properties, then dbt_project.yml with
//! the deeper folder before the shallower. `tags` add up, `meta` merges, all else is replaced.
//! A misspelt key must never pass as somebody's own.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::{Error, Location, Result, closest};
use crate::project::yaml::{Node, Yaml};

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub value: Json,
    pub at: Location,
}

/// Configuration by key.
pub type Config = BTreeMap<String, Setting>;

/// dbt's own keys and ours; other keys are kept unless they resemble one of these.
const KNOWN: &[&str] = &[
    "access",
    "alias",
    "batch_size",
    "begin",
    "check_cols",
    "cluster_by",
    "column_types",
    "concurrent_batches",
    "contract",
    "copy_grants",
    "database",
    "dbt_valid_to_current",
    "description",
    "docs",
    "enabled",
    "error_if",
    "event_time",
    "fail_calc",
    "freshness",
    "full_refresh",
    "grants",
    "group",
    "hard_deletes",
    "incremental_mode",
    "incremental_predicates",
    "incremental_strategy",
    "invalidate_hard_deletes",
    "limit",
    "lookback",
    "materialized",
    "merge_exclude_columns",
    "merge_update_columns",
    "meta",
    "on_configuration_change",
    "on_schema_change",
    "persist_docs",
    "post-hook",
    "post_hook",
    "pre-hook",
    "pre_hook",
    "query_tag",
    "quoting",
    "schema",
    "secure",
    "severity",
    "snapshot_meta_column_names",
    "snowflake_warehouse",
    "sql_header",
    "static_analysis",
    "store_failures",
    "store_failures_as",
    "strategy",
    "tags",
    "target_database",
    "target_lag",
    "target_schema",
    "transient",
    "unique_key",
    "updated_at",
    "warn_if",
    "where",
];

/// Keys that would change what is built and that are not supported yet.
const NOT_YET: &[(&str, &str)] = &[
    ("pre_hook", "run it outside"),
    ("pre-hook", "run it outside"),
    ("post_hook", "run it outside"),
    ("post-hook", "run it outside"),
    ("sql_header", "leave it out"),
    ("contract", "declare a data test instead"),
];

/// A map of yml as configuration; keys may carry dbt_project.yml's `+`.
pub fn from_yaml(yaml: &Yaml, what: &str) -> Result<Config> {
    let mut config = Config::new();
    for entry in yaml.entries(what)? {
        let key = entry.key.trim_start_matches('+').to_owned();
        let at = entry.value.at.clone();
        config.insert(key, Setting { value: entry.value.json(), at });
    }
    Ok(config)
}

/// Lays `upper` over `lower`.
pub fn merge(lower: &mut Config, upper: Config) {
    for (key, setting) in upper {
        let merged = match (key.as_str(), lower.get(&key).map(|below| &below.value)) {
            ("tags", Some(below)) => Json::Array(added(below, &setting.value)),
            ("meta", Some(Json::Object(below))) => match &setting.value {
                Json::Object(above) => {
                    let mut both = below.clone();
                    both.extend(above.clone());
                    Json::Object(both)
                }
                other => other.clone(),
            },
            _ => setting.value,
        };
        lower.insert(key, Setting { value: merged, at: setting.at });
    }
}

fn added(below: &Json, above: &Json) -> Vec<Json> {
    let list = |json: &Json| match json {
        Json::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let mut all = list(below);
    for tag in list(above) {
        if !all.contains(&tag) {
            all.push(tag);
        }
    }
    all
}

/// Refuses misspelt keys and those that would change what is built in a way we can't.
pub fn check(config: &Config) -> Result<()> {
    for (key, setting) in config {
        if !KNOWN.contains(&key.as_str())
            && let Some(meant) = closest(key, KNOWN.iter().copied())
        {
            return Err(Error::invalid(setting.at.clone(), format!("unknown config \"{key}\""))
                .hinted(format!("did you mean \"{meant}\"? keys of your own belong under meta")));
        }
        let asks = match &setting.value {
            Json::Null | Json::Bool(false) => false,
            Json::String(text) => !text.trim().is_empty(),
            Json::Array(items) => !items.is_empty(),
            Json::Object(map) => map.get("enforced") != Some(&Json::Bool(false)),
            _ => true,
        };
        if let Some((_, advice)) = NOT_YET.iter().find(|(name, _)| name == key)
            && asks
        {
            let message = format!("the config \"{key}\" is not supported yet");
            return Err(Error::invalid(setting.at.clone(), message).hinted((*advice).to_owned()));
        }
    }
    Ok(())
}

/// The configuration that a `models:` or `snapshots:` tree of dbt_project.yml gives a node, by its
/// project, folders and name. Entries with `+`, and those that are no maps, are configuration.
pub fn of_folder(tree: Option<&Yaml>, path: &[&str]) -> Result<Config> {
    let mut config = Config::new();
    let mut level = tree;
    let mut rest = path.iter();
    while let Some(yaml) = level {
        for entry in yaml.entries("this part of dbt_project.yml")? {
            let plain = !matches!(entry.value.node, Node::Map(_));
            if entry.key.starts_with('+') || (plain && !entry.value.is_null()) {
                let key = entry.key.trim_start_matches('+').to_owned();
                let setting = Setting { value: entry.value.json(), at: entry.value.at.clone() };
                merge(&mut config, Config::from([(key, setting)]));
            }
        }
        level = rest.next().and_then(|step| yaml.get(step));
    }
    Ok(config)
}

/// A text setting, if there.
pub fn text(config: &Config, key: &str) -> Result<Option<String>> {
    match config.get(key) {
        None => Ok(None),
        Some(Setting { value: Json::Null, .. }) => Ok(None),
        Some(Setting { value: Json::String(text), .. }) => Ok(Some(text.clone())),
        Some(setting) => Err(wrong(key, setting, "a text")),
    }
}

/// A text or a list of texts, if there.
pub fn texts(config: &Config, key: &str) -> Result<Vec<String>> {
    match config.get(key) {
        None => Ok(Vec::new()),
        Some(setting) => text_list(&setting.value).ok_or_else(|| wrong(key, setting, "a list")),
    }
}

/// A JSON text or list of texts as a list; null is none.
pub fn text_list(json: &Json) -> Option<Vec<String>> {
    match json {
        Json::Null => Some(Vec::new()),
        Json::String(text) => Some(vec![text.clone()]),
        Json::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// A yes or no, `default` if not there.
pub fn flag(config: &Config, key: &str, default: bool) -> Result<bool> {
    match config.get(key).map(|setting| (&setting.value, setting)) {
        None | Some((Json::Null, _)) => Ok(default),
        Some((Json::Bool(flag), _)) => Ok(*flag),
        Some((_, setting)) => Err(wrong(key, setting, "true or false")),
    }
}

/// The refusal of a value.
pub fn wrong(key: &str, setting: &Setting, wanted: &str) -> Error {
    Error::invalid(setting.at.clone(), format!("the config \"{key}\" must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeper_folders_win_tags_add_and_meta_merges() {
        let text = "+tags: a\n+meta: {x: 1, y: 1}\nbank:\n  +materialized: table\n  marts:\n    \
                    +tags: [b]\n    +meta: {y: 2}\n    materialized: view\n";
        let tree = Yaml::parse("dbt_project.yml", text).unwrap();
        let config = of_folder(Some(&tree), &["bank", "marts", "m"]).unwrap();
        assert_eq!(config["tags"].value, serde_json::json!(["a", "b"]));
        assert_eq!(config["meta"].value, serde_json::json!({"x": 1, "y": 2}));
        assert_eq!(config["materialized"].value, "view");
        assert_eq!(config["materialized"].at, Location::new("dbt_project.yml", 8, 19));
        let config = of_folder(Some(&tree), &["bank", "other"]).unwrap();
        assert_eq!(config["materialized"].value, "table");
    }

    #[test]
    fn misspelt_and_unsupported_keys_are_refused_at_their_value() {
        let config = |text| from_yaml(&Yaml::parse("a.yml", text).unwrap(), "config").unwrap();
        let error = check(&config("materialised: table\n")).unwrap_err().to_string();
        assert!(error.starts_with("a.yml:1:15: unknown config \"materialised\""), "{error}");
        assert!(error.contains("did you mean \"materialized\"?"), "{error}");
        let error = check(&config("tags: x\npost_hook: grant\n")).unwrap_err().to_string();
        assert!(error.starts_with("a.yml:2:12: the config \"post_hook\" is not"), "{error}");
        assert!(check(&config("our_own: 1\ncontract: {enforced: false}\n")).is_ok());
    }
}
