//! Snowflake as a target.
//!
//! `snowflake-api` is the transport (`transport`); session, answers, uploads and statements are
//! ours, because a push needs what that crate leaves out: long statements, renewal that keeps a
//! transaction, error codes, encrypted uploads, repeated requests under one id.

mod answer;
pub mod credentials;
mod encryption;
mod files;
mod load;
mod own;
mod push;
mod session;
pub mod setup;
mod stage;
pub mod text;
mod transport;
mod zombies;

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::publish::canonical::{self, Dialect};
use crate::publish::contract::{Column, Contract};
use crate::publish::moves::{LedgerRow, Push, Standing, TableFacts};
use crate::publish::options::Snowflake as Options;
use crate::publish::raw;
use crate::publish::warehouse::{Pushed, RangeSum, Shape, Warehouse};
use answer::Rows;
use credentials::Credentials;
use session::{Failure, Session, Usage};
use text::Names;

/// What an error says of a login that was refused.
pub const REFUSED_LOGIN: &str = "refuses the login of";
/// Tries of one request before its statement counts as lost.
const TRIES: usize = 6;

/// An account, with at most one session open.
pub struct Snowflake {
    options: Options,
    credentials: Credentials,
    names: Names,
    session: Option<Session>,
    spent: Usage,
    /// Whether the time at which the last push became visible may be missing.
    time_due: bool,
    /// Pushes whose session was lost: their transactions may still be open.
    lost: BTreeSet<String>,
    tries: usize,
}

impl Snowflake {
    /// Connects when it is first asked.
    pub fn new(options: Options, credentials: Credentials) -> Self {
        let names = Names::new(&options);
        Self {
            options,
            credentials,
            names,
            session: None,
            spent: Usage::default(),
            time_due: true,
            lost: BTreeSet::new(),
            tries: TRIES,
        }
    }

    /// With another number of tries of one request.
    #[must_use]
    pub const fn with_tries(mut self, tries: usize) -> Self {
        self.tries = tries;
        self
    }

    async fn session(&mut self) -> Result<&mut Session> {
        if self.session.is_none() {
            self.session = Some(Session::open(&self.options, &self.credentials, self.tries).await?);
        }
        self.session.as_mut().ok_or_else(|| Error::bug("a session that was just opened"))
    }

    /// HTTP requests so far, over all sessions.
    fn requests(&self) -> u64 {
        self.spent.requests + self.session.as_ref().map_or(0, |s| s.usage().requests)
    }

    /// A session that may be lost is closed, so that the server undoes what was open in it.
    async fn drop_session(&mut self) {
        if let Some(session) = self.session.take() {
            self.spent.requests += session.usage().requests + 1;
            session.close().await;
        }
    }

    /// A statement outside of any transaction: in a new session if the old one is gone.
    async fn run(&mut self, sql: &str, what: &str) -> Result<Rows> {
        match self.session().await?.run(sql).await {
            Ok(rows) => Ok(rows),
            Err(Failure::Refused(refusal)) => Err(refusal.into_error(what)),
            Err(Failure::SessionGone) => {
                self.drop_session().await;
                let again = self.session().await?.run(sql).await;
                again.map_err(|f| f.into_error(what))
            }
            Err(lost @ Failure::Lost(_)) => {
                self.drop_session().await;
                Err(lost.into_error(what))
            }
        }
    }

    /// Lock and ledger; `None` where they are not there yet.
    async fn facts(&mut self) -> Result<Option<Standing>> {
        let sql = self.names.facts();
        match self.session().await?.run(&sql).await {
            Ok(rows) => read_facts(&rows).map(Some),
            Err(Failure::Refused(refusal)) if refusal.is_absent() => Ok(None),
            Err(Failure::SessionGone) => {
                self.drop_session().await;
                read_facts(&self.run(&sql, "reading the ledger").await?).map(Some)
            }
            Err(failure) => {
                self.drop_session().await;
                Err(failure.into_error("reading the ledger"))
            }
        }
    }

    /// Rows of RAW's tables that the ledger does not know.
    async fn count_raw(&mut self, standing: &mut Standing) -> Result<()> {
        let tables = self.options.raw.iter().flat_map(|raw| raw.tables.clone());
        for table in tables.collect::<Vec<_>>() {
            let name = raw::ledger_name(&table);
            if standing.ledger.contains_key(&name) {
                continue;
            }
            let sql = format!("SELECT COUNT(*) FROM {}", self.names.raw_table(&table));
            match self.session().await?.run(&sql).await {
                Ok(counted) => {
                    let rows = counted.single().and_then(|t| t.parse().ok()).unwrap_or(u64::MAX);
                    standing.tables.insert(name, TableFacts { columns: Vec::new(), rows });
                }
                Err(Failure::Refused(refusal)) if refusal.is_absent() => {}
                Err(failure) => {
                    self.drop_session().await;
                    return Err(failure.into_error("counting the rows of a table of RAW"));
                }
            }
        }
        Ok(())
    }

    async fn tables(&mut self) -> Result<BTreeMap<String, TableFacts>> {
        let sql = self.names.columns();
        let rows = self.run(&sql, "reading the columns of the target").await?;
        let mut tables: BTreeMap<String, TableFacts> = BTreeMap::new();
        for row in &rows.rows {
            let cell = |i: usize| row.get(i).and_then(|c| c.as_deref());
            let (Some(table), Some(column), Some(kind)) = (cell(0), cell(1), cell(2)) else {
                continue;
            };
            let number = |i: usize| cell(i).and_then(|t| t.parse().ok());
            let kind = text::type_of(kind, number(3), number(4));
            let facts = tables.entry(table.to_uppercase()).or_default();
            facts.columns.push((column.to_uppercase(), kind));
        }
        Ok(tables)
    }
}

