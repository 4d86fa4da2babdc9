//! The change of every node, from the changes of what it reads.
//!
//! Each rule says what the operator gives over the rows after the epoch, less what it gave over the
//! rows before. The states are never mixed but where a rule says which side is read at which moment:
//! a join's own change meets the other side as it is after, the other side's change meets the rows
//! as they were before.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::common::JoinType;

use super::fetch::{Rows, one_batch};
use super::keys::KeySet;
use super::mutated;
use super::near::Reach;
use super::node::{Access, AggregateOp, JoinOp, Op, WindowOp};
use super::run::{Run, Stop};
use super::stored::When;
use super::totals::{Parts, Totals};
use crate::change::ChangeBatch;
use crate::rows::RowHasher;

/// Rows that left a node and rows that came; a row may be in both.
#[derive(Debug, Clone, Default)]
pub(super) struct Delta {
    pub removed: Rows,
    pub added: Rows,
}

impl Delta {
    pub fn is_empty(&self) -> bool {
        self.removed.iter().chain(&self.added).all(|b| b.num_rows() == 0)
    }

    fn both(&self) -> impl Iterator<Item = &RecordBatch> {
        self.removed.iter().chain(&self.added)
    }
}

type Changed = std::result::Result<Arc<Delta>, Stop>;

impl Run<'_> {
    /// The change of a node; computed once, however many read it.
    pub async fn delta(&self, node: usize) -> Changed {
        if let Some(known) = self.known(node) {
            return Ok(known);
        }
        let made = match &self.plan.nodes[node].op {
            Op::Scan { relation, columns, .. } => self.scanned(node, relation, columns)?,
            Op::Constant(_) => Delta::default(),
            Op::Filter { input, .. } => {
                let change = Box::pin(self.delta(*input)).await?;
                let removed = if mutated("filter: retractions are not filtered") {
                    self.renamed(node, &change.removed)?
                } else {
                    self.apply(node, &change.removed).await?
                };
                Delta { removed, added: self.apply(node, &change.added).await? }
            }
            Op::Project { input, .. } | Op::Rename { input } | Op::Unnest { input, .. } => {
                let change = Box::pin(self.delta(*input)).await?;
                let removed = self.apply(node, &change.removed).await?;
                Delta { removed, added: self.apply(node, &change.added).await? }
            }
            Op::Union { inputs } => self.union(node, inputs).await?,
            Op::Join(join) => Box::pin(self.join(join)).await?,
            Op::Aggregate(op) => Box::pin(self.groups(node, op)).await?,
            Op::Window(op) => Box::pin(self.partitions(op)).await?,
            Op::Whole { inputs, why, .. } => {
                for input in inputs {
                    if !Box::pin(self.settled(*input)).await?.is_empty() {
                        return Err(Stop::full(why.construct.name()));
                    }
                }
                Delta::default()
            }
        };
        Ok(self.remember(node, made))
    }

    /// The change of a node without rows that both left and came.
    pub async fn settled(&self, node: usize) -> Changed {
        let change = Box::pin(self.delta(node)).await?;
        let none = |rows: &Rows| rows.iter().all(|b| b.num_rows() == 0);
        if none(&change.removed) || none(&change.added) || mutated("settle: nothing cancels") {
            return Ok(change);
        }
        if let Some(known) = self.known_settled(node) {
            return Ok(known);
        }
        let schema = &self.plan.nodes[node].columns;
        if schema.fields().is_empty() {
            return Ok(self.remember_settled(node, without_columns(&change)?));
        }
        let hasher = RowHasher::new(schema, (0..schema.fields().len()).collect());
        let change = ChangeBatch {
            removed: one_batch(&change.removed, schema)?,
            added: one_batch(&change.added, schema)?,
        };
        let change = change.consolidate(&hasher)?;
        let settled = Delta { removed: vec![change.removed], added: vec![change.added] };
        Ok(self.remember_settled(node, settled))
    }

    fn scanned(&self, node: usize, relation: &str, columns: &[usize]) -> Result<Delta, Stop> {
        let Some(change) = self.relations.change(relation) else { return Ok(Delta::default()) };
        let schema = &self.plan.nodes[node].columns;
        let some = |rows: &RecordBatch| -> Result<Rows, Stop> {
            let rows = rows.project(columns).map_err(crate::error::Error::from)?;
            Ok(vec![crate::plan::types::conform(&rows, schema)?])
        };
        let mut made = Delta { removed: some(&change.removed)?, added: some(&change.added)? };
        if mutated("scan: a retraction is lost") {
            made.removed.clear();
        }
        if mutated("scan: an addition is lost") {
            made.added.clear();
        }
        if mutated("scan: only the first retraction counts") {
            made.removed = made.removed.iter().map(|b| b.slice(0, b.num_rows().min(1))).collect();
        }
        Ok(made)
    }

    async fn union(&self, node: usize, inputs: &[usize]) -> Result<Delta, Stop> {
        let mut all = Delta::default();
        for (at, input) in inputs.iter().enumerate() {
            if at > 0 && mutated("union: only the first input changes") {
                break;
            }
            let change = Box::pin(self.delta(*input)).await?;
            if !mutated("union: retractions are lost") {
                all.removed.extend(self.renamed(node, &change.removed)?);
            }
            all.added.extend(self.renamed(node, &change.added)?);
        }
        Ok(all)
    }

    async fn join(&self, join: &JoinOp) -> Result<Delta, Stop> {
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
            let partners = self.fetch(&partner.by_key, &keys, when).await?;
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
        if join.null_aware && partner.keys.set(change.both())?.has_nulls() {
            return Err(Stop::full("`not in` over a null"));
        }
        let rows: Vec<RecordBatch> = if mutated("join: old images of the other side give no keys") {
            change.added.clone()
        } else if mutated("join: new images of the other side give no keys") {
            change.removed.clone()
        } else {
            change.both().cloned().collect()
        };
        let mut keys = partner.keys.set(&rows)?;
        if !join.null_equal && !partner.keys.is_everything() {
            keys = keys.without_nulls()?;
        }
        if join.only_existence() {
            // Of a key that has partners before and after, nothing changes.
            let old = self.fetch(&partner.by_key, &keys, When::Before).await?;
            let new = self.fetch(&partner.by_key, &keys, When::After).await?;
            keys = keys.flipped(&partner.keys.set(&old)?, &partner.keys.set(&new)?)?;
            if keys.is_empty() && !join.null_aware {
                return Ok(());
            }
        }
        let when = if mutated("join: the other side's change meets the state after") {
            When::After
        } else {
            When::Before
        };
        if join.null_aware && !mutated("not in: a null on the left is like any value") {
            // A null is in no list but an empty one: whether there is any row decides, not which.
            let null = self.fetch(&own.by_key, &keys.only_null()?, When::Before).await?;
            if has_rows(&null) {
                return Err(Stop::full("`not in` over a null"));
            }
        }
        let before = self.fetch(&own.by_key, &keys, when).await?;
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
            (
                self.fetch(&partner.by_key, &keys, moment).await?,
                self.fetch(&partner.by_key, &keys, When::After).await?,
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

    async fn partitions(&self, op: &WindowOp) -> Result<Delta, Stop> {
        let change = self.settled(op.input).await?;
        if change.is_empty() {
            return Ok(Delta::default());
        }
        if let Some((reach, access)) = &op.near {
            return Box::pin(self.near(op, reach, access, &change)).await;
        }
        let keys = if mutated("window: old images give no partitions") {
            op.partition.set(&change.added)?
        } else if mutated("window: new images give no partitions") {
            op.partition.set(&change.removed)?
        } else {
            op.partition.set(change.both())?
        };
        let before = self.fetch(&op.by_partition, &keys, When::Before).await?;
        let after = self.fetch(&op.by_partition, &keys, When::After).await?;
        let removed = self.window(op, &before).await?;
        Ok(Delta { removed, added: self.window(op, &after).await? })
    }

    /// Partitions of which only the rows near a change are reached.
    async fn near(
        &self,
        op: &WindowOp,
        reach: &Reach,
        access: &Access,
        change: &Delta,
    ) -> Result<Delta, Stop> {
        let mut places = Vec::new();
        for rows in change.both() {
            places.extend(reach.key.places(rows)?);
        }
        let (reached, seen) = (reach.reached(&places), reach.seen(&places));
        let mut made = Delta::default();
        for when in [When::Before, When::After] {
            let rows = self.fetch_near(access, &seen, when).await?;
            let all = self.window(op, &rows).await?;
            let kept = all.iter().map(|b| reach.key.keep(b, &reached));
            let kept = kept.collect::<crate::error::Result<Rows>>()?;
            match when {
                When::Before => made.removed = kept,
                When::After => made.added = kept,
            }
        }
        Ok(made)
    }

    async fn groups(&self, node: usize, op: &AggregateOp) -> Result<Delta, Stop> {
        let change = self.settled(op.input).await?;
        if change.is_empty() {
            return Ok(Delta::default());
        }
        if let Some(totals) = &op.totals
            && self.uses_totals()
        {
            return Box::pin(self.moved_groups(node, op, totals, &change)).await;
        }
        let keys = if mutated("group: old images give no groups") {
            op.groups.set(&change.added)?
        } else if mutated("group: new images give no groups") {
            op.groups.set(&change.removed)?
        } else {
            op.groups.set(change.both())?
        };
        let before = self.fetch(&op.by_group, &keys, When::Before).await?;
        let after = self.fetch(&op.by_group, &keys, When::After).await?;
        let removed = self.aggregate(op, &before).await?;
        Ok(Delta { removed, added: self.aggregate(op, &after).await? })
    }

    /// Groups by their partials: only those that are not known, or lost an extremum, are read.
    async fn moved_groups(
        &self,
        node: usize,
        op: &AggregateOp,
        totals: &Totals,
        change: &Delta,
    ) -> Result<Delta, Stop> {
        let plus = totals.partials(self.session, &change.added).await?;
        let minus = totals.partials(self.session, &change.removed).await?;
        let none = totals.none();
        let of = |p: &super::totals::Partials, g: u128| {
            p.of.get(&g).map_or_else(|| none.clone(), |(_, _, parts)| parts.clone())
        };
        let mut groups: Vec<(u128, usize, usize)> = Vec::new();
        for (group, (batch, row, _)) in &plus.of {
            groups.push((*group, *batch, *row));
        }
        for (group, (batch, row, _)) in &minus.of {
            if !plus.of.contains_key(group) {
                groups.push((*group, plus.keys.len() + batch, *row));
            }
        }
        let mut moved: Vec<Option<(Parts, Parts)>> = Vec::with_capacity(groups.len());
        for (group, _, _) in &groups {
            let known = totals.remembered(*group).map(|before| {
                let after = totals.moved(&before, &of(&plus, *group), &of(&minus, *group));
                (before, after)
            });
            moved.push(match known {
                Some((before, Some(after))) => Some((before, after)),
                _ => None,
            });
        }
        if moved.iter().any(Option::is_none) {
            let unknown: hashbrown::HashSet<u128> = groups
                .iter()
                .zip(&moved)
                .filter(|(_, known)| known.is_none())
                .map(|((group, _, _), _)| *group)
                .collect();
            let read = self.read_groups(op, totals, change, &unknown).await?;
            for ((group, _, _), known) in groups.iter().zip(&mut moved) {
                if known.is_none() {
                    let after = of(&read.1, *group);
                    let before = match &read.0 {
                        Some(before) => of(before, *group),
                        None => totals.undone(&after, &of(&plus, *group), &of(&minus, *group)),
                    };
                    *known = Some((before, after));
                }
            }
        }
        let keys: Vec<&RecordBatch> = plus.keys.iter().chain(&minus.keys).collect();
        let always = op.groups.is_everything();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for ((group, batch, row), parts) in groups.iter().zip(&moved) {
            let Some((before, after)) = parts else { continue };
            self.moved_group(node, *group, before, after);
            if always || before[0] > 0 {
                old.push((*batch, *row, before));
            }
            let gone = after[0] <= 0 && !mutated("totals: an empty group stays");
            if always || !gone {
                new.push((*batch, *row, after));
            }
        }
        let schema = &self.plan.nodes[node].columns;
        let removed = vec![totals.rows(schema, &keys, &old)?];
        Ok(Delta { removed, added: vec![totals.rows(schema, &keys, &new)?] })
    }

    /// Partials of groups from their rows: before the epoch, where a subtraction can't tell, and after.
    async fn read_groups(
        &self,
        op: &AggregateOp,
        totals: &Totals,
        change: &Delta,
        wanted: &hashbrown::HashSet<u128>,
    ) -> Result<(Option<super::totals::Partials>, super::totals::Partials), Stop> {
        let keys = self.keys_of_groups(op, totals, change, wanted)?;
        let _priming = self.priming();
        let after = self.fetch(&op.by_group, &keys, When::After).await?;
        let after = totals.partials(self.session, &after).await?;
        if !totals.has_extrema() {
            return Ok((None, after));
        }
        let before = self.fetch(&op.by_group, &keys, When::Before).await?;
        Ok((Some(totals.partials(self.session, &before).await?), after))
    }

    /// The keys of the changed rows that lie in one of these groups.
    fn keys_of_groups(
        &self,
        op: &AggregateOp,
        totals: &Totals,
        change: &Delta,
        wanted: &hashbrown::HashSet<u128>,
    ) -> Result<KeySet, Stop> {
        let keys = op.groups.set(change.both())?;
        Ok(keys.only(|columns| totals.groups_among(columns, wanted))?)
    }
}

/// Rows without columns are all alike: as many cancel as there are on both sides.
fn without_columns(change: &Delta) -> Result<Delta, Stop> {
    let count = |rows: &Rows| rows.iter().map(RecordBatch::num_rows).sum::<usize>();
    let (removed, added) = (count(&change.removed), count(&change.added));
    let some = |rows: usize| -> Result<Rows, Stop> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let made = RecordBatch::try_new_with_options(schema, Vec::new(), &options);
        Ok(vec![made.map_err(crate::error::Error::from)?])
    };
    let both = removed.min(added);
    Ok(Delta { removed: some(removed - both)?, added: some(added - both)? })
}

fn has_rows(rows: &[RecordBatch]) -> bool {
    rows.iter().any(|b| b.num_rows() > 0)
}
