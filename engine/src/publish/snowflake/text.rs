//! SQL for Snowflake, as text.
//!
//! Pure. Every name is quoted in capitals, every text is a literal with its quotes doubled. No row
//! value ever stands in a statement: rows travel as files.

use crate::publish::contract::{Column, ColumnType, Contract};
use crate::publish::options::{Snowflake, StageEncryption};
use crate::publish::warehouse::Shape;

/// Marks every query of ours, for cost attribution.
pub const QUERY_TAG: &str = "{\"app\":\"freshet\",\"station\":\"publish\"}";
/// The column that tells rows that leave from rows that come.
pub const OPERATION: &str = "_OP";

/// The names of one target.
#[derive(Debug, Clone)]
pub struct Names {
    database: String,
    schema: String,
    state: String,
    raw: String,
    pub(super) stage_encryption: StageEncryption,
}

/// A name in capitals, quoted.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.to_uppercase().replace('"', "\"\""))
}

/// A text literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Names, quoted, with commas.
pub fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(ident).collect::<Vec<_>>().join(", ")
}

/// A type's name.
pub fn type_name(kind: ColumnType) -> String {
    match kind {
        ColumnType::Text => "VARCHAR".to_owned(),
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Number(digits, scale) => format!("NUMBER({digits},{scale})"),
        ColumnType::Float => "FLOAT".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Time => "TIME(6)".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP_NTZ(6)".to_owned(),
        ColumnType::Instant => "TIMESTAMP_TZ(6)".to_owned(),
        ColumnType::Binary => "BINARY".to_owned(),
        ColumnType::Variant => "VARIANT".to_owned(),
    }
}

/// A type as `INFORMATION_SCHEMA.COLUMNS` tells it.
pub fn type_of(name: &str, digits: Option<u8>, scale: Option<u8>) -> Option<ColumnType> {
    let bare = name.split('(').next().unwrap_or(name).trim().to_uppercase();
    Some(match bare.as_str() {
        "TEXT" | "VARCHAR" | "STRING" | "CHAR" => ColumnType::Text,
        "BOOLEAN" => ColumnType::Boolean,
        "NUMBER" | "DECIMAL" | "NUMERIC" | "INT" | "INTEGER" | "BIGINT" | "FIXED" => {
            ColumnType::Number(digits.unwrap_or(38), scale.unwrap_or(0))
        }
        "FLOAT" | "DOUBLE" | "REAL" => ColumnType::Float,
        "DATE" => ColumnType::Date,
        "TIME" => ColumnType::Time,
        "TIMESTAMP_NTZ" | "DATETIME" | "TIMESTAMP" => ColumnType::Timestamp,
        "TIMESTAMP_TZ" | "TIMESTAMP_LTZ" => ColumnType::Instant,
        "BINARY" | "VARBINARY" => ColumnType::Binary,
        "VARIANT" => ColumnType::Variant,
        _ => return None,
    })
}

fn column_line(column: &Column) -> String {
    let comment = match column.comment.as_str() {
        "" => String::new(),
        text => format!(" COMMENT {}", literal(text)),
    };
    format!("{} {}{comment}", ident(&column.name), type_name(column.kind))
}

impl Names {
    /// Of a configured target.
    pub fn new(options: &Snowflake) -> Self {
        Self {
            database: options.database.clone(),
            schema: options.schema.clone(),
            state: options.state_schema.clone(),
            raw: options.raw.as_ref().map(|r| r.schema.clone()).unwrap_or_default(),
            stage_encryption: options.stage_encryption,
        }
    }

    fn within(&self, schema: &str, name: &str) -> String {
        format!("{}.{}.{}", ident(&self.database), ident(schema), ident(name))
    }

    /// A mart's table.
    pub fn table(&self, name: &str) -> String {
        self.within(&self.schema, name)
    }

