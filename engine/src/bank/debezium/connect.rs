//! The Kafka Connect schemas of the wrapped form, as text that stands before each payload.
//!
//! Written once per renderer, in the order in which Connect's converter writes: a key's bytes
//! choose its partition. It must never disagree with `envelope` about a field or its order.

use super::super::row::Table;

/// What opens a wrapped key and a wrapped value; the payload and a brace follow.
#[derive(Debug, Clone, Default)]
pub struct Wrapping {
    /// `{"schema":{..},"payload":` for the key.
    pub key: Vec<u8>,
    /// The same for the value.
    pub value: Vec<u8>,
}

/// The wrapping of a table's messages. The prefix is a topic's: it needs no escaping.
pub fn of_table(prefix: &str, table: Table) -> Wrapping {
    let full = format!("{prefix}.public.{}", table.name());
    let columns = columns(table);
    let row_name = format!(r#","name":"{full}.Value""#);
    let row = |field: &str| structure(&columns, "true", &row_name, field);
    let mut fields = vec![row("before"), row("after"), source(), transaction()];
    fields.push(plain("string", "false", "op"));
    fields.extend(["ts_ms", "ts_us", "ts_ns"].map(|field| plain("int64", "true", field)));
    let value_name = format!(r#","name":"{full}.Envelope","version":2"#);
    let key_name = format!(r#","name":"{full}.Key""#);
    Wrapping {
        key: opening(&structure(columns.get(..1).unwrap_or_default(), "false", &key_name, "")),
        value: opening(&structure(&fields, "false", &value_name, "")),
    }
}

/// The wrapping of the transaction topic's messages.
pub fn of_transactions() -> Wrapping {
    let name = |part: &str| {
        let full = format!("io.debezium.connector.common.TransactionMetadata{part}");
        format!(r#","name":"{full}","version":1"#)
    };
    let counted =
        [plain("string", "false", "data_collection"), plain("int64", "false", "event_count")];
    let item = structure(&counted, "true", r#","name":"event.collection","version":1"#, "");
    let fields = [
        plain("string", "false", "status"),
        plain("string", "false", "id"),
        plain("int64", "true", "event_count"),
        format!(r#"{{"type":"array","items":{item},"optional":true,"field":"data_collections"}}"#),
        plain("int64", "false", "ts_ms"),
    ];
    let key = [plain("string", "false", "id")];
    Wrapping {
        key: opening(&structure(&key, "false", &name("Key"), "")),
        value: opening(&structure(&fields, "false", &name("Value"), "")),
    }
}

fn opening(schema: &str) -> Vec<u8> {
    format!(r#"{{"schema":{schema},"payload":"#).into_bytes()
}

/// A field of a plain type; `optional` is `true` or `false`.
fn plain(kind: &str, optional: &str, field: &str) -> String {
    with(kind, optional, "", field)
}

/// A field with more to say between `optional` and its name: a semantic type, a default.
fn with(kind: &str, optional: &str, more: &str, field: &str) -> String {
    format!(r#"{{"type":"{kind}","optional":{optional}{more},"field":"{field}"}}"#)
}

/// A structure, named by `name`; as a field where `field` isn't empty.
fn structure(fields: &[String], optional: &str, name: &str, field: &str) -> String {
    let field = if field.is_empty() { String::new() } else { format!(r#","field":"{field}""#) };
    let fields = fields.join(",");
    format!(r#"{{"type":"struct","fields":[{fields}],"optional":{optional}{name}{field}}}"#)
}

fn columns(table: Table) -> Vec<String> {
    let id = |kind: &str| with(kind, "false", r#","default":0"#, "id");
    let defaulted = |default: &str, field: &str| {
        with("string", "false", &format!(r#","default":"{default}""#), field)
    };
    let time = concat!(
        r#","name":"io.debezium.time.ZonedTimestamp","version":1"#,
        r#","default":"1970-01-01T00:00:00.000000Z""#
    );
    let created = with("string", "true", time, "created_at");
    match table {
        Table::Customers => vec![
            id("int32"),
            plain("string", "false", "first_name"),
            plain("string", "false", "last_name"),
            plain("string", "false", "email"),
            created,
        ],
        Table::Accounts => vec![
            id("int32"),
            plain("int32", "false", "customer_id"),
            plain("string", "false", "account_type"),
            defaulted("0.00", "balance"),
            defaulted("USD", "currency"),
            created,
        ],
        Table::Transactions => vec![
            id("int64"),
            plain("int32", "false", "account_id"),
            plain("string", "false", "txn_type"),
            plain("string", "false", "amount"),
            plain("int32", "true", "related_account_id"),
            defaulted("COMPLETED", "status"),
            created,
        ],
    }
}

fn source() -> String {
    let marks = concat!(
        r#","name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"#,
        r#""true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"}"#,
        r#","default":"false""#
    );
    let mut fields = ["version", "connector", "name"].map(|f| plain("string", "false", f)).to_vec();
    fields.push(plain("int64", "false", "ts_ms"));
    fields.push(with("string", "true", marks, "snapshot"));
    fields.push(plain("string", "false", "db"));
    fields.push(plain("string", "true", "sequence"));
    fields.extend(["ts_us", "ts_ns"].map(|field| plain("int64", "true", field)));
    fields.extend(["schema", "table"].map(|field| plain("string", "false", field)));
    fields.extend(["txId", "lsn", "xmin"].map(|field| plain("int64", "true", field)));
    fields.push(plain("string", "true", "origin"));
    fields.push(plain("int64", "true", "origin_lsn"));
    let name = r#","name":"io.debezium.connector.postgresql.Source","version":1"#;
    structure(&fields, "false", name, "source")
}

fn transaction() -> String {
    let fields = [
        plain("string", "false", "id"),
        plain("int64", "false", "total_order"),
        plain("int64", "false", "data_collection_order"),
    ];
    structure(&fields, "true", r#","name":"event.block","version":1"#, "transaction")
}
