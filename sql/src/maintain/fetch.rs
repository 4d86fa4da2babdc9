//! Reading the rows of a node, all of them or those of some keys, before or after the epoch.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::access::pads;
use super::delta::has_rows;
use super::keys::KeySet;
use super::near::Ranges;
use super::node::{Access, AggregateOp, JoinOp, Op, Side, WindowOp};
use super::run::{Run, Stop};
use super::stored::{Wanted, When};
use super::{canonical, mutated};
use crate::plan::types;

pub(super) type Rows = Vec<RecordBatch>;
pub(super) type Fetched = std::result::Result<Rows, Stop>;

impl Run<'_> {
    /// At least the rows of a node whose key is in `keys`; for any key it gives a row of, all.
    pub async fn fetch(&self, access: &Access, keys: &KeySet, when: When) -> Fetched {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let fewer = mutated("fetch: a null is no key").then(|| keys.without_nulls()).transpose()?;
        let keys = fewer.as_ref().unwrap_or(keys);
        match access {
            Access::Index { node, index } => self.look_up(*node, index, keys, when, Wanted::Every),
            Access::Range { .. } => Err(Stop::bug()),
            Access::Through { node, input } => {
                let rows = Box::pin(self.fetch(input, keys, when)).await?;
                self.apply(*node, &rows, when).await
            }
            Access::Union { node, inputs } => {
                let mut all = Vec::new();
                for input in inputs {
                    if !all.is_empty() && mutated("fetch: a union is its first input") {
                        break;
                    }
                    let rows = Box::pin(self.fetch(input, keys, when)).await?;
                    all.extend(self.renamed(*node, &rows)?);
                }
                Ok(all)
            }
            Access::Within { node, input } => {
                if let Op::Aggregate(op) = &self.plan.nodes[*node].op
                    && op.by_whole_group(input)
                    && let Some(totals) = op.totals.as_ref().filter(|_| self.uses_totals())
                {
                    return Box::pin(self.known_groups(*node, op, totals, keys, when)).await;
                }
                let rows = Box::pin(self.fetch(input, keys, when)).await?;
                self.apply(*node, &rows, when).await
            }
            Access::Join { node, first, by, parts, check } => {
                let Op::Join(join) = &self.plan.nodes[*node].op else { return Err(Stop::bug()) };
                let some = keys.parts(parts).map_err(Stop::from)?;
                let all = Box::pin(self.restricted_join(join, *first, by, &some, when)).await?;
                Ok(all.iter().map(|b| check.keep(b, keys)).collect::<Result<_, _>>()?)
            }
            Access::Partitions { node, rows, check } => {
                let Op::Window(op) = &self.plan.nodes[*node].op else { return Err(Stop::bug()) };
                let found = Box::pin(self.fetch(rows, keys, when)).await?;
                let partitions = op.partition.set(&found)?;
                let whole = if mutated("fetch: a window over the asked rows alone") {
                    found
                } else {
                    Box::pin(self.fetch(&op.by_partition, &partitions, when)).await?
                };
                let made = self.window(op, &whole).await?;
                if mutated("fetch: all of a partition was asked for") {
                    return Ok(made);
                }
                Ok(made.iter().map(|b| check.keep(b, keys)).collect::<Result<_, _>>()?)
            }
            Access::Everything { node, check, .. } => {
                let all = Box::pin(self.all(*node, when)).await?;
                if check.is_everything() {
                    return Ok(all);
                }
                Ok(all.iter().map(|b| check.keep(b, keys)).collect::<Result<_, _>>()?)
            }
        }
    }

    /// Of each of these keys that has rows of a node at least one, where that is less than all.
    pub async fn fetch_some(&self, access: &Access, keys: &KeySet, when: When) -> Fetched {
        match access {
            _ if keys.is_empty() => Ok(Vec::new()),
            Access::Index { node, index } => self.look_up(*node, index, keys, when, Wanted::Any),
            Access::Through { node, input }
                if matches!(self.plan.nodes[*node].op, Op::Project { .. } | Op::Rename { .. }) =>
            {
                let rows = Box::pin(self.fetch_some(input, keys, when)).await?;
                self.apply(*node, &rows, when).await
            }
            all => Box::pin(self.fetch(all, keys, when)).await,
        }
    }

    fn look_up(
        &self,
        node: usize,
        index: &super::keys::KeyExprs,
        keys: &KeySet,
        when: When,
        wanted: Wanted,
    ) -> Fetched {
        let Op::Scan { relation, columns, .. } = &self.plan.nodes[node].op else {
            return Err(Stop::bug());
        };
        let when = if mutated("fetch: before is after") { When::After } else { when };
        let when = if mutated("fetch: after is before") { When::Before } else { when };
        let stored = self.stored(relation)?;
        let rows = stored.with_keys(index, keys, columns, when, wanted)?;
        self.reached(rows.iter().map(RecordBatch::num_rows).sum())?;
        self.renamed(node, &rows)
    }

    /// At least the rows within these ranges.
    pub async fn fetch_near(&self, access: &Access, ranges: &Ranges, when: When) -> Fetched {
        match access {
            Access::Range { node, index } => {
                let Op::Scan { relation, columns, .. } = &self.plan.nodes[*node].op else {
                    return Err(Stop::bug());
                };
                let stored = self.stored(relation)?;
                let rows = stored.with_ranges(index, ranges, columns, when)?;
                self.reached(rows.iter().map(RecordBatch::num_rows).sum())?;
                self.renamed(*node, &rows)
            }
            Access::Through { node, input } => {
                let rows = Box::pin(self.fetch_near(input, ranges, when)).await?;
                self.apply(*node, &rows, when).await
            }
            _ => Err(Stop::bug()),
        }
    }

    /// Rows under the node's names.
    pub fn renamed(&self, node: usize, rows: &[RecordBatch]) -> Fetched {
        let schema = &self.plan.nodes[node].columns;
        Ok(rows.iter().map(|b| types::conform(b, schema)).collect::<crate::error::Result<_>>()?)
    }

    /// An operator of one input over these rows of it.
    pub async fn apply(&self, node: usize, rows: &[RecordBatch], when: When) -> Fetched {
        match &self.plan.nodes[node].op {
            Op::Filter { predicate, .. } => {
                let kept = rows.iter().map(|b| super::rowwise::filter(b, predicate.as_ref()));
                self.renamed(node, &kept.collect::<crate::error::Result<Vec<_>>>()?)
            }
            Op::Timed(op) => self.renamed(node, &self.timed(op, rows, when)?),
            Op::Project { exprs, .. } => {
                let schema = &self.plan.nodes[node].columns;
                let made = rows.iter().map(|b| super::rowwise::project(b, exprs, schema));
                Ok(made.collect::<crate::error::Result<_>>()?)
            }
            Op::Rename { .. } => self.renamed(node, rows),
            Op::Unnest { operator, .. } => Ok(operator.run(self.session, &[rows]).await?),
            Op::Aggregate(op) => self.aggregate(op, rows).await,
            Op::Window(op) => self.window(op, rows).await,
            _ => Err(Stop::bug()),
        }
    }

    pub async fn aggregate(&self, op: &AggregateOp, rows: &[RecordBatch]) -> Fetched {
        // Without rows there is no group, but for the one that is always there.
        if !op.groups.is_everything() && !has_rows(rows) {
            return Ok(Vec::new());
        }
        if op.ordered {
            let schema = &self.plan.nodes[op.input].columns;
            let sorted = canonical::sorted(rows, schema, &canonical::every_column(schema))?;
            return Ok(op.operator.run(self.session, &[&[sorted]]).await?);
        }
        Ok(op.operator.run(self.session, &[rows]).await?)
    }

    pub async fn window(&self, op: &WindowOp, rows: &[RecordBatch]) -> Fetched {
        if !has_rows(rows) {
            return Ok(Vec::new());
        }
        if op.order.is_empty() {
            return Ok(op.operator.run(self.session, &[rows]).await?);
        }
        let schema = &self.plan.nodes[op.input].columns;
        let sorted = canonical::sorted(rows, schema, &op.order)?;
        Ok(op.operator.run(self.session, &[&[sorted]]).await?)
    }

    async fn restricted_join(
        &self,
        join: &JoinOp,
        first: Side,
        by: &Access,
        keys: &KeySet,
        when: When,
    ) -> Fetched {
        let second = first.other();
        if pads(join.kind, first)
            && keys.has_nulls()
            && !mutated("fetch: a row without a partner is never asked for")
        {
            // A row without a partner has nulls where this side's columns would be: any may be one.
            let other = self.all(join.side(second).node, when).await?;
            let found = self.partner_keys(join, second, &other)?;
            let one = self.fetch(&join.side(first).by_key, &found, when).await?;
            return self.joined(join, first, &one, &other).await;
        }
        let one = self.fetch(by, keys, when).await?;
        let found = self.partner_keys(join, first, &one)?;
        let other = self.fetch(&join.side(second).by_key, &found, when).await?;
        self.joined(join, first, &one, &other).await
    }

    /// The join keys of these rows by which a partner on the other side can be found.
    pub fn partner_keys(
        &self,
        join: &JoinOp,
        side: Side,
        rows: &[RecordBatch],
    ) -> std::result::Result<KeySet, Stop> {
        let keys = join.side(side).keys.set(rows)?;
        if join.null_equal || join.side(side).keys.is_everything() {
            return Ok(keys);
        }
        if join.null_aware {
            if keys.has_nulls() {
                return Err(Stop::full("`not in` over a null"));
            }
            let alone = keys.is_empty() || mutated("not in: nulls of the list are not looked up");
            return Ok(if alone { keys } else { keys.with_null()? });
        }
        Ok(keys.without_nulls()?)
    }

    /// Rows of one side joined with rows of the other.
    pub async fn joined(
        &self,
        join: &JoinOp,
        side: Side,
        one: &[RecordBatch],
        other: &[RecordBatch],
    ) -> Fetched {
        let inputs = match side {
            Side::Left => [one, other],
            Side::Right => [other, one],
        };
        Ok(join.operator.run(self.session, &inputs).await?)
    }
}

/// All of them as one batch.
pub(super) fn one_batch(
    rows: &[RecordBatch],
    schema: &arrow::datatypes::SchemaRef,
) -> crate::error::Result<RecordBatch> {
    match rows {
        [one] => Ok(one.clone()),
        _ => Ok(concat_batches(schema, rows)?),
    }
}