    /// A table as a person names it: `T`, `SCHEMA.T` or `DB.SCHEMA.T`.
    pub fn any(&self, name: &str) -> String {
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            [table] => self.table(table),
            [schema, table] => self.within(schema, table),
            _ => parts.into_iter().map(ident).collect::<Vec<_>>().join("."),
        }
    }

    /// A table of RAW.
    pub fn raw_table(&self, name: &str) -> String {
        self.within(&self.raw, name)
    }

    /// One of our own: ledger, lock, stage.
    pub fn own(&self, name: &str) -> String {
        self.within(&self.state, name)
    }

    /// The temporary table that a mart's rows are loaded into: in the session's own schema, which is
    /// that of ledger and stage.
    pub fn load(&self, name: &str) -> String {
        ident(&format!("LOAD_{name}"))
    }

    /// A folder of the stage.
    pub fn staged(&self, folder: &str) -> String {
        format!("@{}/{folder}", self.own("STAGE"))
    }

    /// The columns of every table in the schema of the marts.
    pub fn columns(&self) -> String {
        format!(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE \
             FROM {}.INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = {} \
             ORDER BY TABLE_NAME, ORDINAL_POSITION",
            ident(&self.database),
            literal(&self.schema.to_uppercase())
        )
    }

    /// Makes a target table what its contract says.
    pub fn shape(&self, shape: &Shape) -> Vec<String> {
        let add = |table: &str, column: &Column| {
            format!("ALTER TABLE {} ADD COLUMN {}", self.table(table), column_line(column))
        };
        let drop = |table: &str, name: &str| {
            format!("ALTER TABLE {} DROP COLUMN {}", self.table(table), ident(name))
        };
        match shape {
            Shape::CreateTable(contract) => vec![self.create_table(contract)],
            Shape::AddColumn(table, column) => vec![add(table, column)],
            // SET DATA TYPE only widens; the mart is written whole after this anyway.
            Shape::ChangeType(table, column) => {
                vec![drop(table, &column.name), add(table, column)]
            }
            Shape::DropColumn(table, name) => vec![drop(table, name)],
        }
    }

    fn create_table(&self, contract: &Contract) -> String {
        let lines: Vec<String> = contract.columns.iter().map(column_line).collect();
        let comment = match contract.comment.as_str() {
            "" => String::new(),
            text => format!(" COMMENT = {}", literal(text)),
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {} ({}){comment}",
            self.table(&contract.table),
            lines.join(", ")
        )
    }

    /// An empty temporary table for a mart's rows.
    pub fn create_load(&self, contract: &Contract) -> String {
        let line = |c: &Column| format!("{} {}", ident(&c.name), type_name(c.kind));
        let lines: Vec<String> = contract.columns.iter().map(line).collect();
        format!(
            "CREATE OR REPLACE TEMPORARY TABLE {} ({}, {} VARCHAR)",
            self.load(&contract.table),
            lines.join(", "),
            ident(OPERATION)
        )
    }

    /// Loads every file of a folder into a table.
    pub fn copy(&self, table: &str, folder: &str) -> String {
        format!(
            "COPY INTO {table} FROM {} FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE \
             BINARY_AS_TEXT = FALSE NULL_IF = ()) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE \
             ON_ERROR = ABORT_STATEMENT",
            self.staged(folder)
        )
    }

    /// Replaces all rows; grants, clustering and views stay.
    pub fn overwrite(&self, contract: &Contract) -> String {
        let columns = list(contract.columns.iter().map(|c| c.name.as_str()));
        format!(
            "INSERT OVERWRITE INTO {} ({columns}) SELECT {columns} FROM {}",
            self.table(&contract.table),
            self.load(&contract.table)
        )
    }

    fn same_key(contract: &Contract) -> String {
        let names = contract.key.iter().map(|k| ident(&contract.columns[*k].name));
        let same = names.map(|name| format!("(T.{name} IS NOT DISTINCT FROM S.{name})"));
        same.collect::<Vec<_>>().join(" AND ")
    }

    /// Deletes, updates and inserts by key, in one statement.
    pub fn merge(&self, contract: &Contract) -> String {
        let names: Vec<&str> = contract.columns.iter().map(|c| c.name.as_str()).collect();
        let set = names.iter().map(|n| format!("{0} = S.{0}", ident(n))).collect::<Vec<_>>();
        let values = names.iter().map(|n| format!("S.{}", ident(n))).collect::<Vec<_>>();
        let operation = ident(OPERATION);
        format!(
            "MERGE INTO {} AS T USING (SELECT * FROM {}) AS S ON {} \
             WHEN MATCHED AND S.{operation} = 'D' THEN DELETE \
             WHEN MATCHED AND S.{operation} = 'U' THEN UPDATE SET {} \
             WHEN NOT MATCHED AND S.{operation} = 'U' THEN INSERT ({}) VALUES ({})",
            self.table(&contract.table),
            self.load(&contract.table),
            Self::same_key(contract),
            set.join(", "),
            list(names.iter().copied()),
            values.join(", ")
        )
    }

    /// Deletes all rows of the keys that the load table marks.
    pub fn delete_keys(&self, contract: &Contract) -> String {
        format!(
            "DELETE FROM {} AS T USING {} AS S WHERE S.{} = 'D' AND {}",
            self.table(&contract.table),
            self.load(&contract.table),
            ident(OPERATION),
            Self::same_key(contract)
        )
    }

    /// Inserts the rows that the load table holds.
    pub fn insert_rows(&self, contract: &Contract) -> String {
        let columns = list(contract.columns.iter().map(|c| c.name.as_str()));
        format!(
            "INSERT INTO {} ({columns}) SELECT {columns} FROM {} WHERE {} = 'U'",
            self.table(&contract.table),
            self.load(&contract.table),
            ident(OPERATION)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_can_not_break_out() {
        assert_eq!(ident("a\"b"), "\"A\"\"B\"");
        assert_eq!(literal("it's \\ so"), "'it''s \\\\ so'");
    }

    #[test]
    fn types_are_read_as_they_are_written() {
        for kind in [
            ColumnType::Text,
            ColumnType::Boolean,
            ColumnType::Float,
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::Instant,
            ColumnType::Binary,
        ] {
            assert_eq!(type_of(&type_name(kind), None, None), Some(kind));
        }
        assert_eq!(type_of("NUMBER", Some(18), Some(2)), Some(ColumnType::Number(18, 2)));
        assert_eq!(type_of("GEOGRAPHY", None, None), None);
    }
}
