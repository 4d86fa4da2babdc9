//! The change of a join: its own side's, and what the other side's change does to rows that were there.

use arrow::array::RecordBatch;
use datafusion::common::JoinType;

use super::delta::{Delta, has_rows};
use super::keys::KeySet;
use super::mutated;
use super::node::JoinOp;
use super::run::{Run, Stop};
use super::stored::When;

impl Run<'_> {
    pub async fn join(&self, join: &JoinOp) -> Result<Delta, Stop> {
        let main = join.main;
        let (own, partner) = (join.side(main), join.side(main.other()));
        let own_change = self.settled(own.node).await?;
        let partner_change = self.settled(partner.node).await?;
        let mut made = Delta::default();
        if !own_change.is_empty() {
            let rows: Vec<RecordBatch> = own_change.both().cloned().collect();
            let keys = self.partner_keys(join, main, &rows)?;
            let when = if mutated("join: own change meets the state before") {
                When::Before
            } else {
                When::After
            };
            let partners = self.partners(join, main.other(), &rows, &keys, when).await?;
            if !mutated("join: own retractions are lost") && has_rows(&own_change.removed) {
                made.removed = self.joined(join, main, &own_change.removed, &partners).await?;
            }
            if !mutated("join: own additions are lost") && has_rows(&own_change.added) {
                made.added = self.joined(join, main, &own_change.added, &partners).await?;
            }
        }
        if !partner_change.is_empty() && !mutated("join: the other side's change is lost") {
            Box::pin(self.partner_moved(join, &partner_change, &mut made)).await?;
        }
        Ok(made)
    }

    /// What a change of the other side does to the rows that were there before.
    async fn partner_moved(
        &self,
        join: &JoinOp,
        change: &Delta,
        made: &mut Delta,
    ) -> Result<(), Stop> {
        let main = join.main;
        let (own, partner) = (join.side(main), join.side(main.other()));
        if join.null_aware
            && partner.keys.set(change.both())?.has_nulls()
            && !mutated("not in: a null on the right is like any value")
        {
            return Err(Stop::full("`not in` over a null"));
        }
        let keys = self.reaching_keys(join, change).await?;
        if keys.is_empty() && !join.null_aware {
            return Ok(());
        }
        let when = if mutated("join: the other side's change meets the state after") {
            When::After
        } else {
            When::Before
        };
        if join.null_aware {
            // A null is in no list but an empty one: whether there is any row decides, not which.
            let null = self.fetch(&own.by_key, &keys.only_null()?, When::Before).await?;
            if has_rows(&null) {
                return Err(Stop::full("`not in` over a null"));
            }
        }
        let changed: Vec<RecordBatch> = change.both().cloned().collect();
        let before = self.partners(join, main, &changed, &keys, when).await?;
        if !has_rows(&before) {
            return Ok(());
        }
        let (old, new) = if join.kind == JoinType::Inner {
            (change.removed.clone(), change.added.clone())
        } else {
            let keys = if join.null_aware { keys.with_null()? } else { keys };
            let moment = if mutated("outer join: old partners are the new ones") {
                When::After
            } else {
                When::Before
            };
            let other = if mutated("outer join: new partners are the old ones") {
                When::Before
            } else {
                When::After
            };
            (
                self.partners(join, main.other(), &before, &keys, moment).await?,
                self.partners(join, main.other(), &before, &keys, other).await?,
            )
        };
        let outer = join.kind != JoinType::Inner;
        if (outer || has_rows(&old)) && !mutated("join: the other side's retractions are lost") {
            made.removed.extend(self.joined(join, main, &before, &old).await?);
        }
        if (outer || has_rows(&new)) && !mutated("join: the other side's additions are lost") {
            made.added.extend(self.joined(join, main, &before, &new).await?);
        }
        Ok(())
    }

    /// The keys by which a change of the other side reaches rows of this one.
    async fn reaching_keys(&self, join: &JoinOp, change: &Delta) -> Result<KeySet, Stop> {
        let partner = join.side(join.main.other());
        let rows: Vec<RecordBatch> = if mutated("join: old images of the other side give no keys") {
            change.added.clone()
        } else if mutated("join: new images of the other side give no keys") {
            change.removed.clone()
        } else {
            change.both().cloned().collect()
        };
        let mut keys = partner.keys.set(&rows)?;
        if !join.null_equal && !partner.keys.is_everything()
            || mutated("join: a null is no key where nulls are equal")
        {
            keys = keys.without_nulls()?;
        }
        if join.only_existence() {
            // Of a key that has partners before and after, nothing changes.
            let mut old = self.fetch_some(&partner.by_key, &keys, When::Before).await?;
            let mut new = self.fetch_some(&partner.by_key, &keys, When::After).await?;
            if mutated("exists: partners before are those after") {
                old.clone_from(&new);
            }
            if mutated("exists: a key never loses its last partner") {
                new.extend(old.iter().cloned());
            }
            if mutated("exists: a key never gets its first partner") {
                old.extend(new.iter().cloned());
            }
            keys = keys.flipped(&partner.keys.set(&old)?, &partner.keys.set(&new)?)?;
        }
        Ok(keys)
    }
}
