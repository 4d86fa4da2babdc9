//! Connect schemas to kinds, and catalog types read as the wire writes them.

use super::connect::WireSchema;
use super::options::DecimalStrings;
use super::schema::{Column, ColumnKind, TableSchema, Ticks};

fn named(base: &str, name: &str) -> ColumnKind {
    ColumnKind::from_connect(&format!(r#"{{"type":"{base}","name":"{name}"}}"#)).unwrap()
}

#[test]
fn logical_names_win_over_base_types() {
    for (base, name, expected) in [
        ("int32", "io.debezium.time.Date", ColumnKind::Date),
        ("int32", "org.apache.kafka.connect.data.Date", ColumnKind::Date),
        ("int32", "io.debezium.time.Time", ColumnKind::Time(Ticks::Millis)),
        ("int64", "io.debezium.time.MicroTime", ColumnKind::Time(Ticks::Micros)),
        ("int64", "io.debezium.time.NanoTime", ColumnKind::Time(Ticks::Nanos)),
        ("int64", "io.debezium.time.Timestamp", ColumnKind::Timestamp(Ticks::Millis)),
        ("int64", "io.debezium.time.MicroTimestamp", ColumnKind::Timestamp(Ticks::Micros)),
        ("int64", "io.debezium.time.NanoTimestamp", ColumnKind::Timestamp(Ticks::Nanos)),
        ("string", "io.debezium.time.ZonedTimestamp", ColumnKind::TimestampTz),
        ("string", "io.debezium.time.ZonedTime", ColumnKind::TimeTz),
        ("int64", "io.debezium.time.MicroDuration", ColumnKind::Interval),
        ("string", "io.debezium.data.Json", ColumnKind::Text),
        ("string", "io.debezium.data.Uuid", ColumnKind::Text),
        ("string", "io.debezium.data.Enum", ColumnKind::Text),
        ("string", "io.debezium.data.Xml", ColumnKind::Text),
        ("bytes", "io.debezium.data.Bits", ColumnKind::Bytes),
        ("struct", "io.debezium.data.geometry.Point", ColumnKind::Text),
        ("struct", "io.debezium.data.VariableScaleDecimal", ColumnKind::Numeric { scale: None }),
    ] {
        assert_eq!(named(base, name), expected, "{name}");
    }
}

#[test]
fn base_types_and_decimals() {
    let kind = |json: &str| ColumnKind::from_connect(json);
    assert_eq!(kind(r#"{"type":"int16","optional":true}"#), Ok(ColumnKind::Int16));
    assert_eq!(kind(r#"{"type":"boolean","default":false}"#), Ok(ColumnKind::Bool));
    assert_eq!(kind(r#"{"type":"float"}"#), Ok(ColumnKind::Float32));
    assert_eq!(kind(r#"{"type":"double"}"#), Ok(ColumnKind::Float64));
    let array = r#"{"type":"array","items":{"type":"string","optional":true}}"#;
    assert_eq!(kind(array), Ok(ColumnKind::Text));
    let decimal = |parameters: &str| {
        kind(&format!(
            r#"{{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,
            "parameters":{{{parameters}}}}}"#
        ))
    };
    let both = decimal(r#""scale":"2","connect.decimal.precision":"18""#);
    assert_eq!(both, Ok(ColumnKind::Decimal { precision: 18, scale: 2 }));
    let scale_only = decimal(r#""scale":"2""#);
    assert_eq!(scale_only, Ok(ColumnKind::Decimal { precision: 38, scale: 2 }));
    let wide = decimal(r#""scale":"2","connect.decimal.precision":"60""#);
    assert_eq!(wide, Ok(ColumnKind::Numeric { scale: Some(2) }));
    assert!(decimal("").unwrap_err().reason.contains("scale"));
    assert!(kind(r#"{"type":"int128"}"#).unwrap_err().reason.contains("`int128`"));
    assert!(kind("[]").is_err());
}

#[test]
fn catalog_types_take_the_form_of_the_wire() {
    let field = |name: &str, rest: &str| format!(r#"{{"field":"{name}",{rest}}}"#);
    let decimal = r#""type":"bytes","name":"org.apache.kafka.connect.data.Decimal",
        "parameters":{"scale":"2"}"#;
    let wire = format!(
        r#"{{"type":"struct","fields":[{},{},{},{}]}}"#,
        field("id", r#""type":"int32""#),
        field("paid", decimal),
        field("owed", r#""type":"string","optional":true"#),
        field("at", r#""type":"int64","name":"io.debezium.time.NanoTimestamp""#),
    );
    let wire = WireSchema::parse(&wire).unwrap().unwrap();
    let kind = |words| ColumnKind::from_postgres(words).unwrap();
    let declared = TableSchema {
        name: "public.t".into(),
        columns: vec![
            Column::new("id", kind("bigint")),
            Column::new("paid", kind("numeric(18,2)")),
            Column::new("owed", kind("numeric(18,2)")),
            Column::new("at", kind("timestamp")),
            Column::new("later", kind("text")),
        ],
        key: vec![0],
    };
    let read = declared.written_as(&wire);
    assert_eq!(read.columns[0].kind, ColumnKind::Int64);
    assert_eq!(read.columns[1].decimal_strings, Some(DecimalStrings::Base64));
    assert_eq!(read.columns[2].decimal_strings, Some(DecimalStrings::Text));
    assert_eq!(read.columns[2].kind, ColumnKind::Decimal { precision: 18, scale: 2 });
    assert_eq!(read.columns[3].kind, ColumnKind::Timestamp(Ticks::Nanos));
    assert_eq!(read.columns[4], declared.columns[4]);

    let key = WireSchema { columns: vec![wire.columns[0].clone()] };
    let table = TableSchema::from_wire("public.t".into(), &wire, Some(&key)).unwrap();
    assert_eq!((table.key, table.columns.len()), (vec![0], 4));
    assert!(table.columns[2].nullable && !table.columns[0].nullable);
    let stranger = WireSchema { columns: vec![Column::new("x", ColumnKind::Text)] };
    assert!(TableSchema::from_wire("public.t".into(), &wire, Some(&stranger)).is_err());
    assert_eq!(WireSchema::parse(r#"{"type":"string"}"#), Ok(None));
}
