//! The text of a Debezium envelope: key, row images, source block, transaction block.
//!
//! Stands under the renderer, which supplies the coordinates. The images follow REPLICA IDENTITY
//! DEFAULT: an update has no `before`, and a delete's has only its key from the row. It must never
//! look at another event than the one it writes.

use super::super::row::{RowRef, Table};
use super::json;

/// The connector and server that the source block names, written once as JSON fragments.
#[derive(Debug, Clone)]
pub struct SourceText {
    head: Vec<u8>,
    database: Vec<u8>,
}

impl SourceText {
    /// For a connector version, topic prefix and database.
    pub fn new(version: &str, prefix: &str, database: &str) -> Self {
        let mut head = b"{\"version\":".to_vec();
        json::text(&mut head, version);
        head.extend_from_slice(b",\"connector\":\"postgresql\",\"name\":");
        json::text(&mut head, prefix);
        let mut quoted = Vec::new();
        json::text(&mut quoted, database);
        Self { head, database: quoted }
    }
}

/// Where an event lies in the source, and what the envelope says about it.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The table.
    pub table: Table,
    /// `c`, `u`, `d` or `r`.
    pub op: &'static str,
    /// `false`, or the mark of an initial read.
    pub snapshot: &'static str,
    /// The database's transaction id.
    pub tx_id: u32,
    /// The event's position in the log.
    pub lsn: i64,
    /// The commit of the transaction before, as far as the connector knows it.
    pub previous_commit: Option<i64>,
    /// Commit time, or the time of the initial read; microseconds since 1970 UTC.
    pub commit_us: i64,
    /// When the connector handled it; microseconds since 1970 UTC.
    pub sent_us: i64,
    /// Place in the transaction and among its table's events there, both from 1.
    pub order: Option<(u64, u64)>,
}

/// A key: `{"id":7}`.
pub fn key(out: &mut Vec<u8>, id: i64) {
    out.extend_from_slice(b"{\"id\":");
    json::int(out, id);
    out.push(b'}');
}

/// A whole bare envelope.
pub fn envelope(
    out: &mut Vec<u8>,
    source: &SourceText,
    place: &Place,
    before: Option<RowRef<'_>>,
    after: Option<RowRef<'_>>,
) {
    out.extend_from_slice(b"{\"before\":");
    match before {
        Some(row) if after.is_none() => key_only(out, row.table(), row.id()),
        _ => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"after\":");
    match after {
        Some(image) => row(out, image),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"source\":");
    source_block(out, source, place);
    out.extend_from_slice(b",\"transaction\":");
    match place.order {
        Some(order) => transaction_block(out, place, order),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"op\":\"");
    out.extend_from_slice(place.op.as_bytes());
    out.push(b'"');
    times(out, place.sent_us);
    out.push(b'}');
}

/// A row's image.
fn row(out: &mut Vec<u8>, image: RowRef<'_>) {
    match image {
        RowRef::Customer(row) => {
            field_int(out, b"{\"id\":", i64::from(row.id));
            field_text(out, b",\"first_name\":", &row.first_name);
            field_text(out, b",\"last_name\":", &row.last_name);
            field_text(out, b",\"email\":", &row.email);
            created(out, row.created_us);
        }
        RowRef::Account(row) => {
            field_int(out, b"{\"id\":", i64::from(row.id));
            field_int(out, b",\"customer_id\":", i64::from(row.customer_id));
            field_text(out, b",\"account_type\":", &row.account_type);
            out.extend_from_slice(b",\"balance\":");
            json::cents(out, row.balance_cents);
            field_text(out, b",\"currency\":", &row.currency);
            created(out, row.created_us);
        }
        RowRef::Posting(row) => {
            field_int(out, b"{\"id\":", row.id);
            field_int(out, b",\"account_id\":", i64::from(row.account_id));
            field_text(out, b",\"txn_type\":", &row.txn_type);
            out.extend_from_slice(b",\"amount\":");
            json::cents(out, row.amount_cents);
            out.extend_from_slice(b",\"related_account_id\":");
            match row.related_account_id {
                Some(id) => json::int(out, i64::from(id)),
                None => out.extend_from_slice(b"null"),
            }
            field_text(out, b",\"status\":", &row.status);
            created(out, row.created_us);
        }
    }
}

/// A deleted row as the log shows it: the key, and what Debezium invents for the other columns
/// (the column's default, else an empty value). A reader who believes these has a bug.
fn key_only(out: &mut Vec<u8>, table: Table, id: i64) {
    field_int(out, b"{\"id\":", id);
    let invented: &[u8] = match table {
        Table::Customers => b",\"first_name\":\"\",\"last_name\":\"\",\"email\":\"\"",
        Table::Accounts => {
            b",\"customer_id\":0,\"account_type\":\"\",\"balance\":\"0.00\",\"currency\":\"USD\""
        }
        Table::Transactions => {
            b",\"account_id\":0,\"txn_type\":\"\",\"amount\":\"0.00\",\"related_account_id\":null,\
              \"status\":\"COMPLETED\""
        }
    };
    out.extend_from_slice(invented);
    created(out, 0);
}

