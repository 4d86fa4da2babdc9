//! A target under test: attempts at it, and comparing it with the lake.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use freshet::checkpoint::decision::Decision;
use freshet::emulator::Emulator;
use freshet::error::{Error, Result};
use freshet::pipeline::publishing::prepare;
use freshet::publish::attempt::{Attempt, Ended};
use freshet::publish::contract::Contract;
use freshet::publish::cursor;
use freshet::publish::lakeside;
use freshet::publish::options::{Policy, Snowflake as Options};
use freshet::publish::snowflake::Snowflake;
use freshet::publish::snowflake::credentials::Credentials;
use freshet::publish::target::Target;
use freshet::publish::verify::{Finding, verify};
use freshet::publish::warehouse::Warehouse;

use super::bank::BankLake;

/// Options that log in at an emulator.
pub fn options(emulator: &Emulator, models: &[&str]) -> Options {
    let models = models.iter().map(|m| (*m).to_owned()).collect();
    let policy = Policy { models, ..Policy::default() };
    Options { policy, ..Options::at("bank", &emulator.url()) }
}

pub fn snowflake(options: Options) -> Target {
    Target::Snowflake(Box::new(options), Credentials::Password("tulip".to_owned()))
}

/// A lake and a target, ready for attempts.
pub struct Pushing<'l> {
    pub lake: &'l BankLake,
    pub target: Target,
    pub contracts: Vec<Contract>,
    pub generation: u64,
    pub tries: usize,
}

impl<'l> Pushing<'l> {
    pub async fn new(lake: &'l BankLake, target: Target) -> Self {
        let (planned, catalog) = lake.planned().await;
        let (target, contracts) = prepare(&target, &lake.project, &planned, &catalog).unwrap();
        Self { lake, target, contracts, generation: 1, tries: 1 }
    }

    /// The same target as the lake has gone on.
    pub fn on<'n>(&self, lake: &'n BankLake) -> Pushing<'n> {
        let (target, contracts) = (self.target.clone(), self.contracts.clone());
        Pushing { lake, target, contracts, generation: self.generation, tries: self.tries }
    }

    /// A client of its own, as a process has it.
    pub async fn attempt(&self) -> Attempt {
        let id = lakeside::identity(&self.lake.store()).await.unwrap();
        let store = self.lake.store();
        let contracts = self.contracts.clone();
        let mut attempt = self.target.attempt(store, id, self.generation, contracts).unwrap();
        if let Target::Snowflake(options, credentials) = &self.target {
            let made = Snowflake::new(options.as_ref().clone(), credentials.clone());
            attempt.warehouse = Box::new(made.with_tries(self.tries));
        }
        attempt
    }

    /// One attempt to bring the target to an epoch, from what its ledger says.
    pub async fn once(&self, attempt: &mut Attempt, decision: &Decision) -> Result<Ended> {
        let standing = match &attempt.known {
            Some(known) => known.clone(),
            None => attempt.warehouse.standing(&self.contracts).await?,
        };
        let (store, name) = (self.lake.store(), self.target.name());
        let span = (standing.pushed(), decision.epoch);
        let mut pending = cursor::waiting(&store, name, &self.contracts, span, 1_000_000).await?;
        attempt.run(&mut pending, decision).await
    }

    /// Attempts until the target holds the epoch; the failures on the way.
    pub async fn until_pushed(&self, attempt: &mut Attempt, decision: &Decision) -> Vec<Error> {
        let mut failures = Vec::new();
        for _ in 0..20 {
            match self.once(attempt, decision).await {
                Ok(Ended::Pushed(_)) => return failures,
                Ok(Ended::Moved(_)) => {}
                Ok(Ended::Fenced(generation)) => panic!("fenced by generation {generation}"),
                Err(error) => failures.push(error),
            }
        }
        panic!("twenty attempts failed: {failures:?}");
    }

    /// Compares every table with the lake, by the target's own hashes.
    pub async fn compare(&self, decision: &Decision) -> Vec<Finding> {
        let mut warehouse = self.attempt().await.warehouse;
        self.compare_by(warehouse.as_mut(), decision).await
    }

    pub async fn compare_by(
        &self,
        warehouse: &mut dyn Warehouse,
        decision: &Decision,
    ) -> Vec<Finding> {
        let standing = warehouse.standing(&self.contracts).await.unwrap();
        for contract in &self.contracts {
            let row = &standing.ledger[&contract.table];
            let truth = lakeside::standing(decision, contract, row.generation);
            assert_eq!(*row, truth, "the ledger of {}", contract.table);
        }
        let store = self.lake.store();
        let found = verify(warehouse, &store, decision, &self.contracts, &standing).await;
        warehouse.close().await;
        let found = found.unwrap();
        assert_eq!(found.len(), self.contracts.len());
        found
    }

    pub async fn assert_same(&self, decision: &Decision, context: &str) {
        for finding in self.compare(decision).await {
            assert!(finding.same, "{context}: {finding:?}");
        }
    }
}

/// The only number of an answer.
pub fn number(rows: &[RecordBatch]) -> i64 {
    let column = arrow::compute::cast(rows[0].column(0), &DataType::Int64).unwrap();
    column.as_primitive::<Int64Type>().value(0)
}

/// Texts of an answer's first column.
pub fn texts(rows: &[RecordBatch]) -> Vec<String> {
    let column = |b: &RecordBatch| arrow::compute::cast(b.column(0), &DataType::Utf8).unwrap();
    let texts = |b: &RecordBatch| {
        let column = column(b);
        column.as_string::<i32>().iter().map(|t| t.unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    rows.iter().flat_map(texts).collect()
}

/// Rows of the tables of a target, by name, for a check that nothing was touched.
pub async fn counts(emulator: &Emulator, tables: &[&str]) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for table in tables {
        let rows = emulator.ask(&format!("select count(*) from BANKING.ANALYTICS.{table}")).await;
        counts.insert((*table).to_owned(), rows.map_or(-1, |rows| number(&rows)));
    }
    counts
}
