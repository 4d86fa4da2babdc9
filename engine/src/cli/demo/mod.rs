//! `freshet demo`: the whole line in one process, on a machine with nothing running.
//!
//! An embedded Kafka broker, the bank that writes Debezium-shaped changes into it (initial read and
//! connector faults included), the engine, and a lake in a local folder. It ends by itself, checks
//! what must hold, and says where everything lies.

mod bank;
mod check;
mod view;
pub mod warehouse;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::sync::watch;

use self::bank::{Feed, Teller};
use self::check::Findings;
use self::view::View;
use self::warehouse::Warehouse;
use super::args::Demo;
use super::line::{Line, stop_signal};
use super::{bank_project, status};
use crate::checkpoint::recover;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::lake::options::Options as LakeOptions;
use crate::lake::store::Store;
use crate::pipeline::cutting::{Ahead, Until};
use crate::pipeline::drive::Progress;
use crate::pipeline::{Settings, project};
use crate::publish::target::Target;
use crate::source::Source;
use crate::source::kafka::KafkaSource;
use crate::source::options::Options as KafkaOptions;
use crate::{checkpoint, envelope, epoch};

/// Transactions of the bank per second.
const RATE: u64 = 200;
const SEED: u64 = 1;

/// Runs the demo.
pub async fn run(options: &Demo) -> Result<ExitCode> {
    let project = match &options.models {
        Some(folder) => project::load(folder, &Default::default())?,
        None => bank_project::load()?,
    };
    let folder = lake_folder(options.lake.as_deref())?;
    let teller = Teller {
        seed: options.seed.unwrap_or(SEED),
        rate: options.rate.unwrap_or(RATE),
        seconds: options.seconds,
        capture: options.capture.clone(),
    };
    let mut view = View::new(options.json, options.seconds, project.models.len());
    view.opening(&folder, &teller)?;
    let warehouse = match options.warehouse {
        Some(kind) => Some(Warehouse::start(kind, &folder).await?),
        None => None,
    };
    let feed = Feed::start(teller)?;
    let started = Instant::now();
    let targets = warehouse.iter().map(|w| w.target.clone()).collect();
    run_line(&project, &folder, &feed, targets, &mut view).await?;
    let told = feed.finish()?;
    let store = Store::open_existing(&LakeOptions::at(folder.display().to_string()))?;
    let decision = recover::latest(&store).await?;
    let decision = decision.ok_or_else(|| Error::bug("the demo decided no epoch"))?;
    let mut findings = Findings::of(&store, &decision, &told).await?;
    if let Some(warehouse) = &warehouse {
        findings.extend(warehouse.check(&store, &decision, &project).await?);
    }
    view.closing(started.elapsed());
    if options.json {
        let mut result = status::as_json(store.name(), &decision);
        result["seconds"] = json!(started.elapsed().as_secs_f64());
        result["checks"] = findings.as_json();
        println!("{result}");
    } else {
        findings.print(&store, &decision, &folder).await?;
        if let Some(warehouse) = &warehouse {
            warehouse.print(&store).await?;
        }
    }
    Ok(if findings.hold() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn run_line(
    project: &freshet_sql::project::Project,
    folder: &Path,
    feed: &Feed,
    publish: Vec<Target>,
    view: &mut View,
) -> Result<()> {
    // The embedded broker has no ids of its topics.
    let kafka = KafkaOptions {
        topics: feed.topics(),
        topic_ids_wait_ms: 0,
        ..KafkaOptions::at(feed.bootstrap())
    };
    let source = |offsets: &_| Ok(Box::new(KafkaSource::open(&kafka, offsets)?) as Box<dyn Source>);
    let (done, stop) = watch::channel(false);
    let line = Line {
        project,
        settings: Settings {
            lake: LakeOptions::at(folder.display().to_string()),
            envelope: envelope::options::Options::default(),
            proof: crate::transform::options::ProofOptions::default(),
            checkpoint: checkpoint::options::Options::default(),
            memory: crate::lake::options::Memory::default(),
            clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        },
        epoch: epoch::Options { idle_partition_ms: 2000, ..epoch::Options::default() },
        transaction_topic: Some(feed.transaction_topic()),
        topics: Vec::new(),
        publish,
        source: &source,
        ahead: Ahead::Buffer,
        random: None,
        stop,
    };
    let mut interrupted = stop_signal()?;
    let ends = feed.ends();
    let mut watcher = |progress: Progress<'_>| {
        if let Progress::Epoch(decision) = &progress {
            feed.consumed(&decision.offsets);
            if feed.is_over() && ends.are_passed(&decision.offsets) {
                let _ = done.send(true);
            }
        }
        view.tell(&progress, feed);
    };
    let pipeline = tokio::select! {
        pipeline = line.run(Until::Stopped, &mut watcher) => pipeline?,
        _ = interrupted.wait_for(|stop| *stop) => {
            return Err(Error::failed("the demo was interrupted"));
        }
    };
    pipeline.settle().await;
    pipeline.close().await
}

fn lake_folder(wanted: Option<&Path>) -> Result<PathBuf> {
    let folder = match wanted {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!("freshet-demo-{}", std::process::id())),
    };
    if folder.join("_freshet").exists() {
        let message = format!("\"{}\" holds a lake already", folder.display());
        return Err(Error::invalid(message)
            .with_hint("the demo's broker starts from nothing each time: name a new folder"));
    }
    Ok(folder)
}