fn source_block(out: &mut Vec<u8>, source: &SourceText, place: &Place) {
    out.extend_from_slice(&source.head);
    field_int(out, b",\"ts_ms\":", place.commit_us.div_euclid(1_000));
    field_text(out, b",\"snapshot\":", place.snapshot);
    out.extend_from_slice(b",\"db\":");
    out.extend_from_slice(&source.database);
    // A JSON text within the JSON: the previous commit and this event, both as texts.
    out.extend_from_slice(b",\"sequence\":\"[");
    match place.previous_commit {
        Some(lsn) => {
            out.extend_from_slice(b"\\\"");
            json::int(out, lsn);
            out.extend_from_slice(b"\\\"");
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\\\"");
    json::int(out, place.lsn);
    out.extend_from_slice(b"\\\"]\"");
    field_int(out, b",\"ts_us\":", place.commit_us);
    field_int(out, b",\"ts_ns\":", place.commit_us.saturating_mul(1_000));
    field_text(out, b",\"schema\":", "public");
    field_text(out, b",\"table\":", place.table.name());
    field_int(out, b",\"txId\":", i64::from(place.tx_id));
    field_int(out, b",\"lsn\":", place.lsn);
    out.extend_from_slice(b",\"xmin\":null,\"origin\":null,\"origin_lsn\":null}");
}

fn transaction_block(out: &mut Vec<u8>, place: &Place, (total, of_table): (u64, u64)) {
    out.extend_from_slice(b"{\"id\":");
    transaction_id(out, place.tx_id, place.lsn);
    field_int(out, b",\"total_order\":", total as i64);
    field_int(out, b",\"data_collection_order\":", of_table as i64);
    out.push(b'}');
}

/// `"733:26458360"`: only the part before the colon is common to a transaction's messages.
fn transaction_id(out: &mut Vec<u8>, tx_id: u32, lsn: i64) {
    out.push(b'"');
    json::int(out, i64::from(tx_id));
    out.push(b':');
    json::int(out, lsn);
    out.push(b'"');
}

/// The key of a message of the transaction topic.
pub fn boundary_key(out: &mut Vec<u8>, tx_id: u32, lsn: i64) {
    out.extend_from_slice(b"{\"id\":");
    transaction_id(out, tx_id, lsn);
    out.push(b'}');
}

/// A message of the transaction topic: BEGIN without counts, END with the events of each table.
pub fn boundary(
    out: &mut Vec<u8>,
    (tx_id, lsn): (u32, i64),
    commit_us: i64,
    counts: Option<&[u64; 3]>,
) {
    let status = if counts.is_some() { "END" } else { "BEGIN" };
    field_text(out, b"{\"status\":", status);
    out.extend_from_slice(b",\"id\":");
    transaction_id(out, tx_id, lsn);
    match counts {
        None => out.extend_from_slice(b",\"event_count\":null,\"data_collections\":null"),
        Some(counts) => {
            field_int(out, b",\"event_count\":", counts.iter().sum::<u64>() as i64);
            out.extend_from_slice(b",\"data_collections\":[");
            let mut separator: &[u8] = b"";
            for (table, count) in in_end_order(counts).filter(|(_, count)| *count > 0) {
                out.extend_from_slice(separator);
                field_text(out, b"{\"data_collection\":", table.qualified());
                field_int(out, b",\"event_count\":", count as i64);
                out.push(b'}');
                separator = b",";
            }
            out.push(b']');
        }
    }
    field_int(out, b",\"ts_ms\":", commit_us.div_euclid(1_000));
    out.push(b'}');
}

/// Tables as Debezium lists them in END (its map's order, no order to rely on).
fn in_end_order(
    [customers, accounts, transactions]: &[u64; 3],
) -> impl Iterator<Item = (Table, u64)> {
    [
        (Table::Customers, *customers),
        (Table::Transactions, *transactions),
        (Table::Accounts, *accounts),
    ]
    .into_iter()
}

fn times(out: &mut Vec<u8>, us: i64) {
    field_int(out, b",\"ts_ms\":", us.div_euclid(1_000));
    field_int(out, b",\"ts_us\":", us);
    field_int(out, b",\"ts_ns\":", us.saturating_mul(1_000));
}

/// The last field of every row.
fn created(out: &mut Vec<u8>, us: i64) {
    out.extend_from_slice(b",\"created_at\":");
    json::zoned(out, us);
    out.push(b'}');
}

fn field_int(out: &mut Vec<u8>, name: &[u8], value: i64) {
    out.extend_from_slice(name);
    json::int(out, value);
}

fn field_text(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    json::text(out, value);
}
