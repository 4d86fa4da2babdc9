//! Times of many epochs, step by step, and their quantiles.

use std::time::{Duration, Instant};

use serde_json::json;

/// One epoch's steps, in milliseconds, in the order of the names that the measurer gives.
#[derive(Debug, Default)]
pub struct Spans {
    names: Vec<&'static str>,
    epochs: Vec<Vec<f64>>,
}

/// The epoch that is being measured.
pub struct Running {
    since: Instant,
    steps: Vec<f64>,
}

impl Running {
    /// Starts.
    pub fn start() -> Self {
        Self { since: Instant::now(), steps: Vec::new() }
    }

    /// A step has ended, and the next begins.
    pub fn step(&mut self) {
        self.steps.push(millis(self.since.elapsed()));
        self.since = Instant::now();
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Spans {
    /// For these steps.
    pub fn new(names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), epochs: Vec::new() }
    }

    /// Takes a measured epoch in.
    pub fn push(&mut self, running: Running) {
        self.epochs.push(running.steps);
    }

    /// Seconds of one step over all epochs.
    pub fn seconds(&self, name: &str) -> f64 {
        let at = self.names.iter().position(|n| *n == name);
        let of = |steps: &Vec<f64>| at.and_then(|at| steps.get(at)).copied().unwrap_or(0.0);
        self.epochs.iter().map(of).sum::<f64>() / 1e3
    }

    /// Seconds of all steps over all epochs.
    pub fn total_seconds(&self) -> f64 {
        self.epochs.iter().flatten().sum::<f64>() / 1e3
    }

    /// p50, p99 and longest of the first and the last tenth, by step and for the whole.
    pub fn as_json(&self) -> serde_json::Value {
        let tenth = (self.epochs.len() / 10).max(1).min(self.epochs.len());
        let first = &self.epochs[..tenth];
        let last = &self.epochs[self.epochs.len() - tenth..];
        let mut steps = serde_json::Map::new();
        for (at, name) in self.names.iter().enumerate() {
            let of = |steps: &Vec<f64>| steps.get(at).copied().unwrap_or(0.0);
            steps.insert((*name).to_owned(), json!({
                "first": quantiles(first.iter().map(of)), "last": quantiles(last.iter().map(of)),
            }));
        }
        let whole = |steps: &Vec<f64>| steps.iter().sum::<f64>();
        steps.insert("epoch".to_owned(), json!({
            "first": quantiles(first.iter().map(whole)), "last": quantiles(last.iter().map(whole)),
        }));
        serde_json::Value::Object(steps)
    }
}

/// Milliseconds.
fn quantiles(values: impl Iterator<Item = f64>) -> serde_json::Value {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let place = (sorted.len().saturating_sub(1)) * percent / 100;
        sorted.get(place).copied().unwrap_or(0.0)
    };
    json!({"p50": at(50), "p99": at(99), "max": at(100)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_right_tenth() {
        let mut spans = Spans::new(&["a"]);
        for epoch in 0..100 {
            spans.push(Running { since: Instant::now(), steps: vec![f64::from(epoch)] });
        }
        let told = spans.as_json();
        assert_eq!(told["a"]["first"]["p50"], 4.0);
        assert_eq!(told["epoch"]["last"]["max"], 99.0);
    }
}
