//! Wishes of `freshet prove` that a model or a source be made anew, and what it proved: looked for now
//! and then, and taken up by the next epoch.
//!
//! It must never take a wish away: that is done when the model was made anew.

use std::collections::BTreeSet;

use super::Pipeline;
use crate::error::Result;
use crate::lake::store::Store;
use crate::lake::{layout, load};
use crate::transform::planned::Planned;

/// Microseconds between two looks for models that `freshet prove` found wrong.
const WISHES_EVERY_US: i64 = 10_000_000;

/// The models and sources of which a proof wishes that they be made anew.
pub(super) async fn wishes(store: &Store, planned: &Planned) -> Result<BTreeSet<String>> {
    let there = store.list(layout::REPAIRS).await?;
    let there: BTreeSet<String> = there.iter().map(|o| o.location.to_string()).collect();
    let names = planned.models.iter().map(|model| &model.name).chain(planned.sources.keys());
    Ok(names.filter(|name| there.contains(&layout::repair(name))).cloned().collect())
}

impl Pipeline {
    /// Takes over what `freshet prove` proved of models.
    async fn take_proved(&mut self) -> Result<()> {
        let there = self.store.list(layout::PROVED).await?;
        for path in there.iter().map(|object| object.location.to_string()) {
            let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(".txt"));
            let epoch = self.store.get(&path).await?;
            let epoch =
                epoch.as_deref().and_then(|body| std::str::from_utf8(body).ok()?.parse().ok());
            if let (Some(name), Some(epoch)) = (name, epoch) {
                self.proving.note(name, epoch);
            }
            self.store.delete(&path).await?;
        }
        Ok(())
    }

    /// Whether a proof asked for a model to be made anew that is not made yet: for a line that stands
    /// still. A lake that does not answer is asked again later.
    pub(super) async fn is_wished(&mut self) -> Result<bool> {
        if let Some(found) = self.proving.finished().await {
            self.disproved(&found).await?;
            return Ok(true);
        }
        let Ok(wishes) = wishes(&self.store, &self.planned).await else { return Ok(false) };
        let stands = |path: &str| self.last.as_ref().is_some_and(|d| d.tables.contains_key(path));
        let wished = wishes
            .iter()
            .any(|name| self.tables.relation(name).is_some_and(|table| stands(table.path())));
        if wished {
            // The next epoch looks at once.
            self.wishes_us = i64::MIN / 2;
        }
        Ok(wished)
    }

    /// Takes up the wishes of `freshet prove`, which reads the lake and not what is held here: such a
    /// model is read anew before it is made anew. Looked for now and then.
    pub(super) async fn take_wishes(&mut self, now_us: i64) -> Result<()> {
        if now_us - self.wishes_us < WISHES_EVERY_US {
            return Ok(());
        }
        self.wishes_us = now_us;
        self.take_proved().await?;
        let wishes = wishes(&self.store, &self.planned).await?;
        if wishes.is_empty() {
            return Ok(());
        }
        let standing = self.last.as_ref().map(|d| d.tables.clone()).unwrap_or_default();
        let models = self.planned.models.iter().map(|m| (m.name.clone(), m.spec.clone()));
        let sources = self.catalog.iter().map(|(_, s)| (s.relation.clone(), s.spec()));
        let wished = models.chain(sources).filter(|(name, _)| wishes.contains(name));
        for (name, spec) in wished.collect::<Vec<_>>() {
            let Some(at) = standing.get(&spec.path) else { continue };
            self.distrust(&name).await?;
            let table = load::table(&self.store, spec, at.version, None).await?;
            self.wished.insert(name.clone());
            if self.tables.models.contains_key(&name) {
                self.tables.models.insert(name.clone(), table);
                self.forced.insert(name);
            } else {
                self.tables.source.insert(name.clone(), table);
                self.stale_sources.insert(name);
            }
        }
        self.planned.add_readers(&mut self.forced);
        Ok(())
    }
}
