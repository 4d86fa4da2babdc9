//! The canonical text of a row as SQL, so that a target computes the lake's own hashes.
//!
//! Pure. What it writes must give, character by character, what `freshet_sql::digest` writes; a text
//! that differs is told as a difference of rows.

use arrow::array::RecordBatch;
use freshet_sql::digest;

use super::contract::{Column, ColumnType, Contract};
use super::warehouse::RangeSum;
use crate::error::{Error, Result};

/// Whose SQL is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Snowflake's.
    Snowflake,
    /// SQLite's, with `md5_number_lower64` registered by us.
    Sqlite,
}

/// Every 64-bit hash is below this.
const MODULUS: &str = "18446744073709551616";

fn cell(column: &Column, dialect: Dialect) -> String {
    let char = if dialect == Dialect::Sqlite { "CHAR" } else { "CHR" };
    let null = format!("{char}(92) || 'N'");
    let plain = plain(column, dialect);
    let text = match column.kind {
        ColumnType::Text | ColumnType::Variant => format!(
            "REPLACE(REPLACE({plain}, {char}(92), {char}(92) || {char}(92)), '|', {char}(92) || '|')"
        ),
        _ => plain,
    };
    format!("COALESCE({text}, {null})")
}

/// A cell's text, not escaped; null where it is null.
pub fn plain(column: &Column, dialect: Dialect) -> String {
    let name = format!("\"{}\"", column.name.replace('"', "\"\""));
    match (column.kind, dialect) {
        (ColumnType::Text | ColumnType::Variant, _) => name,
        // SQLite holds the canonical text of everything but texts, bytes and whole numbers.
        (ColumnType::Boolean, Dialect::Sqlite) => {
            format!("CASE {name} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END")
        }
        (ColumnType::Binary, Dialect::Sqlite) => format!("LOWER(HEX({name}))"),
        (_, Dialect::Sqlite) => format!("CAST({name} AS TEXT)"),
        (ColumnType::Boolean, _) => {
            format!("CASE WHEN {name} THEN 'true' WHEN NOT {name} THEN 'false' END")
        }
        (ColumnType::Number(digits, scale), _) => {
            format!("CAST(CAST({name} AS NUMBER({digits},{scale})) AS VARCHAR)")
        }
        (ColumnType::Date, _) => format!("TO_VARCHAR({name}, 'YYYY-MM-DD')"),
        (ColumnType::Time, _) => format!("TO_VARCHAR({name}, 'HH24:MI:SS.FF6')"),
        (ColumnType::Timestamp, _) => format!("TO_VARCHAR({name}, 'YYYY-MM-DD HH24:MI:SS.FF6')"),
        (ColumnType::Instant, _) => {
            format!("TO_VARCHAR(CONVERT_TIMEZONE('UTC', {name}), 'YYYY-MM-DD HH24:MI:SS.FF6')")
        }
        (ColumnType::Binary, _) => format!("LOWER(HEX_ENCODE({name}))"),
        (ColumnType::Float, _) => format!("CAST({name} AS VARCHAR)"),
    }
}

fn row(contract: &Contract, columns: &[usize], dialect: Dialect) -> String {
    let cells: Vec<String> = columns.iter().map(|c| cell(&contract.columns[*c], dialect)).collect();
    if cells.is_empty() { "''".to_owned() } else { cells.join(" || '|' || ") }
}

fn hash(text: &str) -> String {
    format!("MD5_NUMBER_LOWER64({text})")
}

/// The columns by which rows are put into ranges and named: the key, or all that are hashed.
pub fn naming(contract: &Contract) -> Vec<usize> {
    if contract.key.is_empty() { contract.hashed() } else { contract.key.clone() }
}

/// Rows and hash of each range that is not empty.
pub fn sums(contract: &Contract, dialect: Dialect, table: &str, ranges: u64) -> String {
    let key = hash(&row(contract, &naming(contract), dialect));
    let whole = hash(&row(contract, &contract.hashed(), dialect));
    match dialect {
        Dialect::Snowflake => format!(
            "SELECT {key} % {ranges} AS \"R\", COUNT(*) AS \"N\", \
             CAST(SUM({whole}) % {MODULUS} AS VARCHAR) AS \"H\" FROM {table} GROUP BY 1 ORDER BY 1"
        ),
        Dialect::Sqlite => format!(
            "SELECT range_of({key}, {ranges}), COUNT(*), sum_of({whole}) FROM {table} \
             GROUP BY 1 ORDER BY 1"
        ),
    }
}

/// Name and hash of every row of one range.
pub fn hashes(
    contract: &Contract,
    dialect: Dialect,
    table: &str,
    ranges: u64,
    range: u64,
) -> String {
    let name = row(contract, &naming(contract), dialect);
    let whole = hash(&row(contract, &contract.hashed(), dialect));
    let key = hash(&name);
    match dialect {
        Dialect::Snowflake => format!(
            "SELECT {name} AS \"K\", CAST({whole} AS VARCHAR) AS \"H\" FROM {table} \
             WHERE {key} % {ranges} = {range}"
        ),
        Dialect::Sqlite => {
            format!("SELECT {name}, {whole} FROM {table} WHERE range_of({key}, {ranges}) = {range}")
        }
    }
}

fn strange() -> Error {
    Error::Unavailable { what: "the target's hashes can't be read".to_owned(), cause: None }
}

/// The answer to [`sums`].
pub fn read_sums(rows: &[Vec<Option<String>>], ranges: u64) -> Result<Vec<RangeSum>> {
    let mut sums = vec![RangeSum::default(); usize::try_from(ranges).unwrap_or(1)];
    for row in rows {
        let [Some(range), Some(count), Some(hash)] = row.as_slice() else { return Err(strange()) };
        let range: usize = range.parse().map_err(|_| strange())?;
        let sum = sums.get_mut(range).ok_or_else(strange)?;
        sum.rows = count.parse().map_err(|_| strange())?;
        sum.hash = hash.parse().map_err(|_| strange())?;
    }
    Ok(sums)
}

/// The answer to [`hashes`].
pub fn read_hashes(rows: &[Vec<Option<String>>]) -> Result<Vec<(String, u64)>> {
    let one = |row: &Vec<Option<String>>| match row.as_slice() {
        [Some(key), Some(hash)] => Ok((key.clone(), hash.parse().map_err(|_| strange())?)),
        _ => Err(strange()),
    };
    rows.iter().map(one).collect()
}

/// A time as the ledgers write it: `YYYY-MM-DD HH:MM:SS.ffffff` in UTC.
pub fn timestamp(us: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(us).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// Name, range and hash of the lake's own rows.
pub fn of_rows(
    contract: &Contract,
    batch: &RecordBatch,
    ranges: u64,
) -> Result<Vec<(String, u64, u64)>> {
    let names = digest::row_texts(batch, &naming(contract))?;
    let hashes = digest::row_hashes(batch, &contract.hashed())?;
    let row = |(name, hash): (String, u64)| {
        let range = digest::lower64(name.as_bytes()) % ranges;
        (name, range, hash)
    };
    Ok(names.into_iter().zip(hashes).map(row).collect())
}
