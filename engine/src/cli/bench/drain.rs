//! `freshet bench drain`: how fast the line takes in what a real Kafka holds.
//!
//! The clock runs from the opening of the lake to the last epoch's log entries. Events are row
//! changes; bytes are those of their keys and values in Kafka. With models their first build is over
//! before the topics are filled: an initial read in which they wait must never pass for their following.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use freshet_sql::project::Project;
use serde_json::json;

use super::fill::{Life, Topics};
use super::{memory, percentile};
use crate::cli::args::Drain;
use crate::cli::line::{Line, OpenSource, stop_signal};
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
use crate::transform::report::Mode;
use crate::{checkpoint, envelope, epoch};

/// What was measured.
#[derive(Default)]
struct Measured {
    seconds: f64,
    events: u64,
    records: u64,
    bytes: u64,
    dead_letters: u64,
    /// From one decision to the next.
    epoch_seconds: Vec<f64>,
    /// Runs of models that followed their inputs, and that were recomputed.
    modes: [u64; 2],
    /// By station, in the order of the line.
    share_nanos: Vec<u64>,
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
    let project = match &options.models {
        Some(folder) => project::load(folder, &Default::default())?,
        None => bank_project::sources()?,
    };
    let bench = Bench { options, brokers: &brokers, lake, project };
    let mut known = [0; 2];
    if options.events > 0 {
        let mut life = Life::begin(&brokers, options).await?;
        if options.models.is_some() {
            let built = bench.drain(known).await?;
            known = [built.events, built.dead_letters];
        }
        life.fill(options.events)?;
    }
    memory::forget_peak();
    let measured = bench.drain(known).await?;
    if options.json {
        println!("{}", measured.as_json());
    } else {
        measured.print(&url);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is drained, and how.
struct Bench<'b> {
    options: &'b Drain,
    brokers: &'b str,
    lake: crate::lake::options::Options,
    project: Project,
}

impl Bench<'_> {
    /// Takes in all that the topics hold beyond the `known` events and dead letters of the lake.
    async fn drain(&self, known: [u64; 2]) -> Result<Measured> {
        let mut measured = Measured::default();
        let before = shares::nanos();
        let started = Instant::now();
        let mut last = started;
        let mut watcher = |progress: Progress<'_>| match progress {
            Progress::Read(so_far) => {
                (measured.records, measured.bytes) = (so_far.records, so_far.bytes);
            }
            Progress::Epoch(decision) => {
                measured.epoch_seconds.push(last.elapsed().as_secs_f64());
                last = Instant::now();
                for model in &decision.models {
                    measured.modes[0] += u64::from(model.mode == Mode::Follow);
                    measured.modes[1] += u64::from(model.mode == Mode::Recompute);
                }
            }
        };
        let topics = Topics::of(&self.options.prefix);
        let (kafka, bounds) = self.bounds(&topics);
        let source =
            |offsets: &_| Ok(Box::new(KafkaSource::open(&kafka, offsets)?) as Box<dyn Source>);
        let line = self.line(topics, bounds, &source)?;
        let pipeline = line.run(Until::CaughtUp, &mut watcher).await?;
        measured.seconds = started.elapsed().as_secs_f64();
        let decision = pipeline.last().cloned();
        let decision = decision.ok_or_else(|| {
            Error::invalid(format!("topics under \"{}\" hold nothing", self.options.prefix))
                .with_hint("fill them with --events N")
        })?;
        pipeline.close().await?;
        measured.events = decision.totals.events - known[0];
        measured.dead_letters = decision.totals.dead_letters - known[1];
        measured.peak_bytes = memory::peak_bytes();
        measured.share_nanos = shares::nanos().iter().zip(before).map(|(n, b)| n - b).collect();
        Ok(measured)
    }

    fn bounds(&self, topics: &Topics) -> (KafkaOptions, epoch::options::Options) {
        let mut kafka = KafkaOptions { topics: topics.all(), ..KafkaOptions::at(self.brokers) };
        let mut bounds = epoch::options::Options::default();
        if let Some(bytes) = self.options.buffer_bytes {
            kafka.queue_bytes_max = bytes;
            bounds.buffer_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
            bounds.bytes_max = bounds.bytes_max.min(bounds.buffer_bytes_max / 2);
        }
        (kafka, bounds)
    }

    fn line<'l>(
        &'l self,
        topics: Topics,
        epoch: epoch::options::Options,
        source: &'l OpenSource<'l>,
    ) -> Result<Line<'l>> {
        let waiting =
            KafkaOptions::at(self.brokers).queue_bytes_max + epoch.buffer_bytes_max as u64;
        Ok(Line {
            project: &self.project,
            settings: Settings {
                lake: self.lake.clone(),
                envelope: envelope::options::Options::default(),
                proof: crate::transform::options::ProofOptions { share_percent: 0 },
                checkpoint: checkpoint::options::Options::default(),
                memory: crate::lake::options::Memory::default().for_tables(waiting),
                clock: Arc::new(SystemClock),
            },
            epoch,
            transaction_topic: Some(topics.transactions),
            topics: Vec::new(),
            publish: Vec::new(),
            source,
            ahead: Ahead::Buffer,
            random: None,
            stop: stop_signal()?,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no last digit")]
const fn real(number: u64) -> f64 {
    number as f64
}

impl Measured {
    fn as_json(&self) -> serde_json::Value {
        let shares: serde_json::Map<String, serde_json::Value> = shares::ALL
            .iter()
            .zip(&self.share_nanos)
            .map(|(share, nanos)| (share.word().to_owned(), json!(real(*nanos) / 1e9)))
            .collect();
        json!({
            "seconds": self.seconds,
            "events": self.events,
            "records": self.records,
            "bytes": self.bytes,
            "epochs": self.epoch_seconds.len(),
            "dead_letters": self.dead_letters,
            "events_per_second": real(self.events) / self.seconds,
            "bytes_per_second": real(self.bytes) / self.seconds,
            "epoch_seconds_p50": percentile(&self.epoch_seconds, 0.5),
            "epoch_seconds_max": percentile(&self.epoch_seconds, 1.0),
            "models_followed": self.modes[0],
            "models_recomputed": self.modes[1],
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
            self.epoch_seconds.len(),
            self.seconds,
            real(self.events) / self.seconds,
            mib(self.bytes) / self.seconds
        );
        if let Some(peak) = self.peak_bytes {
            println!("peak memory {:.0} MiB", mib(peak));
        }
        println!(
            "an epoch: p50 {:.2} s, longest {:.2} s; models followed {} times, recomputed {}; dead \
             letters {}",
            percentile(&self.epoch_seconds, 0.5),
            percentile(&self.epoch_seconds, 1.0),
            self.modes[0],
            self.modes[1],
            self.dead_letters
        );
        println!("\nstation        seconds   of the time   ns an event");
        for (share, nanos) in shares::ALL.iter().zip(&self.share_nanos) {
            let seconds = real(*nanos) / 1e9;
            println!(
                "{:<12} {:>9.2} {:>12.1} % {:>13.0}",
                share.word(),
                seconds,
                seconds / self.seconds * 100.0,
                real(*nanos) / real(self.events.max(1))
            );
        }
        println!("\nlake: {lake}");
    }
}
