//! PostgreSQL's catalog to the project's sources file: which tables there are, and of which types.
//!
//! Stands beside the line: `freshet sources` runs it when tables change, and the envelope reads
//! what it wrote where messages carry no schema.
//! 1. `read::tables` asks the catalog,
//! 2. `existing::Existing` reads the file that is there: what people wrote into it stays,
//! 3. `write::render` puts both into one text, the same for the same input.
//!
//! It must never read a row of a table, and never drop a line of the file that it can't put back.

pub mod existing;
pub mod read;
pub mod table;
pub mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::error::{Error, Result};
use existing::Existing;
use read::Wanted;

/// A sources file, and what its reader should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The file's text.
    pub text: String,
    /// Columns left out, tables without a key, tables that are no longer listed: one line each.
    pub notices: Vec<String>,
}

/// Reads the catalog and makes the sources file of it; `out` is the file that may be there already.
/// Writes nothing.
///
/// # Errors
/// `Unavailable` when the server does not answer; `Invalid` when it refuses the login, a wanted
/// table is not there, or the existing file can't be kept.
pub async fn sources(
    client: &tokio_postgres::Config,
    wanted: &Wanted,
    out: Option<&Path>,
) -> Result<Sources> {
    let existing = match out.filter(|path| path.exists()) {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|cause| {
                Error::invalid(format!("`{}` can't be read: {cause}", path.display()))
            })?;
            Existing::parse(&path.display().to_string(), &text)?
        }
        None => Existing::default(),
    };
    let catalog = read::tables(client, wanted).await?;
    let mut notices = catalog.notices.clone();
    for name in existing.tables.keys() {
        if !catalog.tables.iter().any(|table| table.name == *name) {
            notices.push(format!("table `{name}` was in the file and is not written again"));
        }
    }
    Ok(Sources { text: write::render(&catalog, &existing), notices })
}
