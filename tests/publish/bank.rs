//! A lake that the bank's life fills, epoch by epoch.

use std::sync::Arc;

use freshet::bank::debezium::message::Message;
use freshet::bank::debezium::options::RenderOptions;
use freshet::bank::debezium::renderer::Renderer;
use freshet::bank::teller::Bank;
use freshet::checkpoint;
use freshet::checkpoint::decision::Decision;
use freshet::cli::bank_project;
use freshet::clock::ManualClock;
use freshet::envelope;
use freshet::envelope::change::Parsed;
use freshet::envelope::parse::Parser;
use freshet::epoch::content::Epoch;
use freshet::epoch::loading::{CutState, Phase};
use freshet::lake::options::Options as LakeOptions;
use freshet::lake::store::Store;
use freshet::pipeline::catalog::Catalog;
use freshet::pipeline::{Pipeline, Settings};
use freshet::source::record::Record;
use freshet::transform::plan::Planned;
use freshet_sql::project::Project;

/// 2026-01-01 00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;
const SECOND_US: i64 = 1_000_000;

pub struct BankLake {
    pub folder: tempfile::TempDir,
    pub project: Project,
    pub pipeline: Pipeline,
    pub decisions: Vec<Decision>,
    /// The books in cents after each decision.
    pub books: Vec<i64>,
    clock: ManualClock,
    bank: Bank,
    renderer: Renderer,
    parser: Parser,
    now_us: i64,
    offset: i64,
}

impl BankLake {
    /// A lake whose first epoch is the initial read of so many customers.
    pub async fn open(customers: u32, seed: u64) -> Self {
        let project = bank_project::load().unwrap();
        Self::open_with(project, customers, seed).await
    }

    pub async fn open_with(project: Project, customers: u32, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        clock.set_us(START_US);
        let pipeline = Pipeline::open(&project, settings(&folder, &clock)).await.unwrap();
        let mut bank = Bank::new(seed);
        bank.open(customers, START_US);
        let mut lake = Self {
            folder,
            project,
            pipeline,
            decisions: Vec::new(),
            books: Vec::new(),
            clock,
            bank,
            renderer: Renderer::new(RenderOptions::default()),
            parser: Parser::new(envelope::options::Options::default()),
            now_us: START_US,
            offset: 0,
        };
        let read = lake.renderer.initial_read(lake.bank.ledger(), START_US);
        lake.step(read).await;
        lake
    }

    /// One more epoch of so many transactions.
    pub async fn live(&mut self, transactions: usize) {
        let mut messages = Vec::new();
        for _ in 0..transactions {
            self.now_us += SECOND_US;
            let transaction = self.bank.next(self.now_us);
            messages.extend(self.renderer.render(&transaction, self.now_us));
        }
        self.step(messages).await;
    }

    async fn step(&mut self, messages: Vec<Message>) {
        let mut changes = Vec::new();
        for message in messages {
            self.offset += 1;
            let record = Record {
                topic: message.topic.clone(),
                partition: 0,
                offset: self.offset,
                timestamp_ms: message.timestamp_ms,
                key: message.key,
                value: message.value,
                headers: Vec::new(),
            };
            if let Parsed::Change(change) = self.parser.parse(&record) {
                changes.push(*change);
            }
        }
        self.clock.set_us(self.now_us);
        let state = CutState { phase: Phase::Done, ..CutState::default() };
        let epoch = Epoch {
            rows: changes.len(),
            first_commit_us: changes.iter().map(|c| c.commit_us).min(),
            last_commit_us: changes.iter().map(|c| c.commit_us).max(),
            changes,
            ..Epoch::empty(state)
        };
        self.pipeline.step(&epoch).await.unwrap();
        self.decisions.push(self.pipeline.last().unwrap().clone());
        self.books.push(self.bank.books_cents());
    }

    pub fn store(&self) -> Store {
        self.pipeline.store().clone()
    }

    pub fn last(&self) -> &Decision {
        self.decisions.last().unwrap()
    }

    /// The project, planned on its sources.
    pub async fn planned(&self) -> (Planned, Catalog) {
        let catalog =
            Catalog::of(&self.project, &envelope::options::Options::default()).unwrap();
        let columns: Vec<_> = catalog.iter().map(|(_, t)| t.columns()).collect();
        (Planned::new(&self.project, &columns).await.unwrap(), catalog)
    }

    /// Closes the pipeline and opens it anew, perhaps under another project.
    pub async fn reopen(mut self, project: Option<Project>) -> Self {
        self.pipeline.close().await.unwrap();
        self.project = project.unwrap_or(self.project);
        let settings = settings(&self.folder, &self.clock);
        self.pipeline = Pipeline::open(&self.project, settings).await.unwrap();
        self
    }
}

fn settings(folder: &tempfile::TempDir, clock: &ManualClock) -> Settings {
    Settings {
        lake: LakeOptions::at(folder.path().display().to_string()),
        envelope: envelope::options::Options::default(),
        checkpoint: checkpoint::options::Options::default(),
        clock: Arc::new(clock.clone()),
    }
}
