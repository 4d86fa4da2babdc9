//! Log entries: the exact bytes of a table's next Delta version.
//!
//! Bytes are made here and put by `checkpoint` once the epoch is decided. Every Remove carries the
//! vector of the Add that it ends, and its time; an Add with a vector says that its bounds are loose.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Schema};
use bytes::Bytes;
use deltalake::kernel::transaction::CommitData;
use deltalake::kernel::{Action, Add, DeletionVectorDescriptor, Remove, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::json;

use crate::error::{Error, Result};

/// The application id of our transaction actions.
pub const APP_ID: &str = "freshet";

/// What a table is, as its log says.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The table's id, the same for its whole life.
    pub id: String,
    /// Its latest version; `None` before its first entry.
    pub version: Option<u64>,
    /// Whether the next entry must carry the schema: it is new or changed.
    pub announce: bool,
    /// Partition column, if it has one.
    pub partition: Option<&'static str>,
}

impl Identity {
    /// A table that does not exist yet.
    pub fn fresh(partition: Option<&'static str>) -> Self {
        Self { id: uuid::Uuid::new_v4().to_string(), version: None, announce: true, partition }
    }

    /// The version that the next entry makes.
    pub fn next_version(&self) -> u64 {
        self.version.map_or(0, |v| v + 1)
    }
}

/// A file as the log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the table.
    pub path: String,
    /// In bytes.
    pub size: i64,
    /// Physical rows, deleted ones counted.
    pub rows: usize,
    /// Value of the partition column.
    pub partition: Option<String>,
    /// Its vector.
    pub vector: Option<DeletionVectorDescriptor>,
}

/// One table's part of an epoch.
#[derive(Debug, Clone, Default)]
pub struct Actions {
    /// Files that are live from this version on.
    pub adds: Vec<(FileEntry, DataChange)>,
    /// Files (with the vector they had) that are live no more.
    pub removes: Vec<(FileEntry, DataChange)>,
}

/// Whether an action changes rows or only where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataChange {
    /// Rows came or went.
    Rows,
    /// The same rows in other files.
    Layout,
}

/// When and as what an entry is written.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// The epoch.
    pub epoch: u64,
    /// The epoch's time, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// How long removed files stay readable, minutes.
    pub retention_minutes: u64,
}

/// The bytes of the next entry.
pub fn entry(table: &Identity, schema: &Schema, actions: Actions, stamp: Stamp) -> Result<Bytes> {
    let mut list = Vec::new();
    let count = (actions.adds.len(), actions.removes.len());
    if table.announce {
        if table.version.is_none() {
            list.push(parse(json!({"protocol": protocol()}))?);
        }
        list.push(parse(json!({"metaData": metadata(table, schema, stamp)?}))?);
    }
    for (file, change) in actions.removes {
        list.push(Action::Remove(remove(table, file, change, stamp)));
    }
    for (file, change) in actions.adds {
        list.push(Action::Add(add(table, file, change, stamp)));
    }
    let transaction = Transaction {
        app_id: APP_ID.to_owned(),
        version: i64::try_from(stamp.epoch).unwrap_or(i64::MAX),
        last_updated: Some(stamp.time_ms),
    };
    let operation =
        DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
    let told = HashMap::from([
        ("epoch".to_owned(), json!(stamp.epoch)),
        ("operationMetrics".to_owned(), json!({"adds": count.0, "removes": count.1})),
    ]);
    CommitData::new(list, operation, told, vec![transaction])
        .get_bytes()
        .map_err(|e| Error::bug(format!("log entry: {e}")))
}

fn parse(action: serde_json::Value) -> Result<Action> {
    serde_json::from_value(action).map_err(|e| Error::bug(format!("log action: {e}")))
}

fn protocol() -> serde_json::Value {
    json!({
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors", "timestampNtz"],
        "writerFeatures": ["deletionVectors", "timestampNtz"],
    })
}

fn metadata(table: &Identity, schema: &Schema, stamp: Stamp) -> Result<serde_json::Value> {
    let retention = format!("interval {} minutes", stamp.retention_minutes);
    Ok(json!({
        "id": table.id,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": delta_schema(schema)?.to_string(),
        "partitionColumns": table.partition.into_iter().collect::<Vec<_>>(),
        "createdTime": stamp.time_ms,
        "configuration": {
            "delta.enableDeletionVectors": "true",
            "delta.enableExpiredLogCleanup": "false",
            "delta.deletedFileRetentionDuration": retention,
            "delta.logRetentionDuration": retention,
        },
    }))
}

/// The schema as Delta writes it.
fn delta_schema(schema: &Schema) -> Result<serde_json::Value> {
    let fields = schema.fields().iter().map(|field| {
        let kind = delta_type(field.data_type())
            .map_err(|e| Error::invalid(format!("column `{}`: {e}", field.name())))?;
        Ok(json!({"name": field.name(), "type": kind, "nullable": true, "metadata": {}}))
    });
    Ok(json!({"type": "struct", "fields": fields.collect::<Result<Vec<_>>>()?}))
}

fn delta_type(kind: &DataType) -> std::result::Result<serde_json::Value, String> {
    Ok(match kind {
        DataType::Boolean => json!("boolean"),
        DataType::Int8 => json!("byte"),
        DataType::Int16 => json!("short"),
        DataType::Int32 => json!("integer"),
        DataType::Int64 => json!("long"),
        DataType::Float32 => json!("float"),
        DataType::Float64 => json!("double"),
        DataType::Utf8 => json!("string"),
        DataType::Binary => json!("binary"),
        DataType::Date32 => json!("date"),
        DataType::Decimal128(precision, scale) => json!(format!("decimal({precision},{scale})")),
        DataType::Timestamp(_, None) => json!("timestamp_ntz"),
        DataType::Timestamp(_, Some(_)) => json!("timestamp"),
        DataType::List(item) => json!({
            "type": "array", "elementType": delta_type(item.data_type())?, "containsNull": true,
        }),
        other => return Err(format!("type {other} can't be stored; cast it to text or a number")),
    })
}

fn values(table: &Identity, file: &FileEntry) -> HashMap<String, Option<String>> {
    table.partition.map(|name| (name.to_owned(), file.partition.clone())).into_iter().collect()
}

fn add(table: &Identity, file: FileEntry, change: DataChange, stamp: Stamp) -> Add {
    let mut stats = json!({"numRecords": file.rows});
    if file.vector.is_some() {
        stats["tightBounds"] = json!(false);
    }
    Add {
        partition_values: values(table, &file),
        path: file.path,
        size: file.size,
        modification_time: stamp.time_ms,
        data_change: change == DataChange::Rows,
        stats: Some(stats.to_string()),
        tags: None,
        deletion_vector: file.vector,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

fn remove(table: &Identity, file: FileEntry, change: DataChange, stamp: Stamp) -> Remove {
    Remove {
        partition_values: Some(values(table, &file)),
        path: file.path,
        data_change: change == DataChange::Rows,
        deletion_timestamp: Some(stamp.time_ms),
        extended_file_metadata: Some(true),
        size: Some(file.size),
        tags: None,
        deletion_vector: file.vector,
        base_row_id: None,
        default_row_commit_version: None,
    }
}
