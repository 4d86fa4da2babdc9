//! Raw events as rows: every change as it came, in the order in which it was taken in.
//!
//! The system of record: any model can be rebuilt from it without Kafka, also under other column
//! types, since row images are kept as the text they were. Redelivered events are kept too.

use std::sync::Arc;

use arrow::array::{
    Date32Array, Int32Array, Int64Array, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;

use super::append::AppendTable;
use super::store::Store;
use crate::envelope::change::{Change, Op, ReadMark};
use crate::envelope::connect::WireSchema;
use crate::error::{Error, Result};

/// The partition column: the UTC date of the commit.
pub const PARTITION: &str = "date";

const DAY_US: i64 = 86_400_000_000;

/// The columns of every raw table's files.
pub fn schema() -> SchemaRef {
    let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("epoch", DataType::Int64),
        ("seq", DataType::Int64),
        ("op", DataType::Utf8),
        ("read", DataType::Utf8),
        ("key", DataType::Utf8),
        ("before", DataType::Utf8),
        ("after", DataType::Utf8),
        ("moved_from", DataType::Utf8),
        ("moved_to", DataType::Utf8),
        ("connector", DataType::Utf8),
        ("tx_id", DataType::Int64),
        ("total_order", DataType::Int64),
        ("lsn", DataType::Int64),
        ("sequence_lsn", DataType::Int64),
        ("commit_at", utc()),
        ("topic", DataType::Utf8),
        ("partition", DataType::Int32),
        ("offset", DataType::Int64),
        ("kafka_at", utc()),
        ("wire", DataType::Utf8),
    ];
    let fields = columns.into_iter().map(|(name, kind)| Field::new(name, kind, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A raw table as of this version.
pub async fn table(store: &Store, path: String, version: u64) -> Result<AppendTable> {
    AppendTable::load(store, path, schema(), Some(PARTITION), version).await
}

/// An image's number: ascending in the order in which a table's changes were taken in.
pub fn seq(epoch: u64, place: usize) -> i64 {
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX >> 32);
    (epoch << 32) | i64::try_from(place).unwrap_or(0)
}

/// The epoch of an image's number, and its place.
pub fn place_of(seq: i64) -> (u64, usize) {
    let place = usize::try_from(seq & i64::from(u32::MAX)).unwrap_or(usize::MAX);
    (u64::try_from(seq >> 32).unwrap_or(0), place)
}

/// The changes of one table as raw rows, by commit date. `first` is the first one's place.
pub fn rows(changes: &[&Change], epoch: u64, first: usize) -> Result<Vec<(String, RecordBatch)>> {
    let mut days: std::collections::BTreeMap<i64, Vec<(usize, &Change)>> =
        std::collections::BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        let day = change.commit_us.div_euclid(DAY_US);
        days.entry(day).or_default().push((first + place, change));
    }
    days.into_iter().map(|(day, list)| Ok((date(day), batch(&list, epoch)?))).collect()
}

fn date(day: i64) -> String {
    let day = i32::try_from(day).unwrap_or(0);
    Date32Array::from(vec![day]).value_as_date(0).map_or_else(String::new, |d| d.to_string())
}

fn batch(list: &[(usize, &Change)], epoch: u64) -> Result<RecordBatch> {
    let epoch_number = i64::try_from(epoch).unwrap_or(i64::MAX);
    let texts = |of: &dyn Fn(&Change) -> Option<Bytes>| text_column(list, of);
    let ints = |of: &dyn Fn(&Change) -> Option<i64>| {
        Arc::new(list.iter().map(|(_, c)| of(c)).collect::<Int64Array>())
    };
    let words = |of: &dyn Fn(&Change) -> &str| {
        Arc::new(list.iter().map(|(_, c)| Some(of(c))).collect::<StringArray>())
    };
    let commit: TimestampMicrosecondArray = list.iter().map(|(_, c)| Some(c.commit_us)).collect();
    let kafka: TimestampMillisecondArray =
        list.iter().map(|(_, c)| (c.timestamp_ms >= 0).then_some(c.timestamp_ms)).collect();
    let us = DataType::Timestamp(TimeUnit::Microsecond, None);
    let kafka = cast(&kafka, &us).map_err(|e| Error::bug(e.to_string()))?;
    let kafka = kafka.as_any().downcast_ref::<TimestampMicrosecondArray>().cloned();
    let kafka = kafka.ok_or_else(|| Error::bug("a timestamp cast to another type"))?;
    let made = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from(vec![epoch_number; list.len()])),
            Arc::new(
                list.iter().map(|(place, _)| Some(seq(epoch, *place))).collect::<Int64Array>(),
            ),
            words(&|c| op_word(c.op)),
            words(&|c| read_word(c.initial)),
            texts(&|c| c.key.clone())?,
            texts(&|c| c.before.clone())?,
            texts(&|c| c.after.clone())?,
            texts(&|c| c.moved_from.clone())?,
            texts(&|c| c.moved_to.clone())?,
            words(&|c| &c.connector),
            ints(&|c| c.tx_id),
            ints(&|c| c.tx.and_then(|t| i64::try_from(t.total_order).ok())),
            ints(&|c| c.lsn),
            ints(&|c| c.sequence_lsn),
            Arc::new(commit.with_timezone("UTC")),
            words(&|c| &c.topic),
            Arc::new(list.iter().map(|(_, c)| Some(c.partition)).collect::<Int32Array>()),
            ints(&|c| Some(c.offset)),
            Arc::new(kafka.with_timezone("UTC")),
            encodings(list),
        ],
    );
    made.map_err(|e| Error::bug(format!("raw rows: {e}")))
}

