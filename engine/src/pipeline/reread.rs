//! The end of a later read of everything: keys that it did not find are gone.
//!
//! Such a row was deleted while nobody listened. It gets a delete of its own, dated by the read, and
//! kept in raw like any event.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::Pipeline;
use super::catalog::SourceTable;
use crate::envelope::change::{Change, Op, ReadMark};
use crate::error::{Error, Result};
use crate::lake::raw;

impl Pipeline {
    /// Deletes for rows that the read begun at `read_us` did not find, by table.
    ///
    /// All rows of a read have its position, and what streams after it lies at or behind that one;
    /// so a row from before it is one that the read did not find. Times would not do: a commit that
    /// streams in after a read may be older than the moment at which a row was read.
    pub(super) async fn not_found(
        &mut self,
        read_us: i64,
    ) -> Result<BTreeMap<Arc<str>, Vec<Change>>> {
        let mut deletes = BTreeMap::new();
        let Some(position) = self.read_position(read_us).await? else { return Ok(deletes) };
        let sources: Vec<(Arc<str>, SourceTable)> =
            self.catalog.iter().map(|(name, s)| (name.clone(), s.clone())).collect();
        for (name, source) in sources {
            let Some(table) = self.tables.source.get_mut(&source.relation) else { continue };
            let mut gone = Vec::new();
            for batch in table.scan()? {
                let lsn = batch.column_by_name("_lsn");
                let lsn = lsn.and_then(|c| c.as_primitive_opt::<Int64Type>());
                let lsn = lsn.ok_or_else(|| Error::bug("current rows without `_lsn`"))?;
                let older = |row: &usize| lsn.is_valid(*row) && lsn.value(*row) < position;
                // Without a key one stands for all.
                let most = if source.schema.key.is_empty() { 1 } else { usize::MAX };
                for row in (0..batch.num_rows()).filter(older).take(most) {
                    gone.push(delete(&name, &source, &batch, row, read_us)?);
                }
            }
            if source.schema.key.is_empty() && !gone.is_empty() {
                // Its rows have no names. Those that a read found have replaced the others by now.
                gone = vec![Change {
                    op: Op::Truncate,
                    lsn: Some(position),
                    key: None,
                    ..gone.remove(0)
                }];
            }
            if !gone.is_empty() {
                tracing::warn!(table = %name, rows = gone.len(), "a new read did not find these rows");
                deletes.insert(name, gone);
            }
        }
        Ok(deletes)
    }

    /// The position of the read begun at `read_us`, from the events that it left in raw.
    async fn read_position(&self, read_us: i64) -> Result<Option<i64>> {
        let mut position: Option<i64> = None;
        for (name, source) in self.catalog.iter() {
            let Some(table) = self.tables.raw.get(&source.folder) else { continue };
            let look = |rows: RecordBatch| {
                for (_, change) in raw::changes(&rows, name)? {
                    let of_read = !matches!(change.initial, ReadMark::None | ReadMark::Incremental);
                    if of_read && change.commit_us >= read_us {
                        position = position.into_iter().chain(change.lsn).min();
                    }
                }
                Ok(())
            };
            table.read_each(&self.store, look).await?;
        }
        Ok(position)
    }
}

fn delete(
    name: &Arc<str>,
    source: &SourceTable,
    batch: &RecordBatch,
    row: usize,
    read_us: i64,
) -> Result<Change> {
    let options = FormatOptions::default();
    let mut key = Map::new();
    for at in &source.schema.key {
        let column = batch.column(*at);
        let text = ArrayFormatter::try_new(column.as_ref(), &options)?.value(row).to_string();
        let number = column.data_type().is_integer() || column.data_type().is_numeric();
        let value = match number {
            true => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            false => Value::String(text),
        };
        key.insert(source.schema.columns[*at].name.clone(), value);
    }
    let key = serde_json::to_vec(&Value::Object(key)).map_err(|e| Error::bug(e.to_string()))?;
    Ok(Change {
        table: name.clone(),
        connector: Arc::from("freshet"),
        op: Op::Delete,
        initial: ReadMark::None,
        tx: None,
        tx_id: None,
        lsn: None,
        sequence_lsn: None,
        commit_us: read_us,
        key: Some(Bytes::from(key)),
        before: None,
        after: None,
        moved_from: None,
        moved_to: None,
        wire_schema: None,
        wire_key: None,
        topic: Arc::from(""),
        partition: -1,
        offset: -1,
        timestamp_ms: -1,
        record_value: None,
    })
}
