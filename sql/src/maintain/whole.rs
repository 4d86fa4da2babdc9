//! Reading all rows of a node, before or after the epoch.

use arrow::array::RecordBatch;

use super::canonical;
use super::fetch::Fetched;
use super::node::Op;
use super::run::Run;
use super::stored::When;

impl Run<'_> {
    /// Every row of a node.
    pub async fn all(&self, node: usize, when: When) -> Fetched {
        match &self.plan.nodes[node].op {
            Op::Scan { relation, columns, .. } => {
                let stored = self.stored(relation)?;
                let rows = stored.all(columns, when)?;
                self.reached(rows.iter().map(RecordBatch::num_rows).sum())?;
                self.renamed(node, &rows)
            }
            Op::Constant(operator) => Ok(operator.run(self.session, &[]).await?),
            Op::Timed(op) => {
                let rows = Box::pin(self.all(op.input, when)).await?;
                self.apply(node, &rows, when).await
            }
            Op::Filter { input, .. }
            | Op::Project { input, .. }
            | Op::Rename { input }
            | Op::Unnest { input, .. } => {
                let rows = Box::pin(self.all(*input, when)).await?;
                self.apply(node, &rows, when).await
            }
            Op::Union { inputs } => {
                let mut all = Vec::new();
                for input in inputs {
                    let rows = Box::pin(self.all(*input, when)).await?;
                    all.extend(self.renamed(node, &rows)?);
                }
                Ok(all)
            }
            Op::Join(join) => {
                let left = Box::pin(self.all(join.left.node, when)).await?;
                let right = Box::pin(self.all(join.right.node, when)).await?;
                Ok(join.operator.run(self.session, &[&left, &right]).await?)
            }
            Op::Aggregate(op) => {
                if let Some(totals) = &op.totals
                    && op.groups.is_everything()
                    && self.uses_totals()
                {
                    return Box::pin(self.single_row(node, op, totals, when)).await;
                }
                let rows = Box::pin(self.all(op.input, when)).await?;
                self.aggregate(op, &rows).await
            }
            Op::Window(op) => {
                let rows = Box::pin(self.all(op.input, when)).await?;
                self.window(op, &rows).await
            }
            Op::Whole(op) => {
                let mut all = Vec::new();
                for (input, order) in op.inputs.iter().zip(&op.orders) {
                    let mut rows = Box::pin(self.all(*input, when)).await?;
                    if !order.is_empty() {
                        let schema = &self.plan.nodes[*input].columns;
                        rows = vec![canonical::sorted(&rows, schema, order)?];
                    }
                    all.push(rows);
                }
                let slots: Vec<&[RecordBatch]> = all.iter().map(Vec::as_slice).collect();
                Ok(op.operator.run(self.session, &slots).await?)
            }
        }
    }
}
