//! Tables, transactions and locks.
//!
//! A transaction writes into copies of its own, which take the tables' places when it commits; the
//! first write of a table locks it. Temporary tables belong to their session.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::sessions::SessionId;

/// A column as it was declared.
#[derive(Debug, Clone)]
pub struct Column {
    /// In capitals, unless quoted.
    pub name: String,
    /// As `INFORMATION_SCHEMA` tells it: `NUMBER`, `TEXT`.
    pub kind: String,
    /// Of numbers.
    pub digits: Option<(u8, i8)>,
    /// May be empty.
    pub comment: String,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// The same, as rows have them.
    pub schema: SchemaRef,
    /// Its rows.
    pub rows: Arc<Vec<RecordBatch>>,
    /// May be empty.
    pub comment: String,
}

/// An open transaction.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Its number.
    pub id: u64,
    /// Its name; may be empty.
    pub name: String,
    /// Tables that it writes, as it sees them.
    pub writes: BTreeMap<String, Table>,
}

/// All tables and transactions.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    committed: BTreeMap<String, Table>,
    temporary: BTreeMap<(SessionId, String), Table>,
    open: BTreeMap<SessionId, Transaction>,
    next: u64,
    /// Schemas and other objects that only have a name.
    pub objects: BTreeSet<String>,
}

impl Tables {
    /// A table as a session sees it.
    pub fn get(&self, session: SessionId, name: &str) -> Option<&Table> {
        let written = self.open.get(&session).and_then(|t| t.writes.get(name));
        let temporary = || self.temporary.get(&(session, name.to_owned()));
        written.or_else(temporary).or_else(|| self.committed.get(name))
    }

    /// Committed tables.
    pub fn committed(&self) -> impl Iterator<Item = (&String, &Table)> {
        self.committed.iter()
    }

    /// Makes or replaces a table at once: DDL commits by itself.
    pub fn create(&mut self, session: SessionId, name: String, table: Table, temporary: bool) {
        if temporary {
            self.temporary.insert((session, name), table);
        } else {
            self.committed.insert(name, table);
        }
    }

    /// Drops a table.
    pub fn drop_table(&mut self, session: SessionId, name: &str) -> bool {
        self.temporary.remove(&(session, name.to_owned())).is_some()
            || self.committed.remove(name).is_some()
    }

    /// Whether another session's transaction holds a table.
    pub fn is_locked(&self, session: SessionId, name: &str) -> bool {
        self.open.iter().any(|(other, t)| *other != session && t.writes.contains_key(name))
    }

    /// Replaces a table's rows, in the session's transaction if one is open.
    pub fn write(&mut self, session: SessionId, name: &str, rows: Vec<RecordBatch>) {
        let Some(table) = self.get(session, name).cloned() else { return };
        let changed = Table { rows: Arc::new(rows), ..table };
        match self.open.get_mut(&session) {
            Some(transaction) => {
                transaction.writes.insert(name.to_owned(), changed);
            }
            None => self.settle(session, name.to_owned(), changed),
        }
    }

    fn settle(&mut self, session: SessionId, name: String, table: Table) {
        match self.temporary.get_mut(&(session, name.clone())) {
            Some(temporary) => *temporary = table,
            None => drop(self.committed.insert(name, table)),
        }
    }

    /// Opens a transaction; one that is open stays.
    pub fn begin(&mut self, session: SessionId, name: String) {
        if !self.open.contains_key(&session) {
            self.next += 1;
            let id = self.next;
            self.open.insert(session, Transaction { id, name, ..Transaction::default() });
        }
    }

    /// Makes what a transaction wrote everybody's.
    pub fn commit(&mut self, session: SessionId) {
        if let Some(transaction) = self.open.remove(&session) {
            for (name, table) in transaction.writes {
                self.settle(session, name, table);
            }
        }
    }

    /// Forgets what a transaction wrote.
    pub fn roll_back(&mut self, session: SessionId) {
        self.open.remove(&session);
    }

    /// Undoes and forgets all that belongs to a session.
    pub fn end_session(&mut self, session: SessionId) {
        self.roll_back(session);
        self.temporary.retain(|(owner, _), _| *owner != session);
    }

    /// Everything committed, and nothing else.
    pub fn at_rest(&self) -> Self {
        Self { temporary: BTreeMap::new(), open: BTreeMap::new(), ..self.clone() }
    }

    /// Open transactions.
    pub fn transactions(&self) -> impl Iterator<Item = (SessionId, &Transaction)> {
        self.open.iter().map(|(session, transaction)| (*session, transaction))
    }
}
