//! Raw events of one table in the order in which they were taken in, some whole epochs at a time.
//!
//! Files lie by date, and a merged one holds epochs of its date alone, so that files overlap: each is
//! opened when the order comes to its first event. What is held is what overlaps and a part, however much
//! raw has. It must never part an epoch: transactions are whole only in whole epochs.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use freshet_sql::change::take_rows;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;

use super::append::AppendTable;
use super::commit::FileEntry;
use super::raw;
use super::store::Store;
use crate::envelope::change::Change;
use crate::error::{Error, Result};

/// Events of a part, but for the rest of its last epoch.
pub const PART_EVENTS: usize = 65_536;
/// Bytes of a part's events, the same way.
const PART_BYTES: usize = 64 << 20;
/// Bytes at the end of a file in which its footer mostly lies.
const FOOTER_BYTES: u64 = 32 << 10;
/// Footers that are read side by side.
const FOOTERS_AT_ONCE: usize = 8;

/// Reads them.
pub struct InOrder<'t> {
    table: &'t AppendTable,
    store: &'t Store,
    name: Arc<str>,
    /// Files that are not open yet, by the number of their first event.
    closed: VecDeque<(i64, FileEntry)>,
    /// Events of open files that were not given yet.
    pub(super) held: Vec<RecordBatch>,
    part_events: usize,
}

impl<'t> InOrder<'t> {
    /// All events of a raw table, those of the running epoch included. `name` is the source's.
    /// A part has `part_events` of them, fewer where they are large, and the rest of its last epoch.
    pub async fn of(
        table: &'t AppendTable,
        store: &'t Store,
        name: Arc<str>,
        part_events: usize,
    ) -> Result<Self> {
        let first = |entry: FileEntry| async move {
            Ok::<_, Error>((first_number(table, store, &entry).await?, entry))
        };
        let closed =
            stream::iter(table.files().to_vec()).map(first).buffer_unordered(FOOTERS_AT_ONCE);
        let mut closed: Vec<(i64, FileEntry)> = closed.try_collect().await?;
        closed.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.path.cmp(&b.1.path)));
        let (closed, held) = (closed.into(), Vec::new());
        Ok(Self { table, store, name, closed, held, part_events: part_events.max(1) })
    }

    /// The next epochs' events with their numbers, in order; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<(i64, Change)>>> {
        loop {
            let horizon = self.closed.front().map_or(i64::MAX, |(first, _)| epoch_start(*first));
            let mut numbers = self.numbers_before(horizon)?;
            let part_events = self.part_events.min(self.events_within(PART_BYTES));
            if numbers.len() >= part_events || self.closed.is_empty() {
                if numbers.is_empty() {
                    return Ok(None);
                }
                let last = numbers.len().min(part_events) - 1;
                let (_, last, _) = numbers.select_nth_unstable(last);
                let end = epoch_start(*last).saturating_add(1 << 32).min(horizon);
                return self.take_before(end).map(Some);
            }
            if let Some((_, entry)) = self.closed.pop_front() {
                self.held.push(self.table.read(self.store, &entry).await?);
            }
        }
    }

    /// How many of the events that are held are so many bytes, about.
    fn events_within(&self, bytes: usize) -> usize {
        let rows: usize = self.held.iter().map(RecordBatch::num_rows).sum();
        let held: usize = self.held.iter().map(RecordBatch::get_array_memory_size).sum();
        (bytes / (held / rows.max(1)).max(1)).max(1)
    }

    fn numbers_before(&self, end: i64) -> Result<Vec<i64>> {
        let mut numbers = Vec::new();
        for rows in &self.held {
            numbers.extend(numbers_of(rows)?.iter().filter(|number| **number < end));
        }
        Ok(numbers)
    }

    /// Takes what comes before this number out of what is held.
    fn take_before(&mut self, end: i64) -> Result<Vec<(i64, Change)>> {
        let mut events = Vec::new();
        for rows in std::mem::take(&mut self.held) {
            let numbers = numbers_of(&rows)?;
            let (now, later): (Vec<u64>, Vec<u64>) =
                (0..rows.num_rows() as u64).partition(|row| numbers[*row as usize] < end);
            if later.is_empty() {
                events.extend(raw::changes(&rows, &self.name)?);
                continue;
            }
            events.extend(raw::changes(&take_rows(&rows, now)?, &self.name)?);
            self.held.push(take_rows(&rows, later)?);
        }
        events.sort_by_key(|(number, _)| *number);
        Ok(events)
    }
}

/// The first number of an event's epoch.
const fn epoch_start(number: i64) -> i64 {
    number & !0xffff_ffff
}

fn numbers_of(rows: &RecordBatch) -> Result<&[i64]> {
    let column = rows.column_by_name("seq").and_then(|c| c.as_primitive_opt::<Int64Type>());
    let column = column.ok_or_else(|| Error::corrupt("raw lacks `seq`"))?;
    Ok(column.values())
}

/// The number of a file's first event, from its footer; of one that does not tell, the least there is.
async fn first_number(table: &AppendTable, store: &Store, entry: &FileEntry) -> Result<i64> {
    let path = format!("{}/{}", table.path(), entry.path);
    let metadata = match table.unwritten(&path) {
        Some(body) => ParquetMetaDataReader::new().parse_and_finish(body),
        None => footer(store, &path, u64::try_from(entry.size).unwrap_or(0)).await?,
    };
    let metadata = metadata.map_err(|e| Error::corrupt(format!("file \"{path}\": {e}")))?;
    let groups = metadata.row_groups().iter();
    let first = groups.map(|group| {
        let columns = group.columns().iter();
        let mut seq = columns.filter(|column| column.column_path().string() == "seq");
        match seq.next().and_then(|column| column.statistics()) {
            Some(Statistics::Int64(told)) => told.min_opt().copied(),
            _ => None,
        }
    });
    Ok(first.map(|number| number.unwrap_or(i64::MIN)).min().unwrap_or(i64::MIN))
}

/// Reads the end of a file, and more of it where the footer is longer.
async fn footer(
    store: &Store,
    path: &str,
    size: u64,
) -> Result<std::result::Result<ParquetMetaData, ParquetError>> {
    let mut wanted = FOOTER_BYTES;
    loop {
        let end = store.get_range(path, size.saturating_sub(wanted)..size).await?;
        let end: Bytes =
            end.ok_or_else(|| Error::corrupt(format!("file \"{path}\" is missing")))?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&end, size) {
            Ok(()) => return Ok(reader.finish()),
            Err(ParquetError::NeedMoreData(more)) if wanted < size => {
                wanted = (more as u64).max(wanted + 1);
            }
            Err(error) => return Ok(Err(error)),
        }
    }
}
