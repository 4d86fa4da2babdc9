//! The configuration of a snapshot (SCD2), under dbt's names.
//!
//! It says when a row counts as changed and what becomes of deleted ones; how versions are made is
//! the materialization's. It must never guess a key or a strategy.

use serde_json::Value as Json;

use crate::error::{Error, Location, Result, did_you_mean};
use crate::project::config::{self, Config, Setting};

/// How a snapshot tells versions apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// One or more columns; never empty.
    pub unique_key: Vec<String>,
    pub strategy: Strategy,
    pub hard_deletes: HardDeletes,
    /// SQL that stands in the open end of current versions instead of null.
    pub valid_to_current: Option<String>,
    pub names: SnapshotNames,
}

/// When a row counts as changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// When one of these columns differs. dbt dates such a version by `updated_at` if it is set.
    Check { columns: CheckColumns, updated_at: Option<String> },
    /// When this column is newer.
    Timestamp { updated_at: String },
}

/// The columns that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckColumns {
    All,
    Columns(Vec<String>),
}

/// What becomes of the open version of a key that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardDeletes {
    /// It stays open.
    Ignore,
    /// It is closed.
    Invalidate,
    /// It is closed and followed by a version that says so.
    NewRecord,
}

/// The names of the columns that a snapshot adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotNames {
    pub valid_from: String,
    pub valid_to: String,
    pub scd_id: String,
    pub updated_at: String,
    pub is_deleted: String,
}

impl Default for SnapshotNames {
    fn default() -> Self {
        Self {
            valid_from: "dbt_valid_from".to_owned(),
            valid_to: "dbt_valid_to".to_owned(),
            scd_id: "dbt_scd_id".to_owned(),
            updated_at: "dbt_updated_at".to_owned(),
            is_deleted: "dbt_is_deleted".to_owned(),
        }
    }
}

/// Reads a snapshot's configuration; `at` is where the snapshot is declared.
pub fn read(config: &Config, at: &Location) -> Result<SnapshotConfig> {
    let unique_key = config::texts(config, "unique_key")?;
    if unique_key.is_empty() {
        return Err(missing("unique_key", "unique_key='customer_id'", at));
    }
    Ok(SnapshotConfig {
        unique_key,
        strategy: strategy(config, at)?,
        hard_deletes: hard_deletes(config)?,
        valid_to_current: config::text(config, "dbt_valid_to_current")?,
        names: names(config)?,
    })
}

fn missing(key: &str, example: &str, at: &Location) -> Error {
    Error::invalid(at.clone(), format!("this snapshot has no {key}"))
        .hinted(format!("add {example} to its config()"))
}

fn choice<'a>(config: &'a Config, key: &str, known: &[&str]) -> Result<Option<&'a str>> {
    let Some(setting) = config.get(key) else {
        return Ok(None);
    };
    match setting.value.as_str() {
        Some(word) if known.contains(&word) => Ok(Some(word)),
        Some(word) => {
            let message = format!("{key} can't be \"{word}\"");
            let hint = did_you_mean(word, known.iter().copied())
                .unwrap_or_else(|| format!("it is one of {}", known.join(", ")));
            Err(Error::invalid(setting.at.clone(), message).hinted(hint))
        }
        None => Err(config::wrong(key, setting, "a text")),
    }
}

fn strategy(config: &Config, at: &Location) -> Result<Strategy> {
    let updated_at = config::text(config, "updated_at")?;
    match choice(config, "strategy", &["check", "timestamp"])? {
        Some("timestamp") => match updated_at {
            Some(updated_at) => Ok(Strategy::Timestamp { updated_at }),
            None => Err(missing("updated_at", "updated_at='updated_at'", at)),
        },
        Some(_) => Ok(Strategy::Check { columns: check_columns(config, at)?, updated_at }),
        None => Err(missing("strategy", "strategy='check', check_cols='all'", at)),
    }
}

fn check_columns(config: &Config, at: &Location) -> Result<CheckColumns> {
    let Some(setting) = config.get("check_cols") else {
        return Err(missing("check_cols", "check_cols='all'", at));
    };
    match &setting.value {
        Json::String(word) if word == "all" => Ok(CheckColumns::All),
        Json::Array(items) if !items.is_empty() => config::text_list(&setting.value)
            .map(CheckColumns::Columns)
            .ok_or_else(|| config::wrong("check_cols", setting, "'all' or a list of columns")),
        _ => Err(config::wrong("check_cols", setting, "'all' or a list of columns")),
    }
}

fn hard_deletes(config: &Config) -> Result<HardDeletes> {
    let old = config::flag(config, "invalidate_hard_deletes", false)?;
    let new = choice(config, "hard_deletes", &["ignore", "invalidate", "new_record"])?;
    match (new, config.get("invalidate_hard_deletes")) {
        (Some(_), Some(setting)) => {
            let message = "invalidate_hard_deletes and hard_deletes are both set";
            Err(Error::invalid(setting.at.clone(), message)
                .hinted("keep hard_deletes, it is the newer one".to_owned()))
        }
        (Some("invalidate"), None) => Ok(HardDeletes::Invalidate),
        (Some("new_record"), None) => Ok(HardDeletes::NewRecord),
        (None, Some(_)) if old => Ok(HardDeletes::Invalidate),
        _ => Ok(HardDeletes::Ignore),
    }
}

fn names(config: &Config) -> Result<SnapshotNames> {
    let mut names = SnapshotNames::default();
    let Some(setting) = config.get("snapshot_meta_column_names") else {
        return Ok(names);
    };
    let Setting { value: Json::Object(given), at } = setting else {
        return Err(config::wrong("snapshot_meta_column_names", setting, "a map"));
    };
    for (column, name) in given {
        let Some(name) = name.as_str() else {
            return Err(Error::invalid(at.clone(), format!("the name of {column} must be a text")));
        };
        let place = match column.as_str() {
            "dbt_valid_from" => &mut names.valid_from,
            "dbt_valid_to" => &mut names.valid_to,
            "dbt_scd_id" => &mut names.scd_id,
            "dbt_updated_at" => &mut names.updated_at,
            "dbt_is_deleted" => &mut names.is_deleted,
            _ => {
                let known = [
                    "dbt_valid_from",
                    "dbt_valid_to",
                    "dbt_scd_id",
                    "dbt_updated_at",
                    "dbt_is_deleted",
                ];
                let message = format!("a snapshot adds no column \"{column}\"");
                return Err(Error::invalid(at.clone(), message).hinted(did_you_mean(column, known)));
            }
        };
        *place = name.to_owned();
    }
    Ok(names)
}
