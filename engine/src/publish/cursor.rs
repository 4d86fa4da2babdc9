//! What a publisher remembers in the lake: derived from the target's ledger, and may be lost.
//!
//! It lets a start leave the warehouse asleep when nothing waits, and keeps the net change of a long
//! wait over a restart. It must never be believed against the ledger.

use std::collections::BTreeMap;

use bytes::Bytes;
use freshet_sql::change::ChangeBatch;
use serde::{Deserialize, Serialize};

use super::contract::Contract;
use super::net::{Pending, Waiting};
use super::warehouse::Cost;
use crate::checkpoint::decision::Decision;
use crate::checkpoint::recover;
use crate::error::{Error, Result};
use crate::lake::parquet::{self, Effort};
use crate::lake::store::Store;
use crate::lake::{changelog, layout};

/// Pushes that are remembered for averages and the day's cost.
const RECENT_MAX: usize = 200;
/// Decisions read at a time.
const READ_AT_ONCE: u64 = 16;

/// One push, as it went.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PushRecord {
    /// When it ended, microseconds since 1970 UTC.
    pub at_us: i64,
    /// The epoch it reached.
    pub epoch: u64,
    /// From the epoch's commit in the lake to its commit in the target.
    pub delay_ms: i64,
    /// What it took.
    pub cost: Cost,
}

impl PushRecord {
    /// A push that ended now.
    pub fn new(at_us: i64, decision: &Decision, cost: Cost) -> Self {
        let delay_ms = (at_us - decision.time_us) / 1_000;
        Self { at_us, epoch: decision.epoch, delay_ms, cost }
    }
}

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// The epoch that the target holds.
    pub epoch: Option<u64>,
    /// Source events up to that epoch.
    pub events: u64,
    /// The latest pushes, oldest first.
    pub recent: Vec<PushRecord>,
    /// What the publisher does now, in words.
    pub state: String,
    /// The last failure, if the last attempt failed.
    pub error: Option<String>,
    /// The epoch up to which changes wait.
    pub waiting_to: u64,
    /// Changed rows that wait, by mart; marts that are sent whole say why.
    pub waiting: BTreeMap<String, String>,
    /// Credits that the warehouse burns an hour.
    pub credits_per_hour: f64,
}

fn path(target: &str) -> String {
    format!("{}/status.json", layout::publishing(target))
}

