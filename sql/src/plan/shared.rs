//! Parts of a query that occur in it more than once: run once in a full recompute.
//!
//! A `with` query that is read twice stands in the plan twice. Where a part with a join, a window or
//! an aggregate occurs again, its rows are made first and read by every place. It must never change
//! what a query says: only parts that are equal to the last expression are one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, TableScan};

use super::live::{LiveTable, reads_other};

/// A part that occurs more than once, and where its rows go.
pub(super) struct Part {
    pub plan: LogicalPlan,
    pub rows: LiveTable,
}

/// The plan, reading the rows of its repeated parts, and these parts: the largest.
pub(super) fn split(plan: &LogicalPlan) -> Result<(LogicalPlan, Vec<Part>), DataFusionError> {
    let mut times: HashMap<&LogicalPlan, usize> = HashMap::new();
    plan.apply(|node| {
        // A recursion's parts read its working rows: they mean nothing by themselves.
        if matches!(node, LogicalPlan::RecursiveQuery(_)) {
            return Ok(TreeNodeRecursion::Jump);
        }
        if is_worth_it(node) && !reads_other(node) {
            *times.entry(node).or_default() += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    times.retain(|_, count| *count > 1);
    let mut parts: Vec<Part> = Vec::new();
    if times.is_empty() {
        return Ok((plan.clone(), parts));
    }
    let reading = plan.clone().transform_down(|node| {
        if matches!(node, LogicalPlan::RecursiveQuery(_)) {
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Jump));
        }
        if !times.contains_key(&node) {
            return Ok(Transformed::no(node));
        }
        let known = parts.iter().position(|part| part.plan == node);
        let at = known.unwrap_or_else(|| {
            let rows = LiveTable::new(Arc::new(node.schema().as_arrow().clone()));
            parts.push(Part { plan: node, rows });
            parts.len() - 1
        });
        let part = &parts[at];
        let source: Arc<dyn TableProvider> = Arc::new(part.rows.clone());
        let scan = LogicalPlan::TableScan(TableScan {
            table_name: TableReference::bare(format!("part {at}")),
            source: provider_as_source(source),
            projection: None,
            projected_schema: part.plan.schema().clone(),
            filters: Vec::new(),
            fetch: None,
            statistics_requests: BTreeSet::new(),
        });
        Ok(Transformed::new(scan, true, TreeNodeRecursion::Jump))
    })?;
    Ok((reading.data, parts))
}

/// Reading rows again, or some of them, costs less than keeping them.
fn is_worth_it(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            node.inputs().into_iter().any(is_worth_it)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};

    use super::super::Session;
    use super::*;

    fn rows() -> RecordBatch {
        let of: ArrayRef = Arc::new(Int64Array::from_iter_values((0..50).map(|n| n % 7)));
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..50));
        RecordBatch::try_from_iter(vec![("of", of), ("n", n)]).unwrap()
    }

    /// How many parts of a query are run once, and its rows, each as its texts.
    async fn parts(session: &Session, sql: &str) -> (usize, Vec<String>) {
        let prepared = session.prepare(session.plan(sql).await.unwrap()).unwrap();
        let (_, parts) = split(prepared.optimized()).unwrap();
        let batches = session.run(&prepared).await.unwrap();
        let all: Vec<usize> = (0..prepared.schema().fields().len()).collect();
        let mut texts: Vec<String> =
            batches.iter().flat_map(|b| crate::digest::row_texts(b, &all).unwrap()).collect();
        texts.sort();
        (parts.len(), texts)
    }

    #[tokio::test]
    async fn what_is_read_twice_is_run_once_and_says_the_same() {
        let session = Session::new().unwrap();
        session.add("t", rows().schema()).unwrap().set(vec![rows()]);
        let counted = "select n, of, count(*) over (partition by of order by n) as place from t";
        let twice = "select n, 'low' as w, place from c where n < 20 union all \
                     select n, 'late' as w, place from c where place > 3";
        let (parts_of, got) = parts(&session, &format!("with c as ({counted}) {twice}")).await;
        assert_eq!(parts_of, 1);
        let apart = twice.replace(" c ", &format!(" ({counted}) as c "));
        let whole = "select n, case when n < 20 then 'low' end as w, place from c where n < 20";
        assert_eq!(got, parts(&session, &apart).await.1);
        let once = parts(&session, &format!("with c as ({counted}) {whole}")).await;
        assert_eq!(once.0, 0, "nothing occurs again");
        assert_eq!(got.iter().filter(|row| row.contains("low")).count(), once.1.len());
        assert!(once.1.iter().all(|row| got.contains(row)));
    }

    #[tokio::test]
    async fn rows_of_two_functions_are_not_one_part() {
        let session = Session::new().unwrap();
        let one = |last: u32| {
            format!("select count(*) as n, max(value) as m from generate_series(1, {last})")
        };
        let (parts_of, got) = parts(&session, &format!("{} union all {}", one(2), one(5))).await;
        assert_eq!((parts_of, got), (0, vec!["2|2".to_owned(), "5|5".to_owned()]));
    }

    #[tokio::test]
    async fn a_recursion_that_is_read_twice_stays_whole() {
        let session = Session::new().unwrap();
        session.add("t", rows().schema()).unwrap().set(vec![rows()]);
        let steps = "with recursive r as (select 0 as n union all \
                     select r.n + 1 as n from r join t on t.n = r.n where r.n < 5)";
        let sql = format!("{steps} select a.n, b.n as m from r a join r b on a.n = b.n");
        let (parts_of, got) = parts(&session, &sql).await;
        assert_eq!((parts_of, got.len()), (0, 6), "{got:?}");
    }

    #[tokio::test]
    async fn a_part_within_a_part_and_parts_that_differ_in_one_value() {
        let session = Session::new().unwrap();
        session.add("t", rows().schema()).unwrap().set(vec![rows()]);
        let sums =
            |least: i64| format!("select of, sum(n) as s from t where n > {least} group by of");
        let nested = format!(
            "with a as ({}), b as (select x.of, x.s + y.s as s from a x join a y on x.of = y.of) \
             select sum(s) as s from b union all select max(s) from b",
            sums(3)
        );
        let (parts_of, got) = parts(&session, &nested).await;
        assert_eq!(parts_of, 1, "the larger one, which holds the other");
        assert_eq!(got, ["2438", "392"]);
        let differ = format!("{} union all {}", sums(3), sums(4));
        let (parts_of, got) = parts(&session, &differ).await;
        assert_eq!((parts_of, got.len()), (0, 14));
    }
}
