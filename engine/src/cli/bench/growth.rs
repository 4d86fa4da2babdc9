//! What grows while epochs follow each other: the first tenth of them beside the last.
//!
//! Each name's milliseconds an epoch, stations, models and tests alike. Work that runs beside the epochs
//! is told by the epoch in which it ends. It must never cost what it measures: it notes once an epoch.

use std::collections::BTreeMap;

use crate::checkpoint::decision::Decision;
use crate::pipeline::shares;

/// The lines that are printed.
const PRINTED: usize = 10;

/// The first tenth and the last, by name.
#[derive(Default)]
pub(super) struct Growth {
    epochs: u64,
    noted: u64,
    before: Vec<u64>,
    spent_ms: BTreeMap<String, [f64; 2]>,
}

impl Growth {
    /// Of so many epochs, which begin now.
    pub(super) fn over(epochs: u64) -> Self {
        Self { epochs, before: shares::nanos().to_vec(), ..Self::default() }
    }

    /// Notes an epoch that is over.
    pub(super) fn note(&mut self, decision: &Decision) {
        let (now, tenth) = (shares::nanos().to_vec(), (self.epochs / 10).max(1));
        let parts = [self.noted < tenth, self.noted + tenth >= self.epochs];
        self.noted += 1;
        let before = std::mem::replace(&mut self.before, now);
        for (at, _) in parts.iter().enumerate().filter(|(_, within)| **within) {
            let mut add = |name: &str, millis: f64| {
                self.spent_ms.entry(name.to_owned()).or_default()[at] += millis / tenth as f64;
            };
            for ((share, before), now) in shares::ALL.iter().zip(&before).zip(&self.before) {
                add(share.word(), (now - before) as f64 / 1e6);
            }
            for model in &decision.models {
                add(&model.name, model.micros as f64 / 1e3);
            }
            for test in &decision.tests {
                add(&test.name, test.micros as f64 / 1e3);
            }
        }
    }

    /// By name, what grew most first.
    fn ordered(&self) -> Vec<(&str, [f64; 2])> {
        let mut all: Vec<_> = self.spent_ms.iter().map(|(n, ms)| (n.as_str(), *ms)).collect();
        all.sort_by(|(_, a), (_, b)| (b[1] - b[0]).total_cmp(&(a[1] - a[0])));
        all
    }

    pub(super) fn as_json(&self) -> serde_json::Value {
        self.ordered().into_iter().map(|(name, ms)| serde_json::json!([name, ms])).collect()
    }

    pub(super) fn print(&self) {
        println!("  what grew most, from the first tenth of the epochs to the last");
        for (name, [first, last]) in self.ordered().into_iter().take(PRINTED) {
            println!("    {name:<60} {first:>8.2} -> {last:.2} ms");
        }
    }
}
