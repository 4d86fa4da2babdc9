//! What a SQLite file says of itself, and the functions that it hashes with.

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, OptionalExtension};

use super::{cells, ident};
use crate::publish::moves::{LedgerRow, Standing, TableFacts};

/// Lock and ledger; `None` where they are not there yet.
pub fn facts(connection: &Connection) -> rusqlite::Result<Option<Standing>> {
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

/// Columns and rows of a table; `None` where it is not there.
pub fn table_facts(connection: &Connection, table: &str) -> rusqlite::Result<Option<TableFacts>> {
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

/// The functions that hashing needs: SQLite has no MD5 and no unsigned numbers.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
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
