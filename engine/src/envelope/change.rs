//! What a record turns out to be: a row change, a transaction's boundary, or none of our business.
//!
//! These are the types that `epoch` orders and cuts. Row images stay JSON text here; nothing in
//! this file decodes a value.

use std::sync::Arc;

use bytes::Bytes;

use super::connect::WireSchema;

/// One record after phase 1.
#[derive(Debug, Clone)]
pub enum Parsed {
    /// A row (or a whole table, for truncate) changed.
    Change(Box<Change>),
    /// A source transaction began.
    Begin(TxBegin),
    /// A source transaction ended; END order is commit order.
    End(TxEnd),
    /// Nothing to do; kept apart so that each kind can be counted.
    Ignored(Ignored),
    /// Not understood: for the dead letters.
    Malformed(Malformed),
}

/// What a change did to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `c`: a row appeared.
    Create,
    /// `u`: a row changed, its key did not.
    Update,
    /// `d`: a row went. Only the key columns of `before` are to be trusted.
    Delete,
    /// `r`: a row as an initial or incremental read found it.
    Read,
    /// `t`: every row of the table went.
    Truncate,
}

/// Where in a read of the whole table a change stands (`source.snapshot`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadMark {
    /// Streamed, not read.
    None,
    /// The initial read's first row.
    First,
    /// Any row of the initial read that is no boundary of the whole read or of a table's end.
    Within,
    /// The last row of its table, but not of the read.
    LastInTable,
    /// The initial read's last row.
    Last,
    /// A row of an incremental read: without lsn and transaction, an upsert in Kafka order.
    Incremental,
}

/// A change's place in its source transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TxRef {
    /// The part of `transaction.id` before `:`, the one that all events of it share.
    pub id: i64,
    /// Its place among all events of the transaction, from 1; renumbered after a restart.
    pub total_order: u64,
}

/// One row change at its coordinates. Row images are JSON objects, slices of the record's value.
#[derive(Debug, Clone)]
pub struct Change {
    /// `schema.table`, as END's collections name it.
    pub table: Arc<str>,
    /// `source.name`: the connector's logical name, part of a change's identity.
    pub connector: Arc<str>,
    /// What happened.
    pub op: Op,
    /// The place in an initial or incremental read.
    pub initial: ReadMark,
    /// The place in the transaction, where the connector provides transaction metadata.
    pub tx: Option<TxRef>,
    /// `source.txId`; none for incremental reads.
    pub tx_id: Option<i64>,
    /// `source.lsn`; several changes may share one. None for incremental reads.
    pub lsn: Option<i64>,
    /// The last element of `source.sequence`: the position even where `lsn` is absent.
    pub sequence_lsn: Option<i64>,
    /// The source's commit time, microseconds since 1970 UTC (for reads: the read's time).
    pub commit_us: i64,
    /// The key as a JSON object; none where the table has no key.
    pub key: Option<Bytes>,
    /// The row before. Under REPLICA IDENTITY DEFAULT only its key columns are real.
    pub before: Option<Bytes>,
    /// The row after; none for deletes and truncates.
    pub after: Option<Bytes>,
    /// On a create that is half of a key change: the old key (`__debezium.oldkey`).
    pub moved_from: Option<Bytes>,
    /// On a delete that is half of a key change: the new key (`__debezium.newkey`).
    pub moved_to: Option<Bytes>,
    /// The row's columns, where the message carries its schema.
    pub wire_schema: Option<Arc<WireSchema>>,
    /// The key's columns, where the message carries the key's schema.
    pub wire_key: Option<Arc<WireSchema>>,
    /// The topic it came from.
    pub topic: Arc<str>,
    /// The partition within the topic.
    pub partition: i32,
    /// The offset within the partition.
    pub offset: i64,
    /// Kafka's time of the record, milliseconds since 1970 UTC; -1 where unknown.
    pub timestamp_ms: i64,
    /// The record's whole value, for the dead letters; none for a change that is read back.
    pub record_value: Option<Bytes>,
}

/// A source transaction began. A second BEGIN of one id means that the connector restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxBegin {
    /// The part of the id before `:`.
    pub id: i64,
    /// The id as it was written.
    pub id_text: Arc<str>,
    /// The connector's time, microseconds since 1970 UTC, where given.
    pub time_us: Option<i64>,
}

/// A source transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxEnd {
    /// The part of the id before `:`.
    pub id: i64,
    /// The id as it was written.
    pub id_text: Arc<str>,
    /// Events in all tables, those too that nobody reads.
    pub event_count: u64,
    /// Events by `schema.table`; empty for a truncate.
    pub collections: Vec<(Arc<str>, u64)>,
    /// The commit time, microseconds since 1970 UTC, exact to the millisecond only.
    pub commit_us: i64,
}

/// Why a record changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// A null value: follows each delete, and says nothing that the delete did not.
    Tombstone,
    /// The connector is alive.
    Heartbeat,
    /// A logical decoding message (`pg_logical_emit_message`).
    Message(Message),
    /// A schema history record; columns are taken from messages and the catalog instead.
    SchemaChange,
}

/// A logical decoding message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The prefix its sender gave.
    pub prefix: String,
    /// Its content as on the wire, base64.
    pub content: String,
    /// `source.lsn`.
    pub lsn: Option<i64>,
    /// `source.txId`; none outside transactions.
    pub tx_id: Option<i64>,
}

/// A record or row that can't be decoded. The reason names places, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// What was wrong, where, and what to do.
    pub reason: String,
}

impl Malformed {
    /// A reason in words.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}
