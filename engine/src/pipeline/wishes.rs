//! Wishes of `freshet prove` that a model be made anew: looked for now and then, and taken up by the
//! next epoch.
//!
//! It must never take a wish away: that is done when the model was made anew.

use std::collections::BTreeSet;

use super::Pipeline;
use crate::error::Result;
use crate::lake::store::Store;
use crate::lake::{layout, load};
use crate::transform::plan::Planned;

/// Microseconds between two looks for models that `freshet prove` found wrong.
const WISHES_EVERY_US: i64 = 10_000_000;

/// The models of which a proof wishes that they be made anew.
pub(super) async fn wishes(store: &Store, planned: &Planned) -> Result<BTreeSet<String>> {
    let there = store.list(layout::REPAIRS).await?;
    let there: BTreeSet<String> = there.iter().map(|o| o.location.to_string()).collect();
    let names = planned.models.iter().map(|model| &model.name);
    Ok(names.filter(|name| there.contains(&layout::repair(name))).cloned().collect())
}

impl Pipeline {
    /// Whether a proof asked for a model to be made anew that is not made yet: for a line that stands
    /// still. A lake that does not answer is asked again later.
    pub(super) async fn is_wished(&mut self) -> bool {
        let Ok(wishes) = wishes(&self.store, &self.planned).await else { return false };
        let stands = |path: &str| self.last.as_ref().is_some_and(|d| d.tables.contains_key(path));
        let mut models = self.planned.models.iter();
        let wished = models.any(|m| stands(&m.spec.path) && wishes.contains(&m.name));
        if wished {
            // The next epoch looks at once.
            self.wishes_us = i64::MIN / 2;
        }
        wished
    }

    /// Takes up the wishes of `freshet prove`, which reads the lake and not what is held here: such a
    /// model is read anew before it is made anew. Looked for now and then.
    pub(super) async fn take_wishes(&mut self, now_us: i64) -> Result<()> {
        if now_us - self.wishes_us < WISHES_EVERY_US {
            return Ok(());
        }
        self.wishes_us = now_us;
        let wishes = wishes(&self.store, &self.planned).await?;
        if wishes.is_empty() {
            return Ok(());
        }
        let standing = self.last.as_ref().map(|d| d.tables.clone()).unwrap_or_default();
        let wished = self.planned.models.iter().filter(|m| wishes.contains(&m.name));
        let specs = wished.map(|m| (m.name.clone(), m.spec.clone()));
        for (name, spec) in specs.collect::<Vec<_>>() {
            let Some(at) = standing.get(&spec.path) else { continue };
            // What a running merge was begun from is no more, nor is what a copy was made of.
            self.compacting.abandon();
            self.distrust(&name).await?;
            let table = load::table(&self.store, spec, at.version, None).await?;
            self.tables.models.insert(name.clone(), table);
            self.wished.insert(name.clone());
            self.forced.insert(name);
        }
        self.planned.add_readers(&mut self.forced);
        Ok(())
    }
}
