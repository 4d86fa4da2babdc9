//! What the catalog says of a table.
//!
//! Plain values between `read` and `write`. Types are kept in PostgreSQL's words; what they become
//! is the envelope's to say.

/// The tables of one schema of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The database, which names the dbt source.
    pub database: String,
    /// The schema.
    pub schema: String,
    /// By name.
    pub tables: Vec<Table>,
    /// What was left out, and why: one line each.
    pub notices: Vec<String>,
}

/// One table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The name, as the database keeps it.
    pub name: String,
    /// The comment on it.
    pub comment: Option<String>,
    /// In the declared order.
    pub columns: Vec<Column>,
    /// The key's columns in the key's order; empty where there is none.
    pub primary_key: Vec<String>,
}

/// One column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// The name, as the database keeps it.
    pub name: String,
    /// The type in PostgreSQL's words, precision included: `timestamp(6) with time zone`.
    pub data_type: String,
    /// The comment on it.
    pub comment: Option<String>,
}
