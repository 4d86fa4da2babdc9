//! The cut without transaction boundaries: by txId and commit time, partition by partition.
//!
//! A run of one txId is never split within its partition, and nothing is cut at or after the
//! commit time that a partition still to be read has shown last. That is weaker than whole
//! transactions: a transaction whose other records come late is not waited for.

use super::complete::Clock;
use super::options::Options;
use super::partitions::{Partition, Weight};

/// How many runs at each partition's front a cut takes, with the commit times they go by.
pub(super) type Fronts = Vec<Vec<i64>>;

/// The commit time before which everything was read, and may be cut.
pub(super) fn horizon(partitions: &[Partition], clock: Clock) -> i64 {
    partitions.iter().map(|partition| limit(partition, clock)).min().unwrap_or(i64::MAX)
}

/// The commit time from which on a partition may still have something to say.
fn limit(partition: &Partition, clock: Clock) -> i64 {
    let Some(since) = partition.runs.iter().rev().find(|run| run.key.is_some()) else {
        let seen = partition.last_commit_us.unwrap_or(i64::MIN);
        return if partition.at_end() { i64::MAX } else { seen };
    };
    match partition.silent(since.arrived_ms, clock.idle_ms, clock.now_ms) {
        true => i64::MAX,
        false => partition.last_commit_us.unwrap_or(i64::MIN),
    }
}

/// Chooses the runs to cut: the fewest commit times that fill the bounds, or all when due.
pub(super) fn choose(
    partitions: &[Partition],
    options: &Options,
    clock: Clock,
    due: bool,
) -> Option<Fronts> {
    let horizon = horizon(partitions, clock);
    let mut fronts: Fronts = Vec::with_capacity(partitions.len());
    let mut weights: Vec<(i64, Weight)> = Vec::new();
    for partition in partitions {
        let mut front = Vec::new();
        let mut bound = i64::MIN;
        for run in &partition.runs {
            bound = bound.max(run.key.map_or(i64::MIN, |key| key.commit_us));
            if run.key.is_some() && bound >= horizon {
                break;
            }
            front.push(bound);
            weights.push((bound, run.weight));
        }
        fronts.push(front);
    }
    weights.sort_by_key(|(bound, _)| *bound);
    let mut sum = Weight::default();
    let mut last = None;
    for (bound, weight) in weights {
        let full = sum.rows >= options.rows_max || sum.bytes >= options.bytes_max;
        if full && last != Some(bound) {
            break;
        }
        sum.add(weight);
        last = Some(bound);
    }
    let full = sum.rows >= options.rows_max || sum.bytes >= options.bytes_max;
    let last = last.filter(|_| due || full)?;
    for front in &mut fronts {
        front.retain(|bound| *bound <= last);
    }
    Some(fronts)
}
