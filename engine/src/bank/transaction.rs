//! A transaction of the bank: row changes that commit together.
//!
//! Stands between the teller, who makes it, and the two outputs. The changes are in the order in
//! which the database would log them. It must never be split: half a transfer is no fact.

use super::activity::Activity;
use super::row::{Account, Customer, Posting, RowRef, Table};

/// What a change does to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The row is new.
    Create,
    /// The row has a new image.
    Update,
    /// The row is gone.
    Delete,
}

/// Why a row was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A statement named it.
    Statement,
    /// Its parent was deleted, and `on delete cascade` took it along.
    Cascade,
}

/// A change of one row of type `R`, with its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<R> {
    /// The new row.
    Create(R),
    /// The row before and after; the key is the same.
    Update {
        /// The image that was replaced.
        before: R,
        /// The image that replaced it.
        after: R,
    },
    /// The row that is gone, and why.
    Delete(R, Cause),
}

impl<R> Change<R> {
    fn op(&self) -> Op {
        match self {
            Self::Create(_) => Op::Create,
            Self::Update { .. } => Op::Update,
            Self::Delete(..) => Op::Delete,
        }
    }

    fn before(&self) -> Option<&R> {
        match self {
            Self::Create(_) => None,
            Self::Update { before, .. } | Self::Delete(before, _) => Some(before),
        }
    }

    fn after(&self) -> Option<&R> {
        match self {
            Self::Create(after) | Self::Update { after, .. } => Some(after),
            Self::Delete(..) => None,
        }
    }

    fn latest(&self) -> &R {
        match self {
            Self::Create(row) | Self::Update { after: row, .. } | Self::Delete(row, _) => row,
        }
    }
}

/// A change of one row of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// Of `customers`.
    Customer(Change<Customer>),
    /// Of `accounts`.
    Account(Change<Account>),
    /// Of `transactions`.
    Posting(Change<Posting>),
}

impl RowChange {
    /// The table it belongs to.
    pub fn table(&self) -> Table {
        self.latest().table()
    }

    /// Create, update or delete.
    pub fn op(&self) -> Op {
        match self {
            Self::Customer(change) => change.op(),
            Self::Account(change) => change.op(),
            Self::Posting(change) => change.op(),
        }
    }

    /// The primary key of its row.
    pub fn id(&self) -> i64 {
        self.latest().id()
    }

    /// The image before; `None` for a create.
    pub fn before(&self) -> Option<RowRef<'_>> {
        match self {
            Self::Customer(change) => change.before().map(RowRef::Customer),
            Self::Account(change) => change.before().map(RowRef::Account),
            Self::Posting(change) => change.before().map(RowRef::Posting),
        }
    }

    /// The image after; `None` for a delete.
    pub fn after(&self) -> Option<RowRef<'_>> {
        match self {
            Self::Customer(change) => change.after().map(RowRef::Customer),
            Self::Account(change) => change.after().map(RowRef::Account),
            Self::Posting(change) => change.after().map(RowRef::Posting),
        }
    }

    /// The image after, or, for a delete, the one before.
    pub fn latest(&self) -> RowRef<'_> {
        match self {
            Self::Customer(change) => RowRef::Customer(change.latest()),
            Self::Account(change) => RowRef::Account(change.latest()),
            Self::Posting(change) => RowRef::Posting(change.latest()),
        }
    }
}

/// Row changes that commit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// What was done.
    pub activity: Activity,
    /// The bank's time, microseconds since 1970 UTC; new rows carry it as `created_at`.
    pub at_us: i64,
    /// The changes in the order in which they were made; at least one.
    pub changes: Vec<RowChange>,
    /// The books after it: the sum of all balances, in cents.
    pub books_cents: i64,
}
