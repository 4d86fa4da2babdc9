//! What the planner may believe of unnested rows: nothing about which of them are unique.
//!
//! DataFusion 55.2 keeps the keys of an unnest's input as keys of its output, though one row becomes
//! many (apache/datafusion, pull request 24787). `distinct` and joins over it then lose or repeat rows.
//! While a plan is optimized a node without keys stands below each unnest; it is gone when it runs.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef, FunctionalDependencies};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

/// Its input's rows, of which no key is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Keyless {
    input: LogicalPlan,
    schema: DFSchemaRef,
}

impl Keyless {
    fn new(input: LogicalPlan) -> Result<Self> {
        let schema = DFSchema::clone(input.schema());
        let schema = schema.with_functional_dependencies(FunctionalDependencies::empty())?;
        Ok(Self { input, schema: Arc::new(schema) })
    }
}

impl PartialOrd for Keyless {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for Keyless {
    fn name(&self) -> &str {
        "Keyless"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Keyless")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs.into_iter().next();
        Self::new(input.ok_or_else(|| DataFusionError::Internal("no input".to_owned()))?)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

/// The plan with such a node below each unnest, and schemas that know of it.
pub(super) fn guarded(plan: LogicalPlan) -> Result<LogicalPlan> {
    let has_unnest = plan.exists(|node| Ok(matches!(node, LogicalPlan::Unnest(_))))?;
    if !has_unnest {
        return Ok(plan);
    }
    let guarded = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Unnest(unnest) = node else {
            return node.recompute_schema().map(Transformed::yes);
        };
        let input = Keyless::new(Arc::unwrap_or_clone(unnest.input.clone()))?;
        let input = LogicalPlan::Extension(Extension { node: Arc::new(input) });
        let unnest = LogicalPlan::Unnest(unnest);
        let unnest = unnest.with_new_exprs(unnest.expressions(), vec![input])?;
        Ok(Transformed::yes(unnest))
    })?;
    Ok(guarded.data)
}

/// The plan without these nodes.
pub(super) fn unguarded(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plain = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::Extension(extension) if extension.node.name() == "Keyless" => {
            match extension.node.inputs().first() {
                Some(input) => Ok(Transformed::yes((*input).clone())),
                None => Ok(Transformed::no(node)),
            }
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(plain.data)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, RecordBatch};
    use arrow::datatypes::Int64Type;

    use crate::plan::Session;

    async fn count(sql: &str) -> i64 {
        let session = Session::new().unwrap();
        let (_, rows) =
            session.query(&format!("select count(*) as n from ({sql}) as q")).await.unwrap();
        let first: &RecordBatch = rows.first().unwrap();
        first.column(0).as_primitive::<Int64Type>().value(0)
    }

    const GROUPED: &str =
        "(select k, count(*) as n from (values (1), (1), (2)) as t(k) group by k)";

    #[tokio::test]
    async fn a_key_of_the_input_is_no_key_of_unnested_rows() {
        let unnested = format!("(select k, unnest(make_array(7, 7)) as v from {GROUPED} as g)");
        assert_eq!(count(&format!("select k from {unnested} as u")).await, 4);
        assert_eq!(count(&format!("select distinct k from {unnested} as u")).await, 2);
        assert_eq!(count(&format!("select distinct k, v from {unnested} as u")).await, 2);
        let joined =
            format!("select o.k from (values (1), (2)) as o(k) join {unnested} as u on u.k = o.k");
        assert_eq!(count(&joined).await, 4, "each row has two partners");
    }

    #[tokio::test]
    async fn rows_that_are_not_unnested_keep_their_keys() {
        assert_eq!(count(&format!("select distinct k from {GROUPED} as g")).await, 2);
    }
}
