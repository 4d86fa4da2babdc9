//! Publishers beside the loop: started with a pipeline, told of each epoch, ended with it.

use freshet_sql::project::Project;

use super::Pipeline;
use super::catalog::Catalog;
use crate::error::Result;
use crate::publish::contract::{Contract, contracts};
use crate::publish::lakeside;
use crate::publish::publisher::{Publisher, Seen};
use crate::publish::target::Target;
use crate::transform::planned::Planned;

/// A target with RAW's tables filled in, and its contracts.
pub fn prepare(
    target: &Target,
    project: &Project,
    planned: &Planned,
    catalog: &Catalog,
) -> Result<(Target, Vec<Contract>)> {
    let mut target = target.clone();
    target.fill_raw(catalog.iter().map(|(_, source)| source.folder.clone()));
    let contracts = contracts(project, &planned.models, target.policy())?;
    Ok((target, contracts))
}

impl Pipeline {
    /// The tables of a target.
    pub fn contracts(&self, project: &Project, target: &Target) -> Result<Vec<Contract>> {
        Ok(prepare(target, project, &self.planned, &self.catalog)?.1)
    }

    /// Starts a publisher for each target.
    ///
    /// # Errors
    /// `Invalid` for what the policy says wrongly, `Unavailable` for a local file that can't be opened.
    /// An account that is away is no error.
    pub async fn publish_to(&mut self, project: &Project, targets: &[Target]) -> Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        let lake = lakeside::identity(&self.store).await?;
        for target in targets {
            let (target, contracts) = prepare(target, project, &self.planned, &self.catalog)?;
            let store = self.store.clone();
            let generation = self.lease.generation;
            let attempt = target.attempt(store, lake.clone(), generation, contracts)?;
            let clock = self.clock.clone();
            self.publishers.push(Publisher::start(attempt, clock, self.last.as_ref())?);
        }
        Ok(())
    }

    /// Waits until every target has what it can have now.
    pub async fn settle(&self) -> Vec<Seen> {
        let epoch = self.last.as_ref().map_or(0, |d| d.epoch);
        futures::future::join_all(self.publishers.iter().map(|p| p.settle(epoch))).await
    }

    pub(super) async fn stop_publishing(&mut self) {
        futures::future::join_all(self.publishers.iter_mut().map(Publisher::finish)).await;
    }
}
