//! Bringing a snapshot up to date: by every image of its source, or once an epoch.

use freshet_sql::maintain::recompute::difference;
use freshet_sql::rows::RowHasher;

use super::follow::{self, Followed};
use super::history::{at_epoch_end, events_of, follow_change, onto_stored};
use super::planned::{Planned, PlannedModel, PlannedSnapshot};
use super::report::Mode;
use super::run::{Input, Made, stored, wide};
use super::taken_over::onto_taken_over;
use super::view::View;
use crate::error::{Error, Result};
use crate::lake::moment::Moment;
use crate::lake::tables::Tables;

impl Planned {
    pub(super) async fn snapshot(
        &self,
        model: &PlannedModel,
        snapshot: &PlannedSnapshot,
        tables: &Tables,
        view: &View<'_>,
        input: &Input,
    ) -> Result<Made> {
        let table = stored(tables, model)?;
        let own = Moment { table, change: None };
        let queries = match &snapshot.images {
            Ok(queries) => queries,
            Err(reason) => {
                return self.by_epochs(model, snapshot, tables, view, input, reason).await;
            }
        };
        let relation = self
            .sources
            .get(&queries.source)
            .map(|s| &s.images)
            .ok_or_else(|| Error::bug("a snapshot of an unknown source"))?;
        if input.forced.contains(&model.name) {
            let Some(versions) = input.history.get(&model.name) else {
                return Ok(Made::unchanged());
            };
            let fresh = versions.clone();
            let change = difference(table, fresh, &model.spec.schema, table.hasher())?;
            return Ok(Made::by(Mode::Rebuild, "folded anew from raw", change));
        }
        let Some(images) = input.images.get(&queries.source) else {
            return Ok(Made::unchanged());
        };
        let (told, _) = events_of(&self.session, snapshot, queries, relation, images).await?;
        let change = if model.is_imported() {
            onto_taken_over(model, snapshot, &told, &own)?
        } else {
            onto_stored(snapshot, &told, &own)?
        };
        Ok(Made::by(Mode::Images, "", change))
    }

    /// A snapshot with one version per epoch at most.
    async fn by_epochs(
        &self,
        model: &PlannedModel,
        snapshot: &PlannedSnapshot,
        tables: &Tables,
        view: &View<'_>,
        input: &Input,
        reason: &str,
    ) -> Result<Made> {
        let forced = input.forced.contains(&model.name);
        if !forced && !model.lineage.by_time && view.changed_rows() == 0 {
            return Ok(Made::unchanged());
        }
        let table = stored(tables, model)?;
        let own = Moment { table, change: None };
        let epoch = i64::try_from(input.epoch).unwrap_or(i64::MAX);
        if !forced {
            let hasher = RowHasher::all_but(&snapshot.spec.query, &model.lineage.audit);
            let before = input.before_us;
            let made = follow::change(
                &self.session,
                (&model.name, &model.maintained),
                view,
                &hasher,
                before,
            )
            .await?;
            if let Followed::Change(change, rows_read) = made {
                let change = follow_change(snapshot, &change, &own, input.commit_us, epoch).await?;
                return Ok(Made { rows_read, ..Made::by(Mode::EpochEnd, reason, change) });
            }
        }
        model.maintained.forget();
        let fresh = self.whole(model, tables, view, wide(view)).await?;
        let held = table.scan()?;
        let change = at_epoch_end(snapshot, &fresh, &held, input.commit_us, epoch).await?;
        let reason = format!("{reason}; its query was run in full");
        Ok(Made { rows_read: view.rows(), ..Made::by(Mode::EpochEnd, reason, change) })
    }
}
