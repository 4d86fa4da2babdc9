//! The rows of the bank's three tables, typed.
//!
//! They hold what PostgreSQL stores: money in cents, times in microseconds since 1970 UTC. They
//! must never know how a row is written to Kafka or to a database.

use std::borrow::Cow;

/// A short text that is nearly always one of a few known words.
pub type Word = Cow<'static, str>;

/// A table of the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// `public.customers`
    Customers,
    /// `public.accounts`
    Accounts,
    /// `public.transactions`
    Transactions,
}

impl Table {
    /// All tables, parents before children.
    pub const ALL: [Self; 3] = [Self::Customers, Self::Accounts, Self::Transactions];

    /// The table's name within its schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Accounts => "accounts",
            Self::Transactions => "transactions",
        }
    }

    /// The name as Debezium spells it, with the schema before it.
    pub fn qualified(self) -> &'static str {
        match self {
            Self::Customers => "public.customers",
            Self::Accounts => "public.accounts",
            Self::Transactions => "public.transactions",
        }
    }

    /// Its place in `ALL`.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A row of `customers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The primary key.
    pub id: i32,
    /// At most 100 characters.
    pub first_name: String,
    /// At most 100 characters.
    pub last_name: String,
    /// Unique in the bank, at most 255 characters.
    pub email: String,
    /// Microseconds since 1970 UTC.
    pub created_us: i64,
}

/// A row of `accounts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The primary key.
    pub id: i32,
    /// Its owner.
    pub customer_id: i32,
    /// `CHECKING` or `SAVINGS`.
    pub account_type: Word,
    /// Never below zero.
    pub balance_cents: i64,
    /// Three letters.
    pub currency: Word,
    /// Microseconds since 1970 UTC.
    pub created_us: i64,
}

/// A row of `transactions`: called a posting here, since a transaction is the database's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The primary key.
    pub id: i64,
    /// The account it was booked on.
    pub account_id: i32,
    /// `DEPOSIT`, `WITHDRAWAL` or `TRANSFER`.
    pub txn_type: Word,
    /// Above zero, whatever the direction.
    pub amount_cents: i64,
    /// The other account of a transfer; it may have been closed since.
    pub related_account_id: Option<i32>,
    /// `COMPLETED`, or `PENDING` while under review; the balance moves either way.
    pub status: Word,
    /// Microseconds since 1970 UTC.
    pub created_us: i64,
}

/// One row of any of the tables, borrowed.
#[derive(Debug, Clone, Copy)]
pub enum RowRef<'a> {
    /// Of `customers`.
    Customer(&'a Customer),
    /// Of `accounts`.
    Account(&'a Account),
    /// Of `transactions`.
    Posting(&'a Posting),
}

impl RowRef<'_> {
    /// Where the row lives.
    pub fn table(self) -> Table {
        match self {
            Self::Customer(_) => Table::Customers,
            Self::Account(_) => Table::Accounts,
            Self::Posting(_) => Table::Transactions,
        }
    }

    /// The primary key.
    pub fn id(self) -> i64 {
        match self {
            Self::Customer(row) => i64::from(row.id),
            Self::Account(row) => i64::from(row.id),
            Self::Posting(row) => row.id,
        }
    }
}
