//! Statements that change rows: INSERT, UPDATE, DELETE.

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use sqlparser::ast::{
    AssignmentTarget, Delete, FromTable, Insert, ObjectName, Statement, TableFactor, TableObject,
    TableWithJoins, Update,
};

use super::World;
use super::answer::{DELETE, INSERT, Outcome, Refused, UPDATE, absent, compilation, counts};
use super::query::{self, ROW, numbered_name};
use super::rewrite::{self, Place};
use super::sessions::SessionId;
use super::tables::Table;

/// The table that a statement changes: its whole name.
pub fn target(statement: &Statement, place: &Place) -> Option<String> {
    let of = |factor: &TableFactor| match factor {
        TableFactor::Table { name, .. } => Some(rewrite::whole(name, place)),
        _ => None,
    };
    match statement {
        Statement::Insert(Insert { table: TableObject::TableName(name), .. }) => {
            Some(rewrite::whole(name, place))
        }
        Statement::Update(update) => of(&update.table.relation),
        Statement::Delete(delete) => of(&from(delete).first()?.relation),
        Statement::Merge(merge) => of(&merge.table),
        _ => None,
    }
}

fn from(delete: &Delete) -> &[TableWithJoins] {
    match &delete.from {
        FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables) => tables,
    }
}

/// Rows under a table's columns: by place, converted as an insert does.
pub fn conform(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, Refused> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns: Result<Vec<ArrayRef>, _> = columns.map(|(c, f)| cast(c, f.data_type())).collect();
    RecordBatch::try_new(schema.clone(), columns.map_err(compilation)?).map_err(compilation)
}

/// What a statement that changes rows stands on.
pub struct Opened {
    /// The table that it changes: its whole name.
    pub name: String,
    /// Every table that it names.
    pub tables: Vec<String>,
    /// The table itself, as the session sees it.
    pub table: Table,
}

/// Makes a statement's names whole and flat, and finds the table that it changes.
pub fn open(
    world: &World,
    session: SessionId,
    statement: &mut Statement,
    place: &Place,
) -> std::result::Result<Opened, Refused> {
    let name = target(statement, place).ok_or_else(|| compilation("a change of what?"))?;
    let known = |name: &str| world.tables.get(session, name).is_some();
    let tables = rewrite::flatten(statement, place, &known);
    let table = world.tables.get(session, &name).ok_or_else(|| absent("Table", &name))?.clone();
    Ok(Opened { name, tables, table })
}

/// INSERT, with or without OVERWRITE.
pub async fn insert(
    world: &mut World,
    session: SessionId,
    mut statement: Statement,
    place: &Place,
) -> Outcome {
    let Opened { name, tables, table } = open(world, session, &mut statement, place)?;
    let Statement::Insert(insert) = statement else { return Err(compilation("no insert")) };
    let source = insert.source.ok_or_else(|| compilation("an insert without rows"))?;
    let (_, rows) = query::rows(world, session, &source.to_string(), &tables, None).await?;
    let places = places(&table.schema, &insert.columns)?;
    let mut added = Vec::new();
    for batch in &rows {
        added.push(spread(batch, &places, &table.schema)?);
    }
    let count = added.iter().map(RecordBatch::num_rows).sum();
    let mut all = if insert.overwrite { Vec::new() } else { table.rows.as_ref().clone() };
    all.extend(added);
    world.tables.write(session, &name, all);
    counts(&[("number of rows inserted", count)], INSERT)
}

/// Where each inserted column goes.
pub fn places(
    schema: &SchemaRef,
    names: &[ObjectName],
) -> std::result::Result<Vec<usize>, Refused> {
    if names.is_empty() {
        return Ok((0..schema.fields().len()).collect());
    }
    let place = |name: &ObjectName| {
        let name = rewrite::last(name);
        schema.index_of(&name).map_err(|_| Refused {
            code: "000904",
            state: "42000",
            message: format!("invalid identifier '{name}'"),
        })
    };
    names.iter().map(place).collect()
}

