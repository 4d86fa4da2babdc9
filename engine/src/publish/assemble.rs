//! From what waits to a push: which rows each table gets, and in what way.
//!
//! Each net change is first proved against the ledger: rows and hash of what the target holds, moved
//! by the change, must be those of the lake. What does not add up is sent whole, never guessed.

use std::collections::BTreeMap;

use freshet_sql::change::ChangeBatch;
use freshet_sql::digest;

use super::contract::Contract;
use super::keyed::{by_key, whole_keys};
use super::lakeside;
use super::moves::{LedgerRow, Move, Push, Standing, TableMove};
use super::net::{Pending, Waiting};
use super::options::{Policy, Raw};
use super::raw;
use crate::checkpoint::decision::Decision;
use crate::error::{Error, Result};
use crate::lake::store::Store;

/// How carefully a table's rows are moved: raised when the target's counts say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Care {
    /// By key, each at most one row.
    #[default]
    Merge,
    /// All rows of the touched keys.
    Replace,
    /// All rows.
    Overwrite,
}

/// What a push is made from.
pub struct Sources<'s> {
    /// The lake.
    pub store: &'s Store,
    /// Its id.
    pub lake: &'s str,
    /// The writer's generation.
    pub generation: u64,
    /// The epoch to reach.
    pub decision: &'s Decision,
    /// The target's tables.
    pub contracts: &'s [Contract],
    /// The target's ledger.
    pub standing: &'s Standing,
    /// Its policy.
    pub policy: &'s Policy,
    /// RAW, where it is wanted.
    pub raw: Option<&'s Raw>,
    /// Tables that need more than a merge.
    pub care: &'s BTreeMap<String, Care>,
}

impl Sources<'_> {
    /// Makes the push.
    pub async fn assemble(&self, pending: &mut Pending) -> Result<Push> {
        let mut tables = Vec::new();
        let mut unchanged = Vec::new();
        for contract in self.contracts {
            let waiting = pending
                .marts
                .get_mut(&contract.model)
                .ok_or_else(|| Error::bug(format!("\"{}\" does not wait", contract.model)))?;
            let after = lakeside::standing(self.decision, contract, self.generation);
            match self.what(contract, waiting, &after).await? {
                Some(what) => tables.push(TableMove { contract: contract.clone(), what, after }),
                None => unchanged.push((contract.table.clone(), after)),
            }
        }
        let raw = match self.raw {
            None => Vec::new(),
            Some(raw) => {
                let pushed = |name: &str| self.standing.ledger.get(name).cloned();
                raw::moves(self.store, self.decision, raw, self.generation, &pushed).await?
            }
        };
        Ok(Push {
            id: uuid::Uuid::new_v4().to_string(),
            lake: self.lake.to_owned(),
            generation: self.generation,
            from: self.standing.pushed(),
            to: self.decision.epoch,
            time_us: self.decision.time_us,
            commit_us: self.decision.last_commit_us,
            offsets: serde_json::to_string(&self.decision.offsets).unwrap_or_default(),
            tables,
            unchanged,
            raw,
            before: self.standing.ledger.clone(),
        })
    }

    async fn what(
        &self,
        contract: &Contract,
        waiting: &mut Waiting,
        after: &LedgerRow,
    ) -> Result<Option<Move>> {
        let care = self.care.get(&contract.table).copied().unwrap_or_default();
        let reason = match (self.standing.ledger.get(&contract.table), waiting) {
            (None, _) => "the first push".to_owned(),
            (Some(_), Waiting::Whole(reason)) => reason.clone(),
            (Some(before), Waiting::Net(net)) => {
                let change = net.settle()?;
                match self.why_whole(contract, change, before, after, care)? {
                    Some(reason) => reason,
                    None if change.is_empty() => return Ok(None),
                    None => return self.by_change(contract, change, care).await.map(Some),
                }
            }
        };
        tracing::debug!(table = contract.table, reason, "a mart is sent whole");
        let rows = lakeside::rows(self.store, self.decision, contract).await?;
        Ok(Some(Move::Overwrite { rows, reason }))
    }

    fn why_whole(
        &self,
        contract: &Contract,
        change: &ChangeBatch,
        before: &LedgerRow,
        after: &LedgerRow,
        care: Care,
    ) -> Result<Option<String>> {
        if !adds_up(contract, change, before, after)? {
            return Ok(Some("its change log does not add up".to_owned()));
        }
        if change.is_empty() {
            return Ok(None);
        }
        if contract.key.is_empty() {
            return Ok(Some("it has no key".to_owned()));
        }
        if care == Care::Overwrite {
            return Ok(Some("its rows in the target differ".to_owned()));
        }
        let changed = change.removed.num_rows().max(change.added.num_rows()) as f64;
        let share = changed / (after.rows.max(1) as f64);
        if share > self.policy.overwrite_share {
            return Ok(Some(format!("{:.0} % of its rows changed", share * 100.0)));
        }
        Ok(None)
    }

    async fn by_change(
        &self,
        contract: &Contract,
        change: &ChangeBatch,
        care: Care,
    ) -> Result<Move> {
        if care == Care::Merge
            && let Some(keyed) = by_key(change, &contract.key)?
        {
            return Ok(Move::Merge(keyed));
        }
        let rows = lakeside::rows(self.store, self.decision, contract).await?;
        whole_keys(change, &contract.key, &rows)
    }
}

/// Whether the rows that the target holds, moved by a change, are those of the lake.
fn adds_up(
    contract: &Contract,
    change: &ChangeBatch,
    before: &LedgerRow,
    after: &LedgerRow,
) -> Result<bool> {
    let hash = |row: &LedgerRow| u64::from_str_radix(&row.hash, 16).ok();
    let columns: Vec<usize> =
        (0..contract.columns.len()).filter(|i| !contract.columns[*i].audit).collect();
    let moved = match hash(before) {
        Some(before) => digest::advance(before, change, &columns)?,
        None => return Ok(false),
    };
    let rows = (before.rows + change.added.num_rows() as u64)
        .checked_sub(change.removed.num_rows() as u64);
    Ok(hash(after) == Some(moved) && rows == Some(after.rows))
}
