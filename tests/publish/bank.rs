//! A lake that the bank's life fills, epoch by epoch.

use std::sync::Arc;

use freshet::checkpoint;
use freshet::checkpoint::decision::Decision;
use freshet::cli::bank_project;
use freshet::cli::bench::life::Life;
use freshet::clock::ManualClock;
use freshet::envelope;
use freshet::epoch::content::Epoch;
use freshet::lake::options::{Memory, Options as LakeOptions};
use freshet::lake::store::Store;
use freshet::pipeline::catalog::Catalog;
use freshet::pipeline::{Pipeline, Settings};
use freshet::transform::options::ProofOptions;
use freshet::transform::planned::Planned;
use freshet_sql::project::Project;

/// 2026-01-01 00:00 UTC.
const START_US: i64 = 1_767_225_600_000_000;

pub struct BankLake {
    pub folder: tempfile::TempDir,
    pub project: Project,
    pub pipeline: Pipeline,
    pub decisions: Vec<Decision>,
    /// The books in cents after each decision.
    pub books: Vec<i64>,
    clock: ManualClock,
    life: Life,
    /// Where local copies are kept, if they are.
    pub cold: Option<tempfile::TempDir>,
    /// What the continuous prover may take from the next opening on.
    pub proof: ProofOptions,
}

impl BankLake {
    /// A lake whose first epoch is the initial read of so many customers.
    pub async fn open(customers: u32, seed: u64) -> Self {
        let project = bank_project::load().unwrap();
        Self::open_with(project, None, customers, seed).await
    }

    /// The same, with local copies for a quick start.
    pub async fn open_keeping(customers: u32, seed: u64) -> Self {
        let project = bank_project::load().unwrap();
        Self::open_with(project, Some(tempfile::tempdir().unwrap()), customers, seed).await
    }

    /// The same with another project over the bank.
    pub async fn open_with(
        project: Project,
        cold: Option<tempfile::TempDir>,
        customers: u32,
        seed: u64,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        clock.set_us(START_US);
        let proof = ProofOptions::default();
        let settings = settings(&folder, cold.as_ref(), proof, &clock);
        let pipeline = Pipeline::open(&project, settings).await.unwrap();
        let mut life = Life::new(seed, customers, START_US);
        let read = life.initial();
        let (decisions, books) = (Vec::new(), Vec::new());
        let mut lake =
            Self { folder, project, pipeline, decisions, books, clock, life, cold, proof };
        lake.step(read).await;
        lake
    }

    /// One more epoch of so many transactions.
    pub async fn live(&mut self, transactions: usize) {
        let epoch = self.life.next(transactions);
        self.step(epoch).await;
    }

    async fn step(&mut self, epoch: Epoch) {
        self.clock.set_us(self.life.now_us());
        self.pipeline.step(&epoch).await.unwrap();
        self.decisions.push(self.pipeline.last().unwrap().clone());
        self.books.push(self.life.books_cents());
    }

    pub fn store(&self) -> Store {
        self.pipeline.store().clone()
    }

    pub fn last(&self) -> &Decision {
        self.decisions.last().unwrap()
    }

    /// The project, planned on its sources.
    pub async fn planned(&self) -> (Planned, Catalog) {
        let catalog = Catalog::of(&self.project, &envelope::options::Options::default()).unwrap();
        (Planned::new(&self.project, &catalog.columns()).await.unwrap(), catalog)
    }

    /// Closes the pipeline and opens it anew, perhaps under another project.
    pub async fn reopen(mut self, project: Option<Project>) -> Self {
        self.pipeline.close().await.unwrap();
        self.project = project.unwrap_or(self.project);
        let settings = settings(&self.folder, self.cold.as_ref(), self.proof, &self.clock);
        self.pipeline = Pipeline::open(&self.project, settings).await.unwrap();
        self
    }
}

fn settings(
    folder: &tempfile::TempDir,
    cold: Option<&tempfile::TempDir>,
    proof: ProofOptions,
    clock: &ManualClock,
) -> Settings {
    let cold_dir = cold.map(|dir| dir.path().display().to_string()).unwrap_or_default();
    Settings {
        lake: LakeOptions::at(folder.path().display().to_string()),
        envelope: envelope::options::Options::default(),
        proof,
        checkpoint: checkpoint::options::Options::default(),
        memory: Memory { cold_dir, ..Memory::default() },
        clock: Arc::new(clock.clone()),
    }
}
