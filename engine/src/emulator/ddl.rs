//! CREATE TABLE and ALTER TABLE.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use sqlparser::ast::{
    AlterTableOperation, ColumnDef, ColumnOption, CreateTable, CreateTableOptions, SqlOption,
};

use super::answer::{Outcome, Refused, absent, compilation, said};
use super::rewrite::{self, Place};
use super::sessions::SessionId;
use super::tables::{Column, Table};
use super::{World, types, write};

fn column(def: &ColumnDef) -> std::result::Result<(Column, Field), Refused> {
    let text = def.data_type.to_string();
    let (kind, digits, arrow) = types::declared(&text)
        .ok_or_else(|| compilation(format!("the emulator does not know the type {text}")))?;
    let comment = def.options.iter().find_map(|o| match &o.option {
        ColumnOption::Comment(text) => Some(text.clone()),
        _ => None,
    });
    let name = rewrite::ident(&def.name);
    let field = Field::new(&name, arrow, true);
    Ok((
        Column { name, kind: kind.to_owned(), digits, comment: comment.unwrap_or_default() },
        field,
    ))
}

/// CREATE TABLE.
pub fn create_table(
    world: &mut World,
    session: SessionId,
    create: &CreateTable,
    place: &Place,
) -> Outcome {
    let name = rewrite::whole(&create.name, place);
    if create.if_not_exists && world.tables.get(session, &name).is_some() {
        return said(&format!("{name} already exists, statement succeeded."));
    }
    let made: Result<Vec<_>, _> = create.columns.iter().map(column).collect();
    let (columns, fields): (Vec<Column>, Vec<Field>) = made?.into_iter().unzip();
    let comment = match &create.table_options {
        CreateTableOptions::Plain(options) | CreateTableOptions::With(options) => {
            options.iter().find_map(|o| match o {
                SqlOption::Comment(text) => Some(text.to_string()),
                _ => None,
            })
        }
        _ => None,
    };
    let table = Table {
        columns,
        schema: Arc::new(Schema::new(fields)),
        rows: Arc::default(),
        comment: comment.unwrap_or_default(),
    };
    world.tables.create(session, name.clone(), table, create.temporary);
    said(&format!("Table {name} successfully created."))
}

/// One change of ALTER TABLE.
pub fn alter_table(
    world: &mut World,
    session: SessionId,
    name: &str,
    operation: &AlterTableOperation,
) -> std::result::Result<(), Refused> {
    let table = world.tables.get(session, name).ok_or_else(|| absent("Table", name))?.clone();
    let (mut columns, mut fields) = (table.columns.clone(), table.schema.fields().to_vec());
    let mut from: Vec<Option<usize>> = (0..fields.len()).map(Some).collect();
    let find = |wanted: &str| table.schema.index_of(wanted).map_err(|_| absent("Column", wanted));
    match operation {
        AlterTableOperation::AddColumn { column_def, .. } => {
            let (made, field) = column(column_def)?;
            columns.push(made);
            fields.push(Arc::new(field));
            from.push(None);
        }
        AlterTableOperation::DropColumn { column_names, .. } => {
            for dropped in column_names {
                let at = find(&rewrite::ident(dropped))?;
                columns.remove(at);
                fields.remove(at);
                from.remove(at);
            }
        }
        _ => return Err(compilation("the emulator does not know this change of a table")),
    }
    let schema = Arc::new(Schema::new(fields));
    let mut rows = Vec::new();
    for batch in table.rows.iter() {
        let kept: Vec<usize> = from.iter().flatten().copied().collect();
        let places: Vec<usize> =
            from.iter().enumerate().filter(|(_, f)| f.is_some()).map(|(to, _)| to).collect();
        let projected = batch.project(&kept).map_err(compilation)?;
        rows.push(write::spread(&projected, &places, &schema)?);
    }
    let changed = Table { columns, schema, rows: Arc::new(rows), comment: table.comment };
    world.tables.create(session, name.to_owned(), changed, false);
    Ok(())
}
