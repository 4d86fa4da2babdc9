//! What the demo shows while it runs: one line that is rewritten on a terminal, or one line a few
//! seconds where output goes to a file.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::bank::{Feed, Teller};
use crate::error::Result;
use crate::pipeline::drive::Progress;

const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const FILE_EVERY: Duration = Duration::from_secs(5);

/// The screen.
pub struct View {
    silent: bool,
    terminal: bool,
    seconds: u64,
    models: usize,
    started: Instant,
    told: Option<Instant>,
    epoch: u64,
    lag_ms: i64,
    events: u64,
    decided: u64,
    rate: f64,
    rate_from: (Instant, u64),
    rows: Vec<(String, u64)>,
    phase: &'static str,
}

impl View {
    /// Nothing is shown yet; with `silent` nothing ever is.
    pub fn new(silent: bool, seconds: u64, models: usize) -> Self {
        let now = Instant::now();
        Self {
            silent,
            terminal: std::io::stdout().is_terminal(),
            seconds,
            models,
            started: now,
            told: None,
            epoch: 0,
            lag_ms: 0,
            events: 0,
            decided: 0,
            rate: 0.0,
            rate_from: (now, 0),
            rows: Vec::new(),
            phase: "initial read",
        }
    }

    /// Says what is about to happen.
    pub fn opening(&self, lake: &Path, teller: &Teller) -> Result<()> {
        if !self.silent {
            println!("freshet demo: an embedded Kafka broker, a bank, the engine, a Delta lake");
            println!("  lake    {}", lake.display());
            println!(
                "  bank    seed {}, {} transactions/s for {} s, connector restarts and repeated \
                 and late deliveries included",
                teller.seed, teller.rate, teller.seconds
            );
            println!("  models  {} dbt models, all kept exact in every epoch\n", self.models);
        }
        Ok(())
    }

    /// Takes news in, and shows them if it is time.
    pub fn tell(&mut self, progress: &Progress<'_>, feed: &Feed) {
        if let Progress::Epoch(decision) = progress {
            self.epoch = decision.epoch;
            self.events = decision.totals.events;
            let offsets = decision.offsets.values().flat_map(|p| p.values());
            self.decided = offsets.map(|at| u64::try_from(*at).unwrap_or(0)).sum();
            if let Some(commit_us) = decision.last_commit_us {
                self.lag_ms = (decision.time_us - commit_us) / 1000;
            }
            if !decision.models.is_empty() {
                self.phase = "stream";
                let marts = decision.models.iter().filter(|m| m.layer == "marts");
                self.rows = marts.map(|m| (m.name.clone(), m.rows)).collect();
            }
        }
        let every = if self.terminal { TERMINAL_EVERY } else { FILE_EVERY };
        if self.silent || self.told.is_some_and(|told| told.elapsed() < every) {
            return;
        }
        self.told = Some(Instant::now());
        let (since, before) = self.rate_from;
        if since.elapsed() >= Duration::from_secs(1) {
            self.rate = (self.events - before) as f64 / since.elapsed().as_secs_f64();
            self.rate_from = (Instant::now(), self.events);
        }
        self.show(feed);
    }

    fn show(&self, feed: &Feed) {
        let share = (self.started.elapsed().as_secs_f64() / self.seconds.max(1) as f64).min(1.0);
        let done = (share * 20.0) as usize;
        let rows: Vec<String> =
            ["dim_customers", "dim_accounts", "fact_transactions", "fraud_alerts"]
                .iter()
                .filter_map(|name| self.rows.iter().find(|(n, _)| n == name))
                .map(|(name, rows)| format!("{name} {rows}"))
                .collect();
        let line = format!(
            "[{}{}] {}  epoch {}  {:.0} events/s  {} waiting  lag {} ms  {}",
            "#".repeat(done),
            ".".repeat(20 - done),
            self.phase,
            self.epoch,
            self.rate,
            feed.sent().saturating_sub(self.decided),
            self.lag_ms,
            rows.join("  ")
        );
        if self.terminal {
            print!("\r\x1b[2K{line}");
            let _ = std::io::stdout().flush();
        } else {
            println!("{line}");
        }
    }

    /// Ends the rewritten line.
    pub fn closing(&self, took: Duration) {
        if !self.silent {
            if self.terminal {
                print!("\r\x1b[2K");
            }
            println!(
                "done: {} events in {} epochs, {:.1} s\n",
                self.events,
                self.epoch,
                took.as_secs_f64()
            );
        }
    }
}
