//! `freshet bench publish`: what a push takes, over the emulated Snowflake or a local file.
//!
//! Each epoch is committed, then its push awaited: the delay runs from the commit in the lake to the
//! commit in the target. Warehouse seconds are what statements took here; how long a warehouse would
//! be awake for them follows from its minute of AUTO_SUSPEND, and is set beside a COPY each minute.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::life::Life;
use super::percentile;
use crate::cli::args::PublishBench;
use crate::cli::bank_project;
use crate::cli::demo::warehouse::Warehouse;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::lake::options::Options as LakeOptions;
use crate::lake::{changelog, layout};
use crate::pipeline::{Pipeline, Settings};
use crate::publish::contract::Contract;
use crate::publish::cursor::Cursor;
use crate::publish::keyed::by_key;
use crate::publish::policy;
use crate::{checkpoint, envelope};

/// What was measured.
#[derive(Default)]
struct Measured {
    pushes: u64,
    rows_changed: u64,
    rows_sent: u64,
    requests: u64,
    bytes: u64,
    busy_seconds: f64,
    delays_ms: Vec<f64>,
}

/// Measures.
pub async fn run(options: &PublishBench) -> Result<ExitCode> {
    let folder = std::env::temp_dir().join(format!("freshet-bench-{}", std::process::id()));
    let measured = pushes(options, &folder).await;
    let removed = std::fs::remove_dir_all(&folder);
    let measured = measured?;
    removed
        .map_err(|e| Error::unavailable(format!("cannot remove \"{}\"", folder.display()), e))?;
    if options.json {
        println!("{}", measured.as_json());
    } else {
        measured.print();
    }
    Ok(ExitCode::SUCCESS)
}

async fn pushes(options: &PublishBench, folder: &std::path::Path) -> Result<Measured> {
    let project = bank_project::load()?;
    let warehouse = Warehouse::start(options.warehouse, folder).await?;
    let mut pipeline = Pipeline::open(
        &project,
        Settings {
            lake: LakeOptions::at(folder.display().to_string()),
            envelope: envelope::options::Options::default(),
            proof: crate::transform::options::ProofOptions { share_percent: 0 },
            checkpoint: checkpoint::options::Options::default(),
            memory: crate::lake::options::Memory::default(),
            clock: Arc::new(SystemClock),
        },
    )
    .await?;
    let contracts = pipeline.contracts(&project, &warehouse.target)?;
    pipeline.publish_to(&project, std::slice::from_ref(&warehouse.target)).await?;
    let mut life = Life::new(options.seed, options.customers, SystemClock.now_us());
    pipeline.step(&life.initial()).await?;
    pipeline.settle().await;
    let mut measured = Measured::default();
    for _ in 0..options.epochs {
        let epoch = life.next(options.transactions);
        pipeline.step(&epoch).await?;
        let since = Instant::now();
        for seen in pipeline.settle().await {
            if let Some(error) = seen.error {
                return Err(Error::failed(format!("a push failed: {error}")));
            }
        }
        measured.delays_ms.push(since.elapsed().as_secs_f64() * 1e3);
        measured.rows_changed += changed(&pipeline, &contracts).await?;
        let cursor = Cursor::read(pipeline.store(), warehouse.target.name()).await?;
        let last = cursor.recent.last().ok_or_else(|| Error::bug("a push left no record"))?;
        measured.pushes += 1;
        measured.rows_sent += last.cost.rows;
        measured.requests += last.cost.requests;
        measured.bytes += last.cost.bytes;
        measured.busy_seconds += last.cost.warehouse_seconds;
    }
    pipeline.close().await?;
    Ok(measured)
}

/// Rows of the marts that the last epoch changed: an update is one.
async fn changed(pipeline: &Pipeline, contracts: &[Contract]) -> Result<u64> {
    let Some(decision) = pipeline.last() else { return Ok(0) };
    let mut rows = 0;
    for contract in contracts {
        let path = layout::changes(layout::MARTS, &contract.model, decision.epoch);
        if !decision.changes.contains(&path) {
            continue;
        }
        let change = changelog::read(pipeline.store(), &path, &contract.schema).await?;
        let change = change.ok_or_else(|| Error::bug("a change log that was just written"))?;
        rows += match by_key(&change, &contract.key)? {
            Some(keyed) => keyed.len(),
            None => change.removed.num_rows().max(change.added.num_rows()),
        };
    }
    Ok(rows as u64)
}

/// Warehouse seconds of an hour with a push every so many seconds.
fn awake(every_seconds: f64, busy: f64) -> f64 {
    let pushes = (3_600.0 / every_seconds) as usize;
    let pushes: Vec<(f64, f64)> = (0..pushes).map(|i| (i as f64 * every_seconds, busy)).collect();
    policy::awake_seconds(&pushes).min(3_600.0)
}

impl Measured {
    fn mean(&self, total: f64) -> f64 {
        total / self.pushes.max(1) as f64
    }

    fn as_json(&self) -> serde_json::Value {
        let busy = self.mean(self.busy_seconds);
        json!({
            "pushes": self.pushes,
            "rows_changed_per_push": self.mean(self.rows_changed as f64),
            "rows_sent_per_row_changed": self.rows_sent as f64 / self.rows_changed.max(1) as f64,
            "requests_per_push": self.mean(self.requests as f64),
            "bytes_per_push": self.mean(self.bytes as f64),
            "busy_seconds_per_push": busy,
            "delay_ms_p50": percentile(&self.delays_ms, 0.5),
            "delay_ms_p99": percentile(&self.delays_ms, 0.99),
            "awake_seconds_per_hour": {
                "every_60_s": awake(60.0, busy), "every_300_s": awake(300.0, busy),
                "every_900_s": awake(900.0, busy), "every_3600_s": awake(3_600.0, busy),
            },
        })
    }

    fn print(&self) {
        let busy = self.mean(self.busy_seconds);
        println!(
            "{} pushes of {:.0} changed rows",
            self.pushes,
            self.mean(self.rows_changed as f64)
        );
        println!(
            "  rows sent / rows changed   {:.3}",
            self.rows_sent as f64 / self.rows_changed.max(1) as f64
        );
        println!("  requests a push            {:.1}", self.mean(self.requests as f64));
        println!("  bytes a push               {:.0}", self.mean(self.bytes as f64));
        println!("  seconds of statements      {busy:.3}");
        println!(
            "  commit to visible          {:.0} ms p50, {:.0} ms p99",
            percentile(&self.delays_ms, 0.5),
            percentile(&self.delays_ms, 0.99)
        );
        println!("warehouse seconds an hour (AUTO_SUSPEND 60 s), where marts change all the time");
        println!("  a COPY each minute         3600 (and a full merge a day)");
        for (every, name) in
            [(60.0, "minute"), (300.0, "5 minutes"), (900.0, "15 minutes"), (3_600.0, "hour")]
        {
            println!("  a push each {name:<14} {:.0}", awake(every, busy));
        }
        println!("  nothing changed            0");
    }
}
