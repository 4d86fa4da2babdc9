//! Every key of a TOML file with the place it stands at.
//!
//! Under `parse`, `literal` and `unknown`. It must never decide what a key means.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// A key and its value, with their places as bytes of the text.
#[derive(Debug)]
pub struct Key {
    /// From the root: `["kafka", "properties", "sasl.password"]`; items of a list have its path.
    pub path: Vec<String>,
    /// Where the key stands.
    pub key: Range<usize>,
    /// Where the value stands.
    pub value: Range<usize>,
    /// The value, if it is a text.
    pub text: Option<String>,
}

impl Key {
    /// The last word of the path.
    pub fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The table that it stands in, as users write it: `[kafka]`.
    pub fn table(&self) -> Option<String> {
        table_name(self.path.get(..self.path.len().saturating_sub(1))?)
    }
}

/// `[a.b]`; none for the root.
pub fn table_name(path: &[String]) -> Option<String> {
    (!path.is_empty()).then(|| format!("[{}]", path.join(".")))
}

/// All keys, parents before children.
pub fn keys(root: &DeTable<'_>) -> Vec<Key> {
    let mut found = Vec::new();
    table(root, &[], &mut found);
    found
}

fn table(of: &DeTable<'_>, path: &[String], found: &mut Vec<Key>) {
    for (name, value) in of {
        let mut path = path.to_vec();
        path.push(name.get_ref().to_string());
        visit(value.get_ref(), path, name.span(), value.span(), found);
    }
}

fn visit(
    of: &DeValue<'_>,
    path: Vec<String>,
    key: Range<usize>,
    value: Range<usize>,
    found: &mut Vec<Key>,
) {
    let text = of.as_str().map(str::to_owned);
    found.push(Key { path: path.clone(), key: key.clone(), value, text });
    match of {
        DeValue::Table(inner) => table(inner, &path, found),
        DeValue::Array(items) => {
            for item in items.iter() {
                visit(item.get_ref(), path.clone(), key.clone(), item.span(), found);
            }
        }
        _ => {}
    }
}

/// `file:line:column` of a byte; lines and columns count from 1, columns in characters.
pub fn place(file: &Path, text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("{}:{line}:{column}", file.display())
}
