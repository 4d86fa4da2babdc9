//! COPY INTO: Parquet files of a stage into a table, by the names of their columns.

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::World;
use super::answer::{COPY, Outcome, Refused, absent, compilation, counts};
use super::sessions::SessionId;

/// COPY INTO a table from Parquet files below a path, by the names of their columns.
pub fn copy(world: &mut World, session: SessionId, name: &str, path: &str) -> Outcome {
    let table = world.tables.get(session, name).ok_or_else(|| absent("Table", name))?.clone();
    let mut rows = table.rows.as_ref().clone();
    let mut loaded = 0;
    for (path, _) in world.files.under(path) {
        let body = world.files.open(&path)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(body).map_err(compilation)?;
        for batch in builder.build().map_err(compilation)? {
            let batch = batch.map_err(compilation)?;
            loaded += batch.num_rows();
            rows.push(by_name(&batch, &table.schema)?);
        }
    }
    world.tables.write(session, name, rows);
    counts(&[("rows_loaded", loaded)], COPY)
}

fn by_name(batch: &RecordBatch, schema: &SchemaRef) -> std::result::Result<RecordBatch, Refused> {
    let stored = batch.schema();
    let column = |field: &arrow::datatypes::Field| {
        let at = stored.fields().iter().position(|f| f.name().eq_ignore_ascii_case(field.name()));
        match at {
            Some(at) => cast(batch.column(at), field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        }
    };
    let columns: Result<Vec<ArrayRef>, _> = schema.fields().iter().map(|f| column(f)).collect();
    let columns = columns.map_err(compilation)?;
    // A number that does not fit becomes null by a cast, and an error by a load.
    for (column, field) in columns.iter().zip(schema.fields()) {
        let at = stored.fields().iter().position(|f| f.name().eq_ignore_ascii_case(field.name()));
        if at.is_some_and(|at| batch.column(at).null_count() != column.null_count()) {
            let message = format!("a value of {} is out of range", field.name());
            return Err(Refused { code: "100132", state: "22000", message });
        }
    }
    RecordBatch::try_new(schema.clone(), columns).map_err(compilation)
}
