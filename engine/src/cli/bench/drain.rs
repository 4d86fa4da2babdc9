//! `freshet bench drain`: how fast the line takes in what a real Kafka holds.
//!
//! The clock runs from the opening of the lake to the last epoch's log entries. Events are row
//! changes; bytes are those of their keys and values in Kafka.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fill::{self, Topics};
use super::memory;
use crate::cli::args::Drain;
use crate::cli::line::{Line, stop_signal};
use crate::cli::{bank_project, line};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pipeline::cutting::{Ahead, Until};
use crate::pipeline::drive::Progress;
use crate::pipeline::{Settings, project, shares};
use crate::source::Source;
use crate::source::kafka::KafkaSource;
use crate::source::options::Options as KafkaOptions;
use crate::{checkpoint, envelope, epoch};

/// What was measured.
struct Measured {
    seconds: f64,
    events: u64,
    records: u64,
    bytes: u64,
    epochs: u64,
    dead_letters: u64,
    epoch_seconds_max: f64,
    peak_bytes: Option<u64>,
}

/// Fills, then drains.
pub async fn run(options: &Drain, config: impl Fn() -> Result<Config>) -> Result<ExitCode> {
    let brokers = match &options.brokers {
        Some(brokers) => brokers.clone(),
        None => config()?.kafka.brokers,
    };
    let default_lake = std::env::temp_dir().join(format!("freshet-drain-{}", std::process::id()));
    let url = options.lake.clone().unwrap_or_else(|| default_lake.display().to_string());
    let lake = line::lake_options(Some(&url), config)?;
    if PathBuf::from(&url).join("_freshet").exists() {
        return Err(Error::invalid(format!("\"{url}\" holds a lake already"))
            .with_hint("name a new folder with --lake: the bench starts from nothing"));
    }
    if options.events > 0 {
        fill::fill(&brokers, options).await?;
    }
    memory::forget_peak();
    let measured = drain(options, &brokers, lake).await?;
    if options.json {
        println!("{}", measured.as_json());
    } else {
        measured.print(&url);
    }
    Ok(ExitCode::SUCCESS)
}

async fn drain(
    options: &Drain,
    brokers: &str,
    lake: crate::lake::options::Options,
) -> Result<Measured> {
    let project = match &options.models {
        Some(folder) => project::load(folder, &Default::default())?,
        None => bank_project::sources()?,
    };
    let topics = Topics::of(&options.prefix);
    let mut kafka = KafkaOptions { topics: topics.all(), ..KafkaOptions::at(brokers) };
    let mut bounds = epoch::options::Options::default();
    if let Some(bytes) = options.buffer_bytes {
        kafka.queue_bytes_max = bytes;
        bounds.buffer_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
        bounds.bytes_max = bounds.bytes_max.min(bounds.buffer_bytes_max / 2);
    }
    let source = |offsets: &_| Ok(Box::new(KafkaSource::open(&kafka, offsets)?) as Box<dyn Source>);
    let line = Line {
        project: &project,
        settings: Settings {
            lake,
            envelope: envelope::options::Options::default(),
            proof: crate::transform::options::ProofOptions { share_percent: 0 },
            checkpoint: checkpoint::options::Options::default(),
            memory: crate::lake::options::Memory::default(),
            clock: Arc::new(SystemClock),
        },
        epoch: bounds,
        transaction_topic: Some(topics.transactions),
        topics: Vec::new(),
        publish: Vec::new(),
        source: &source,
        ahead: Ahead::Buffer,
        random: None,
        stop: stop_signal()?,
    };
    let started = Instant::now();
    let mut last = started;
    let (mut records, mut bytes, mut longest) = (0, 0, Duration::ZERO);
    let mut watcher = |progress: Progress<'_>| match progress {
        Progress::Read(so_far) => (records, bytes) = (so_far.records, so_far.bytes),
        Progress::Epoch(_) => {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
    };
    let pipeline = line.run(Until::CaughtUp, &mut watcher).await?;
    let seconds = started.elapsed().as_secs_f64();
    let decision = pipeline.last().cloned();
    let decision = decision.ok_or_else(|| {
        Error::invalid(format!("topics under \"{}\" hold nothing", options.prefix))
            .with_hint("fill them with --events N")
    })?;
    pipeline.close().await?;
    Ok(Measured {
        seconds,
        events: decision.totals.events,
        records,
        bytes,
        epochs: decision.epoch,
        dead_letters: decision.totals.dead_letters,
        epoch_seconds_max: longest.as_secs_f64(),
        peak_bytes: memory::peak_bytes(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no last digit")]
const fn real(number: u64) -> f64 {
    number as f64
}

impl Measured {
    fn as_json(&self) -> serde_json::Value {
        let shares: serde_json::Map<String, serde_json::Value> = shares::ALL
            .iter()
            .zip(shares::nanos())
            .map(|(share, nanos)| (share.word().to_owned(), json!(real(nanos) / 1e9)))
            .collect();
        json!({
            "seconds": self.seconds,
            "events": self.events,
            "records": self.records,
            "bytes": self.bytes,
            "epochs": self.epochs,
            "dead_letters": self.dead_letters,
            "events_per_second": real(self.events) / self.seconds,
            "bytes_per_second": real(self.bytes) / self.seconds,
            "epoch_seconds_max": self.epoch_seconds_max,
            "peak_bytes": self.peak_bytes,
            "share_seconds": shares,
        })
    }

    fn print(&self, lake: &str) {
        let mib = |bytes: u64| real(bytes) / f64::from(1 << 20);
        println!(
            "{} events ({} records) in {} epochs, {:.1} s: {:.0} events/s, {:.1} MiB/s",
            self.events,
            self.records,
            self.epochs,
            self.seconds,
            real(self.events) / self.seconds,
            mib(self.bytes) / self.seconds
        );
        if let Some(peak) = self.peak_bytes {
            println!("peak memory {:.0} MiB", mib(peak));
        }
        println!(
            "longest epoch {:.2} s, dead letters {}",
            self.epoch_seconds_max, self.dead_letters
        );
        println!("\nstation        seconds   of the time   ns an event");
        for (share, nanos) in shares::ALL.iter().zip(shares::nanos()) {
            let seconds = real(nanos) / 1e9;
            println!(
                "{:<12} {:>9.2} {:>12.1} % {:>13.0}",
                share.word(),
                seconds,
                seconds / self.seconds * 100.0,
                real(nanos) / real(self.events.max(1))
            );
        }
        println!("\nlake: {lake}");
    }
}
