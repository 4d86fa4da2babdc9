//! Rows of every declared type, gaps, bad rows, and the dice that seeded tests share.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};

use super::options::{BinaryStrings, DecimalStrings, Options};
use super::rows::{Gaps, RowDecoder};
use super::schema::{Column, ColumnKind, TableSchema};

/// A seeded generator (SplitMix64): the same numbers on every machine and in every version.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn table(columns: &[(&str, &str)], key: &[usize]) -> Arc<TableSchema> {
    let column = |(name, words): &(&str, &str)| {
        Column::new(*name, ColumnKind::from_postgres(words).unwrap())
    };
    let columns = columns.iter().map(column).collect();
    Arc::new(TableSchema { name: "public.t".into(), columns, key: key.to_vec() })
}

fn decoder(columns: &[(&str, &str)], key: &[usize]) -> RowDecoder {
    RowDecoder::new(table(columns, key), &Options::default())
}

fn text(batch: &RecordBatch, column: usize, row: usize) -> String {
    batch.column(column).as_string::<i32>().value(row).to_owned()
}

/// One row of one column, as the words of its type declare it.
fn one(words: &str, json: &str, options: &Options) -> Result<(RecordBatch, Gaps), String> {
    let mut decoder = RowDecoder::new(table(&[("v", words)], &[]), options);
    let gaps = decoder.append(format!(r#"{{"v":{json}}}"#).as_bytes()).map_err(|m| m.reason)?;
    Ok((decoder.finish().unwrap(), gaps))
}

#[test]
fn every_type_lands_in_its_column() {
    let mut decoder = decoder(
        &[
            ("a", "smallint"),
            ("b", "integer"),
            ("c", "bigint"),
            ("d", "boolean"),
            ("e", "real"),
            ("f", "double precision"),
            ("g", "numeric(18,2)"),
            ("h", "numeric"),
            ("i", "text"),
            ("j", "jsonb"),
            ("k", "text[]"),
            ("l", "bytea"),
            ("m", "date"),
            ("n", "time"),
            ("o", "timetz"),
            ("p", "timestamp(3)"),
            ("q", "timestamp"),
            ("r", "timestamptz"),
            ("s", "interval"),
            ("t", "uuid"),
        ],
        &[1],
    );
    let gaps = decoder.append(
        br#"{"a":-32768,"b":7,"c":9223372036854775807,"d":true,"e":0.1,"f":"NaN","g":"12.34",
        "h":"1.500","i":"h\u00e9\n","j":"{\"a\": 1.50}","k":["x", null,"y"],"l":"AP8=","m":17424,
        "n":14711789001,"o":"04:05:11.789Z","p":1500000000123,"q":1500000000123456,
        "r":"2017-07-14T02:40:00.123456Z","s":93600000000,
        "t":"b68a35a7-17ad-35b3-af2a-ae46edb4545a"}"#,
    );
    assert_eq!(gaps, Ok(Gaps::default()));
    assert_eq!(decoder.len(), 1);
    let batch = decoder.finish().unwrap();
    assert!(decoder.is_empty());
    assert_eq!(batch.column(0).as_primitive::<Int16Type>().value(0), i16::MIN);
    assert_eq!(batch.column(1).as_primitive::<Int32Type>().value(0), 7);
    assert_eq!(batch.column(2).as_primitive::<Int64Type>().value(0), i64::MAX);
    assert!(batch.column(3).as_boolean().value(0));
    assert_eq!(batch.column(4).as_primitive::<Float32Type>().value(0), 0.1);
    assert!(batch.column(5).as_primitive::<Float64Type>().value(0).is_nan());
    assert_eq!(batch.column(6).as_primitive::<Decimal128Type>().value(0), 1234);
    assert_eq!(batch.column(6).data_type(), &DataType::Decimal128(18, 2));
    assert_eq!(text(&batch, 7, 0), "1.500");
    assert_eq!(text(&batch, 8, 0), "hé\n");
    assert_eq!(text(&batch, 9, 0), r#"{"a": 1.50}"#);
    assert_eq!(text(&batch, 10, 0), r#"["x",null,"y"]"#);
    assert_eq!(batch.column(11).as_binary::<i32>().value(0), [0, 255]);
    assert_eq!(batch.column(12).as_primitive::<Date32Type>().value(0), 17_424);
    assert_eq!(text(&batch, 13, 0), "04:05:11.789001");
    assert_eq!(text(&batch, 14, 0), "04:05:11.789Z");
    let micros = |at: usize| batch.column(at).as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(micros(15), 1_500_000_000_123_000);
    assert_eq!(micros(16), 1_500_000_000_123_456);
    assert_eq!(micros(17), 1_500_000_000_123_456);
    assert_eq!(batch.column(18).as_primitive::<Int64Type>().value(0), 93_600_000_000);
    assert_eq!(text(&batch, 19, 0), "b68a35a7-17ad-35b3-af2a-ae46edb4545a");
}

#[test]
fn a_bad_row_leaves_no_trace_and_no_value_in_its_reason() {
    let mut decoder = decoder(&[("id", "int"), ("note", "text"), ("paid", "numeric(5,2)")], &[0]);
    decoder.append(br#"{"id":1,"note":"good","paid":"1.00"}"#).unwrap();
    for (row, expected) in [
        (r#"{"id":2,"note":"secret","paid":"secret"}"#, "column `paid`: a text that is no decimal"),
        (r#"{"id":2,"note":"secret","paid":"1.005"}"#, "column `paid`: more digits"),
        (r#"{"id":"secret","note":"x","paid":"1"}"#, "column `id`: a string where"),
        (r#"{"id":2147483648,"note":"x","paid":"1"}"#, "column `id`: a number that"),
        (r#"{"id":null,"note":"x","paid":"1"}"#, "key column `id` is null"),
        (r#"{"note":"secret","paid":"1"}"#, "key column `id` is missing"),
        (r#"{"id":2,"note":"secret"#, "JSON that ends too early"),
        (r#"{"id":2,"note":"secret"} x"#, "invalid JSON"),
        (r#"["secret"]"#, "unexpected type"),
    ] {
        let reason = decoder.append(row.as_bytes()).unwrap_err().reason;
        assert!(reason.starts_with("a row of `public.t`: "), "{reason}");
        assert!(reason.contains(expected) && !reason.contains("secret"), "{row}: {reason}");
    }
    assert!(decoder.append(b"\xff").unwrap_err().reason.contains("UTF-8"));
    decoder.append(br#"{"id":3,"note":null,"paid":"3.00"}"#).unwrap();
    let batch = decoder.finish().unwrap();
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().values(), &[1, 3]);
    assert!(batch.column(1).is_null(1) && text(&batch, 1, 0) == "good");
}

#[test]
fn missing_null_and_unknown_fields_are_three_things() {
    let mut decoder = decoder(&[("id", "int"), ("a", "text"), ("b", "text")], &[0]);
    let gaps = decoder.append(br#"{"phone":"1","id":1,"b":null}"#).unwrap();
    assert_eq!(gaps.missing.iter().collect::<Vec<_>>(), [1]);
    assert!(gaps.unavailable.is_empty());
    let gaps = decoder.append(br#"{"b":"x","a":"y","id":2,"phone":{"n":[1]}}"#).unwrap();
    assert_eq!(gaps, Gaps::default());
    assert_eq!(decoder.unknown_columns().get("phone"), Some(&2));
    let batch = decoder.finish().unwrap();
    assert!(batch.column(1).is_null(0) && batch.column(2).is_null(0));
    assert_eq!((text(&batch, 1, 1), text(&batch, 2, 1)), ("y".into(), "x".into()));
}

#[test]
fn keys_of_deletes_fill_their_columns_only() {
    let mut decoder = decoder(&[("a", "int"), ("note", "text"), ("b", "uuid")], &[0, 2]);
    decoder.append_key(br#"{"b":"u","a":1,"__dbz__physicalTableIdentifier":"p"}"#).unwrap();
    let reason = decoder.append_key(br#"{"a":1}"#).unwrap_err().reason;
    assert_eq!(reason, "a key of `public.t`: key column `b` is missing");
    assert!(decoder.append_key(b"7").is_err());
    let batch = decoder.finish().unwrap();
    assert_eq!(batch.num_rows(), 1);
    assert!(batch.column(1).is_null(0) && text(&batch, 2, 0) == "u");
}

#[test]
fn unchanged_toast_values_are_marked_in_every_form() {
    let codes: Vec<_> = b"__debezium_unavailable_value".iter().map(u8::to_string).collect();
    let codes = format!("[{}]", codes.join(", "));
    for (words, json) in [
        ("text", r#""__debezium_unavailable_value""#),
        ("jsonb", r#""__debezium_unavailable_value""#),
        ("numeric", r#""__debezium_unavailable_value""#),
        ("numeric(30,2)", r#""__debezium_unavailable_value""#),
        ("bytea", r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#),
        ("text[]", r#"["__debezium_unavailable_value"]"#),
        ("bytea[]", r#"["X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="]"#),
        ("int[]", codes.as_str()),
        ("uuid[]", r#"["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]"#),
        ("hstore", r#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#),
    ] {
        let (batch, gaps) = one(words, json, &Options::default()).unwrap();
        assert!(gaps.unavailable.contains(0), "{words}");
        assert!(gaps.missing.is_empty() && batch.column(0).is_null(0), "{words}");
    }
    let (_, gaps) =
        one("text", r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#, &Options::default()).unwrap();
    assert!(gaps.unavailable.is_empty());
    let options = Options { unavailable_placeholder: "gone".into(), ..Options::default() };
    assert!(one("text", r#""gone""#, &options).unwrap().1.unavailable.contains(0));
    let hex = Options { binary_strings: BinaryStrings::Hex, ..options };
    assert!(one("bytea", r#""676f6e65""#, &hex).unwrap().1.unavailable.contains(0));
    let (batch, _) = one("bytea", r#""676F""#, &hex).unwrap();
    assert_eq!(batch.column(0).as_binary::<i32>().value(0), b"go");
}

#[test]
fn decimals_by_the_declared_form() {
    let base64 = Options { decimal_strings: DecimalStrings::Base64, ..Options::default() };
    let unscaled = |json: &str, options: &Options| {
        one("numeric(18,2)", json, options)
            .map(|(batch, _)| batch.column(0).as_primitive::<Decimal128Type>().value(0))
    };
    assert_eq!(unscaled(r#""BNI=""#, &base64), Ok(1234));
    assert_eq!(unscaled("12.5", &base64), Ok(1250));
    assert_eq!(unscaled(r#"{"scale":1,"value":"fQ=="}"#, &base64), Ok(1250));
    assert!(unscaled(r#""BNI=""#, &Options::default()).unwrap_err().contains("decimal_strings"));
    let (batch, _) = one("numeric(50,2)", r#""BNI=""#, &base64).unwrap();
    assert_eq!(text(&batch, 0, 0), "12.34");
}

#[test]
fn infinities_of_good_rows_are_counted() {
    let mut decoder = decoder(&[("a", "timestamptz"), ("b", "date"), ("c", "int")], &[]);
    decoder.append(br#"{"a":"infinity","b":-2147472692,"c":1}"#).unwrap();
    decoder.append(br#"{"a":"-infinity","b":0,"c":"bad"}"#).unwrap_err();
    decoder.append(br#"{"a":null,"b":0,"c":1}"#).unwrap();
    assert_eq!(decoder.infinities(), 2);
}

#[test]
fn a_second_batch_begins_empty() {
    let mut decoder = decoder(&[("id", "int")], &[0]);
    assert_eq!(decoder.finish().unwrap().num_rows(), 0);
    decoder.append(br#"{"id":1}"#).unwrap();
    assert_eq!(decoder.finish().unwrap().num_rows(), 1);
    assert_eq!(decoder.finish().unwrap().num_rows(), 0);
}
