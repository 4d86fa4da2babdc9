//! `freshet bench epoch`: what a small epoch costs over banks of several sizes, in one run.
//!
//! Each bank is read in, all models are built, and then epochs of so many changes are committed to a
//! lake on the local disk. The clock of an epoch runs from its decoded changes to its log entries:
//! raw, current rows, every model, every test, files, decision. Then the lake is opened again. The
//! bank itself, which stands for the source, is held in memory too: it is subtracted.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::life::Life;
use super::{memory, percentile};
use crate::cli::args::EpochBench;
use crate::cli::bank_project;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::lake::options::Options as LakeOptions;
use crate::pipeline::{Pipeline, Settings, shares};
use crate::transform::report::Mode;
use crate::{checkpoint, envelope};

/// Rows of the initial read that are taken in at a time.
const PART: usize = 200_000;

/// What one bank's epochs took.
#[derive(Default)]
struct Measured {
    rows: usize,
    stored: u64,
    read_seconds: f64,
    build_seconds: f64,
    epochs_ms: Vec<f64>,
    shares_ms: Vec<(&'static str, f64)>,
    models_ms: Vec<(String, f64, f64)>,
    tests_ms: Vec<(String, f64)>,
    followed: u64,
    recomputed: Vec<String>,
    reopen_seconds: f64,
    first_epoch_ms: f64,
    hot_bytes: Option<u64>,
    peak_bytes: Option<u64>,
}

/// Measures each size.
pub async fn run(options: &EpochBench) -> Result<ExitCode> {
    let folder = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let mut all = Vec::new();
    for rows in &options.rows {
        let lake = folder.join(format!("freshet-epochs-{}-{rows}", std::process::id()));
        let measured = one(options, *rows, &lake).await;
        if options.keep {
            println!("lake of {rows} rows: {}", lake.display());
        } else if lake.exists() {
            std::fs::remove_dir_all(&lake).map_err(|e| {
                Error::unavailable(format!("cannot remove \"{}\"", lake.display()), e)
            })?;
        }
        let measured = measured?;
        if !options.json {
            measured.print(all.first());
        }
        all.push(measured);
    }
    if options.json {
        let list: Vec<_> = all.iter().map(|m| m.as_json(all.first())).collect();
        println!("{}", json!(list));
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(lake: &Path) -> Settings {
    Settings {
        lake: LakeOptions::at(lake.display().to_string()),
        envelope: envelope::options::Options::default(),
        proof: crate::transform::options::ProofOptions { share_percent: 0 },
        checkpoint: checkpoint::options::Options::default(),
        clock: Arc::new(SystemClock),
    }
}

async fn one(options: &EpochBench, rows: usize, lake: &Path) -> Result<Measured> {
    let project = bank_project::load()?;
    let customers = u32::try_from(rows / 20).unwrap_or(u32::MAX).max(10);
    let mut life = Life::new(options.seed, customers, SystemClock.now_us());
    life.grow(rows);
    memory::forget_peak();
    let bank_bytes = memory::current_bytes();
    let mut pipeline = Pipeline::open(&project, settings(lake)).await?;
    let (read_seconds, build_seconds) = read_in(&mut pipeline, &mut life).await?;
    for _ in 0..options.warm_up {
        pipeline.step(&life.next_changes(options.changes)).await?;
    }
    let before = shares::nanos();
    let mut measured = Measured { rows, read_seconds, build_seconds, ..Measured::default() };
    for _ in 0..options.epochs {
        let epoch = life.next_changes(options.changes);
        let since = Instant::now();
        pipeline.step(&epoch).await?;
        measured.epochs_ms.push(since.elapsed().as_secs_f64() * 1e3);
        measured.note_models(&pipeline);
        measured.note_tests(&pipeline);
    }
    let epochs = options.epochs as f64;
    let spent = shares::ALL.iter().zip(shares::nanos()).zip(before);
    let share = |((share, now), before): ((&shares::Share, u64), u64)| {
        (share.word(), (now - before) as f64 / 1e6 / epochs)
    };
    measured.shares_ms = spent.map(share).collect();
    for (_, millis) in &mut measured.tests_ms {
        *millis /= epochs;
    }
    measured.tests_ms.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (_, millis, read) in &mut measured.models_ms {
        *millis /= epochs;
        *read /= epochs;
    }
    let held = |bytes: Option<u64>| Some(bytes?.saturating_sub(bank_bytes?));
    measured.hot_bytes = held(memory::current_bytes());
    measured.peak_bytes = held(memory::peak_bytes());
    measured.stored = pipeline.last().map_or(0, |d| {
        d.tables.iter().filter(|(path, _)| !path.starts_with("raw/")).map(|(_, t)| t.rows).sum()
    });
    pipeline.close().await?;
    let since = Instant::now();
    let mut pipeline = Pipeline::open(&project, settings(lake)).await?;
    measured.reopen_seconds = since.elapsed().as_secs_f64();
    let since = Instant::now();
    pipeline.step(&life.next_changes(options.changes)).await?;
    measured.first_epoch_ms = since.elapsed().as_secs_f64() * 1e3;
    pipeline.close().await?;
    Ok(measured)
}

/// The initial read, and the epoch at its end that builds every model: seconds of each.
async fn read_in(pipeline: &mut Pipeline, life: &mut Life) -> Result<(f64, f64)> {
    let since = Instant::now();
    let (mut from, mut build) = (0, 0.0);
    while from < life.rows() {
        let epoch = life.read_part(from, PART);
        from += PART;
        let part = Instant::now();
        pipeline.step(&epoch).await?;
        if from >= life.rows() {
            build = part.elapsed().as_secs_f64();
        }
    }
    Ok((since.elapsed().as_secs_f64() - build, build))
}

impl Measured {
    fn note_models(&mut self, pipeline: &Pipeline) {
        let Some(decision) = pipeline.last() else { return };
        for model in &decision.models {
            let millis = model.micros as f64 / 1e3;
            match self.models_ms.iter_mut().find(|(name, _, _)| *name == model.name) {
                Some((_, all, read)) => {
                    *all += millis;
                    *read += model.rows_read as f64;
                }
                None => self.models_ms.push((model.name.clone(), millis, model.rows_read as f64)),
            }
            match model.mode {
                Mode::Recompute => {
                    self.recomputed.push(format!("{}: {}", model.name, model.reason));
                }
                _ => self.followed += 1,
            }
        }
    }

    fn note_tests(&mut self, pipeline: &Pipeline) {
        let Some(decision) = pipeline.last() else { return };
        for test in &decision.tests {
            let millis = test.micros as f64 / 1e3;
            match self.tests_ms.iter_mut().find(|(name, _)| *name == test.name) {
                Some((_, all)) => *all += millis,
                None => self.tests_ms.push((test.name.clone(), millis)),
            }
        }
    }

    fn ratio(&self, first: Option<&Self>) -> f64 {
        let own = percentile(&self.epochs_ms, 0.5);
        first.map_or(1.0, |f| own / percentile(&f.epochs_ms, 0.5))
    }

    fn bytes_a_row(&self) -> Option<f64> {
        Some(self.hot_bytes? as f64 / self.stored.max(1) as f64)
    }

    fn as_json(&self, first: Option<&Self>) -> serde_json::Value {
        json!({
            "rows": self.rows,
            "stored_rows": self.stored,
            "read_seconds": self.read_seconds,
            "build_seconds": self.build_seconds,
            "epoch_ms_p50": percentile(&self.epochs_ms, 0.5),
            "epoch_ms_p99": percentile(&self.epochs_ms, 0.99),
            "epoch_ratio": self.ratio(first),
            "followed": self.followed,
            "recomputed": self.recomputed,
            "reopen_seconds": self.reopen_seconds,
            "first_epoch_ms": self.first_epoch_ms,
            "bytes_a_stored_row": self.bytes_a_row(),
            "peak_bytes": self.peak_bytes,
            "share_ms": self.shares_ms.iter().map(|(w, v)| json!([w, v])).collect::<Vec<_>>(),
        })
    }

    fn print(&self, first: Option<&Self>) {
        let gib = |bytes: Option<u64>| bytes.map_or(0.0, |b| b as f64 / f64::from(1 << 30));
        println!(
            "{} rows of the bank ({} stored in all tables): read in {:.1} s, models built in {:.1} s",
            self.rows, self.stored, self.read_seconds, self.build_seconds
        );
        println!(
            "  an epoch: p50 {:.1} ms, p99 {:.1} ms, {:.2} x the first size's",
            percentile(&self.epochs_ms, 0.5),
            percentile(&self.epochs_ms, 0.99),
            self.ratio(first)
        );
        println!(
            "  opened again in {:.1} s, first epoch after it {:.0} ms",
            self.reopen_seconds, self.first_epoch_ms
        );
        println!(
            "  memory {:.2} GiB, at most {:.2}; {:.0} bytes a stored row",
            gib(self.hot_bytes),
            gib(self.peak_bytes),
            self.bytes_a_row().unwrap_or(0.0)
        );
        for (word, millis) in self.shares_ms.iter().filter(|(_, ms)| *ms >= 0.05) {
            println!("    {word:<12} {millis:>8.2} ms");
        }
        for (name, millis, read) in &self.models_ms {
            println!("    {name:<28} {millis:>8.2} ms {read:>10.0} rows read");
        }
        let all: f64 = self.tests_ms.iter().map(|(_, ms)| ms).sum();
        println!("    {} tests {all:>33.2} ms", self.tests_ms.len());
        for (name, millis) in self.tests_ms.iter().take(8) {
            println!("      {name:<60} {millis:>8.2} ms");
        }
        for line in self.recomputed.iter().take(5) {
            println!("  recomputed {line}");
        }
    }
}
