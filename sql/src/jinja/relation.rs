//! What ref(), source() and this give a template: the name of a table.
//!
//! All tables live in one flat space of names, so a relation renders as one identifier, quoted
//! where SQL needs that. It must never render a schema or database in front.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, Value};

/// A table as a template sees it; rendered, it is `sql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The name in the flat space, unquoted.
    pub name: String,
    /// What it renders to: the quoted name, or a subquery for a test with a `where`.
    pub sql: String,
    pub schema: String,
    pub database: String,
}

impl Relation {
    pub fn new(name: &str, schema: &str, database: &str) -> Self {
        Self {
            name: name.to_owned(),
            sql: quoted(name),
            schema: schema.to_owned(),
            database: database.to_owned(),
        }
    }
}

impl Object for Relation {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "name" | "identifier" | "table" => Some(self.name.as_str().into()),
            "schema" => Some(self.schema.as_str().into()),
            "database" => Some(self.database.as_str().into()),
            _ => None,
        }
    }

    fn repr(self: &Arc<Self>) -> minijinja::value::ObjectRepr {
        minijinja::value::ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}

/// Words that are no table names unless quoted: what SQL's parsers keep for themselves where a
/// table name is expected, kept in order for the binary search.
const RESERVED: &[&str] = &[
    "all",
    "and",
    "as",
    "between",
    "by",
    "case",
    "cast",
    "column",
    "connect",
    "constraint",
    "create",
    "cross",
    "default",
    "delete",
    "distinct",
    "drop",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "fetch",
    "for",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "in",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "join",
    "lateral",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "qualify",
    "right",
    "select",
    "set",
    "table",
    "then",
    "to",
    "true",
    "union",
    "unnest",
    "update",
    "user",
    "using",
    "values",
    "view",
    "when",
    "where",
    "window",
    "with",
];

/// An identifier as SQL reads it: bare where that is safe, else in double quotes.
pub fn quoted(name: &str) -> String {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let goes_on = letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if begins && goes_on && RESERVED.binary_search(&name).is_err() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        assert!(RESERVED.is_sorted());
        assert_eq!(quoted("dim_date_2"), "dim_date_2");
        assert_eq!(quoted("order"), "\"order\"");
        assert_eq!(quoted("Dim"), "\"Dim\"");
        assert_eq!(quoted("2x\""), "\"2x\"\"\"");
    }
}
