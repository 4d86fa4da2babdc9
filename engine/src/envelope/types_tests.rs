//! PostgreSQL's type words to kinds and Arrow types.

use arrow::datatypes::{DataType, TimeUnit};

use super::options::TimePrecision;
use super::schema::{Column, ColumnKind, TableSchema, Ticks};
use crate::error::Error;

fn kind(words: &str) -> ColumnKind {
    ColumnKind::from_postgres(words).unwrap_or_else(|e| panic!("{words}: {e}"))
}

#[test]
fn words_and_their_synonyms() {
    use ColumnKind::{Bool, Bytes, Date, Float32, Float64, Int16, Int32, Int64, Interval, Text};
    for (expected, words) in [
        (Bool, &["boolean", "bool", "bit", "bit(1)"][..]),
        (Int16, &["smallint", "int2", "smallserial"]),
        (Int32, &["integer", "INT", "int4", "serial", "pg_catalog.int4"]),
        (Int64, &["bigint", "int8", "bigserial", "oid"]),
        (Float32, &["real", "float4", "float(24)"]),
        (Float64, &["double precision", "double  precision", "float8", "float", "float(53)"]),
        (Text, &["text", "varchar", "varchar(20)", "character varying(20)", "char(3)", "uuid"]),
        (Text, &["json", "jsonb", "xml", "inet", "citext", "public.citext", "\"char\"", "name"]),
        (Text, &["text[]", "integer[][]", "numeric(18,2)[]", "_int4", "int array", "hstore"]),
        (Text, &["point", "geometry(Point,4326)", "vector(3)", "tstzrange"]),
        (Bytes, &["bytea", "bit(8)", "bit varying(8)", "varbit"]),
        (Date, &["date"]),
        (Interval, &["interval", "interval day to second(3)", "interval(6)"]),
        (ColumnKind::TimeTz, &["timetz", "time(3) with time zone"]),
        (ColumnKind::TimestampTz, &["timestamptz", "timestamp(3) with time zone"]),
        (ColumnKind::Timestamp(Ticks::Millis), &["timestamp(3)", "timestamp(0) without time zone"]),
        (ColumnKind::Timestamp(Ticks::Micros), &["timestamp", "timestamp without time zone"]),
        (ColumnKind::Time(Ticks::Millis), &["time(3)"]),
        (ColumnKind::Time(Ticks::Micros), &["time", "time(6) without time zone"]),
        (ColumnKind::Decimal { precision: 18, scale: 2 }, &["numeric(18,2)", "DECIMAL(18, 2)"]),
        (ColumnKind::Decimal { precision: 19, scale: 2 }, &["money"]),
        (ColumnKind::Decimal { precision: 5, scale: 0 }, &["numeric(5)"]),
        (ColumnKind::Decimal { precision: 5, scale: 5 }, &["numeric(3,5)"]),
        (ColumnKind::Numeric { scale: None }, &["numeric", "dec"]),
        (ColumnKind::Numeric { scale: Some(10) }, &["numeric(50,10)"]),
        (ColumnKind::Numeric { scale: Some(-2) }, &["numeric(5,-2)"]),
    ] {
        for word in words {
            assert_eq!(kind(word), expected, "{word}");
        }
    }
}

#[test]
fn an_unknown_word_is_named_with_near_ones() {
    let Err(Error::Invalid { message, hint }) = ColumnKind::from_postgres("timestmap(3)") else {
        panic!("it was taken");
    };
    assert_eq!(message, "PostgreSQL type `timestmap(3)` is not known");
    assert!(hint.unwrap().contains("did you mean `timestamp`"));
    let Err(Error::Invalid { hint, .. }) = ColumnKind::from_postgres("order_status") else {
        panic!("it was taken");
    };
    assert!(hint.unwrap().contains("`text` for an enum"));
    assert!(ColumnKind::from_postgres("numeric(18,2").is_err());
    assert!(ColumnKind::from_postgres("").is_err());
}

#[test]
fn arrow_types_are_all_nullable() {
    let column = |words: &str| Column { nullable: false, ..Column::new(words, kind(words)) };
    let words = ["numeric(38,10)", "timestamp(3)", "timestamptz", "time", "bytea", "interval"];
    let columns = words.iter().map(|words| column(words)).collect();
    let schema = TableSchema { name: "public.t".into(), columns, key: vec![] }.arrow_schema();
    let types: Vec<_> = schema.fields().iter().map(|f| f.data_type().clone()).collect();
    let expected = [
        DataType::Decimal128(38, 10),
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Utf8,
        DataType::Binary,
        DataType::Int64,
    ];
    assert_eq!(types, expected);
    assert!(schema.fields().iter().all(|field| field.is_nullable()));
}

#[test]
fn times_as_the_connector_counts_them() {
    let sent = |words, precision| kind(words).sent_with(precision);
    let (time, timestamp) = (ColumnKind::Time, ColumnKind::Timestamp);
    for (precision, time_3, timestamp_3, timestamp_6) in [
        (TimePrecision::Adaptive, Ticks::Millis, Ticks::Millis, Ticks::Micros),
        (TimePrecision::AdaptiveTimeMicroseconds, Ticks::Micros, Ticks::Millis, Ticks::Micros),
        (TimePrecision::Connect, Ticks::Millis, Ticks::Millis, Ticks::Millis),
        (TimePrecision::Microseconds, Ticks::Micros, Ticks::Micros, Ticks::Micros),
        (TimePrecision::Nanoseconds, Ticks::Nanos, Ticks::Nanos, Ticks::Nanos),
    ] {
        assert_eq!(sent("time(3)", precision), time(time_3), "{precision:?}");
        assert_eq!(sent("timestamp(3)", precision), timestamp(timestamp_3), "{precision:?}");
        assert_eq!(sent("timestamp", precision), timestamp(timestamp_6), "{precision:?}");
        assert_eq!(sent("timestamptz", precision), ColumnKind::TimestampTz);
    }
}