/// How each message's values were written; null where the message brought no schema.
fn encodings(list: &[(usize, &Change)]) -> Arc<StringArray> {
    let mut known: Option<(*const WireSchema, String)> = None;
    let mut builder = StringBuilder::new();
    for (_, change) in list {
        let Some(wire) = &change.wire_schema else {
            builder.append_null();
            continue;
        };
        let same = known.as_ref().is_some_and(|(at, _)| std::ptr::eq(*at, Arc::as_ptr(wire)));
        if !same {
            known = Some((Arc::as_ptr(wire), wire.encodings()));
        }
        builder.append_option(known.as_ref().map(|(_, text)| text));
    }
    Arc::new(builder.finish())
}

/// JSON text is UTF-8 once it has been parsed; anything else would have been a dead letter.
fn text_column(
    list: &[(usize, &Change)],
    of: &dyn Fn(&Change) -> Option<Bytes>,
) -> Result<Arc<StringArray>> {
    let mut builder = StringBuilder::new();
    for (_, change) in list {
        match of(change) {
            None => builder.append_null(),
            Some(bytes) => builder.append_value(
                std::str::from_utf8(&bytes).map_err(|_| Error::bug("a row image is not UTF-8"))?,
            ),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Debezium's letter for an op.
pub const fn op_word(op: Op) -> &'static str {
    match op {
        Op::Create => "c",
        Op::Update => "u",
        Op::Delete => "d",
        Op::Read => "r",
        Op::Truncate => "t",
    }
}

const fn read_word(mark: ReadMark) -> &'static str {
    match mark {
        ReadMark::None => "",
        ReadMark::First => "first",
        ReadMark::Within => "within",
        ReadMark::LastInTable => "last_in_table",
        ReadMark::Last => "last",
        ReadMark::Incremental => "incremental",
    }
}

/// The changes that raw rows hold, in their order: the way back, for a rebuild.
pub fn changes(batch: &RecordBatch, table: &Arc<str>) -> Result<Vec<(i64, Change)>> {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
    let column = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| Error::corrupt(format!("raw lacks `{name}`")))
    };
    let text = |name: &str| column(name).map(|c| c.as_string::<i32>().clone());
    let int = |name: &str| column(name).map(|c| c.as_primitive::<Int64Type>().clone());
    let (op, read, connector, topic) =
        (text("op")?, text("read")?, text("connector")?, text("topic")?);
    let images = ["key", "before", "after", "moved_from", "moved_to"].map(text);
    let [key, before, after, moved_from, moved_to] = images;
    let (key, before, after) = (key?, before?, after?);
    let (moved_from, moved_to) = (moved_from?, moved_to?);
    let (seqs, tx_id, order) = (int("seq")?, int("tx_id")?, int("total_order")?);
    let (lsn, sequence, offset) = (int("lsn")?, int("sequence_lsn")?, int("offset")?);
    let partition = column("partition")?.as_primitive::<Int32Type>().clone();
    let commit = column("commit_at")?.as_primitive::<TimestampMicrosecondType>().clone();
    let image = |a: &StringArray, row: usize| {
        a.is_valid(row).then(|| Bytes::copy_from_slice(a.value(row).as_bytes()))
    };
    let number = |a: &Int64Array, row: usize| a.is_valid(row).then(|| a.value(row));
    let wire = text("wire")?;
    let mut wires = Wires::default();
    let mut list = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let tx = number(&order, row).zip(number(&tx_id, row)).map(|(total, id)| {
            crate::envelope::change::TxRef { id, total_order: u64::try_from(total).unwrap_or(0) }
        });
        list.push((
            seqs.value(row),
            Change {
                table: table.clone(),
                connector: connector.value(row).into(),
                op: op_of(op.value(row))?,
                initial: read_of(read.value(row)),
                tx,
                tx_id: number(&tx_id, row),
                lsn: number(&lsn, row),
                sequence_lsn: number(&sequence, row),
                commit_us: commit.value(row),
                key: image(&key, row),
                before: image(&before, row),
                after: image(&after, row),
                moved_from: image(&moved_from, row),
                moved_to: image(&moved_to, row),
                wire_schema: wires.of(image(&wire, row).as_deref())?,
                wire_key: None,
                topic: topic.value(row).into(),
                partition: partition.value(row),
                offset: offset.value(row),
                timestamp_ms: -1,
                record_value: None,
            },
        ));
    }
    Ok(list)
}

/// Wire schemas by their text: rows that share one share the schema.
#[derive(Default)]
struct Wires(hashbrown::HashMap<Vec<u8>, Arc<WireSchema>>);

impl Wires {
    fn of(&mut self, text: Option<&[u8]>) -> Result<Option<Arc<WireSchema>>> {
        let Some(text) = text else { return Ok(None) };
        if let Some(known) = self.0.get(text) {
            return Ok(Some(known.clone()));
        }
        let parsed = std::str::from_utf8(text).ok().and_then(WireSchema::from_encodings);
        let parsed = parsed.ok_or_else(|| Error::corrupt("raw holds a `wire` that is none"))?;
        let parsed = Arc::new(parsed);
        self.0.insert(text.to_vec(), parsed.clone());
        Ok(Some(parsed))
    }
}

fn op_of(word: &str) -> Result<Op> {
    Ok(match word {
        "c" => Op::Create,
        "u" => Op::Update,
        "d" => Op::Delete,
        "r" => Op::Read,
        "t" => Op::Truncate,
        other => return Err(Error::corrupt(format!("raw holds an unknown op \"{other}\""))),
    })
}

fn read_of(word: &str) -> ReadMark {
    match word {
        "first" => ReadMark::First,
        "within" => ReadMark::Within,
        "last_in_table" => ReadMark::LastInTable,
        "last" => ReadMark::Last,
        "incremental" => ReadMark::Incremental,
        _ => ReadMark::None,
    }
}
