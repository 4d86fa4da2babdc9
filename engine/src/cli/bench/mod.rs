//! `freshet bench`: measures, and asserts nothing.
//!
//! `drain` measures the whole line on a real Kafka, which `fill` fills; `lake` the lake and the
//! checkpoint alone, on changes that `scatter` makes; `epoch` small epochs over the bank at several
//! sizes; `publish` pushes what the bank's `life` changes.
//! It must never leave the path that the service
//! takes: what is timed here is what `serve` does.

pub mod drain;
pub mod epoch;
mod fill;
mod growth;
pub mod lake;
pub mod life;
mod measured;
mod memory;
pub mod publish;
mod scatter;
mod spans;
mod written;

/// The value below which this part of them lies; 0 of none.
fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 - 1.0) * part).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}