fn net_path(target: &str, mart: &str) -> String {
    format!("{}/net/{mart}.parquet", layout::publishing(target))
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedNet {
    from: u64,
    to: u64,
    whole: BTreeMap<String, String>,
    nets: Vec<String>,
}

impl Cursor {
    /// What was remembered, or nothing.
    pub async fn read(store: &Store, target: &str) -> Result<Self> {
        let Some(body) = store.get(&path(target)).await? else { return Ok(Self::default()) };
        // A format of another version is as good as lost.
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Remembers.
    pub async fn write(&self, store: &Store, target: &str) -> Result<()> {
        let body = serde_json::to_vec(self).map_err(|e| Error::bug(e.to_string()))?;
        store.put(&path(target), Bytes::from(body)).await
    }

    /// Takes a push in.
    pub fn pushed(&mut self, record: PushRecord) {
        self.epoch = Some(record.epoch);
        self.error = None;
        self.recent.push(record);
        let over = self.recent.len().saturating_sub(RECENT_MAX);
        self.recent.drain(..over);
    }

    /// What a push took on average, over the last ones.
    pub fn mean(&self) -> Cost {
        let last = &self.recent[self.recent.len().saturating_sub(20)..];
        let count = last.len().max(1) as f64;
        let sum = |of: fn(&Cost) -> f64| last.iter().map(|r| of(&r.cost)).sum::<f64>() / count;
        Cost {
            requests: sum(|c| c.requests as f64) as u64,
            warehouse_seconds: sum(|c| c.warehouse_seconds),
            rows: sum(|c| c.rows as f64) as u64,
            bytes: sum(|c| c.bytes as f64) as u64,
        }
    }

    /// Credits a day at the pace of the remembered pushes of the last day, estimated.
    pub fn credits_per_day(&self, now_us: i64) -> f64 {
        let day_ago = now_us - 86_400_000_000;
        let pushes: Vec<(f64, f64)> = self
            .recent
            .iter()
            .filter(|r| r.at_us >= day_ago)
            .map(|r| {
                let busy = r.cost.warehouse_seconds;
                (r.at_us as f64 / 1e6 - busy, busy)
            })
            .collect();
        let Some((first, _)) = pushes.first() else { return 0.0 };
        let span = (now_us as f64 / 1e6 - first).max(60.0);
        let awake = super::policy::awake_seconds(&pushes);
        let full_day = if span > 3_600.0 { 86_400.0 / span } else { 1.0 };
        awake * full_day / 3_600.0 * self.credits_per_hour
    }
}

/// Why a target is held, by people or by what found a difference.
pub async fn holds(store: &Store, target: &str) -> Result<Vec<String>> {
    let mut holds = Vec::new();
    for object in store.list(&layout::holds(target)).await? {
        let path = object.location.to_string();
        let Some(body) = store.get(&path).await? else { continue };
        let name = path.rsplit('/').next().unwrap_or("").trim_end_matches(".txt").to_owned();
        holds.push(format!("{name}: {}", String::from_utf8_lossy(&body)));
    }
    Ok(holds)
}

/// Holds a target under a name; `None` releases it.
pub async fn hold(store: &Store, target: &str, name: &str, why: Option<&str>) -> Result<()> {
    let path = format!("{}/{name}.txt", layout::holds(target));
    match why {
        Some(why) => store.put(&path, Bytes::copy_from_slice(why.as_bytes())).await,
        None => store.delete(&path).await,
    }
}

/// Releases a target, whoever holds it.
pub async fn release(store: &Store, target: &str) -> Result<()> {
    for object in store.list(&layout::holds(target)).await? {
        store.delete(object.location.as_ref()).await?;
    }
    Ok(())
}

/// Saves what waits, so that a restart needs no older change log.
pub async fn save(store: &Store, target: &str, pending: &mut Pending) -> Result<()> {
    let Some(from) = pending.from else { return Ok(()) };
    let mut saved = SavedNet { from, to: pending.to, whole: BTreeMap::new(), nets: Vec::new() };
    for (mart, waiting) in &mut pending.marts {
        match waiting {
            Waiting::Whole(reason) => {
                saved.whole.insert(mart.clone(), reason.clone());
            }
            Waiting::Net(net) => {
                let rows = net.settle()?.weighted()?;
                let body = parquet::encode(&rows, Effort::Small)?;
                // Named by the epoch too: a pointer never names a file of another save.
                let name = format!("{mart}-{}", saved.to);
                store.put(&net_path(target, &name), body).await?;
                saved.nets.push(mart.clone());
            }
        }
    }
    let body = serde_json::to_vec(&saved).map_err(|e| Error::bug(e.to_string()))?;
    let pointer = format!("{}/net.json", layout::publishing(target));
    let before = store.get(&pointer).await?;
    store.put(&pointer, Bytes::from(body)).await?;
    if let Some(old) = before.and_then(|b| serde_json::from_slice::<SavedNet>(&b).ok())
        && old.to != saved.to
    {
        for mart in old.nets {
            store.delete(&net_path(target, &format!("{mart}-{}", old.to))).await?;
        }
    }
    Ok(())
}

/// What waits between the epoch that a target holds and the lake's last one.
///
/// Read from what was saved and from the change log; a mart whose changes are not all there any more
/// is sent whole.
pub async fn waiting(
    store: &Store,
    target: &str,
    contracts: &[Contract],
    (from, to): (Option<u64>, u64),
    rows_max: usize,
) -> Result<Pending> {
    let schemas: Vec<_> = contracts.iter().map(|c| (c.model.clone(), c.schema.clone())).collect();
    let mut pending = Pending::new(from, &schemas, rows_max);
    if from.is_none() {
        pending.to = to;
        return Ok(pending);
    }
    restore(store, target, contracts, &mut pending).await?;
    let mut epoch = pending.to + 1;
    while epoch <= to {
        let last = (epoch + READ_AT_ONCE - 1).min(to);
        let reads = (epoch..=last).map(|e| recover::at(store, e));
        for (decision, number) in futures::future::join_all(reads).await.into_iter().zip(epoch..) {
            let Some(decision) = decision? else {
                for contract in contracts {
                    pending.send_whole(&contract.model, "its change log was pruned");
                }
                pending.to = to;
                return Ok(pending);
            };
            let mut changes = BTreeMap::new();
            for contract in contracts {
                if decision.from_nothing.contains(&contract.model) {
                    pending.send_whole(&contract.model, "it was made from nothing");
                }
                let path = layout::changes(layout::MARTS, &contract.model, number);
                if decision.changes.contains(&path) {
                    match changelog::read(store, &path, &contract.schema).await? {
                        Some(change) => drop(changes.insert(contract.model.clone(), change)),
                        None => pending.send_whole(&contract.model, "its change log was pruned"),
                    }
                }
            }
            pending.fold(number, &changes)?;
        }
        epoch = last + 1;
    }
    Ok(pending)
}

async fn restore(
    store: &Store,
    target: &str,
    contracts: &[Contract],
    pending: &mut Pending,
) -> Result<()> {
    let pointer = format!("{}/net.json", layout::publishing(target));
    let Some(body) = store.get(&pointer).await? else { return Ok(()) };
    let Ok(saved) = serde_json::from_slice::<SavedNet>(&body) else { return Ok(()) };
    if Some(saved.from) != pending.from {
        return Ok(());
    }
    let mut changes: BTreeMap<String, ChangeBatch> = BTreeMap::new();
    for contract in contracts {
        let mart = &contract.model;
        if let Some(reason) = saved.whole.get(mart) {
            pending.send_whole(mart, reason);
            continue;
        }
        let path = net_path(target, &format!("{mart}-{}", saved.to));
        match changelog::read(store, &path, &contract.schema).await? {
            Some(change) => drop(changes.insert(mart.clone(), change)),
            None => pending.send_whole(mart, "its saved changes are gone"),
        }
    }
    pending.fold(saved.to, &changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_told_per_day() {
        let mut cursor = Cursor { credits_per_hour: 1.0, ..Cursor::default() };
        for push in 0..24 {
            let cost = Cost { warehouse_seconds: 12.0, ..Cost::default() };
            let at_us = push * 3_600_000_000 + 12_000_000;
            cursor.pushed(PushRecord { at_us, epoch: 1, delay_ms: 0, cost });
        }
        let credits = cursor.credits_per_day(24 * 3_600_000_000);
        assert!((credits - 24.0 * 72.0 / 3_600.0).abs() < 0.01, "{credits}");
        assert!((cursor.mean().warehouse_seconds - 12.0).abs() < 1e-9);
    }
}
