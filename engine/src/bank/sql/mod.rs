//! The bank's other output: its tables in a real PostgreSQL.
//!
//! Stands beside `debezium`, right of the teller. `schema` creates the tables, `write` commits a
//! transaction, `read` takes up an existing bank. It must never touch another table than the
//! bank's three, and never put a value into a statement's text.

pub mod read;
pub mod schema;
pub mod write;

#[cfg(test)]
mod tests;

use crate::error::Error;

/// What the client could not do, without values: PostgreSQL's detail line would show the row.
fn failed(what: &str, cause: tokio_postgres::Error) -> Error {
    let Some(said) = cause.as_db_error() else {
        return Error::unavailable(format!("bank: {what}"), cause);
    };
    let code = said.code().code();
    let message = format!("bank: {what}: postgresql said {code}: {}", said.message());
    // Connection, resources, operator's intervention: the server's trouble, not the statement's.
    if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) {
        return Error::Unavailable { what: message, cause: None };
    }
    Error::failed(message)
        .with_hint("if someone else writes to the bank's tables, start again to reread them")
}
