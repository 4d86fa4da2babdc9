//! Ranges over time are counted in whole numbers: the same rows are seen as through a calendar.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;

use crate::plan::Session;

const HOUR_US: i64 = 3_600_000_000;

/// Places in time, some of them the same, some unknown; before and after 1970.
fn times() -> Vec<Option<i64>> {
    let step = |n: i64| (n % 9 > 0).then_some((n * 7 % 60 - 20) * HOUR_US / 4 + n % 3);
    (0..80).map(step).collect()
}

fn rows(times: &[Option<i64>]) -> RecordBatch {
    let of: ArrayRef =
        Arc::new(Int64Array::from_iter_values((0i64..).take(times.len()).map(|n| n % 2)));
    let n: ArrayRef = Arc::new(Int64Array::from_iter_values((0i64..).take(times.len())));
    let at = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
    let columns = vec![("n", n, true), ("of", of, true), ("at", Arc::new(at) as ArrayRef, true)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// What `count(*) over (partition by of order by at range between ..)` gives for each row, by hand.
fn expected(times: &[Option<i64>], back: Option<i64>, forth: i64) -> Vec<i64> {
    let sees = |at: usize, other: usize| match (times[at], times[other]) {
        _ if at % 2 != other % 2 => false,
        (Some(at), Some(other)) => back.is_none_or(|b| other >= at - b) && other <= at + forth,
        (None, None) => true,
        // Unknown times stand last: an unbounded start sees what is known from there.
        (None, Some(_)) => back.is_none(),
        (Some(_), None) => false,
    };
    let count = |at| (0..times.len()).filter(|other| sees(at, *other)).count();
    (0..times.len()).map(|at| i64::try_from(count(at)).unwrap()).collect()
}

async fn counted(session: &Session, order: &str, frame: &str) -> (String, Vec<i64>) {
    let sql = format!(
        "select n, count(*) over (partition by of order by {order} range between {frame}) as c from t"
    );
    let prepared = session.prepare(session.plan(&sql).await.unwrap()).unwrap();
    let mut counts: Vec<(i64, i64)> = Vec::new();
    for batch in session.run(&prepared).await.unwrap() {
        let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().to_vec();
        counts.extend(column(0).into_iter().zip(column(1)));
    }
    counts.sort_unstable();
    (prepared.optimized().display_indent().to_string(), counts.into_iter().map(|c| c.1).collect())
}

#[tokio::test]
async fn a_range_of_time_sees_the_same_rows_in_whole_numbers() {
    let times = times();
    let session = Session::new().unwrap();
    session.add("t", rows(&times).schema()).unwrap().set(vec![rows(&times)]);
    let hour = Some(HOUR_US);
    for (order, frame, back, forth, numbers) in [
        ("at", "interval '1 hour' preceding and current row", hour, 0, true),
        (
            "at",
            "interval '1 hour' preceding and interval '90 minutes' following",
            hour,
            HOUR_US * 3 / 2,
            true,
        ),
        ("at", "unbounded preceding and interval '1 day' following", None, HOUR_US * 24, true),
        ("at desc nulls last", "current row and interval '1 hour' following", hour, 0, true),
        ("at", "unbounded preceding and current row", None, 0, false),
        ("at", "interval '1 microsecond' preceding and current row", Some(1), 0, true),
    ] {
        let (plan, counts) = counted(&session, order, frame).await;
        assert_eq!(counts, expected(&times, back, forth), "{order} {frame}");
        assert_eq!(plan.contains("CAST(t.at AS Int64)"), numbers, "{plan}");
    }
    // A month has no length: it stays with the calendar.
    let (plan, _) = counted(&session, "at", "interval '1 month' preceding and current row").await;
    assert!(!plan.contains("CAST(t.at AS Int64)"), "{plan}");
}
