//! The types that every station can store: Delta's, in Arrow's words.
//!
//! DataFusion answers in nanoseconds, views and unsigned integers; Delta has none of them. It must
//! never change a value silently: what does not fit fails the cast.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};

use crate::error::Result;

/// What Delta and Parquet call what a list holds.
const ELEMENT: &str = "element";

/// The schema under which these columns are stored: all nullable, all storable.
pub fn storable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.map(|f| Field::new(f.name(), storable_type(f.data_type()), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn storable_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        DataType::Date64 => DataType::Date32,
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Dictionary(_, value) => storable_type(value),
        DataType::Decimal256(_, scale) => DataType::Decimal128(38, *scale),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Interval(_)
        | DataType::Duration(_) => DataType::Utf8,
        DataType::List(of)
        | DataType::LargeList(of)
        | DataType::ListView(of)
        | DataType::LargeListView(of)
        | DataType::FixedSizeList(of, _) => {
            DataType::List(Arc::new(Field::new(ELEMENT, storable_type(of.data_type()), true)))
        }
        other => other.clone(),
    }
}

/// The plan with each column cast to `schema`'s type where it differs.
pub fn cast_plan(plan: LogicalPlan, schema: &SchemaRef) -> Result<LogicalPlan> {
    let already = plan.schema().fields().iter().zip(schema.fields());
    if already.clone().all(|(have, want)| have.data_type() == want.data_type()) {
        return Ok(plan);
    }
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .zip(schema.fields())
        .map(|((qualifier, have), want)| {
            let column = Expr::Column(Column::new(qualifier.cloned(), have.name()));
            if have.data_type() == want.data_type() {
                column
            } else {
                cast(column, want.data_type().clone())
                    .alias_qualified(qualifier.cloned(), have.name())
            }
        })
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// The batch under exactly this schema: columns by position, cast where a type differs.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(column.clone())
            } else {
                Ok(cast_with_options(column, field.data_type(), &options)?)
            }
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lists_hold_is_named_and_stored_as_delta_has_it() {
        let of = |name: &str, kind: &DataType| Arc::new(Field::new(name, kind.clone(), false));
        let text = of("item", &DataType::Utf8View);
        for (have, want) in [
            (DataType::List(text.clone()), DataType::Utf8),
            (DataType::LargeList(text.clone()), DataType::Utf8),
            (DataType::FixedSizeList(text, 2), DataType::Utf8),
            (DataType::List(of("item", &DataType::UInt8)), DataType::Int16),
        ] {
            let schema = storable(&Schema::new(vec![Field::new("c", have, false)]));
            let wanted = DataType::List(Arc::new(Field::new("element", want, true)));
            assert_eq!(schema.field(0), &Field::new("c", wanted, true));
            assert_eq!(storable(&schema), schema, "storable is stored as it is");
        }
    }
}
