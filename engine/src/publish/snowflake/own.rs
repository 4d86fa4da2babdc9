//! SQL for what is ours in Snowflake: ledger, lock, EPOCHS, stage, and RAW.
//!
//! Pure, as `text` is.

use super::text::{Names, ident, literal};
use crate::publish::canonical::timestamp;
use crate::publish::moves::{LedgerRow, Push};
use crate::publish::options::{Raw, StageEncryption};

impl Names {
    /// What must be there before anything else; each may be run again.
    pub fn install(&self) -> Vec<String> {
        let kind = match self.stage_encryption {
            StageEncryption::Sse => "SNOWFLAKE_SSE",
            StageEncryption::Full => "SNOWFLAKE_FULL",
        };
        let lock = self.own("PUSH_LOCK");
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {lock} (\"ID\" NUMBER(1,0), \"PUSHES\" NUMBER(38,0), \
                 \"GENERATION\" NUMBER(38,0), \"LAKE\" VARCHAR)"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (\"MART\" VARCHAR, \"EPOCH\" NUMBER(38,0), \
                 \"VERSION\" NUMBER(38,0), \"ROW_COUNT\" NUMBER(38,0), \"HASH\" VARCHAR, \
                 \"GENERATION\" NUMBER(38,0), \"PUSH_ID\" VARCHAR)",
                self.own("LEDGER")
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (\"EPOCH\" NUMBER(38,0), \
                 \"EPOCH_TIME\" TIMESTAMP_NTZ(6), \"COMMIT_TIME\" TIMESTAMP_NTZ(6), \
                 \"SOURCE_OFFSETS\" VARCHAR, \"GENERATION\" NUMBER(38,0), \"PUSH_ID\" VARCHAR, \
                 \"ROWS_SENT\" NUMBER(38,0), \"VISIBLE_AT\" TIMESTAMP_NTZ(6))",
                self.own("EPOCHS")
            ),
            format!(
                "CREATE STAGE IF NOT EXISTS {} ENCRYPTION = (TYPE = '{kind}')",
                self.own("STAGE")
            ),
            format!(
                "INSERT INTO {lock} (\"ID\", \"PUSHES\", \"GENERATION\") \
                 SELECT 1 AS \"I\", 0 AS \"P\", 0 AS \"G\" \
                 WHERE NOT EXISTS (SELECT 1 FROM {lock})"
            ),
        ]
    }

    /// Takes the lock: whoever comes second waits for the first one's end.
    pub fn lock(&self) -> String {
        format!("UPDATE {} SET \"PUSHES\" = \"PUSHES\" + 1 WHERE \"ID\" = 1", self.own("PUSH_LOCK"))
    }

    /// Lock and ledger in one statement: both as of one moment.
    pub fn facts(&self) -> String {
        format!(
            "SELECT L.\"GENERATION\", L.\"LAKE\", G.\"MART\", G.\"EPOCH\", G.\"VERSION\", \
             G.\"ROW_COUNT\", G.\"HASH\", G.\"GENERATION\" AS \"ROW_GENERATION\" \
             FROM (SELECT DISTINCT \"GENERATION\", \"LAKE\" FROM {}) AS L LEFT JOIN {} AS G ON 1 = 1",
            self.own("PUSH_LOCK"),
            self.own("LEDGER")
        )
    }

    /// The tables of RAW that are wanted.
    pub fn create_raw(&self, raw: &Raw) -> Vec<String> {
        let time = match raw.time_column.as_str() {
            "" => String::new(),
            name => format!(", {} TIMESTAMP_NTZ(6)", ident(name)),
        };
        let one = |table: &String| {
            format!(
                "CREATE TABLE IF NOT EXISTS {} ({} VARIANT{time})",
                self.raw_table(table),
                ident(&raw.column)
            )
        };
        raw.tables.iter().map(one).collect()
    }

    /// Appends loaded events to a table of RAW.
    pub fn append_raw(&self, raw: &Raw, table: &str, load: &str) -> String {
        let (column, value) = match raw.time_column.as_str() {
            "" => (String::new(), ""),
            name => (format!(", {}", ident(name)), ", \"AT\""),
        };
        format!(
            "INSERT INTO {} ({}{column}) SELECT PARSE_JSON(\"DATA\"){value} FROM {load}",
            self.raw_table(table),
            ident(&raw.column)
        )
    }

    /// Writes the ledger's rows: those of these marts are replaced.
    pub fn ledger(&self, rows: &[(String, LedgerRow)], push: &str) -> [String; 2] {
        let ledger = self.own("LEDGER");
        let names: Vec<String> = rows.iter().map(|(name, _)| literal(name)).collect();
        let line = |(name, row): &(String, LedgerRow)| {
            format!(
                "({}, {}, {}, {}, {}, {}, {})",
                literal(name),
                row.epoch,
                row.version,
                row.rows,
                literal(&row.hash),
                row.generation,
                literal(push)
            )
        };
        let lines: Vec<String> = rows.iter().map(line).collect();
        [
            format!("DELETE FROM {ledger} WHERE \"MART\" IN ({})", names.join(", ")),
            format!(
                "INSERT INTO {ledger} (\"MART\", \"EPOCH\", \"VERSION\", \"ROW_COUNT\", \"HASH\", \
                 \"GENERATION\", \"PUSH_ID\") VALUES {}",
                lines.join(", ")
            ),
        ]
    }

    /// The lock row says who pushed last.
    pub fn sign(&self, generation: u64, lake: &str) -> String {
        format!(
            "UPDATE {} SET \"GENERATION\" = {generation}, \"LAKE\" = {} WHERE \"ID\" = 1",
            self.own("PUSH_LOCK"),
            literal(lake)
        )
    }

    /// A row of EPOCHS; times are microseconds.
    pub fn epoch(&self, push: &Push) -> String {
        let time =
            |us: Option<i64>| us.map_or("NULL".to_owned(), |us| format!("'{}'", timestamp(us)));
        format!(
            "INSERT INTO {} (\"EPOCH\", \"EPOCH_TIME\", \"COMMIT_TIME\", \"SOURCE_OFFSETS\", \
             \"GENERATION\", \"PUSH_ID\", \"ROWS_SENT\") VALUES ({}, {}, {}, {}, {}, {}, {})",
            self.own("EPOCHS"),
            push.to,
            time(Some(push.time_us)),
            time(push.commit_us),
            literal(&push.offsets),
            push.generation,
            literal(&push.id),
            push.rows_sent()
        )
    }

    /// When the push became visible: a moment after its COMMIT.
    pub fn visible(&self) -> String {
        format!(
            "UPDATE {} SET \"VISIBLE_AT\" = SYSDATE() \
             WHERE \"VISIBLE_AT\" IS NULL",
            self.own("EPOCHS")
        )
    }
}
