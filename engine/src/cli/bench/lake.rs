//! `freshet bench lake`: what many small epochs over many tables cost, through the real lake and
//! checkpoint code, tending and compaction included.
//!
//! One epoch: merge what is due, apply the changes in memory, encode files and entries, put the
//! files, decide, apply the entries. It must never share work between epochs that the service does
//! for each.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use super::memory;
use super::scatter;
use super::spans::{Running, Spans};
use crate::bank::rng::Rng;
use crate::checkpoint::apply::apply;
use crate::checkpoint::decide::{Decided, decide};
use crate::checkpoint::decision::{self, DecidedEntry, Decision, Totals};
use crate::checkpoint::options::Options as CheckpointOptions;
use crate::checkpoint::{lease::Lease, recover};
use crate::cli::args::LakeBench;
use crate::cli::line;
use crate::clock::{Clock, SystemClock};
use crate::epoch::loading::CutState;
use crate::error::{Error, Result};
use crate::lake::commit::Stamp;
use crate::lake::hot::Held;
use crate::lake::options::Options as LakeOptions;
use crate::lake::stage::Upload;
use crate::lake::store::Store;
use crate::lake::table::Table;
use crate::lake::tables::{Tables, upload};
use crate::lake::{layout, load};
use crate::pipeline::tending::Tending;

const STEPS: [&str; 6] = ["compact", "memory", "encode", "put", "decide", "apply"];

/// Keys that can be drawn, in percent of a table's rows: those that are not there are added.
const KEYS_PERCENT: u64 = 105;

