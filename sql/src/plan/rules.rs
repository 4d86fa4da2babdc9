//! The rules by which physical plans are made: DataFusion's, and our own beside them.
//!
//! It must never take a rule of DataFusion's out without saying why.

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

/// A rule of the physical optimizer.
type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// Rules of DataFusion's that change what a query means.
///
/// `aggregate_statistics` answers `count(..) filter (where ..)` from row counts. `FilterPushdown` carries
/// the filters above a join below it by their columns' places, and where the join's sides were swapped,
/// that is the other side. Where a filter belongs is decided on the logical plan, which knows names.
const WRONG: [&str; 3] = ["aggregate_statistics", "FilterPushdown", "FilterPushdown(Post)"];

/// DataFusion's without those that are wrong, and our own of dates.
pub(super) fn own_rules() -> Vec<Rule> {
    let rules = PhysicalOptimizer::new().rules.into_iter();
    let days: Rule = Arc::new(super::dates::DaysByDivision);
    rules.filter(|rule| !WRONG.contains(&rule.name())).chain([days]).collect()
}

/// The same with windows by whole columns.
pub(super) fn state(config: SessionConfig) -> SessionState {
    let windows: Rule = Arc::new(super::windows::ColumnarWindows);
    let rules = std::iter::once(windows).chain(own_rules());
    SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_physical_optimizer_rules(rules.collect())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Session;
    use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;

    #[test]
    fn what_is_taken_out_is_there() {
        let rules = PhysicalOptimizer::new().rules;
        assert!(WRONG.iter().all(|wrong| rules.iter().any(|rule| rule.name() == *wrong)));
    }

    #[tokio::test]
    async fn a_filter_above_a_full_join_stays_with_its_side() {
        let session = Session::new().unwrap();
        let side = |ids: Vec<i64>, values: Vec<Option<i64>>| {
            let ids: ArrayRef = Arc::new(Int64Array::from(ids));
            let values: ArrayRef = Arc::new(Int64Array::from(values));
            let (u, v) = (values.clone(), values);
            RecordBatch::try_from_iter([("id", ids), ("u", u), ("v", v)]).unwrap()
        };
        // The second is the smaller one, so the join swaps its sides.
        let many: Vec<i64> = (1..=50).collect();
        let left =
            side(many.clone(), many.iter().map(|n| Some(*n).filter(|n| n % 2 == 0)).collect());
        let right = side(vec![1, 2, 3, 99], vec![Some(1), Some(2), None, Some(4)]);
        for (name, rows) in [("l", left), ("r", right)] {
            session.add(name, rows.schema()).unwrap().set(vec![rows]);
        }
        let sql = "select b, c from (select l.id as a, l.u as b, r.u as c, r.v as d from l full join r on \
                   l.id = r.id) where b is null and c is not null";
        let query = session.prepare(session.plan(sql).await.unwrap()).unwrap();
        let rows = session.run(&query).await.unwrap();
        let mut found: Vec<i64> = Vec::new();
        for batch in &rows {
            assert_eq!(batch.column(0).null_count(), batch.num_rows());
            found.extend(batch.column(1).as_primitive::<Int64Type>().values());
        }
        found.sort_unstable();
        assert_eq!(found, [1, 4]);
    }
}
