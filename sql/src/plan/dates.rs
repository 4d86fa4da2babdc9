//! The day of a timestamp, by one division where a cast would go through a calendar for each value.
//!
//! It stands where a cast stood, under its name. It must never say another day than the cast: what a
//! calendar may not know is left to it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, FieldRef, Schema, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::sort_properties::ExprProperties;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::CastExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

const DAY_US: i64 = 86_400_000_000;
/// Times so far from 1970 every calendar knows: 250,000 years.
const KNOWN_US: u64 = 250_000 * 365 * DAY_US.unsigned_abs();

/// A cast to a date.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DayOf(CastExpr);

/// The expression with each cast to a date as a division.
pub(crate) fn by_division(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let made = expr.transform_up(|e| {
        let cast = e.downcast_ref::<CastExpr>();
        Ok(match cast.filter(|cast| *cast.cast_type() == DataType::Date32) {
            Some(cast) => Transformed::yes(Arc::new(DayOf(cast.clone())) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(e),
        })
    });
    Ok(made?.data)
}

/// The days of timestamps; `None` where the cast must say them.
fn days(times: &ArrayRef) -> Option<ArrayRef> {
    if *times.data_type() != DataType::Timestamp(TimeUnit::Microsecond, None) {
        return None;
    }
    let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
    if times.values().iter().any(|us| us.unsigned_abs() > KNOWN_US) {
        return None;
    }
    let day = |us: i64| i32::try_from(us.div_euclid(DAY_US)).unwrap_or_default();
    Some(Arc::new(times.unary::<_, Date32Type>(day)))
}

impl fmt::Display for DayOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PhysicalExpr for DayOf {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.0.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.0.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.0.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let of = self.0.expr.evaluate(batch)?;
        if let ColumnarValue::Array(times) = &of
            && let Some(days) = days(times)
        {
            return Ok(ColumnarValue::Array(days));
        }
        of.cast_to(self.0.cast_type(), Some(self.0.cast_options()))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.0.children()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        by_division(Arc::new(self.0.clone()).with_new_children(children)?)
    }

    fn evaluate_bounds(&self, children: &[&Interval]) -> Result<Interval> {
        self.0.evaluate_bounds(children)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        children: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.0.propagate_constraints(interval, children)
    }

    fn get_properties(&self, children: &[ExprProperties]) -> Result<ExprProperties> {
        self.0.get_properties(children)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

/// Projections with each cast to a date as a division.
#[derive(Debug)]
pub(super) struct DaysByDivision;

impl PhysicalOptimizerRule for DaysByDivision {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|node| {
            let Some(project) = node.downcast_ref::<ProjectionExec>() else {
                return Ok(Transformed::no(node));
            };
            let divided = |e: &ProjectionExpr| {
                let expr = by_division(e.expr.clone())?;
                Ok(ProjectionExpr { expr, alias: e.alias.clone() })
            };
            let exprs: Vec<_> = project.expr().iter().map(divided).collect::<Result<_>>()?;
            if exprs.as_slice() == project.expr() {
                return Ok(Transformed::no(node));
            }
            let made = ProjectionExec::try_new(exprs, project.input().clone())?;
            Ok(Transformed::yes(Arc::new(made) as Arc<dyn ExecutionPlan>))
        });
        Ok(changed?.data)
    }

    fn name(&self) -> &'static str {
        "days_by_division"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;
    use arrow::compute::cast;
    use arrow::datatypes::Field;

    use super::*;
    use crate::plan::Session;

    const EDGES: [Option<i64>; 12] = [
        Some(0),
        Some(-1),
        Some(1),
        None,
        Some(DAY_US - 1),
        Some(DAY_US),
        Some(-DAY_US),
        Some(-DAY_US - 1),
        Some(1_700_000_000_123_456),
        Some(-62_135_596_800_000_000),
        Some(KNOWN_US.cast_signed()),
        Some(-KNOWN_US.cast_signed()),
    ];

    #[test]
    fn it_says_the_day_that_the_cast_says() {
        let mut times = EDGES.to_vec();
        times.extend((0..5_000_i64).map(|n| Some((n - 2_500) * 7_919_191_919_191)));
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times));
        let wanted = cast(&times, &DataType::Date32).unwrap();
        assert_eq!(&days(&times).unwrap(), &wanted);
    }

    #[test]
    fn what_a_calendar_may_not_know_is_left_to_it() {
        for edge in [i64::MAX, i64::MIN, KNOWN_US.cast_signed() + 1] {
            let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, edge]));
            assert!(days(&times).is_none(), "{edge}");
        }
        let zoned = TimestampMicrosecondArray::from(vec![0]).with_timezone("+02:00");
        assert!(days(&(Arc::new(zoned) as ArrayRef)).is_none());
    }

    #[tokio::test]
    async fn a_query_divides_and_its_columns_keep_their_names() {
        let session = Session::new().unwrap();
        let kind = DataType::Timestamp(TimeUnit::Microsecond, None);
        let schema = Arc::new(Schema::new(vec![Field::new("at", kind, true)]));
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(EDGES.to_vec()));
        let rows = RecordBatch::try_new(schema.clone(), vec![times.clone()]).unwrap();
        session.add("r", schema).unwrap().set(vec![rows]);
        let sql = "select cast(at as date) as d, count(*) over () as n from r";
        let query = session.prepare(session.plan(sql).await.unwrap()).unwrap();
        let plan = session.physical(query.optimized()).await.unwrap();
        assert!(format!("{plan:?}").contains("DayOf"), "{plan:?}");
        let made = session.run(&query).await.unwrap();
        assert_eq!(made[0].column(0), &cast(&times, &DataType::Date32).unwrap());
        assert_eq!(made[0].schema().field(0).name(), "d");
    }
}
