//! One attempt at a target: read its ledger, shape its tables, push, and believe what it counted.
//!
//! Shared by the publisher beside the line and by `freshet publish push`. After anything that failed
//! the ledger is read again: it alone says what was done.

use std::collections::{BTreeMap, BTreeSet};

use super::assemble::{Care, Sources};
use super::contract::Contract;
use super::moves::Standing;
use super::net::Pending;
use super::options::{Policy, Raw};
use super::plan;
use super::raw;
use super::warehouse::{Cost, Pushed, Warehouse};
use crate::checkpoint::decision::Decision;
use crate::error::{Error, Result};
use crate::lake::store::Store;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ended {
    /// The target holds the epoch.
    Pushed(Cost),
    /// A later generation pushes here.
    Fenced(u64),
    /// The target holds this epoch: what waits must be counted from there.
    Moved(Option<u64>),
}

/// A target and what it takes to push to it.
pub struct Attempt {
    /// The target's name in the configuration.
    pub target: String,
    /// The target.
    pub warehouse: Box<dyn Warehouse>,
    /// The lake.
    pub store: Store,
    /// The lake's id.
    pub lake: String,
    /// The writer's generation.
    pub generation: u64,
    /// The target's tables.
    pub contracts: Vec<Contract>,
    /// Its policy.
    pub policy: Policy,
    /// RAW, where it is wanted.
    pub raw: Option<Raw>,
    /// Credits that the target's warehouse burns an hour; 0 for a local one.
    pub credits_per_hour: f64,
    /// Tables whose rows may be replaced although they are not ours.
    pub adopted: BTreeSet<String>,
    /// Whether RAW lacks events that the last push left for the next one.
    pub raw_behind: bool,
    /// What the target said last; read anew after anything that failed.
    pub known: Option<Standing>,
}

impl Attempt {
    /// Tries once; `pending` is what waits up to `decision`.
    pub async fn run(&mut self, pending: &mut Pending, decision: &Decision) -> Result<Ended> {
        let mut care: BTreeMap<String, Care> = BTreeMap::new();
        loop {
            let standing = self.standing(decision).await?;
            // A push whose answer was lost.
            if standing.pushed() == Some(decision.epoch) && standing.pushed() != pending.from {
                return Ok(Ended::Pushed(Cost::default()));
            }
            if standing.pushed() != pending.from {
                return Ok(Ended::Moved(standing.pushed()));
            }
            let sources = Sources {
                store: &self.store,
                lake: &self.lake,
                generation: self.generation,
                decision,
                contracts: &self.contracts,
                standing: &standing,
                policy: &self.policy,
                raw: self.raw.as_ref(),
                care: &care,
            };
            let push = sources.assemble(pending).await?;
            if push.from == Some(push.to) && push.rows_sent() == 0 && push.tables.is_empty() {
                return Ok(Ended::Pushed(Cost::default()));
            }
            self.known = None;
            self.raw_behind = push.raw.iter().any(|raw| raw.after.epoch < push.to);
            match self.warehouse.push(&push).await? {
                Pushed::Done(cost) => {
                    let mut standing = standing;
                    standing.generation = self.generation;
                    standing.lake = Some(self.lake.clone());
                    standing.ledger.extend(push.ledger());
                    self.known = Some(standing);
                    return Ok(Ended::Pushed(cost));
                }
                Pushed::Fenced(generation) => return Ok(Ended::Fenced(generation)),
                Pushed::Moved => {}
                Pushed::Differs { table, what } => escalate(&mut care, table, &what)?,
            }
        }
    }

    /// The ledger, and tables that are what the contracts say.
    async fn standing(&mut self, decision: &Decision) -> Result<Standing> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let mut standing = self.warehouse.standing(&self.contracts).await?;
        plan::refuse_strangers(&standing, &self.lake, decision.epoch)?;
        let raw: Vec<String> =
            self.raw.iter().flat_map(|raw| &raw.tables).map(|t| raw::ledger_name(t)).collect();
        plan::refuse_foreign(&self.contracts, &raw, &standing, &self.adopted)?;
        let statement = |shape: &_| self.warehouse.statement(shape);
        let steps = plan::shapes(&self.contracts, &standing, &self.policy, &statement)?;
        if !standing.installed || raw.iter().any(|name| !standing.ledger.contains_key(name)) {
            self.warehouse.install().await?;
            standing.installed = true;
        }
        if !steps.is_empty() {
            self.warehouse.shape(&steps).await?;
        }
        self.known = Some(standing.clone());
        Ok(standing)
    }
}

/// The next more careful way; after the last one the target was changed by somebody else.
fn escalate(care: &mut BTreeMap<String, Care>, table: String, what: &str) -> Result<()> {
    let level = care.entry(table.clone()).or_default();
    *level = match *level {
        Care::Merge => Care::Replace,
        Care::Replace => {
            return Err(Error::failed(format!(
                "{table} in the target is not what was pushed ({what}); nothing was changed"
            ))
            .with_hint(format!(
                "`freshet publish verify` names the keys that differ; `freshet publish reset \
                 --tables {table}` makes the next push write it whole"
            )));
        }
        Care::Overwrite => {
            return Err(Error::failed(format!("{table} could not be written whole: {what}")));
        }
    };
    Ok(())
}
