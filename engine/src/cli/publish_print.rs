//! What `freshet publish` prints.

use std::io::Write;

use serde_json::json;

use super::unprintable;
use crate::checkpoint::decision::Decision;
use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::publish::cursor::Cursor;
use crate::publish::verify::{Difference, Finding};
use crate::publish::warehouse::Cost;

/// A target's name, what its publisher remembers, and its holds.
pub type Told = (&'static str, Cursor, Vec<String>);

/// Text as it is.
pub fn text(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(unprintable)
}

/// A push that was done by hand.
pub fn pushed(name: &str, epoch: u64, cost: Cost) {
    println!(
        "{name} holds epoch {epoch}: {} rows in {} bytes, {} requests, {:.1} s of warehouse",
        cost.rows, cost.bytes, cost.requests, cost.warehouse_seconds
    );
}

/// All targets.
pub fn status(latest: Option<&Decision>, targets: &[Told], as_json: bool) -> Result<()> {
    let epoch = latest.map_or(0, |d| d.epoch);
    if as_json {
        return text(&format!("{}\n", self::as_json(epoch, targets)));
    }
    if targets.is_empty() {
        return text(
            "no target: freshet.toml has neither [publish.snowflake] nor [publish.local]\n",
        );
    }
    text(&as_text(epoch, targets))
}

/// All targets, for scripts.
pub fn as_json(epoch: u64, targets: &[Told]) -> serde_json::Value {
    let now_us = SystemClock.now_us();
    let one = |(name, cursor, holds): &Told| {
        json!({
            "target": name, "holds_epoch": cursor.epoch, "lake_epoch": epoch,
            "state": cursor.state, "error": cursor.error, "holds": holds,
            "waiting_to": cursor.waiting_to, "waiting": cursor.waiting,
            "last": cursor.recent.last(), "mean": cursor.mean(),
            "credits_per_day": cursor.credits_per_day(now_us),
        })
    };
    targets.iter().map(one).collect()
}

/// All targets, for people.
pub fn as_text(epoch: u64, targets: &[Told]) -> String {
    let now_us = SystemClock.now_us();
    targets.iter().map(|told| one_target(epoch, told, now_us)).collect()
}

fn one_target(epoch: u64, (name, cursor, holds): &Told, now_us: i64) -> String {
    let mut lines = match cursor.epoch {
        None => format!("{name}: nothing was pushed yet; the lake is at epoch {epoch}\n"),
        Some(held) => format!("{name}: holds epoch {held} of {epoch}\n"),
    };
    if !cursor.state.is_empty() {
        lines.push_str(&format!("  {}\n", cursor.state));
    }
    for hold in holds {
        lines.push_str(&format!("  held {hold}\n"));
    }
    if let Some(error) = &cursor.error {
        lines.push_str(&format!("  last attempt failed: {error}\n"));
    }
    if let Some(last) = cursor.recent.last() {
        let ago = (now_us - last.at_us) / 1_000_000;
        lines.push_str(&format!(
            "  last push {ago} s ago: {} rows, {} ms after their epoch's commit\n",
            last.cost.rows, last.delay_ms
        ));
        let mean = cursor.mean();
        lines.push_str(&format!(
            "  a push takes {} rows, {} requests and {:.1} s of warehouse on average; {:.2} credits \
             a day at this pace\n",
            mean.rows,
            mean.requests,
            mean.warehouse_seconds,
            cursor.credits_per_day(now_us)
        ));
    }
    let waiting: Vec<String> = cursor
        .waiting
        .iter()
        .filter(|(_, what)| *what != "0")
        .map(|(mart, what)| format!("{mart} ({what})"))
        .collect();
    if !waiting.is_empty() {
        lines.push_str(&format!("  waiting: {}\n", waiting.join(", ")));
    }
    lines
}

/// What a comparison found.
pub fn verified(epoch: u64, findings: &[Finding], as_json: bool) -> Result<()> {
    if as_json {
        return text(&format!("{}\n", json!({"epoch": epoch, "tables": findings})));
    }
    let mut lines = format!("compared as of epoch {epoch}\n");
    for finding in findings {
        let word = if finding.same { "same  " } else { "DIFFER" };
        lines.push_str(&format!(
            "  {word} {:<32} {} rows in the lake, {} in the target\n",
            finding.table, finding.lake_rows, finding.target_rows
        ));
        for (key, how) in &finding.keys {
            let how = match how {
                Difference::Missing => "is missing in the target",
                Difference::Extra => "is only in the target",
                Difference::Other => "is another row",
            };
            lines.push_str(&format!("         key {key} {how}\n"));
        }
    }
    text(&lines)
}
