//! Dead letters: records that could not be decoded, kept whole with the reason.

use std::sync::Arc;

use arrow::array::{
    BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::{Error, Result};
use crate::source::record::Record;

/// A record and why it is here.
pub type DeadLetter = (Record, String);

/// The table's columns.
pub fn schema() -> SchemaRef {
    let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("epoch", DataType::Int64),
        ("epoch_at", utc()),
        ("topic", DataType::Utf8),
        ("partition", DataType::Int32),
        ("offset", DataType::Int64),
        ("kafka_at", utc()),
        ("reason", DataType::Utf8),
        ("key", DataType::Binary),
        ("value", DataType::Binary),
    ];
    let fields = columns.into_iter().map(|(name, kind)| Field::new(name, kind, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Dead letters as rows.
pub fn rows(letters: &[DeadLetter], epoch: u64, epoch_us: i64) -> Result<RecordBatch> {
    let count = letters.len();
    let number = i64::try_from(epoch).unwrap_or(i64::MAX);
    let kafka: TimestampMicrosecondArray = letters
        .iter()
        .map(|(r, _)| (r.timestamp_ms >= 0).then(|| r.timestamp_ms.saturating_mul(1000)))
        .collect();
    let times = TimestampMicrosecondArray::from(vec![epoch_us; count]);
    let made = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from(vec![number; count])),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(letters.iter().map(|(r, _)| Some(r.topic.as_ref())).collect::<StringArray>()),
            Arc::new(letters.iter().map(|(r, _)| Some(r.partition)).collect::<Int32Array>()),
            Arc::new(letters.iter().map(|(r, _)| Some(r.offset)).collect::<Int64Array>()),
            Arc::new(kafka.with_timezone("UTC")),
            Arc::new(letters.iter().map(|(_, why)| Some(why.as_str())).collect::<StringArray>()),
            Arc::new(letters.iter().map(|(r, _)| r.key.as_deref()).collect::<BinaryArray>()),
            Arc::new(letters.iter().map(|(r, _)| r.value.as_deref()).collect::<BinaryArray>()),
        ],
    );
    made.map_err(|e| Error::bug(format!("dead letters: {e}")))
}
