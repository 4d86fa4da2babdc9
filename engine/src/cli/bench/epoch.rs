//! `freshet bench epoch`: what a small epoch costs over banks of several sizes, in one run.
//!
//! Each bank is read in, all models are built, and then epochs of so many changes are committed to a
//! lake on the local disk. The clock of an epoch runs from its decoded changes to its log entries:
//! raw, current rows, every model, every test, files, decision. Then the lake is opened again, with
//! local copies and without. The
//! bank itself, which stands for the source, is held in memory too: it is subtracted.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::growth::Growth;
use super::life::Life;
use super::measured::Measured;
use super::memory;
use crate::cli::args::EpochBench;
use crate::cli::bank_project;
use crate::clock::{Clock, SystemClock};
use crate::epoch::loading::Loading;
use crate::error::{Error, Result};
use crate::lake::options::{Memory, Options as LakeOptions};
use crate::lake::table::Table;
use crate::pipeline::{Pipeline, Settings, shares};
use crate::{checkpoint, envelope, epoch};

/// Rows of the initial read that are taken in at a time: about what an epoch of a line holds.
const PART: usize = 50_000;

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
            std::fs::remove_dir_all(&lake).map_err(|e| not_removed(&lake, e))?;
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

fn settings(options: &EpochBench, lake: &Path, copies: Option<&Path>, bank: u64) -> Settings {
    let at = LakeOptions::at(lake.display().to_string());
    let cold_dir = copies.map(|dir| dir.display().to_string()).unwrap_or_default();
    let bytes_max = options.memory_mib.unwrap_or(0) << 20;
    let memory = Memory { bytes_max, cold_dir, process_bytes_max: 0 };
    let memory = Memory { process_bytes_max: memory.resolved().saturating_add(bank), ..memory };
    // What waits is the epoch in hand.
    let waiting = epoch::options::Options::default().bytes_max as u64;
    Settings {
        lake: LakeOptions { retention_minutes: options.retention_minutes, ..at },
        memory: memory.for_tables(waiting),
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
    let bank_bytes = memory::anonymous_bytes();
    let bank = crate::memory::in_use().unwrap_or(0) as u64;
    let watch = memory::Watch::begin();
    let copies = lake.with_extension("copies");
    let own = settings(options, lake, Some(&copies), bank);
    let mut pipeline = Pipeline::open(&project, own).await?;
    let mut measured = Measured { rows, ..Measured::default() };
    read_in(&mut pipeline, &mut life, &mut measured).await?;
    for _ in 0..options.warm_up {
        pipeline.step(&life.next_changes(options.changes)).await?;
    }
    let before = shares::nanos();
    measured.files[0] = files(&pipeline);
    measured.growth = Growth::over(options.epochs);
    for _ in 0..options.epochs {
        let changes = life.next_changes(options.changes);
        let since = Instant::now();
        pipeline.step(&changes).await?;
        measured.epochs_ms.push(since.elapsed().as_secs_f64() * 1e3);
        let entries =
            pipeline.last().map_or(0, |d| d.entries.iter().map(|e| e.text.len()).sum::<usize>());
        measured.entry_bytes.push(entries as f64);
        if let Some(decision) = pipeline.last() {
            measured.written.note(decision);
            measured.growth.note(decision);
        }
        measured.note_models(&pipeline);
        measured.note_tests(&pipeline);
    }
    an_epoch(&mut measured, spent(before, options.epochs as f64), options.epochs as f64);
    let held = |bytes: Option<u64>| Some(bytes?.saturating_sub(bank_bytes?));
    measured.hot_bytes = held(memory::anonymous_bytes());
    measured.peak_bytes = held(watch.peak_bytes());
    measured.mapped_bytes = memory::mapped_bytes();
    drop(watch);
    measured.stored = pipeline.last().map_or(0, |d| {
        d.tables.iter().filter(|(path, _)| !path.starts_with("raw/")).map(|(_, t)| t.rows).sum()
    });
    measured.files[1] = files(&pipeline);
    measured.held = pipeline.tables().held();
    pipeline.keep_all().await;
    pipeline.close().await?;
    measured.copied_bytes = bytes_in(&copies).map_err(|e| not_removed(lake, e))?;
    for (at, copies) in [Some(copies.as_path()), None].into_iter().enumerate() {
        let (since, watch) = (Instant::now(), memory::Watch::begin());
        let settings = settings(options, lake, copies, bank);
        let mut pipeline = Pipeline::open(&project, settings).await?;
        let opened = since.elapsed();
        pipeline.step(&life.next_changes(options.changes)).await?;
        measured.reopened[at] = (opened.as_secs_f64(), (since.elapsed() - opened).as_secs_f64());
        measured.reopened_peak_bytes[at] = held(watch.peak_bytes());
        pipeline.close().await?;
    }
    std::fs::remove_dir_all(copies).map_err(|e| not_removed(lake, e))?;
    Ok(measured)
}

/// What all epochs took, by epoch.
fn an_epoch(measured: &mut Measured, shares_ms: Vec<(&'static str, f64)>, epochs: f64) {
    measured.shares_ms = shares_ms;
    for (_, millis) in &mut measured.tests_ms {
        *millis /= epochs;
    }
    measured.tests_ms.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (_, millis, read) in &mut measured.models_ms {
        *millis /= epochs;
        *read /= epochs;
    }
}

fn bytes_in(folder: &Path) -> std::io::Result<u64> {
    let sizes = std::fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes_in(&entry.path())
        } else {
            Ok(entry.metadata()?.len())
        }
    });
    sizes.sum()
}

fn not_removed(lake: &Path, cause: std::io::Error) -> Error {
    Error::unavailable(format!("cannot read or remove what \"{}\" left", lake.display()), cause)
}

/// Milliseconds of each station since then, by epoch.
fn spent<const N: usize>(before: [u64; N], epochs: f64) -> Vec<(&'static str, f64)> {
    let spent = shares::ALL.iter().zip(shares::nanos()).zip(before);
    let share = |((share, now), before): ((&shares::Share, u64), u64)| {
        (share.word(), (now - before) as f64 / 1e6 / epochs)
    };
    spent.map(share).collect()
}

/// The initial read, and the epoch at its end that builds every model: what the epochs take, without
/// what it takes to make their messages.
async fn read_in(pipeline: &mut Pipeline, life: &mut Life, measured: &mut Measured) -> Result<()> {
    let mut is_last = false;
    while !is_last {
        let read = life.read_part(PART);
        is_last = matches!(read.loading, Loading::Finishing { .. });
        let (part, before) = (Instant::now(), shares::nanos());
        pipeline.step(&read).await?;
        if is_last {
            measured.build_seconds = part.elapsed().as_secs_f64();
            measured.build_ms = spent(before, 1.0);
        } else {
            measured.read_seconds += part.elapsed().as_secs_f64();
        }
    }
    if let Some(decision) = pipeline.last() {
        let millis = |micros: u64| micros as f64 / 1e3;
        let tests = decision.tests.iter().map(|test| millis(test.micros)).sum();
        let models = decision.models.iter().map(|m| (m.name.clone(), millis(m.micros)));
        measured.built_ms = models.chain([("tests".to_owned(), tests)]).collect();
    }
    Ok(())
}

/// Live files of all keyed tables, and of the one that has most.
fn files(pipeline: &Pipeline) -> (usize, usize) {
    let counts = || pipeline.tables().relations().map(Table::file_count);
    (counts().sum(), counts().max().unwrap_or(0))
}
