//! What `freshet bench epoch` measured, and how it is told.

use serde_json::json;

use super::growth::Growth;
use super::percentile;
use super::written::Written;
use crate::lake::hot::Held;
use crate::pipeline::Pipeline;
use crate::transform::report::Mode;

/// What one bank's epochs took.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) rows: usize,
    pub(super) stored: u64,
    pub(super) read_seconds: f64,
    pub(super) build_seconds: f64,
    /// Of the epoch that built the models: its stations, and its models and tests.
    pub(super) build_ms: Vec<(&'static str, f64)>,
    pub(super) built_ms: Vec<(String, f64)>,
    pub(super) epochs_ms: Vec<f64>,
    pub(super) shares_ms: Vec<(&'static str, f64)>,
    pub(super) models_ms: Vec<(String, f64, f64)>,
    pub(super) tests_ms: Vec<(String, f64)>,
    pub(super) followed: u64,
    pub(super) recomputed: Vec<String>,
    /// Opened again and the first epoch then, seconds: with local copies, and from the lake alone.
    pub(super) reopened: [(f64, f64); 2],
    /// The most memory in that, bytes.
    pub(super) reopened_peak_bytes: [Option<u64>; 2],
    /// Bytes of local copies.
    pub(super) copied_bytes: u64,
    pub(super) hot_bytes: Option<u64>,
    pub(super) peak_bytes: Option<u64>,
    pub(super) mapped_bytes: Option<u64>,
    /// Of all files and the largest table's, before the first epoch and after the last.
    pub(super) files: [(usize, usize); 2],
    /// Bytes of each epoch's log entries.
    pub(super) entry_bytes: Vec<f64>,
    pub(super) written: Written,
    pub(super) growth: Growth,
    pub(super) held: Held,
}

impl Measured {
    pub(super) fn note_models(&mut self, pipeline: &Pipeline) {
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

    pub(super) fn note_tests(&mut self, pipeline: &Pipeline) {
        let Some(decision) = pipeline.last() else { return };
        for test in &decision.tests {
            let millis = test.micros as f64 / 1e3;
            match self.tests_ms.iter_mut().find(|(name, _)| *name == test.name) {
                Some((_, all)) => *all += millis,
                None => self.tests_ms.push((test.name.clone(), millis)),
            }
        }
    }

    /// Of the first tenth of the epochs and of the last: the median.
    fn tenths(of: &[f64]) -> [f64; 2] {
        let tenth = (of.len() / 10).max(1).min(of.len());
        [&of[..tenth], &of[of.len() - tenth..]].map(|part| percentile(part, 0.5))
    }

    fn ratio(&self, first: Option<&Self>) -> f64 {
        let own = percentile(&self.epochs_ms, 0.5);
        first.map_or(1.0, |f| own / percentile(&f.epochs_ms, 0.5))
    }

    fn bytes_a_row(&self) -> Option<f64> {
        Some(self.hot_bytes? as f64 / self.stored.max(1) as f64)
    }

    pub(super) fn as_json(&self, first: Option<&Self>) -> serde_json::Value {
        json!({
            "rows": self.rows,
            "stored_rows": self.stored,
            "read_seconds": self.read_seconds,
            "build_seconds": self.build_seconds,
            "build_ms": self.build_ms.iter().map(|(w, v)| json!([w, v])).collect::<Vec<_>>(),
            "built_ms": self.built_ms.iter().map(|(w, v)| json!([w, v])).collect::<Vec<_>>(),
            "tests_ms": self.tests_ms.iter().map(|(_, ms)| ms).sum::<f64>(),
            "epoch_ms_p50": percentile(&self.epochs_ms, 0.5),
            "epoch_ms_p99": percentile(&self.epochs_ms, 0.99),
            "epoch_ratio": self.ratio(first),
            "followed": self.followed,
            "recomputed": self.recomputed,
            "reopen_seconds": self.reopened[0].0,
            "first_epoch_seconds": self.reopened[0].1,
            "reopen_from_lake_seconds": self.reopened[1].0,
            "first_epoch_from_lake_seconds": self.reopened[1].1,
            "reopen_peak_bytes": self.reopened_peak_bytes[0],
            "reopen_from_lake_peak_bytes": self.reopened_peak_bytes[1],
            "copied_bytes": self.copied_bytes,
            "bytes_a_stored_row": self.bytes_a_row(),
            "peak_bytes": self.peak_bytes,
            "mapped_bytes": self.mapped_bytes,
            "hot_bytes": self.held.hot_bytes,
            "cold_bytes": self.held.cold_bytes,
            "epoch_ms_p50_first_and_last_tenth": Self::tenths(&self.epochs_ms),
            "entry_bytes_first_and_last_tenth": Self::tenths(&self.entry_bytes),
            "written_an_epoch": self.written.as_json(self.epochs_ms.len() as u64),
            "files_first_and_last": self.files.map(|(all, _)| all),
            "most_files_of_a_table_first_and_last": self.files.map(|(_, most)| most),
            "growth_ms": self.growth.as_json(),
            "share_ms": self.shares_ms.iter().map(|(w, v)| json!([w, v])).collect::<Vec<_>>(),
        })
    }

    pub(super) fn print(&self, first: Option<&Self>) {
        let gib = |bytes: Option<u64>| bytes.map_or(0.0, |b| b as f64 / f64::from(1 << 30));
        println!(
            "{} rows of the bank ({} stored in all tables): read in {:.1} s, models built in {:.1} s",
            self.rows, self.stored, self.read_seconds, self.build_seconds
        );
        let stations = self.build_ms.iter().filter(|(_, ms)| *ms >= 50.0);
        let stations: Vec<_> = stations.map(|(w, ms)| format!("{w} {:.1} s", ms / 1e3)).collect();
        let models = self.built_ms.iter().filter(|(_, ms)| *ms >= 50.0);
        let models: Vec<_> = models.map(|(w, ms)| format!("{w} {:.1} s", ms / 1e3)).collect();
        println!("  building: {}; of them {}", stations.join(", "), models.join(", "));
        println!(
            "  an epoch: p50 {:.1} ms, p99 {:.1} ms, {:.2} x the first size's",
            percentile(&self.epochs_ms, 0.5),
            percentile(&self.epochs_ms, 0.99),
            self.ratio(first)
        );
        println!(
            "  opened again in {:.1} s, first epoch then {:.1} s, at most {:.2} GiB; without its {:.2} GiB \
             of local copies in {:.1} s, {:.1} s, {:.2} GiB",
            self.reopened[0].0,
            self.reopened[0].1,
            gib(self.reopened_peak_bytes[0]),
            gib(Some(self.copied_bytes)),
            self.reopened[1].0,
            self.reopened[1].1,
            gib(self.reopened_peak_bytes[1])
        );
        println!(
            "  memory {:.2} GiB, at most {:.2}, beside {:.2} of mapped files; {:.0} bytes a stored row",
            gib(self.hot_bytes),
            gib(self.peak_bytes),
            gib(self.mapped_bytes),
            self.bytes_a_row().unwrap_or(0.0)
        );
        println!("  an epoch wrote {}", self.written.told(self.epochs_ms.len() as u64));
        self.print_held();
        self.growth.print();
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

    fn print_held(&self) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "  tables hold {:.0} MiB of {:.0}, and {:.0} on disk ({} tables)",
            mib(self.held.hot_bytes),
            mib(self.held.bytes_max),
            mib(self.held.cold_bytes),
            self.held.cold.len()
        );
        let ([first, last], [small, late]) =
            (Self::tenths(&self.epochs_ms), Self::tenths(&self.entry_bytes));
        println!(
            "  from the first tenth of the epochs to the last: {first:.1} -> {last:.1} ms, log entries of \
             an epoch {small:.0} -> {late:.0} bytes, files {} -> {}, at most {} -> {} of a table",
            self.files[0].0, self.files[1].0, self.files[0].1, self.files[1].1
        );
    }
}