/// Runs the epochs, then reads the lake anew.
pub async fn run(options: &LakeBench) -> Result<ExitCode> {
    let none = || Err(Error::invalid("`bench lake` reads no configuration"));
    let lake = line::lake_options(Some(&options.lake), none)?;
    if PathBuf::from(&options.lake).join("_freshet").exists() {
        return Err(Error::invalid(format!("\"{}\" holds a lake already", options.lake))
            .with_hint("name a new folder: the bench starts from nothing"));
    }
    let mut bench = Bench::open(options, lake).await?;
    bench.load().await?;
    memory::forget_peak();
    for _ in 0..options.epochs {
        bench.epoch().await?;
        if bench.number.is_multiple_of(100) && !options.json {
            eprint!("\repoch {} of {}", bench.number, options.epochs);
        }
    }
    let peak = memory::peak_bytes();
    let told = bench.finish(peak).await?;
    if options.json {
        println!("{told}");
    } else {
        eprintln!();
        let text = serde_json::to_string_pretty(&told).map_err(|e| Error::bug(e.to_string()))?;
        println!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

struct Bench<'o> {
    options: &'o LakeBench,
    lake: LakeOptions,
    store: Store,
    lease: Lease,
    tables: Tables,
    tending: Tending,
    rng: Rng,
    number: u64,
    last: Option<Decision>,
    spans: Spans,
    merged_bytes: u64,
    written_bytes: u64,
    entry_bytes: u64,
    decision_bytes: u64,
}

impl<'o> Bench<'o> {
    async fn open(options: &'o LakeBench, lake: LakeOptions) -> Result<Self> {
        let store = Store::open(&lake)?;
        store.probe().await?;
        let checkpoint = CheckpointOptions::default();
        let lease = Lease::take(&store, &checkpoint, 0).await?;
        let mut tables = Tables::default();
        for number in 0..options.tables {
            let path = layout::source(&format!("t{number:02}"));
            tables.source.insert(path.clone(), Table::fresh(scatter::spec(path)));
        }
        Ok(Self {
            tending: Tending::new(&lake, checkpoint.decisions_kept),
            options,
            lake,
            store,
            lease,
            tables,
            rng: Rng::new(options.seed),
            number: 0,
            last: None,
            spans: Spans::new(&STEPS),
            merged_bytes: 0,
            written_bytes: 0,
            entry_bytes: 0,
            decision_bytes: 0,
        })
    }

    /// Every table's rows before the first measured epoch.
    async fn load(&mut self) -> Result<()> {
        let rows = i64::try_from(self.options.rows).unwrap_or(i64::MAX);
        let keys: Vec<i64> = (0..rows).collect();
        for table in self.tables.source.values_mut() {
            let added = scatter::rows(&keys, 0)?;
            let removed = added.slice(0, 0);
            let change = freshet_sql::change::ChangeBatch { removed, added };
            table.apply(&change, 1)?;
        }
        self.commit(&mut Running::start()).await
    }

    async fn epoch(&mut self) -> Result<()> {
        let mut running = Running::start();
        let number = self.number + 1;
        self.tables.compact(&self.store, self.lake.merge_files, number).await?;
        running.step();
        let each = self.options.changes / self.options.tables.max(1);
        let keys = self.options.rows * KEYS_PERCENT / 100;
        let version = i64::try_from(number).unwrap_or(i64::MAX);
        for table in self.tables.source.values_mut() {
            let change = scatter::change(table, &mut self.rng, each, keys, version)?;
            table.apply(&change, number)?;
        }
        running.step();
        self.commit(&mut running).await?;
        self.spans.push(running);
        Ok(())
    }

    /// Encode, put, decide, apply: as the pipeline's step does.
    async fn commit(&mut self, running: &mut Running) -> Result<()> {
        self.number += 1;
        self.lease.check()?;
        let time_us = SystemClock.now_us();
        let stamp = Stamp {
            epoch: self.number,
            time_ms: time_us / 1000,
            retention_minutes: self.lake.retention_minutes,
        };
        let (mut entries, uploads) = self.tables.stage(stamp)?;
        self.tending.note(&mut entries, stamp.time_ms);
        self.count(&uploads);
        running.step();
        upload(&self.store, uploads).await?;
        running.step();
        let entries: Vec<DecidedEntry> =
            entries.into_iter().map(DecidedEntry::from_entry).collect::<Result<_>>()?;
        self.entry_bytes += entries.iter().map(|e| e.text.len() as u64).sum::<u64>();
        let decision = self.decision(time_us, entries);
        self.decision_bytes = decision.encode()?.len() as u64;
        if decide(&self.store, &decision).await? == Decided::Overtaken {
            return Err(Error::failed("another instance writes to this lake"));
        }
        running.step();
        apply(&self.store, &decision).await?;
        self.tending.start(&self.store, &decision);
        self.last = Some(decision);
        running.step();
        Ok(())
    }

    fn count(&mut self, uploads: &[Upload]) {
        // A merged file is far larger than an epoch's own, which has one row for each change.
        let own = 100 * (self.options.changes / self.options.tables.max(1)) as u64 + 8_192;
        for file in uploads {
            let bytes = file.body.len() as u64;
            self.written_bytes += bytes;
            if bytes > own && file.path.ends_with(".parquet") {
                self.merged_bytes += bytes;
            }
        }
    }

    fn decision(&self, time_us: i64, entries: Vec<DecidedEntry>) -> Decision {
        Decision {
            format: decision::format(&[]),
            epoch: self.number,
            generation: self.lease.generation,
            nonce: uuid::Uuid::new_v4().to_string(),
            time_us,
            last_commit_us: Some(time_us),
            cut: CutState::default(),
            guarantee: "transactional".to_owned(),
            offsets: Default::default(),
            topic_ids: Default::default(),
            entries,
            tables: self.tables.standing(),
            models: Vec::new(),
            proved_sources: Default::default(),
            tests: Vec::new(),
            changes: Vec::new(),
            from_nothing: Vec::new(),
            totals: Totals::default(),
            held: Held::default(),
        }
    }

    /// Ends the tending, measures what lies there, and reads every table anew.
    async fn finish(mut self, peak: Option<u64>) -> Result<Value> {
        self.tending.finish().await;
        let files: Vec<usize> = self.tables.source.values().map(Table::file_count).collect();
        let rows: usize = self.tables.source.values().map(Table::rows).sum();
        let digests: Vec<u64> = self.tables.source.values().map(Table::digest).collect();
        let lying = Lying::of(&self.store).await?;
        let standing = self.tables.standing();
        self.tables = Tables::default();
        let since = Instant::now();
        let decision = recover::recover(&self.store).await?;
        let recovered = decision.map(|d| d.epoch);
        let mut again = Vec::new();
        for (path, at) in standing.iter().filter(|(_, at)| at.digest.is_some()) {
            let spec = scatter::spec(path.clone());
            again.push(load::table(&self.store, spec, at.version, None).await?.digest());
        }
        let reload_seconds = since.elapsed().as_secs_f64();
        self.lease.release(&self.store).await?;
        if recovered != Some(self.number) || again != digests {
            return Err(Error::corrupt("the lake, read anew, is not what was written"));
        }
        let total = self.spans.total_seconds();
        Ok(json!({
            "lake": self.store.name(),
            "tables": self.options.tables,
            "epochs": self.options.epochs,
            "changes_per_epoch": self.options.changes,
            "rows": rows,
            "seconds": total,
            "milliseconds": self.spans.as_json(),
            "compaction_share": self.spans.seconds("compact") / total,
            "compaction_bytes": self.merged_bytes,
            "written_bytes": self.written_bytes,
            "entry_bytes": self.entry_bytes,
            "last_decision_bytes": self.decision_bytes,
            "files_per_table": json!({"least": files.iter().min(), "most": files.iter().max()}),
            "log": lying.as_json(),
            "reload_seconds": reload_seconds,
            "peak_bytes": peak,
        }))
    }
}

/// What lies in the lake at the end.
#[derive(Default)]
struct Lying {
    entries: (u64, u64),
    checkpoints: (u64, u64),
    decisions: (u64, u64),
    files: (u64, u64),
}

impl Lying {
    async fn of(store: &Store) -> Result<Self> {
        let mut lying = Self::default();
        for object in store.list("").await? {
            let path = object.location.as_ref();
            let of = if path.starts_with(layout::EPOCHS) {
                &mut lying.decisions
            } else if path.contains("/_delta_log/") && path.ends_with(".json") {
                &mut lying.entries
            } else if path.contains("/_delta_log/") {
                &mut lying.checkpoints
            } else {
                &mut lying.files
            };
            *of = (of.0 + 1, of.1 + object.size);
        }
        Ok(lying)
    }

    fn as_json(&self) -> Value {
        let of = |(objects, bytes): (u64, u64)| json!({"objects": objects, "bytes": bytes});
        json!({
            "entries": of(self.entries),
            "checkpoints": of(self.checkpoints),
            "decisions": of(self.decisions),
            "files_live_and_dead": of(self.files),
        })
    }
}
