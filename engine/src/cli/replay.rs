//! `freshet replay`: captured records through the whole line.
//!
//! The same capture gives the same rows, however it is cut (audit columns aside): an incident can be
//! repeated at a desk.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::args::Replay;
use super::bank_project;
use super::line::{Line, stop_signal};
use crate::checkpoint;
use crate::clock::SystemClock;
use crate::envelope;
use crate::epoch::options::Options as EpochOptions;
use crate::error::Result;
use crate::lake::options::Options as LakeOptions;
use crate::pipeline::cutting::{Ahead, RandomCuts, Until};
use crate::pipeline::drive::Progress;
use crate::pipeline::{Settings, project};
use crate::source::Source;
use crate::source::capture::{CaptureSource, Order};

/// Records read at once: small, so that random cuts fall between any two.
const BATCH_RECORDS: usize = 64;

/// Runs the capture to its end.
pub async fn run(options: &Replay) -> Result<ExitCode> {
    let project = match &options.models {
        Some(folder) => project::load(folder, &Default::default())?,
        None => bank_project::load()?,
    };
    let order = options.interleave_seed.map_or(Order::File, Order::Interleaved);
    let path: &Path = &options.capture;
    let source = |offsets: &_| {
        let source = CaptureSource::open(path, offsets, order, BATCH_RECORDS)?;
        Ok(Box::new(source) as Box<dyn Source>)
    };
    let defaults = EpochOptions::default();
    let line = Line {
        project: &project,
        settings: Settings {
            lake: LakeOptions::at(options.lake.display().to_string()),
            envelope: envelope::options::Options::default(),
            proof: crate::transform::options::ProofOptions::default(),
            checkpoint: checkpoint::options::Options::default(),
            memory: crate::lake::options::Memory::default(),
            clock: Arc::new(SystemClock),
        },
        epoch: EpochOptions {
            rows_max: options.epoch_rows.unwrap_or(defaults.rows_max),
            // By rows and bytes alone: a replay's epochs must not depend on how fast it runs.
            age_max_ms: u64::MAX,
            idle_partition_ms: 0,
            ..defaults
        },
        transaction_topic: options.transaction_topic.clone(),
        topics: Vec::new(),
        publish: Vec::new(),
        source: &source,
        ahead: Ahead::Nothing,
        random: options.cut_seed.map(|seed| RandomCuts {
            seed,
            items_max: options.epoch_rows.unwrap_or(200) as u64 * 2,
        }),
        stop: stop_signal()?,
    };
    let mut watcher = |progress: Progress<'_>| {
        if let Progress::Epoch(decision) = progress {
            println!(
                "epoch {}: {} tables, {} events so far",
                decision.epoch,
                decision.entries.len(),
                decision.totals.events
            );
        }
    };
    let pipeline = line.run(Until::CaughtUp, &mut watcher).await?;
    let name = pipeline.store().name().to_owned();
    pipeline.close().await?;
    println!("lake: {name}");
    Ok(ExitCode::SUCCESS)
}
