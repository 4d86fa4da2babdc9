//! `freshet serve` and `freshet catch-up`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::args::CatchUp;
use super::line::{Line, stop_signal};
use crate::checkpoint::decision::Decision;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::pipeline::cutting::{Ahead, Until};
use crate::pipeline::drive::Progress;
use crate::pipeline::{Settings, project};
use crate::source::Source;
use crate::source::kafka::KafkaSource;

/// Seconds between two attempts while a server is unavailable.
const RETRY_SECONDS: [u64; 5] = [1, 2, 5, 10, 30];

/// Runs until stopped; a server that is away is waited for.
pub async fn serve(config: &Config) -> Result<ExitCode> {
    let stop = stop_signal()?;
    let mut attempt = 0;
    loop {
        let mut epochs = 0u64;
        let stopped = stop.clone();
        let mut watcher = |progress: Progress<'_>| {
            if let Progress::Epoch(decision) = progress {
                epochs += 1;
                log_epoch(decision);
            }
        };
        match run(config, Until::Stopped, stopped, &mut watcher).await {
            Ok(_) => return Ok(ExitCode::SUCCESS),
            Err(error @ Error::Unavailable { .. }) => {
                attempt = if epochs > 0 { 0 } else { attempt + 1 };
                let wait = RETRY_SECONDS[attempt.min(RETRY_SECONDS.len() - 1)];
                tracing::error!(%error, "a server is unavailable; trying again in {wait} s");
                let mut stop = stop.clone();
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(wait)) => {}
                    _ = stop.wait_for(|stop| *stop) => return Ok(ExitCode::SUCCESS),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Works off what is there: 0 caught up, 1 a test failed, else the error's code.
pub async fn catch_up(config: &Config, options: &CatchUp) -> Result<ExitCode> {
    let stop = stop_signal()?;
    let stopped = stop.clone();
    let mut watcher = |progress: Progress<'_>| {
        if let Progress::Epoch(decision) = progress {
            log_epoch(decision);
        }
    };
    let work = run(config, Until::CaughtUp, stop, &mut watcher);
    // Those of the lake's last epoch, also where this run had nothing to do: a task that is tried
    // again must not come out well by that.
    let failed = match options.timeout {
        None => work.await?,
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), work)
            .await
            .map_err(|e| Error::unavailable(format!("not caught up after {seconds} s"), e))??,
    };
    if *stopped.borrow() {
        let what = "stopped before it was caught up; what is committed stays".to_owned();
        return Err(Error::Unavailable { what, cause: None });
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for test in &failed {
        eprintln!("test failed: {test}");
    }
    Ok(ExitCode::from(1))
}

/// Answers which data tests failed in the lake's last epoch.
async fn run(
    config: &Config,
    until: Until,
    stop: tokio::sync::watch::Receiver<bool>,
    watcher: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Vec<String>> {
    let project = project::load(&config.models.dir, &config.models.vars)?;
    let source =
        |offsets: &_| Ok(Box::new(KafkaSource::open(&config.kafka, offsets)?) as Box<dyn Source>);
    let waiting = config.kafka.queue_bytes_max + config.epoch.buffer_bytes_max as u64;
    let line = Line {
        project: &project,
        settings: Settings {
            lake: config.lake.clone(),
            envelope: config.envelope.clone(),
            proof: config.proof,
            checkpoint: config.checkpoint.clone(),
            memory: config.memory.for_tables(waiting),
            clock: Arc::new(SystemClock),
        },
        epoch: config.epoch.clone(),
        transaction_topic: config.kafka.transaction_topic(),
        topics: config.kafka.topics.clone(),
        publish: super::desk::targets(config)?,
        source: &source,
        ahead: Ahead::Buffer,
        random: None,
        stop,
    };
    tracing::info!(lake = %config.lake.url, brokers = %config.kafka.brokers, "starting");
    let pipeline = line.run(until, watcher).await?;
    let failed = pipeline.last().map(failing).unwrap_or_default();
    let settled = if until == Until::CaughtUp { pipeline.settle().await } else { Vec::new() };
    pipeline.close().await?;
    if let Some(what) = settled.into_iter().find_map(|seen| seen.error) {
        let what = format!("caught up, and not published: {what}");
        return Err(Error::Unavailable { what, cause: None });
    }
    Ok(failed)
}

fn log_epoch(decision: &Decision) {
    let behind = decision.last_commit_us.map(|us| (decision.time_us - us) / 1000);
    tracing::info!(
        epoch = decision.epoch,
        tables = decision.entries.len(),
        behind_ms = behind,
        events = decision.totals.events,
        dead_letters = decision.totals.dead_letters,
        "epoch committed"
    );
    for test in decision.failed_tests() {
        tracing::warn!(test = test.name, failures = test.failures, "data test failed");
    }
}

fn failing(decision: &Decision) -> Vec<String> {
    let failed = decision.failed_tests();
    failed.map(|t| format!("{} ({} rows)", t.name, t.failures)).collect()
}
