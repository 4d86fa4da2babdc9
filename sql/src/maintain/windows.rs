//! The change of a window: of the touched partitions, or of the rows near a change.

use arrow::array::RecordBatch;

use super::delta::Delta;
use super::fetch::Rows;
use super::mutated;
use super::near::Ranges;
use super::node::{Access, WindowOp};
use super::reach::{Reach, Span};
use super::run::{Run, Stop};
use super::stored::When;

impl Run<'_> {
    pub async fn partitions(&self, op: &WindowOp) -> Result<Delta, Stop> {
        let change = self.settled(op.input).await?;
        if change.is_empty() {
            return Ok(Delta::default());
        }
        if let Some((reach, access)) = &op.near
            && (matches!(reach.span, Span::Distance(..))
                || self.looks_beside(access, change.both().map(RecordBatch::num_rows).sum())?)
        {
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
        let (before, after) = if mutated("window: only the changed rows are read") {
            (change.removed.clone(), change.added.clone())
        } else if mutated("window: rows before are those after") {
            (after.clone(), after)
        } else {
            (before, after)
        };
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
        if mutated("range: old images reach nothing") {
            places.truncate(change.added.iter().map(RecordBatch::num_rows).sum());
        }
        if mutated("range: only the first place is reached") {
            places.truncate(1);
        }
        let (reached, seen) = match reach.span {
            Span::Distance(back, forward) => {
                let span = (back, forward);
                (Ranges::reached(&places, span), Ranges::seen(&places, span))
            }
            Span::Rows(rows) => {
                let reached = self.with_rows_beside(access, &Ranges::at(&places), rows)?;
                let seen = self.with_rows_beside(access, &reached, rows)?;
                (reached, seen)
            }
        };
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
}
