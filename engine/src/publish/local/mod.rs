//! A SQLite file as a target: for the demo, and for a team that has no warehouse.
//!
//! The same ledger, the same transaction, the same counts. A reader that opens the file sees one
//! epoch of all marts; money and times are exact texts. It must never hold a lock between two pushes.

mod cells;
mod facts;
mod push;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::publish::canonical::{self, Dialect};
use crate::publish::contract::{Column, Contract};
use crate::publish::moves::{Push, Standing};
use crate::publish::warehouse::{Pushed, RangeSum, Shape, Warehouse};
use facts::{facts, register, table_facts};

/// How long a statement waits for another writer.
const BUSY: Duration = Duration::from_secs(10);

/// The file, open.
pub struct Local {
    name: String,
    connection: Arc<Mutex<Connection>>,
}

/// A name, quoted.
fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn failed(what: &str) -> impl Fn(rusqlite::Error) -> Error + use<> {
    let what = what.to_owned();
    move |cause| {
        // A message of SQLite names tables and columns, never values.
        Error::unavailable(format!("the local warehouse can't {what}"), cause)
    }
}

impl Local {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = failed(&format!("open `{}`", path.display()));
        let connection = Connection::open(path).map_err(&cannot)?;
        connection.busy_timeout(BUSY).map_err(&cannot)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(&cannot)?;
        register(&connection).map_err(&cannot)?;
        let name = format!("local {}", path.display());
        Ok(Self { name, connection: Arc::new(Mutex::new(connection)) })
    }

    /// Runs on a thread that may wait.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connection.clone();
        let run = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        };
        let done = tokio::task::spawn_blocking(run).await;
        done.map_err(|_| Error::bug("writing the local warehouse ended in a panic"))?
    }
}

const INSTALL: &str = "
    CREATE TABLE IF NOT EXISTS FRESHET_LOCK (ID INTEGER PRIMARY KEY, GENERATION INTEGER, LAKE TEXT);
    CREATE TABLE IF NOT EXISTS FRESHET_LEDGER (MART TEXT PRIMARY KEY, EPOCH INTEGER,
        VERSION INTEGER, ROW_COUNT INTEGER, HASH TEXT, GENERATION INTEGER, PUSH_ID TEXT);
    CREATE TABLE IF NOT EXISTS FRESHET_EPOCHS (EPOCH INTEGER, EPOCH_TIME TEXT, COMMIT_TIME TEXT,
        SOURCE_OFFSETS TEXT, GENERATION INTEGER, PUSH_ID TEXT, ROWS_SENT INTEGER, VISIBLE_AT TEXT);
    INSERT OR IGNORE INTO FRESHET_LOCK VALUES (1, 0, NULL);";

fn column_line(column: &Column) -> String {
    format!("{} {}", ident(&column.name), cells::declared(column.kind))
}

fn statement(shape: &Shape) -> String {
    let drop = |table: &str, name: &str| {
        format!("ALTER TABLE {} DROP COLUMN {}", ident(table), ident(name))
    };
    let add = |table: &str, column: &Column| {
        format!("ALTER TABLE {} ADD COLUMN {}", ident(table), column_line(column))
    };
    match shape {
        Shape::CreateTable(contract) => {
            let lines: Vec<String> = contract.columns.iter().map(column_line).collect();
            let table = ident(&contract.table);
            let mut sql = format!("CREATE TABLE IF NOT EXISTS {table} ({})", lines.join(", "));
            if !contract.key.is_empty() {
                let key = contract.key.iter().map(|k| ident(&contract.columns[*k].name));
                let key = key.collect::<Vec<_>>().join(", ");
                let index = ident(&format!("{}_KEY", contract.table));
                sql.push_str(&format!("; CREATE INDEX IF NOT EXISTS {index} ON {table} ({key})"));
            }
            sql
        }
        Shape::AddColumn(table, column) => add(table, column),
        Shape::ChangeType(table, column) => {
            format!("{}; {}", drop(table, &column.name), add(table, column))
        }
        Shape::DropColumn(table, name) => drop(table, name),
    }
}

