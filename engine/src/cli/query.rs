//! `freshet sql`: a question to the lake as of one epoch.
//!
//! Only the tables that the query names are read, all at the versions that one decision names, so
//! an answer never mixes epochs. It writes nothing and needs no lease.

use std::io::Write;
use std::process::ExitCode;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_schema;
use freshet_sql::plan::Session;

use super::args::{RowFormat, Sql};
use super::{reports, unprintable};
use crate::checkpoint::decision::Decision;
use crate::checkpoint::recover;
use crate::error::{Error, Result};
use crate::lake::options::Options;
use crate::lake::read;
use crate::lake::store::Store;

/// Answers and prints.
pub async fn run(lake: &Options, options: &Sql) -> Result<ExitCode> {
    let store = Store::open_existing(lake)?;
    let decision = match options.epoch {
        None => recover::latest(&store).await?,
        Some(epoch) => recover::at(&store, epoch).await?,
    };
    let Some(decision) = decision else {
        let which = options.epoch.map_or("no epoch".to_owned(), |n| format!("no epoch {n}"));
        return Err(Error::invalid(format!("the lake {} has {which}", store.name()))
            .with_hint("`freshet status` shows the last one; older decisions are pruned in time"));
    };
    let (schema, rows) = ask(&store, &decision, &options.query).await?;
    print(&schema, &rows, options.format)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a query over the tables of one epoch. A model goes by its name, and every table by its
/// place: `source.customers`, `raw.customers`, `marts.dim_customers`, `dead_letters`. What the epoch
/// did stands in `freshet.models`, `freshet.tests` and `freshet.tables`.
pub async fn ask(
    store: &Store,
    decision: &Decision,
    query: &str,
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let session = Session::new()?;
    session.set_time(decision.time_us);
    for (schema, name) in session.names_in(query).map_err(|e| Error::invalid(e.to_string()))? {
        if schema.as_deref() == Some(reports::SCHEMA) {
            let rows = reports::rows(decision, &name)?;
            session.add_in(schema.as_deref(), &name, rows.schema())?.set(vec![rows]);
            continue;
        }
        let found =
            decision.tables.iter().find(|(path, _)| matches(path, schema.as_deref(), &name));
        let Some((path, standing)) = found else {
            let known: Vec<String> = decision.tables.keys().map(|p| p.replace('/', ".")).collect();
            let tables = known.iter().filter_map(|k| k.rsplit('.').next());
            let near = freshet_sql::error::closest(&name, tables);
            let near = near.and_then(|near| known.iter().find(|k| k.ends_with(near)));
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("there are: {}", known.join(", ")),
            };
            return Err(Error::invalid(format!("the lake has no table \"{name}\"")).with_hint(hint));
        };
        let (columns, rows) = read::rows(store, path, standing.version).await?;
        session.add_in(schema.as_deref(), &name, columns)?.set(rows);
    }
    let plan = session.plan(query).await.map_err(|failure| {
        let place = failure.at.map(|(l, c)| format!("line {l}, column {c}: ")).unwrap_or_default();
        Error::invalid(format!("{place}{}", failure.message))
    })?;
    let prepared = session.prepare(plan)?;
    Ok((prepared.schema(), session.run(&prepared).await?))
}

fn matches(path: &str, schema: Option<&str>, name: &str) -> bool {
    let (folder, table) = path.rsplit_once('/').unwrap_or(("", path));
    table == name
        && match schema {
            Some(schema) => folder == schema,
            None => !matches!(folder, "raw" | "source"),
        }
}

fn print(schema: &SchemaRef, rows: &[RecordBatch], format: RowFormat) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        RowFormat::Table => {
            let text = pretty_format_batches_with_schema(schema.clone(), rows)?;
            writeln!(out, "{text}").map_err(unprintable)
        }
        RowFormat::Csv => {
            let names: Vec<String> = schema.fields().iter().map(|f| csv(f.name())).collect();
            writeln!(out, "{}", names.join(",")).map_err(unprintable)?;
            each_row(rows, |_, cells| {
                let line: Vec<String> =
                    cells.iter().map(|c| c.as_deref().map(csv).unwrap_or_default()).collect();
                writeln!(out, "{}", line.join(",")).map_err(unprintable)
            })
        }
        RowFormat::Json => each_row(rows, |batch, cells| {
            // Member by member: a map would put the columns into the order of their names.
            let schema = batch.schema();
            let members = schema.fields().iter().zip(cells).map(|(field, cell)| {
                let name = serde_json::Value::from(field.name().as_str());
                format!("{name}:{}", json(field.data_type(), cell))
            });
            let members: Vec<String> = members.collect();
            writeln!(out, "{{{}}}", members.join(",")).map_err(unprintable)
        }),
    }
}

fn each_row(
    rows: &[RecordBatch],
    mut then: impl FnMut(&RecordBatch, &[Option<String>]) -> Result<()>,
) -> Result<()> {
    let options = FormatOptions::default();
    for batch in rows {
        let cells = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options));
        let cells = cells.collect::<std::result::Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let texts: Vec<Option<String>> = cells
                .iter()
                .zip(batch.columns())
                .map(|(cell, column)| column.is_valid(row).then(|| cell.value(row).to_string()))
                .collect();
            then(batch, &texts)?;
        }
    }
    Ok(())
}

fn csv(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Numbers stay exact: their digits are kept as they are.
fn json(kind: &DataType, cell: &Option<String>) -> serde_json::Value {
    let Some(text) = cell else { return serde_json::Value::Null };
    let plain = kind.is_numeric() || *kind == DataType::Boolean;
    let parsed = if plain { serde_json::from_str(text).ok() } else { None };
    parsed.unwrap_or_else(|| serde_json::Value::String(text.clone()))
}
