//! The text of a `freshet.toml` to a [`Config`], or to one error that says where and what to do.
//!
//! Pure. It must never read the environment or another file.

use std::path::Path;

use toml::de::DeTable;

use super::{Config, literal, tree, unknown};
use crate::error::{Error, Result};

/// Reads the text; `file` is only for messages.
///
/// # Errors
/// `Invalid`: `file:line:column: what is wrong`, with a hint where one is known.
pub fn parse(file: &Path, text: &str) -> Result<Config> {
    let root = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(text.len(), |span| span.start);
        let at = tree::place(file, text, start);
        Error::invalid(format!("{at}: no valid TOML: {}", error.message()))
    })?;
    let keys = tree::keys(root.get_ref());
    literal::refuse(file, text, &keys)?;
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let explained = unknown::explain(error.message(), error.span(), &keys);
        let at = tree::place(file, text, explained.at);
        let wrong = Error::invalid(format!("{at}: {}", explained.message));
        match explained.hint {
            Some(hint) => wrong.with_hint(hint),
            None => wrong,
        }
    })
}
