//! A push as data: which rows each target table gets, and what the ledger will say.
//!
//! Pure: from what the target says of itself and what waits to a [`Push`], or to the reason why not.
//! It must never decide to overwrite rows that are not ours.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::contract::Contract;

/// Where a mart stands: in the lake, or as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerRow {
    /// The epoch.
    pub epoch: u64,
    /// The Delta table's version.
    pub version: u64,
    /// Rows.
    pub rows: u64,
    /// The order-free hash, hexadecimal.
    pub hash: String,
    /// The writer's generation.
    pub generation: u64,
}

/// What a target says of itself.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Whether ledger and lock are there.
    pub installed: bool,
    /// The lake that pushes here; `None` before the first push.
    pub lake: Option<String>,
    /// The generation of the last writer.
    pub generation: u64,
    /// By target table.
    pub ledger: BTreeMap<String, LedgerRow>,
    /// Tables that are there.
    pub tables: BTreeMap<String, TableFacts>,
}

impl Standing {
    /// The epoch that the target holds; `None` before the first push.
    pub fn pushed(&self) -> Option<u64> {
        self.ledger.values().map(|row| row.epoch).max()
    }
}

/// A target's table as it is.
#[derive(Debug, Clone, Default)]
pub struct TableFacts {
    /// Names in capitals, and types; `None` for one that no contract knows.
    pub columns: Vec<(String, Option<super::contract::ColumnType>)>,
    /// Rows.
    pub rows: u64,
}

/// How a table gets its rows.
#[derive(Debug, Clone)]
pub enum Move {
    /// All rows are replaced.
    Overwrite {
        /// The mart.
        rows: Vec<RecordBatch>,
        /// Why.
        reason: String,
    },
    /// Each key of the change has at most one row before and after.
    Merge(KeyedChange),
    /// All rows with these keys are replaced.
    Replace {
        /// One row a key: the key's columns alone count.
        keys: RecordBatch,
        /// Every row that has one of them.
        rows: RecordBatch,
        /// Rows that have one of them in the target now.
        before: usize,
    },
}

/// A change by key.
#[derive(Debug, Clone)]
pub struct KeyedChange {
    /// Rows whose keys leave.
    pub deletes: RecordBatch,
    /// Rows whose keys stay, as they are now.
    pub updates: RecordBatch,
    /// Rows whose keys are new.
    pub inserts: RecordBatch,
}

/// One table of a push.
#[derive(Debug, Clone)]
pub struct TableMove {
    /// The table.
    pub contract: Contract,
    /// What is done.
    pub what: Move,
    /// What is true of it afterwards.
    pub after: LedgerRow,
}

/// Rows of RAW to append.
#[derive(Debug, Clone)]
pub struct RawMove {
    /// The target table.
    pub table: String,
    /// The JSON text and the time in microseconds, one row an event.
    pub rows: Vec<RecordBatch>,
    /// What is true of it afterwards: `rows` are those appended.
    pub after: LedgerRow,
}

/// A push: all of it is one transaction.
#[derive(Debug, Clone)]
pub struct Push {
    /// Names it: the target's ledger keeps it, so that a lost answer can be told from a lost push.
    pub id: String,
    /// The lake.
    pub lake: String,
    /// The writer's generation.
    pub generation: u64,
    /// The epoch that the target must hold; `None` for none.
    pub from: Option<u64>,
    /// The epoch it holds afterwards.
    pub to: u64,
    /// Time of that epoch, microseconds.
    pub time_us: i64,
    /// The last source commit up to it, microseconds.
    pub commit_us: Option<i64>,
    /// Source offsets, as JSON.
    pub offsets: String,
    /// Tables that change.
    pub tables: Vec<TableMove>,
    /// Tables that do not: their ledger rows move on.
    pub unchanged: Vec<(String, LedgerRow)>,
    /// RAW.
    pub raw: Vec<RawMove>,
    /// The ledger that it was made from.
    pub before: BTreeMap<String, LedgerRow>,
}

impl Push {
    /// Whether the ledger's rows of its tables are still those that it was made from.
    pub fn stands_on(&self, facts: &Standing) -> bool {
        let same = |name: &String| facts.ledger.get(name) == self.before.get(name);
        self.ledger().iter().all(|(name, _)| same(name))
    }

    /// Rows that it sends.
    pub fn rows_sent(&self) -> usize {
        let raw = self.raw.iter().flat_map(|r| &r.rows).map(RecordBatch::num_rows);
        self.tables.iter().map(|t| t.what.rows_sent()).sum::<usize>() + raw.sum::<usize>()
    }

    /// Every ledger row that it writes.
    pub fn ledger(&self) -> Vec<(String, LedgerRow)> {
        let moved = self.tables.iter().map(|t| (t.contract.table.clone(), t.after.clone()));
        let raw = self.raw.iter().map(|r| (r.table.clone(), r.after.clone()));
        moved.chain(self.unchanged.iter().cloned()).chain(raw).collect()
    }
}

impl Move {
    /// Rows that it sends.
    pub fn rows_sent(&self) -> usize {
        match self {
            Self::Overwrite { rows, .. } => rows.iter().map(RecordBatch::num_rows).sum(),
            Self::Merge(change) => change.len(),
            Self::Replace { keys, rows, .. } => keys.num_rows() + rows.num_rows(),
        }
    }
}

impl KeyedChange {
    /// Rows: each key of the change is one.
    pub fn len(&self) -> usize {
        self.deletes.num_rows() + self.updates.num_rows() + self.inserts.num_rows()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
