//! The sources file that is there already: what people wrote into it.
//!
//! Types and keys come from the catalog; descriptions, tests, tags and the like stay as they are
//! here. What could not be put back (another source, say) is refused rather than lost.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};

/// What stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// The comment lines that open the file.
    pub header: String,
    /// The source's name.
    pub name: Option<String>,
    /// The source's own description and other keys.
    pub source: Kept,
    /// Tables by name.
    pub tables: BTreeMap<String, KeptTable>,
    /// The tables' names in the order of the file.
    pub order: Vec<String>,
}

/// A table of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptTable {
    /// Its description and other keys.
    pub own: Kept,
    /// The key it was given, for tables that have none in the database.
    pub primary_key: Option<Json>,
    /// `config` without the key.
    pub config: Map<String, Json>,
    /// `config.meta` without the key.
    pub meta: Map<String, Json>,
    /// Columns by name.
    pub columns: BTreeMap<String, Kept>,
}

/// What stays of a source, table or column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The description; empty where there is none.
    pub description: String,
    /// Keys that we write nothing of.
    pub others: Map<String, Json>,
}

impl Existing {
    /// Reads a file's text; `file` is only for messages.
    ///
    /// # Errors
    /// `Invalid` when it is no sources file, or holds more than one source.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let mut root: Map<String, Json> = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| {
                let at = error.location().map(|at| format!("{}:{}", at.line(), at.column()));
                let at = at.unwrap_or_else(|| "1:1".to_owned());
                Error::invalid(format!("{file}:{at}: no valid YAML of a sources file"))
            })?;
        let header = text.lines().take_while(|line| line.starts_with('#'));
        let header = header.flat_map(|line| [line, "\n"]).collect();
        root.remove("version");
        let mut sources = list(root.remove("sources"), file)?.into_iter();
        let mut source = sources.next().unwrap_or_default();
        if let Some(other) = root.keys().next() {
            return Err(not_kept(file, &format!("the key `{other}`")));
        }
        if sources.next().is_some() {
            return Err(not_kept(file, "more than one source"));
        }
        let mut existing = Self { header, ..Self::default() };
        existing.name = take_text(&mut source, "name");
        source.remove("schema");
        for mut table in list(source.remove("tables"), file)? {
            let Some(name) = take_text(&mut table, "name") else { continue };
            existing.order.push(name.clone());
            existing.tables.insert(name, KeptTable::of(table, file)?);
        }
        existing.source = Kept::of(source);
        Ok(existing)
    }
}

impl KeptTable {
    fn of(mut table: Map<String, Json>, file: &str) -> Result<Self> {
        let mut kept = Self::default();
        for mut column in list(table.remove("columns"), file)? {
            let Some(name) = take_text(&mut column, "name") else { continue };
            column.remove("data_type");
            kept.columns.insert(name, Kept::of(column));
        }
        if let Some(Json::Object(mut config)) = table.remove("config") {
            if let Some(Json::Object(mut meta)) = config.remove("meta") {
                kept.primary_key = meta.remove("primary_key");
                kept.meta = meta;
            }
            kept.config = config;
        }
        kept.own = Kept::of(table);
        Ok(kept)
    }
}

impl Kept {
    fn of(mut keys: Map<String, Json>) -> Self {
        let description = take_text(&mut keys, "description").unwrap_or_default();
        Self { description: description.trim().to_owned(), others: keys }
    }
}

fn take_text(from: &mut Map<String, Json>, key: &str) -> Option<String> {
    match from.remove(key)? {
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn list(value: Option<Json>, file: &str) -> Result<Vec<Map<String, Json>>> {
    let items = match value {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(items)) => items,
        Some(_) => return Err(Error::invalid(format!("{file}: a list was expected"))),
    };
    let maps = items.into_iter().map(|item| match item {
        Json::Object(map) => Ok(map),
        _ => Err(Error::invalid(format!("{file}: each item of a list needs a name: `- name: ..`"))),
    });
    maps.collect()
}

fn not_kept(file: &str, what: &str) -> Error {
    Error::invalid(format!("{file} holds {what}, which would be lost"))
        .with_hint("write to a file of its own with --out, or move the rest into another file")
}