#[async_trait::async_trait]
impl Warehouse for Local {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn standing(&mut self, contracts: &[Contract]) -> Result<Standing> {
        let tables: Vec<String> = contracts.iter().map(|c| c.table.clone()).collect();
        self.with(move |connection| {
            let cannot = failed("be read");
            let mut standing = facts(connection).map_err(&cannot)?.unwrap_or_default();
            for table in tables {
                if let Some(facts) = table_facts(connection, &table).map_err(&cannot)? {
                    standing.tables.insert(table, facts);
                }
            }
            Ok(standing)
        })
        .await
    }

    async fn install(&mut self) -> Result<()> {
        self.with(|connection| connection.execute_batch(INSTALL).map_err(failed("make its ledger")))
            .await
    }

    fn statement(&self, shape: &Shape) -> String {
        statement(shape)
    }

    async fn shape(&mut self, shapes: &[Shape]) -> Result<()> {
        let statements: Vec<String> = shapes.iter().map(statement).collect();
        self.with(move |connection| {
            connection.execute_batch(&statements.join("; ")).map_err(failed("shape its tables"))
        })
        .await
    }

    async fn push(&mut self, push: &Push) -> Result<Pushed> {
        let push = push.clone();
        self.with(move |connection| push::push(connection, &push)).await
    }

    async fn sums(&mut self, contract: &Contract, ranges: u64) -> Result<Vec<RangeSum>> {
        let sql = canonical::sums(contract, Dialect::Sqlite, &ident(&contract.table), ranges);
        let rows = self.with(move |connection| texts(connection, &sql)).await?;
        canonical::read_sums(&rows, ranges)
    }

    async fn hashes(
        &mut self,
        contract: &Contract,
        ranges: u64,
        range: u64,
    ) -> Result<Vec<(String, u64)>> {
        let table = ident(&contract.table);
        let sql = canonical::hashes(contract, Dialect::Sqlite, &table, ranges, range);
        let rows = self.with(move |connection| texts(connection, &sql)).await?;
        canonical::read_hashes(&rows)
    }

    async fn document(&mut self, _: &[Contract]) -> Result<()> {
        Ok(())
    }

    async fn read(&mut self, table: &str, columns: &[Column]) -> Result<Vec<Vec<Option<String>>>> {
        let cells: Vec<String> =
            columns.iter().map(|c| canonical::plain(c, Dialect::Sqlite)).collect();
        let sql = format!("SELECT {} FROM {}", cells.join(", "), ident(table));
        self.with(move |connection| texts(connection, &sql)).await
    }

    async fn forget(&mut self, tables: &[String], all: bool) -> Result<()> {
        let tables = tables.to_vec();
        self.with(move |connection| {
            let cannot = failed("forget");
            let change = connection.transaction().map_err(&cannot)?;
            for table in tables {
                let sql = "DELETE FROM FRESHET_LEDGER WHERE MART = ?1";
                change.execute(sql, [table]).map_err(&cannot)?;
            }
            if all {
                let sql = "UPDATE FRESHET_LOCK SET GENERATION = 0, LAKE = NULL";
                change.execute(sql, []).map_err(&cannot)?;
            }
            change.commit().map_err(&cannot)
        })
        .await
    }

    async fn close(&mut self) {}
}

fn texts(connection: &Connection, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    let read = || {
        let mut statement = connection.prepare(sql)?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cell = |at| row.get::<_, rusqlite::types::Value>(at).map(text);
            found.push((0..width).map(cell).collect::<rusqlite::Result<Vec<_>>>()?);
        }
        Ok(found)
    };
    read().map_err(failed("hash its tables"))
}

fn text(value: rusqlite::types::Value) -> Option<String> {
    use rusqlite::types::Value;
    match value {
        Value::Null | Value::Blob(_) => None,
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
    }
}
