//! A target that finished marts are pushed to: the one face of Snowflake and of a local file.
//!
//! A target keeps a ledger beside the tables, and moves both in one transaction. It must never
//! overwrite rows that its ledger does not know as ours, and never half of a push.

use super::contract::{Column, Contract};
use super::moves::{Push, Standing};
use crate::error::Result;

/// A step that makes a target table what its contract says.
#[derive(Debug, Clone)]
pub enum Shape {
    /// The table is not there.
    CreateTable(Box<Contract>),
    /// A column is not there.
    AddColumn(String, Column),
    /// A column has another type.
    ChangeType(String, Column),
    /// The model has this column no more.
    DropColumn(String, String),
}

/// How a push ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Pushed {
    /// It is visible.
    Done(Cost),
    /// The target holds another epoch than it was made for, or another lake's: nothing was changed.
    Moved,
    /// A later generation has pushed here: this instance must not.
    Fenced(u64),
    /// This table's rows are not those that the ledger says: nothing was changed.
    Differs {
        /// The table.
        table: String,
        /// What was counted, and what was expected.
        what: String,
    },
}

/// What a push took.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// HTTP requests, uploads among them; statements for a local file.
    pub requests: u64,
    /// Seconds that statements kept the warehouse busy.
    pub warehouse_seconds: f64,
    /// Rows sent.
    pub rows: u64,
    /// Bytes sent.
    pub bytes: u64,
}

/// One range of a table's rows, by the hash of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RangeSum {
    /// Rows in it.
    pub rows: u64,
    /// The sum of their hashes, modulo 2^64.
    pub hash: u64,
}

/// A target.
#[async_trait::async_trait]
pub trait Warehouse: Send + Sync {
    /// Where it is, as a person would write it; never with a secret.
    fn name(&self) -> String;

    /// What it says of itself: ledger, lock, and the tables of these contracts.
    ///
    /// # Errors
    /// `Unavailable` where it does not answer.
    async fn standing(&mut self, contracts: &[Contract]) -> Result<Standing>;

    /// Makes ledger, lock and stage where they are not; may be run again.
    async fn install(&mut self) -> Result<()>;

    /// The statement of a step.
    fn statement(&self, shape: &Shape) -> String;

    /// Runs steps; each may be run again.
    async fn shape(&mut self, shapes: &[Shape]) -> Result<()>;

    /// All of a push in one transaction.
    ///
    /// # Errors
    /// `Unavailable` also where the answer to COMMIT was lost: the ledger tells what is true.
    async fn push(&mut self, push: &Push) -> Result<Pushed>;

    /// Counts and hashes of a table, computed by the target itself, by range.
    async fn sums(&mut self, contract: &Contract, ranges: u64) -> Result<Vec<RangeSum>>;

    /// The keys and hashes of the rows in one range.
    async fn hashes(
        &mut self,
        contract: &Contract,
        ranges: u64,
        range: u64,
    ) -> Result<Vec<(String, u64)>>;

    /// Puts the models' descriptions to tables and columns, where it keeps any.
    async fn document(&mut self, contracts: &[Contract]) -> Result<()>;

    /// The rows of any table as texts: numbers and times in their canonical form.
    async fn read(&mut self, table: &str, columns: &[Column]) -> Result<Vec<Vec<Option<String>>>>;

    /// Forgets what was pushed of these tables, or everything and by whom; tables stay as they are.
    async fn forget(&mut self, tables: &[String], all: bool) -> Result<()>;

    /// Ends the session, if there is one.
    async fn close(&mut self);
}
