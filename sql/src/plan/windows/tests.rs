//! Every call must say what DataFusion's own windows say, over random rows and frames.

use std::sync::Arc;

use arrow::array::{
    Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::displayable;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::plan::Session;
use crate::plan::live::LiveTable;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

const CALLS: [&str; 19] = [
    "row_number()",
    "rank()",
    "dense_rank()",
    "lag(n)",
    "lead(t, 2)",
    "lead(n, 3, 7)",
    "lag(t, 1, 'none')",
    "lag(n, -2)",
    "lead(n, 0)",
    "first_value(t)",
    "last_value(n)",
    "count(*)",
    "count(n)",
    "sum(n)",
    "sum(d)",
    "min(n)",
    "max(t)",
    "min(d)",
    "max(n)",
];
const FRAMES: [&str; 15] = [
    "",
    "rows between unbounded preceding and current row",
    "rows between 2 preceding and 1 following",
    "rows between 1 following and 3 following",
    "rows between 3 preceding and 2 preceding",
    "rows between current row and unbounded following",
    "rows between unbounded preceding and unbounded following",
    "range between 2 preceding and current row",
    "range between 2 preceding and 1 following",
    "range between 1 following and 3 following",
    "range between 3 preceding and 1 preceding",
    "range between unbounded preceding and 1 following",
    "range between current row and unbounded following",
    "range between 1 preceding and unbounded following",
    "range between unbounded preceding and unbounded following",
];
/// Frames over a distance want one order by a number.
const DISTANT: &str = " preceding";

fn rows(random: &mut Random) -> RecordBatch {
    let count = random.below(60);
    let mut column = |nulls: u64, n: u64| -> Vec<Option<i64>> {
        let mut value = || (random.below(10) >= nulls).then(|| random.below(n).cast_signed() - 2);
        (0..count).map(|_| value()).collect()
    };
    let (p, o, n, d) = (column(1, 5), column(2, 12), column(2, 9), column(2, 1000));
    let id = (0..count.cast_signed()).collect::<Vec<_>>();
    let text = n.iter().map(|n| n.map(|n| format!("t{n}"))).collect::<StringArray>();
    let d = d.into_iter().map(|d| d.map(i128::from)).collect::<Decimal128Array>();
    let f = o.iter().map(|o| o.map(|o| o as f64)).collect::<Float64Array>();
    let fields = [
        ("id", DataType::Int64),
        ("p", DataType::Int64),
        ("o", DataType::Int64),
        ("n", DataType::Int64),
        ("d", DataType::Decimal128(12, 2)),
        ("t", DataType::Utf8),
        ("f", DataType::Float64),
    ];
    let fields = fields.map(|(name, kind)| Field::new(name, kind, true));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    RecordBatch::try_new(
        schema,
        vec![
            Arc::new(Int64Array::from(id)),
            Arc::new(Int64Array::from(p)),
            Arc::new(Int64Array::from(o)),
            Arc::new(Int64Array::from(n)),
            Arc::new(d.with_precision_and_scale(12, 2).unwrap()),
            Arc::new(text),
            Arc::new(f),
        ],
    )
    .unwrap()
}

/// A query of one to three calls over one window.
fn query(random: &mut Random) -> String {
    let partition = random.one(&["", "partition by p", "partition by p, n", "partition by n"]);
    let frame = random.one(&FRAMES);
    let by_distance = frame.starts_with("range") && frame.chars().any(char::is_numeric);
    // Calls that tell peers apart need an order that has none.
    let order = if by_distance {
        random.one(&[
            "order by o",
            "order by o desc",
            "order by o nulls first",
            "order by o desc nulls last",
        ])
    } else {
        random.one(&[
            "order by o, id",
            "order by t desc, id",
            "order by id",
            "order by d nulls first, id desc",
        ])
    };
    let calls: Vec<String> = (0..=random.below(3))
        .map(|at| {
            loop {
                let call = random.one(&CALLS);
                let tells_peers = ["row_number", "lag", "lead", "first", "last"];
                if !(by_distance && tells_peers.iter().any(|name| call.starts_with(name))) {
                    break format!("{call} over ({partition} {order} {frame}) as c{at}");
                }
            }
        })
        .collect();
    format!("select id, {} from r order by id", calls.join(", "))
}

async fn both(rows: &RecordBatch, sql: &str) -> [String; 2] {
    let ours = Session::new().unwrap();
    ours.add("r", rows.schema()).unwrap().set(vec![rows.clone()]);
    let (_, found) = ours.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let config = SessionConfig::new().with_target_partitions(1);
    let theirs = SessionContext::new_with_config(config);
    let table = LiveTable::new(rows.schema());
    table.set(vec![rows.clone()]);
    theirs.register_table("r", Arc::new(table)).unwrap();
    let wanted = theirs.sql(sql).await.unwrap().collect().await;
    let wanted = wanted.unwrap_or_else(|e| panic!("{sql}: {e}"));
    [found, wanted].map(|rows| {
        let Some(schema) = rows.first().map(RecordBatch::schema) else { return String::new() };
        let all = arrow::compute::concat_batches(&schema, &rows).unwrap();
        let columns = all.columns().iter();
        let columns = columns.map(|c| arrow::compute::cast(c, &DataType::Utf8).unwrap());
        let names = (0..all.num_columns()).map(|at| at.to_string());
        let all = RecordBatch::try_from_iter(names.zip(columns)).unwrap();
        pretty_format_batches(&[all]).unwrap().to_string()
    })
}

#[tokio::test]
async fn every_call_says_what_datafusion_says() {
    assert!(FRAMES.iter().any(|frame| frame.contains(DISTANT)));
    let mut random = Random(7);
    for _ in 0..600 {
        let rows = rows(&mut random);
        let sql = query(&mut random);
        let [found, wanted] = both(&rows, &sql).await;
        assert_eq!(found.is_empty(), rows.num_rows() == 0, "{sql}");
        assert_eq!(found, wanted, "{sql}");
    }
}

async fn plan(sql: &str) -> String {
    let session = Session::new().unwrap();
    session.add("r", rows(&mut Random(1)).schema()).unwrap();
    let planned = session.plan(sql).await.unwrap();
    let prepared = session.prepare(planned).unwrap();
    let physical = session.physical(prepared.optimized()).await.unwrap();
    displayable(physical.as_ref()).indent(true).to_string()
}

#[tokio::test]
async fn what_is_known_runs_by_columns_and_the_rest_as_it_did() {
    for call in CALLS {
        let sql = format!("select {call} over (partition by p order by o) as c from r");
        assert!(plan(&sql).await.contains("ColumnarWindowAggExec"), "{sql}");
    }
    let others = [
        "sum(f) over (partition by p order by o)",
        "avg(n) over (partition by p order by o)",
        "lag(n) ignore nulls over (partition by p order by o)",
        "count(n) filter (where n > 0) over (partition by p order by o)",
        "sum(n) over (partition by p order by f range between 1.5 preceding and current row)",
        "sum(n) over (order by o groups between 1 preceding and current row)",
        "ntile(3) over (partition by p order by o)",
    ];
    for call in others {
        let plan = plan(&format!("select {call} as c from r")).await;
        assert!(plan.contains("WindowAggExec") && !plan.contains("Columnar"), "{call}: {plan}");
    }
    // One unknown call leaves its whole node as it is.
    let mixed = "select sum(f) over w as a, count(*) over w as b from r window w as (order by o)";
    assert!(!plan(mixed).await.contains("Columnar"));
}

/// The rows from the last to the first.
fn turned(rows: &RecordBatch) -> RecordBatch {
    let places = (0..u32::try_from(rows.num_rows()).unwrap()).rev().collect::<UInt32Array>();
    take_record_batch(rows, &places).unwrap()
}

#[tokio::test]
async fn how_ties_fall_depends_on_no_call_beside() {
    let mut random = Random(11);
    for calls in [
        "avg(d) over w as a, row_number() over w as b",
        "row_number() over w as a, avg(d) over w as b, lag(id) over w as c",
        "sum(d) over w as a, lead(n) over w as b",
        "rank() over w as a, row_number() over w as b, ntile(3) over w as c",
    ] {
        let sql = format!(
            "select id, {calls}, n from r window w as (partition by p order by o) order by id"
        );
        let rows = loop {
            let rows = rows(&mut random);
            if rows.num_rows() > 30 {
                break rows;
            }
        };
        let [one, _] = both(&rows, &sql).await;
        let [other, _] = both(&turned(&rows), &sql).await;
        assert_eq!(one, other, "{sql}");
    }
}
