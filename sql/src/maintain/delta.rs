//! The change of every node, from the changes of what it reads.
//!
//! Each rule says what the operator gives over the rows after the epoch, less what it gave over the
//! rows before. The states are never mixed but where a rule says which side is read at which moment:
//! a join's own change meets the other side as it is after, the other side's change meets the rows
//! as they were before.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};

use super::fetch::{Rows, one_batch};
use super::mutated;
use super::node::{AggregateOp, Op};
use super::obstacle::Construct;
use super::run::{Run, Stop};
use super::stored::When;
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
        !has_rows(&self.removed) && !has_rows(&self.added)
    }

    pub fn both(&self) -> impl Iterator<Item = &RecordBatch> {
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
                    self.apply(node, &change.removed, When::Before).await?
                };
                let added = if mutated("filter: additions are not filtered") {
                    self.renamed(node, &change.added)?
                } else {
                    self.apply(node, &change.added, When::After).await?
                };
                Delta { removed, added }
            }
            Op::Project { input, .. } | Op::Rename { input } | Op::Unnest { input, .. } => {
                let change = Box::pin(self.delta(*input)).await?;
                let mut removed = self.apply(node, &change.removed, When::Before).await?;
                if mutated("row by row: retractions are lost") {
                    removed.clear();
                }
                let mut added = self.apply(node, &change.added, When::After).await?;
                if mutated("row by row: only the first addition counts") {
                    added = added.iter().map(|b| b.slice(0, b.num_rows().min(1))).collect();
                }
                Delta { removed, added }
            }
            Op::Timed(op) => {
                let made = Box::pin(self.timed_change(op)).await?;
                Delta {
                    removed: self.renamed(node, &made.removed)?,
                    added: self.renamed(node, &made.added)?,
                }
            }
            Op::Union { inputs } => self.union(node, inputs).await?,
            Op::Join(join) => Box::pin(self.join(join)).await?,
            Op::Aggregate(op) => Box::pin(self.groups(node, op)).await?,
            Op::Window(op) => Box::pin(self.partitions(op)).await?,
            Op::Whole(op) if op.why == Construct::Time => {
                return Err(Stop::full(op.why.name()));
            }
            Op::Whole(op) => {
                for input in &op.inputs {
                    if !Box::pin(self.settled(*input)).await?.is_empty() {
                        return Err(Stop::full(op.why.name()));
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
        if !has_rows(&change.removed) || !has_rows(&change.added) {
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
        let mut change = change.consolidate(&hasher)?;
        if mutated("settle: one retraction too many cancels") {
            change.removed = change.removed.slice(0, change.removed.num_rows().saturating_sub(1));
        }
        if mutated("settle: one addition too many cancels") {
            change.added = change.added.slice(0, change.added.num_rows().saturating_sub(1));
        }
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
        if mutated("scan: retractions come as additions") {
            made.added.append(&mut made.removed);
        }
        if mutated("scan: only the first addition counts") {
            made.added = made.added.iter().map(|b| b.slice(0, b.num_rows().min(1))).collect();
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
            if mutated("union: additions count twice") {
                all.added.extend(self.renamed(node, &change.added)?);
            }
        }
        Ok(all)
    }

    async fn groups(&self, node: usize, op: &AggregateOp) -> Result<Delta, Stop> {
        let change = self.settled(op.input).await?;
        let change = match op.least {
            Some(least) if !change.is_empty() => self.of_at_least(op, least, &change)?,
            _ => change,
        };
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
        let (before, after) = if mutated("group: only the changed rows are read") {
            (change.removed.clone(), change.added.clone())
        } else if mutated("group: rows before are those after") {
            (after.clone(), after)
        } else if mutated("group: rows after are those before") {
            (before.clone(), before)
        } else {
            (before, after)
        };
        let removed = self.aggregate(op, &before).await?;
        Ok(Delta { removed, added: self.aggregate(op, &after).await? })
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

pub(super) fn has_rows(rows: &[RecordBatch]) -> bool {
    rows.iter().any(|b| b.num_rows() > 0)
}
