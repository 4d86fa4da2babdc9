//! Plans as others that mean the same and are maintained with less.

use std::sync::Arc;

use datafusion::common::{DFSchema, JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};

use super::access::is_strict;
use super::mutated;
use crate::error::Result;

/// A full join as the left join and the right side's rows without a partner, padded.
pub(super) fn split_full(join: &Join) -> Result<LogicalPlan> {
    let left = of_kind(join, JoinType::Left)?;
    if mutated("full join: the other side's rows without a partner are left out") {
        return Ok(left);
    }
    let alone = of_kind(join, JoinType::RightAnti)?;
    let mut columns = nulls_of(join.left.schema())?;
    columns.extend(join.right.schema().iter().map(Expr::from));
    let padded = LogicalPlanBuilder::from(alone).project(columns)?.build()?;
    let union = datafusion::logical_expr::Union {
        inputs: vec![Arc::new(left), Arc::new(padded)],
        schema: join.schema.clone(),
    };
    Ok(LogicalPlan::Union(union))
}

/// A left join of which only the rows without a partner are kept, as an anti join: a matched row's key
/// is never null. This is how a `relationships` test is written.
pub(super) fn rows_without_partner(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Filter(filter) = plan else { return Ok(None) };
    let LogicalPlan::Join(join) = filter.input.as_ref() else { return Ok(None) };
    if join.join_type != JoinType::Left || join.null_equality != NullEquality::NullEqualsNothing {
        return Ok(None);
    }
    // What is null only where its column is: `concat` of nulls is a text.
    let is_key = |e: &Expr| is_strict(e) && join.on.iter().any(|(_, right)| right == e);
    let parts = split_conjunction(&filter.predicate);
    let at = parts.iter().position(|p| matches!(p, Expr::IsNull(e) if is_key(e)));
    let Some(at) = at else { return Ok(None) };
    let mut columns: Vec<Expr> = join.left.schema().iter().map(Expr::from).collect();
    columns.extend(nulls_of(join.right.schema())?);
    let alone = of_kind(join, JoinType::LeftAnti)?;
    let mut padded = LogicalPlanBuilder::from(alone).project(columns)?;
    let rest = parts.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, p)| (*p).clone());
    if let Some(rest) = conjunction(rest) {
        padded = padded.filter(rest)?;
    }
    Ok(Some(padded.build()?))
}

/// The same join, of another kind.
fn of_kind(join: &Join, kind: JoinType) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Join(Join::try_new(
        join.left.clone(),
        join.right.clone(),
        join.on.clone(),
        join.filter.clone(),
        kind,
        join.join_constraint,
        join.null_equality,
        false,
    )?))
}

/// A null under the name of each column.
fn nulls_of(schema: &DFSchema) -> Result<Vec<Expr>> {
    let nulls = schema.iter().map(|(qualifier, field)| {
        let null = ScalarValue::try_from(field.data_type())?;
        Ok(Expr::Literal(null, None).alias_qualified(qualifier.cloned(), field.name()))
    });
    Ok(nulls.collect::<datafusion::error::Result<_>>()?)
}
