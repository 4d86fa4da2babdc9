//! A SQLite file as a target: for the demo, and for a team that has no warehouse.
//!
//! The same ledger, the same transaction, the same counts. A reader that opens the file sees one
//! epoch of all marts; money and times are exact texts. It must never hold a lock between two pushes.

mod cells;
mod push;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Result};
use crate::publish::canonical::{self, Dialect};
use crate::publish::contract::{Column, Contract};
use crate::publish::moves::{LedgerRow, Push, Standing, TableFacts};
use crate::publish::warehouse::{Pushed, RangeSum, Shape, Warehouse};

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

/// The functions that hashing needs: SQLite has no MD5 and no unsigned numbers.
fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("md5_number_lower64", 1, flags, |context| {
        let text: String = context.get(0)?;
        Ok(freshet_sql::digest::lower64(text.as_bytes()).to_string())
    })?;
    connection.create_scalar_function("range_of", 2, flags, |context| {
        let hash: u64 = context.get::<String>(0)?.parse().unwrap_or(0);
        let ranges = u64::try_from(context.get::<i64>(1)?).unwrap_or(1).max(1);
        Ok(i64::try_from(hash % ranges).unwrap_or(0))
    })?;
    connection.create_aggregate_function("sum_of", 1, flags, HashSum)
}

struct HashSum;

impl Aggregate<u64, String> for HashSum {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<u64> {
        Ok(0)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut u64) -> rusqlite::Result<()> {
        let hash: u64 = context.get::<String>(0)?.parse().unwrap_or(0);
        *sum = sum.wrapping_add(hash);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<u64>) -> rusqlite::Result<String> {
        Ok(sum.unwrap_or(0).to_string())
    }
}

const INSTALL: &str = "
    CREATE TABLE IF NOT EXISTS FRESHET_LOCK (ID INTEGER PRIMARY KEY, GENERATION INTEGER, LAKE TEXT);
    CREATE TABLE IF NOT EXISTS FRESHET_LEDGER (MART TEXT PRIMARY KEY, EPOCH INTEGER,
        VERSION INTEGER, ROW_COUNT INTEGER, HASH TEXT, GENERATION INTEGER, PUSH_ID TEXT);
    CREATE TABLE IF NOT EXISTS FRESHET_EPOCHS (EPOCH INTEGER, EPOCH_TIME TEXT, COMMIT_TIME TEXT,
        SOURCE_OFFSETS TEXT, GENERATION INTEGER, PUSH_ID TEXT, ROWS_SENT INTEGER, VISIBLE_AT TEXT);
    INSERT OR IGNORE INTO FRESHET_LOCK VALUES (1, 0, NULL);";

/// Lock and ledger; `None` where they are not there yet.
fn facts(connection: &Connection) -> rusqlite::Result<Option<Standing>> {
    let there = "SELECT 1 FROM sqlite_master WHERE name = 'FRESHET_LEDGER'";
    if connection.query_row(there, [], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let lock = "SELECT GENERATION, LAKE FROM FRESHET_LOCK WHERE ID = 1";
    let (generation, lake): (i64, Option<String>) =
        connection.query_row(lock, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut standing = Standing {
        installed: true,
        generation: generation.unsigned_abs(),
        lake,
        ..Standing::default()
    };
    let ledger = "SELECT MART, EPOCH, VERSION, ROW_COUNT, HASH, GENERATION FROM FRESHET_LEDGER";
    let mut statement = connection.prepare(ledger)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let made = LedgerRow {
            epoch: number(1)?,
            version: number(2)?,
            rows: number(3)?,
            hash: row.get(4)?,
            generation: number(5)?,
        };
        standing.ledger.insert(row.get(0)?, made);
    }
    Ok(Some(standing))
}

fn table_facts(connection: &Connection, table: &str) -> rusqlite::Result<Option<TableFacts>> {
    let mut facts = TableFacts::default();
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_info(?1)")?;
    let mut rows = statement.query([table])?;
    while let Some(row) = rows.next()? {
        let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
        facts.columns.push((name.to_uppercase(), cells::type_of(&declared)));
    }
    if facts.columns.is_empty() {
        return Ok(None);
    }
    let count = format!("SELECT COUNT(*) FROM {}", ident(table));
    facts.rows = connection.query_row(&count, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    Ok(Some(facts))
}

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

    async fn forget(&mut self, tables: &[String]) -> Result<()> {
        let tables = tables.to_vec();
        self.with(move |connection| {
            let cannot = failed("forget");
            let change = connection.transaction().map_err(&cannot)?;
            for table in tables {
                let sql = "DELETE FROM FRESHET_LEDGER WHERE MART = ?1";
                change.execute(sql, [table]).map_err(&cannot)?;
            }
            let sql = "UPDATE FRESHET_LOCK SET GENERATION = 0, LAKE = NULL";
            change.execute(sql, []).map_err(&cannot)?;
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