/// Rows of some columns as whole rows; the others are null.
pub fn spread(
    batch: &RecordBatch,
    places: &[usize],
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, Refused> {
    let mut columns: Vec<ArrayRef> =
        schema.fields().iter().map(|f| new_null_array(f.data_type(), batch.num_rows())).collect();
    for (from, to) in places.iter().enumerate() {
        let field = schema.field(*to);
        let column = batch.columns().get(from).ok_or_else(|| compilation("too few values"))?;
        columns[*to] = cast(column, field.data_type()).map_err(compilation)?;
    }
    RecordBatch::try_new(schema.clone(), columns).map_err(compilation)
}

/// A target's text in a query: with its rows' numbers, under its own alias.
pub fn numbered_factor(factor: &TableFactor) -> String {
    let TableFactor::Table { name, alias, .. } = factor else { return factor.to_string() };
    let table = rewrite::last(name);
    let alias = match alias {
        Some(alias) => format!(" AS {}", alias.name),
        None => format!(" AS \"{}\"", table.rsplit('.').next().unwrap_or(&table)),
    };
    format!("\"{}\"{alias}", numbered_name(&table))
}

/// The numbers in the first column of some rows.
pub fn numbers(rows: &[RecordBatch]) -> Vec<usize> {
    let column = |b: &RecordBatch| b.column(0).as_primitive::<Int64Type>().clone();
    rows.iter().flat_map(|b| column(b).values().to_vec()).map(|n| n as usize).collect()
}

/// A table's rows without those at these places.
pub fn without(
    schema: &SchemaRef,
    rows: &[RecordBatch],
    gone: &[usize],
) -> std::result::Result<Vec<RecordBatch>, Refused> {
    let all = concat_batches(schema, rows).map_err(compilation)?;
    let mut keep = vec![true; all.num_rows()];
    for row in gone {
        keep[*row] = false;
    }
    let kept = filter_record_batch(&all, &BooleanArray::from(keep)).map_err(compilation)?;
    Ok(vec![kept])
}

/// DELETE, with or without USING.
pub async fn delete(
    world: &mut World,
    session: SessionId,
    mut statement: Statement,
    place: &Place,
) -> Outcome {
    let Opened { name, tables, table } = open(world, session, &mut statement, place)?;
    let Statement::Delete(delete) = statement else { return Err(compilation("no delete")) };
    let factor = from(&delete).first().map(|t| numbered_factor(&t.relation)).unwrap_or_default();
    let condition = delete.selection.map_or("TRUE".to_owned(), |c| c.to_string());
    let text = match delete.using.as_deref().and_then(|u| u.first()) {
        Some(using) => {
            format!("SELECT DISTINCT \"{ROW}\" FROM {factor} JOIN {using} ON {condition}")
        }
        None => format!("SELECT \"{ROW}\" FROM {factor} WHERE {condition}"),
    };
    let (_, rows) = query::rows(world, session, &text, &tables, Some(&name)).await?;
    let gone = numbers(&rows);
    let kept = without(&table.schema, &table.rows, &gone)?;
    world.tables.write(session, &name, kept);
    counts(&[("number of rows deleted", gone.len())], DELETE)
}

/// UPDATE of one table.
pub async fn update(
    world: &mut World,
    session: SessionId,
    mut statement: Statement,
    place: &Place,
) -> Outcome {
    let Opened { name, tables, table } = open(world, session, &mut statement, place)?;
    let Statement::Update(Update { table: factor, assignments, selection, .. }) = statement else {
        return Err(compilation("no update"));
    };
    let mut cells: Vec<String> =
        table.schema.fields().iter().map(|f| format!("\"{}\"", f.name())).collect();
    for assignment in &assignments {
        let AssignmentTarget::ColumnName(column) = &assignment.target else {
            return Err(compilation("an update of several columns at once"));
        };
        let at = places(&table.schema, std::slice::from_ref(column))?;
        cells[at[0]] = assignment.value.to_string();
    }
    let condition = selection.map_or("TRUE".to_owned(), |c| c.to_string());
    let named = cells.iter().enumerate().map(|(i, cell)| format!("{cell} AS \"c{i}\""));
    let text = format!(
        "SELECT \"{ROW}\", {} FROM {} WHERE {condition}",
        named.collect::<Vec<_>>().join(", "),
        numbered_factor(&factor.relation)
    );
    let (_, rows) = query::rows(world, session, &text, &tables, Some(&name)).await?;
    let gone = numbers(&rows);
    let mut kept = without(&table.schema, &table.rows, &gone)?;
    kept.extend(changed(&rows, &table.schema)?);
    world.tables.write(session, &name, kept);
    counts(&[("number of rows updated", gone.len())], UPDATE)
}

/// Rows behind their numbers, under a table's columns.
pub fn changed(
    rows: &[RecordBatch],
    schema: &SchemaRef,
) -> std::result::Result<Vec<RecordBatch>, Refused> {
    let mut made = Vec::new();
    for batch in rows {
        let cells: Vec<usize> = (1..batch.num_columns()).collect();
        made.push(conform(&batch.project(&cells).map_err(compilation)?, schema)?);
    }
    Ok(made)
}
