//! A draft's first rendering: its configuration, what it refers to and how it is kept.
//!
//! It stands before the order is known, so it must never use another model's configuration.

use std::collections::BTreeMap;

use minijinja::value::Value;
use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::jinja::context::Found;
use crate::jinja::relation::Relation;
use crate::jinja::{Jinja, Rendered};
use crate::project::config::{self, Config, Setting};
use crate::project::draft::{Draft, find_config};
use crate::project::model::Materialized;
use crate::project::properties::{Declared, Properties};
use crate::project::settings::Settings;
use crate::project::snapshot;

/// A draft after the first rendering.
pub struct Prepared {
    pub draft: Draft,
    pub config: Config,
    /// Configuration from outside the file.
    pub outer: BTreeMap<String, Json>,
    pub found: Found,
    pub materialized: Materialized,
}

/// What yml says about a draft.
pub fn properties<'a>(draft: &Draft, declared: &'a Declared) -> Option<&'a Properties> {
    let all = if draft.is_snapshot { &declared.snapshots } else { &declared.models };
    all.get(&draft.name)
}

/// Renders a draft.
pub fn render(draft: &Draft, outer: BTreeMap<String, Json>, jinja: &Jinja<'_>) -> Result<Rendered> {
    let this = jinja.relation(&draft.name).unwrap_or_else(|| Relation::new(&draft.name, "", ""));
    let names = vec![("this".to_owned(), Value::from_object(this))];
    jinja.render(&draft.template, &draft.file, outer, names)
}

/// The first rendering; `None` for what is disabled.
pub fn prepare(
    draft: Draft,
    declared: &Declared,
    settings: &Settings,
    jinja: &Jinja<'_>,
) -> Result<Option<Prepared>> {
    let tree = if draft.is_snapshot { &settings.snapshots } else { &settings.models };
    let path: Vec<&str> = draft.folders.iter().map(String::as_str).collect();
    let mut config = config::of_folder(tree.as_ref(), &path)?;
    if let Some(described) = properties(&draft, declared) {
        config::merge(&mut config, described.config.clone());
    }
    if !config::flag(&config, "enabled", true)? {
        return Ok(None);
    }
    let outer = plain(&config);
    let found = render(&draft, outer.clone(), jinja)?.found;
    for (key, value) in &found.config {
        let at = draft.file.locate(find_config(&draft.template, key));
        let setting = Setting { value: value.clone(), at };
        config::merge(&mut config, Config::from([(key.clone(), setting)]));
    }
    config::check(&config)?;
    if !config::flag(&config, "enabled", true)? {
        return Ok(None);
    }
    let materialized = materialized(&draft, &config)?;
    Ok(Some(Prepared { draft, config, outer, found, materialized }))
}

/// Configuration without its places.
pub fn plain(config: &Config) -> BTreeMap<String, Json> {
    config.iter().map(|(key, setting)| (key.clone(), setting.value.clone())).collect()
}

fn materialized(draft: &Draft, config: &Config) -> Result<Materialized> {
    refuse_modes(draft, config)?;
    if draft.is_snapshot {
        return Ok(Materialized::Snapshot(Box::new(snapshot::read(config, &draft.at)?)));
    }
    let known = ["table", "view", "incremental", "ephemeral", "materialized_view", "dynamic_table"];
    let word = config::text(config, "materialized")?;
    Ok(match word.as_deref().unwrap_or("view") {
        "table" | "materialized_view" | "dynamic_table" => Materialized::Table,
        "view" => Materialized::View,
        "incremental" => Materialized::Incremental,
        "ephemeral" => Materialized::Ephemeral,
        other => {
            let at = config.get("materialized").map_or(&draft.at, |setting| &setting.at);
            let hint = match other {
                "snapshot" => Some("put it into a {% snapshot %} block".to_owned()),
                _ => did_you_mean(other, known)
                    .or_else(|| Some(format!("it is one of {}", known.join(", ")))),
            };
            let message = format!("the materialization \"{other}\" does not exist");
            return Err(Error::invalid(at.clone(), message).hinted(hint));
        }
    })
}

/// Settings whose values decide what rows a model has and that can't be followed yet.
fn refuse_modes(draft: &Draft, config: &Config) -> Result<()> {
    let refuse = |key: &str, taken: &[&str], advice: &str| match config.get(key) {
        Some(setting) if !setting.value.is_null() => match setting.value.as_str() {
            Some(word) if taken.contains(&word) => Ok(()),
            _ => {
                let message = format!("{key}: {} is not supported yet", setting.value);
                Err(Error::invalid(setting.at.clone(), message).hinted(advice.to_owned()))
            }
        },
        _ => Ok(()),
    };
    refuse("alias", &[&draft.name], "name the file as the table")?;
    refuse("incremental_mode", &["maintained"], "leave it out: the model is kept exact")?;
    refuse(
        "incremental_strategy",
        &["append", "merge", "delete+insert", "insert_overwrite"],
        "leave it out: the model is kept exact",
    )
}