/// Lock and ledger as rows; a lock row that is missing makes no facts at all.
fn read_facts(rows: &Rows) -> Result<Standing> {
    let mut standing = Standing { installed: !rows.rows.is_empty(), ..Standing::default() };
    for row in &rows.rows {
        let cell = |i: usize| row.get(i).and_then(|c| c.as_deref());
        let number = |i: usize| cell(i).and_then(|t| t.parse::<u64>().ok()).unwrap_or(0);
        standing.generation = standing.generation.max(number(0));
        standing.lake = cell(1).map(str::to_owned).or(standing.lake);
        if let Some(mart) = cell(2) {
            let made = LedgerRow {
                epoch: number(3),
                version: number(4),
                rows: number(5),
                hash: cell(6).unwrap_or_default().to_owned(),
                generation: number(7),
            };
            if standing.ledger.insert(mart.to_owned(), made).is_some() {
                return Err(Error::corrupt(format!(
                    "the ledger in Snowflake has two rows for {mart}"
                ))
                .with_hint("`freshet publish reset` writes it anew"));
            }
        }
    }
    Ok(standing)
}

#[async_trait::async_trait]
impl Warehouse for Snowflake {
    fn name(&self) -> String {
        format!(
            "snowflake {}, {}.{}",
            self.options.account, self.options.database, self.options.schema
        )
    }

    async fn standing(&mut self, contracts: &[Contract]) -> Result<Standing> {
        let mut standing = self.facts().await?.unwrap_or_default();
        standing.tables = self.tables().await?;
        for contract in contracts {
            let known = standing.ledger.contains_key(&contract.table);
            if let Some(facts) = standing.tables.get_mut(&contract.table)
                && !known
            {
                let sql = format!("SELECT COUNT(*) FROM {}", self.names.table(&contract.table));
                let counted = self.run(&sql, "counting the rows of a table").await?;
                facts.rows = counted.single().and_then(|t| t.parse().ok()).unwrap_or(u64::MAX);
            }
        }
        self.count_raw(&mut standing).await?;
        Ok(standing)
    }

    async fn install(&mut self) -> Result<()> {
        for sql in self.names.install() {
            self.run(&sql, "making ledger and stage").await?;
        }
        let raw = self.options.raw.iter().flat_map(|raw| self.names.create_raw(raw));
        for sql in raw.collect::<Vec<_>>() {
            self.run(&sql, "making the tables of RAW").await?;
        }
        Ok(())
    }

    fn statement(&self, shape: &Shape) -> String {
        self.names.shape(shape).join("; ")
    }

    async fn shape(&mut self, shapes: &[Shape]) -> Result<()> {
        for sql in shapes.iter().flat_map(|shape| self.names.shape(shape)).collect::<Vec<_>>() {
            self.run(&sql, "shaping a table").await?;
        }
        Ok(())
    }

    async fn push(&mut self, push: &Push) -> Result<Pushed> {
        push::push(self, push).await
    }

    async fn sums(&mut self, contract: &Contract, ranges: u64) -> Result<Vec<RangeSum>> {
        let table = self.names.table(&contract.table);
        let sql = canonical::sums(contract, Dialect::Snowflake, &table, ranges);
        let rows = self.run(&sql, "hashing a table").await?;
        canonical::read_sums(&rows.rows, ranges)
    }

    async fn hashes(
        &mut self,
        contract: &Contract,
        ranges: u64,
        range: u64,
    ) -> Result<Vec<(String, u64)>> {
        let table = self.names.table(&contract.table);
        let sql = canonical::hashes(contract, Dialect::Snowflake, &table, ranges, range);
        let rows = self.run(&sql, "reading keys and hashes").await?;
        canonical::read_hashes(&rows.rows)
    }

    async fn document(&mut self, contracts: &[Contract]) -> Result<()> {
        for sql in setup::comments(&self.names, contracts) {
            self.run(&sql, "describing a table").await?;
        }
        Ok(())
    }

    async fn read(&mut self, table: &str, columns: &[Column]) -> Result<Vec<Vec<Option<String>>>> {
        let cells = columns.iter().map(|c| canonical::plain(c, Dialect::Snowflake));
        let cells: Vec<String> =
            cells.enumerate().map(|(i, c)| format!("{c} AS \"C{i}\"")).collect();
        let sql = format!("SELECT {} FROM {}", cells.join(", "), self.names.any(table));
        Ok(self.run(&sql, "reading a table").await?.rows)
    }

    async fn forget(&mut self, tables: &[String], all: bool) -> Result<()> {
        let names: Vec<String> = tables.iter().map(|t| text::literal(t)).collect();
        let ledger = self.names.own("LEDGER");
        let mut statements = vec!["BEGIN".to_owned(), self.names.lock()];
        if all {
            statements.push(format!("DELETE FROM {ledger}"));
            statements.push(format!(
                "UPDATE {} SET \"GENERATION\" = 0, \"LAKE\" = NULL WHERE \"ID\" = 1",
                self.names.own("PUSH_LOCK")
            ));
        } else {
            let names = names.join(", ");
            statements.push(format!("DELETE FROM {ledger} WHERE \"MART\" IN ({names})"));
        }
        statements.push("COMMIT".to_owned());
        for sql in statements {
            if let Err(failure) = self.session().await?.run(&sql).await {
                // What was begun is undone with its session.
                self.drop_session().await;
                return Err(failure.into_error("forgetting what was pushed"));
            }
        }
        Ok(())
    }

    async fn close(&mut self) {
        self.drop_session().await;
    }
}
