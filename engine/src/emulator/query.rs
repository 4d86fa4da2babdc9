//! Queries: DataFusion over the tables as one session sees them now.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use freshet_sql::plan::Session;
use freshet_sql::plan::failure::PlanFailure;

use super::World;
use super::answer::{Done, Outcome, Refused, SELECT, absent, compilation};
use super::rewrite::{self, Place};
use super::sessions::SessionId;
use crate::clock::{Clock, SystemClock};

/// The column that tells a target's rows apart while it is changed.
pub const ROW: &str = "#row";

/// A relation with its rows' numbers, under this name behind the table's own.
pub fn numbered_name(table: &str) -> String {
    format!("{table}#rows")
}

fn failed(error: PlanFailure) -> Refused {
    compilation(error.message)
}

/// Answers a query's text, in which names are whole and flat.
pub async fn rows(
    world: &World,
    session: SessionId,
    text: &str,
    tables: &[String],
    numbered: Option<&str>,
) -> std::result::Result<(SchemaRef, Vec<RecordBatch>), Refused> {
    let context = Session::new().map_err(compilation)?;
    context.set_time(SystemClock.now_us());
    super::functions::register(&context);
    for name in tables {
        let (schema, rows) = relation(world, session, name)?;
        context.add(name, schema).map_err(compilation)?.set(rows);
    }
    if let Some(name) = numbered {
        let (schema, rows) = relation(world, session, name)?;
        let (schema, rows) = number(&schema, &rows).map_err(compilation)?;
        context.add(&numbered_name(name), schema).map_err(compilation)?.set(rows);
    }
    let plan = context.plan(text).await.map_err(failed)?;
    let prepared = context.prepare(plan).map_err(compilation)?;
    let rows = context.run(&prepared).await.map_err(|e| {
        let message = e.to_string();
        // Class 22: about the data.
        Refused { code: "100038", state: "22018", message }
    })?;
    Ok((prepared.schema(), rows))
}

fn relation(
    world: &World,
    session: SessionId,
    name: &str,
) -> std::result::Result<(SchemaRef, Vec<RecordBatch>), Refused> {
    if let Some(table) = world.tables.get(session, name) {
        return Ok((table.schema.clone(), table.rows.as_ref().clone()));
    }
    match name.rsplit('.').collect::<Vec<_>>().as_slice() {
        ["COLUMNS", "INFORMATION_SCHEMA", database] => {
            let batch = columns(world, database).map_err(compilation)?;
            Ok((batch.schema(), vec![batch]))
        }
        _ => Err(absent("Object", name)),
    }
}

fn number(
    schema: &SchemaRef,
    rows: &[RecordBatch],
) -> Result<(SchemaRef, Vec<RecordBatch>), arrow::error::ArrowError> {
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(ROW, DataType::Int64, false)));
    let schema = Arc::new(Schema::new(fields));
    let mut first = 0;
    let mut numbered = Vec::new();
    for batch in rows {
        let next = first + i64::try_from(batch.num_rows()).unwrap_or(0);
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.push(Arc::new((first..next).collect::<Int64Array>()));
        numbered.push(RecordBatch::try_new(schema.clone(), columns)?);
        first = next;
    }
    Ok((schema, numbered))
}

/// `INFORMATION_SCHEMA.COLUMNS` of one database.
fn columns(world: &World, database: &str) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut texts: [Vec<Option<String>>; 6] = Default::default();
    let mut numbers: [Vec<Option<i64>>; 3] = Default::default();
    for (name, table) in world.tables.committed() {
        let parts: Vec<&str> = name.split('.').collect();
        let [of, schema, table_name] = parts.as_slice() else { continue };
        if of != &database {
            continue;
        }
        for (place, column) in table.columns.iter().enumerate() {
            let cells = [
                (*of).to_owned(),
                (*schema).to_owned(),
                (*table_name).to_owned(),
                column.name.clone(),
                column.kind.clone(),
                column.comment.clone(),
            ];
            for (list, cell) in texts.iter_mut().zip(cells) {
                list.push(Some(cell));
            }
            numbers[0].push(i64::try_from(place + 1).ok());
            numbers[1].push(column.digits.map(|(digits, _)| digits.into()));
            numbers[2].push(column.digits.map(|(_, scale)| scale.into()));
        }
    }
    let names =
        ["TABLE_CATALOG", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "DATA_TYPE", "COMMENT"];
    let texts = names.into_iter().zip(texts.map(|t| Arc::new(StringArray::from(t)) as ArrayRef));
    let names = ["ORDINAL_POSITION", "NUMERIC_PRECISION", "NUMERIC_SCALE"];
    let numbers = names.into_iter().zip(numbers.map(|n| Arc::new(Int64Array::from(n)) as ArrayRef));
    RecordBatch::try_from_iter_with_nullable(
        texts.chain(numbers).map(|(name, column)| (name, column, true)),
    )
}

/// A select statement.
pub async fn select(world: &World, session: SessionId, sql: &str, place: &Place) -> Outcome {
    let mut statement = rewrite::parse(sql)?;
    let known = |name: &str| world.tables.get(session, name).is_some();
    let tables = rewrite::flatten(&mut statement, place, &known);
    let (schema, batches) = rows(world, session, &statement.to_string(), &tables, None).await?;
    Ok(Done { schema, batches, kind: SELECT, data: None })
}
