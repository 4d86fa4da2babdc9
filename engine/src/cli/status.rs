//! `freshet status`: what the last decision says of the lake.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use super::args::Status;
use super::{publish_print, unprintable};
use crate::checkpoint::decision::Decision;
use crate::checkpoint::recover;
use crate::clock::{Clock, SystemClock};
use crate::epoch::loading::Phase;
use crate::error::Result;
use crate::lake::hot::Held;
use crate::lake::options::Options;
use crate::lake::store::Store;
use crate::publish::cursor::{self, Cursor};
use crate::publish::target::TARGETS;
use crate::transform::report::{Mode, Verdict};

/// Reads and prints.
pub async fn run(lake: &Options, options: &Status) -> Result<ExitCode> {
    let store = Store::open_existing(lake)?;
    let decision = recover::latest(&store).await?;
    let text = match (&decision, options.json) {
        (None, false) => format!("lake {}\nno epoch yet\n", store.name()),
        (None, true) => format!("{}\n", json!({"lake": store.name(), "epoch": null})),
        (Some(decision), true) => {
            let mut told = as_json(store.name(), decision);
            told["publish"] = publish_print::as_json(decision.epoch, &remembered(&store).await?);
            format!("{told}\n")
        }
        (Some(decision), false) => {
            let targets = remembered(&store).await?;
            as_text(store.name(), decision) + &publish_print::as_text(decision.epoch, &targets)
        }
    };
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(unprintable)?;
    Ok(ExitCode::SUCCESS)
}

/// What publishers remember of the targets that they ever pushed to.
async fn remembered(store: &Store) -> Result<Vec<publish_print::Told>> {
    let mut found = Vec::new();
    for name in TARGETS {
        let cursor = Cursor::read(store, name).await?;
        if cursor != Cursor::default() {
            found.push((name, cursor, cursor::holds(store, name).await?));
        }
    }
    Ok(found)
}

fn phase(decision: &Decision) -> &'static str {
    if decision.cut.phase == Phase::Done { "following" } else { "loading" }
}

/// Everything but the log entries' texts.
pub fn as_json(lake: &str, decision: &Decision) -> serde_json::Value {
    json!({
        "lake": lake,
        "epoch": decision.epoch,
        "generation": decision.generation,
        "time_us": decision.time_us,
        "last_commit_us": decision.last_commit_us,
        "age_ms": (SystemClock.now_us() - decision.time_us) / 1000,
        "phase": phase(decision),
        "guarantee": decision.guarantee,
        "offsets": decision.offsets,
        "tables": decision.tables,
        "models": decision.models,
        "proved_sources": decision.proved_sources,
        "tests": decision.tests,
        "totals": decision.totals,
        "memory": decision.held,
    })
}

/// What tables hold, and which of them lie on disk in part.
fn memory(held: &Held) -> Option<String> {
    let mib = |bytes: u64| bytes >> 20;
    let room = format!("tables hold {} of {} MiB", mib(held.hot_bytes), mib(held.bytes_max));
    if held.bytes_max == 0 {
        return None;
    }
    if held.cold.is_empty() {
        return Some(room);
    }
    Some(format!(
        "{room}; {} MiB have no room and are read from the local disk, which is slower: {} (raise \
         memory.bytes_max)",
        mib(held.cold_bytes),
        held.cold.join(", ")
    ))
}

fn as_text(lake: &str, decision: &Decision) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut line = |words: String| {
        let _ = writeln!(text, "{words}");
    };
    let age = (SystemClock.now_us() - decision.time_us) / 1_000_000;
    line(format!("lake {lake}"));
    line(format!(
        "epoch {} decided {age} s ago by generation {}; {}",
        decision.epoch,
        decision.generation,
        phase(decision)
    ));
    if let Some(commit_us) = decision.last_commit_us {
        let behind = (decision.time_us - commit_us).max(0) / 1000;
        line(format!("its last source commit was {behind} ms old when it was decided"));
    }
    if decision.guarantee != "transactional" {
        line(
            "epochs are cut per partition: no transaction topic is read, so tables may show \
             different halves of one transaction (set kafka.prefix or kafka.transaction_topic)"
                .to_owned(),
        );
    }
    let totals = decision.totals;
    line(format!(
        "{} events, {} transactions, {} redelivered, {} dead letters, {} passed by timeout",
        totals.events,
        totals.transactions,
        totals.redelivered,
        totals.dead_letters,
        totals.passed_by_timeout
    ));
    if totals.unfilled > 0 {
        line(format!("{} unchanged values had no earlier row: they are null", totals.unfilled));
    }
    memory(&decision.held).into_iter().for_each(&mut line);
    line(String::new());
    line(format!("{:<34} {:>12} {:>10} {:>8}  {}", "model", "rows", "changed", "proved", "how"));
    for model in &decision.models {
        let how = match model.mode {
            Mode::Unchanged => "unchanged",
            Mode::Follow => "followed",
            Mode::Recompute => "recomputed",
            Mode::Images => "every change",
            Mode::EpochEnd => "epoch's end",
            Mode::Rebuild => "made anew from raw",
        };
        let name = format!("{}.{}", model.layer, model.name);
        let why =
            if model.reason.is_empty() { String::new() } else { format!(": {}", model.reason) };
        let proved = model.proved.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        line(format!(
            "{name:<34} {:>12} {:>10} {proved:>8}  {how}{why}",
            model.rows, model.changed
        ));
    }
    sources(decision).into_iter().for_each(&mut line);
    tests(decision).into_iter().for_each(line);
    text
}

/// Source tables that were proved, and when.
fn sources(decision: &Decision) -> Option<String> {
    let proved = decision.proved_sources.iter();
    let proved: Vec<String> =
        proved.map(|(name, epoch)| format!("{name} at epoch {epoch}")).collect();
    let all = proved.join(", ");
    (!all.is_empty()).then(|| format!("\nsource tables proved from raw: {all}"))
}

/// The verdicts, and each test that did not pass.
fn tests(decision: &Decision) -> Vec<String> {
    let count = |verdict| decision.tests.iter().filter(|t| t.status == verdict).count();
    let counts = format!(
        "tests: {} passed, {} warned, {} failed",
        count(Verdict::Pass),
        count(Verdict::Warn),
        count(Verdict::Fail)
    );
    let other = decision.tests.iter().filter(|t| t.status != Verdict::Pass);
    let other = other.map(|test| {
        format!("  {:?} {} ({} rows)", test.status, test.name, test.failures).to_lowercase()
    });
    [String::new(), counts].into_iter().chain(other).collect()
}
