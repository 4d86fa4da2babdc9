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

/// The first microsecond of the year 9999: no version has ended then, it is a stand-in for one that is open.
const NEVER_US: i64 = 253_370_764_800_000_000;

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
/// that overlap or end in the year 9999, or a history that was taken over before.
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
    let stand_ins = to.iter().flatten().filter(|to| *to >= NEVER_US).count();
    if stand_ins > 0 {
        let ends = &spec.names.valid_to;
        return Err(Error::invalid(format!(
            "{table}: {stand_ins} versions have a {ends} in the year 9999 or later"
        ))
        .with_hint(format!(
            "an open version has none here: `update {table} set {ends} = null where {ends} >= '9999-01-01'` \
             on a copy of the table, and take that over"
        )));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::datatypes::{DataType, Field};
    use freshet_sql::materialize::snapshot::Strategy;
    use freshet_sql::project::snapshot::{HardDeletes, SnapshotNames};

    /// What is said of a history of one key, whose versions begin and end then.
    fn said(versions: &[(&str, Option<&str>)]) -> std::result::Result<Imported, String> {
        let spec = SnapshotSpec {
            query: Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)])),
            unique_key: vec![0],
            strategy: Strategy::Check(vec![0]),
            hard_deletes: HardDeletes::Invalidate,
            names: SnapshotNames::default(),
        };
        let text = |text: &str| Some(text.to_owned());
        let rows = versions.iter().map(|(from, to)| {
            vec![text("7"), text("x"), text(from), text(from), to.map(str::to_owned)]
        });
        let rows = typed(&rows.collect::<Vec<_>>(), &spec.schema()).unwrap();
        check(&rows, &spec, "S").map_err(|e| e.to_string())
    }

    #[test]
    fn a_history_that_contradicts_itself_is_refused() {
        let (one, two, three) =
            ("2024-01-01 00:00:00", "2024-02-01 00:00:00", "2024-03-01 00:00:00");
        let taken = said(&[(one, Some(two)), (two, None)]);
        assert_eq!(taken, Ok(Imported { versions: 2, open: 1 }));
        let refused = |versions: &[(&str, Option<&str>)], why: &str| {
            let said = said(versions).unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        refused(&[(one, Some(three)), (two, None)], "overlap");
        refused(&[(one, None), (two, None)], "overlap");
        refused(&[(two, Some(one))], "end before they begin");
        refused(&[(one, Some(two)), (two, Some("9999-12-31 00:00:00"))], "in the year 9999");
    }
}
