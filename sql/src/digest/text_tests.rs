//! Every text must be the one that arrow's formatter writes.

use super::*;
use std::sync::Arc;

fn text_of(column: ArrayRef, row: usize) -> String {
    let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
    super::super::row_texts(&batch, &[0]).unwrap().swap_remove(row)
}

#[test]
fn times_are_written_as_the_formatter_does() {
    let options = FormatOptions::new().with_timestamp_format(Some(TIMESTAMP));
    let mut at = -62_135_596_800_000_000_i64;
    while at < 253_402_300_800_000_000 {
        let column = TimestampMicrosecondArray::from(vec![at]);
        let formatter = ArrayFormatter::try_new(&column, &options).unwrap();
        let mut text = Vec::new();
        assert!(push_time(&mut text, at));
        assert_eq!(String::from_utf8(text).unwrap(), formatter.value(0).to_string());
        at += 86_400_000_000 * 13 + 3_723_004_005;
    }
    assert!(!push_time(&mut Vec::new(), i64::MAX) && !push_time(&mut Vec::new(), i64::MIN));
}

#[test]
fn dates_and_booleans_are_written_as_the_formatter_does() {
    let options = FormatOptions::new();
    let years = (-719_162..2_932_897).step_by(37).chain([-719_163, 2_932_896, 2_932_897, i32::MAX]);
    let days = Date32Array::from(years.chain([i32::MIN]).collect::<Vec<_>>());
    let formatter = ArrayFormatter::try_new(&days, &options).unwrap();
    let batch = RecordBatch::try_from_iter([("c", Arc::new(days.clone()) as ArrayRef)]).unwrap();
    let texts = crate::digest::row_texts(&batch, &[0]).unwrap();
    for (row, text) in texts.iter().enumerate() {
        assert_eq!(*text, formatter.value(row).to_string(), "{}", days.value(row));
    }
    let bits: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
    assert_eq!([0, 1, 2].map(|row| text_of(bits.clone(), row)), ["true", "false", NULL]);
}

#[test]
fn what_is_escaped_is_found_in_any_slice() {
    let texts = ["a|b", "plain", "back\\slash", "", "last"];
    let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    for first in 0..texts.len() {
        for count in 1..=texts.len() - first {
            let slice = column.slice(first, count);
            assert_eq!(
                any_escaped(slice.as_string()),
                texts[first..first + count].iter().any(|text| text.contains(['|', '\\'])),
            );
            for row in 0..count {
                let wanted = texts[first + row].replace('\\', "\\\\").replace('|', "\\|");
                assert_eq!(text_of(slice.clone(), row), wanted);
            }
        }
    }
    assert!(!any_escaped(&StringArray::from(Vec::<&str>::new())));
}

#[test]
fn numbers_are_written_as_the_formatter_does() {
    let most = 10_i128.pow(38) - 1;
    let near = (0..38).flat_map(|n| [-1, 0, 1].map(|off| 10_i128.pow(n) + off));
    let big = [most, most / 7, i128::from(u64::MAX), i128::from(u64::MAX) + 1, 0];
    let all: Vec<i128> = near.chain(big).flat_map(|n| [n, -n]).collect();
    for scale in [0, 1, 2, 9, 37, 38] {
        let column = Decimal128Array::from(all.clone());
        let column = column.with_precision_and_scale(38, scale).unwrap();
        let formatter = ArrayFormatter::try_new(&column, &FormatOptions::new()).unwrap();
        let texts: ArrayRef = Arc::new(column.clone());
        let batch = RecordBatch::try_from_iter([("c", texts)]).unwrap();
        let texts = crate::digest::row_texts(&batch, &[0]).unwrap();
        for (row, units) in all.iter().enumerate() {
            assert_eq!(texts[row], formatter.value(row).to_string(), "{units} {scale}");
        }
    }
    for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![number]));
        assert_eq!(text_of(column, 0), number.to_string());
    }
}
