//! Taking over the history that a target's snapshot table holds.
//!
//! The rows become what the snapshot is folded onto: its next rebuild begins with them, and an open
//! version goes on where the source still says the same. It must never take in a history that
//! contradicts itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use freshet_sql::materialize::snapshot::SnapshotSpec;
use hashbrown::HashMap;

use super::contract::{Column, column_type};
use super::warehouse::Warehouse;
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::parquet::{self, Effort};
use crate::lake::store::{Created, Store};

/// What was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Versions.
    pub versions: usize,
    /// Open ones.
    pub open: usize,
}

/// Reads a target's table and keeps it as the beginning of a snapshot.
///
/// # Errors
/// `Invalid` for columns that are missing, times that are, two open versions of a key, versions
/// that overlap, or a history that was taken over before.
pub async fn import(
    warehouse: &mut dyn Warehouse,
    store: &Store,
    snapshot: &str,
    spec: &SnapshotSpec,
    table: &str,
) -> Result<Imported> {
    let schema = spec.schema();
    let rows = warehouse.read(table, &columns(&schema)?).await?;
    let rows = typed(&rows, &schema)?;
    let imported = check(&rows, spec, table)?;
    let body = parquet::encode(&rows, Effort::Small)?;
    match store.create(&layout::imported(snapshot), body).await? {
        Created::New => Ok(imported),
        Created::Exists => {
            Err(Error::invalid(format!("\"{snapshot}\" has a history that was taken over before"))
                .with_hint(format!(
                    "delete \"{}\" from the lake to take over another one",
                    layout::imported(snapshot)
                )))
        }
    }
}

fn columns(schema: &SchemaRef) -> Result<Vec<Column>> {
    let one = |field: &Arc<arrow::datatypes::Field>| {
        let kind = column_type(field.data_type()).ok_or_else(|| {
            Error::invalid(format!("column `{}` can't be taken over", field.name()))
        })?;
        let name = field.name().to_uppercase();
        Ok(Column { name, kind, comment: String::new(), audit: false })
    };
    schema.fields().iter().map(one).collect()
}

/// Texts as the snapshot's own types.
fn typed(rows: &[Vec<Option<String>>], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (at, field) in schema.fields().iter().enumerate() {
        let texts: StringArray = rows.iter().map(|row| row.get(at).cloned().flatten()).collect();
        let made = cast(&texts, field.data_type())?;
        if made.null_count() > texts.null_count() {
            let lost = made.null_count() - texts.null_count();
            return Err(Error::invalid(format!(
                "{lost} values of `{}` are no {}",
                field.name(),
                field.data_type()
            )));
        }
        columns.push(made);
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

fn check(rows: &RecordBatch, spec: &SnapshotSpec, table: &str) -> Result<Imported> {
    let time = |name: &str| {
        let column = rows.column_by_name(name);
        let times = column.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        times.ok_or_else(|| Error::bug(format!("a snapshot without `{name}`")))
    };
    let (from, to) = (time(&spec.names.valid_from)?, time(&spec.names.valid_to)?);
    let query = Arc::new(Schema::new(spec.query.fields().clone()));
    let width: Vec<usize> = (0..query.fields().len()).collect();
    let keys = spec.key_hasher().hashes(&rows.project(&width)?)?;
    let mut spans: HashMap<u128, Vec<(i64, i64)>> = HashMap::new();
    let mut open = 0;
    for (row, key) in keys.into_iter().enumerate() {
        if from.is_null(row) {
            return Err(Error::invalid(format!(
                "{table}: a version has no {}",
                spec.names.valid_from
            )));
        }
        open += usize::from(to.is_null(row));
        let end = if to.is_null(row) { i64::MAX } else { to.value(row) };
        spans.entry(key).or_default().push((from.value(row), end));
    }
    let overlaps = |spans: &mut Vec<(i64, i64)>| {
        spans.sort_unstable();
        spans.windows(2).any(|pair| pair[0].1 > pair[1].0) || spans.iter().any(|s| s.1 < s.0)
    };
    let wrong = spans.values_mut().map(overlaps).filter(|wrong| *wrong).count();
    if wrong > 0 {
        return Err(Error::invalid(format!(
            "{table}: the versions of {wrong} keys overlap, or end before they begin"
        ))
        .with_hint(
            "mend them there first: one open version per key, and each ends where the next begins",
        ));
    }
    Ok(Imported { versions: rows.num_rows(), open })
}
