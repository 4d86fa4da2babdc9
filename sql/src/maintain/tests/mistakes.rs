//! Mistakes that others made in incremental maintenance, each as a test of its name.
//!
//! Beyond these, where a mistake needs more than a query:
//!
//! | mistake | test |
//! |---|---|
//! | changes sent again lead to negative counts | script `07_redelivery`, recovery `test_kills` |
//! | a key that changes leaves its old row | script `04_key_change` |
//! | a placeholder of an unchanged value is stored | script `05_toast` |
//! | a read overlaps what streams | script `12_reread`, `13_no_key_changes` |
//! | transactions of several topics are torn apart | equivalence `test_every_cut_and_interleaving_gives_the_same_tables` |
//! | operators at different progress give impossible rows | equivalence `test_every_epoch_is_the_bank_after_one_transaction` |
//! | half of an update is delivered | tests/publish: every push is one transaction with its ledger |
//! | the target's key is not the model's | tests/publish/rules.rs `a_key_may_be_absent_or_not_unique` |
//! | an edited model leaves its old rows | recovery `test_an_edited_model_leaves_none_of_its_old_rows` |
//! | a new column is not taken in | script `11_new_column` |
//! | a placeholder of an array is not told from its values | envelope/rows_tests.rs |
//! | a decimal or a time arrives in another encoding | envelope/types_tests.rs |
//! | a fall to full recompute is silent | equivalence `test_only_a_mass_update_is_recomputed`, `test_explain` |
//! | one row, or one key, reads the table | equivalence `test_a_small_change_reads_little` |
//! | a table that nobody reads stays behind | equivalence `test_every_epoch_has_the_rows_of_a_recompute` |
//! | many small files | lake/compact_tests.rs, `freshet bench lake` |
//! | dbt's snapshots: restored deletes, keys twice | equivalence `test_dbt_snapshot`, script `03_deletes` |

use super::epochs::{DAY_US, START_US, Step, followed, last_change, last_change_within};
use super::rows::{Row, Value};

/// `id`, `k`, `ts` and `x`; the others are null.
fn of(id: i64, k: Option<i64>, ts: Option<i64>, x: Option<f64>) -> Row {
    let (id, k) = (Some(Value::Int(id)), k.map(Value::Int));
    vec![id, k, None, None, None, ts.map(Value::Time), x.map(Value::Real)]
}

fn row(id: i64, k: i64) -> Row {
    of(id, Some(k), None, None)
}

fn none(id: i64) -> Row {
    of(id, None, None, None)
}

fn real(id: i64, x: f64) -> Row {
    of(id, Some(7), None, Some(x))
}

fn at(id: i64, day: i64) -> Row {
    of(id, Some(7), Some(START_US + day * DAY_US), None)
}

/// Runs the epochs and compares the last change.
macro_rules! last {
    ($sql:expr, [$([$($step:expr),*]),*], [$($line:expr),*]) => {
        let wanted: Vec<&str> = vec![$($line),*];
        assert_eq!(last_change($sql, &[$(&[$($step),*]),*]).await, wanted, "{}", $sql);
    };
}

#[tokio::test]
async fn both_sides_of_a_join_change_in_one_epoch() {
    let sql = "select t.id, u.id as other from t join u on t.k = u.k";
    let (t, u) = ([row(1, 7)], [row(2, 7)]);
    last!(sql, [[("t", &[], &t), ("u", &[], &u)]], ["+1|2"]);
    last!(sql, [[("t", &[], &t), ("u", &[], &u)], [("t", &t, &[]), ("u", &u, &[])]], ["-1|2"]);
    let moved = [row(2, 8)];
    last!(
        sql,
        [[("t", &[], &t), ("u", &[], &u)], [("t", &t, &[row(1, 8)]), ("u", &u, &moved)]],
        []
    );
}

#[tokio::test]
async fn of_equal_rows_one_copy_goes() {
    let three = [row(1, 7), row(1, 7), row(1, 7)];
    last!("select k from t", [[("t", &[], &three)], [("t", &three[..1], &[])]], ["-7"]);
    last!(
        "select k, count(*) as n from t group by k",
        [[("t", &[], &three)], [("t", &three[..1], &[])]],
        ["-7|3", "+7|2"]
    );
}

#[tokio::test]
async fn an_update_across_a_filter_is_half_a_change() {
    let sql = "select id from t where k > 5";
    last!(sql, [[("t", &[], &[row(1, 7)])], [("t", &[row(1, 7)], &[row(1, 3)])]], ["-1"]);
    last!(sql, [[("t", &[], &[row(1, 3)])], [("t", &[row(1, 3)], &[row(1, 7)])]], ["+1"]);
}

#[tokio::test]
async fn a_row_that_moves_leaves_its_old_group() {
    let sql = "select k, count(*) as n from t group by k";
    let two = [row(1, 7), row(2, 7)];
    last!(sql, [[("t", &[], &two)], [("t", &two[..1], &[row(1, 8)])]], ["-7|2", "+7|1", "+8|1"]);
}

#[tokio::test]
async fn what_went_and_came_back_is_no_change() {
    let one = [row(1, 7)];
    for sql in ["select id from t", "select k, count(*) as n from t group by k"] {
        last!(sql, [[("t", &[], &one)], [("t", &one, &one)]], []);
    }
}

#[tokio::test]
async fn padding_comes_and_goes_with_partners() {
    let sql = "select t.id, u.id as other from t left join u on t.k = u.k and u.id > 1";
    let (t, u) = ([row(1, 7)], [row(2, 7)]);
    last!(sql, [[("t", &[], &t)], [("u", &[], &u)]], ["-1|\\N", "+1|2"]);
    last!(sql, [[("t", &[], &t), ("u", &[], &u)], [("u", &u, &[])]], ["-1|2", "+1|\\N"]);
    // A partner by key that the rest of the condition refuses is none.
    last!(sql, [[("t", &[], &t)], [("u", &[], &[row(1, 7)])]], []);
}

#[tokio::test]
async fn a_text_of_nulls_is_no_missing_partner() {
    let sql =
        "select t.id from t left join u on t.g = concat(u.g, '') where concat(u.g, '') is null";
    last!(sql, [[("t", &[], &[row(1, 7)]), ("u", &[], &[row(2, 7)])]], []);
}

#[tokio::test]
async fn one_null_in_the_list_empties_not_in() {
    let sql = "select id from t where k not in (select k from u)";
    let t = [row(1, 7)];
    let told = last_change(sql, &[&[("t", &[], &t)], &[("u", &[], &[none(2)])]]).await;
    assert!(told.contains(&"-1".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_retracted_extremum_gives_way_to_the_next() {
    let sql = "select k, min(id) as least, max(id) as most from t group by k";
    let three = [row(1, 7), row(5, 7), row(9, 7)];
    last!(sql, [[("t", &[], &three)], [("t", &three[2..], &[])]], ["-7|1|9", "+7|1|5"]);
}

#[tokio::test]
async fn the_only_group_stays_when_its_rows_are_gone() {
    let sql = "select count(*) as n, sum(k) as s from t";
    let one = [row(1, 7)];
    last!(sql, [[("t", &[], &one)], [("t", &one, &[])]], ["-1|7", "+0|\\N"]);
    // A sum is null where every value is, not where it is zero.
    last!(sql, [[("t", &[], &one)], [("t", &one, &[none(1)])]], ["-1|7", "+1|\\N"]);
}

#[tokio::test]
async fn set_operations_change_where_a_count_crosses() {
    let two = [row(1, 7), row(2, 7)];
    last!("select distinct k from t", [[("t", &[], &two)], [("t", &two[..1], &[])]], []);
    last!("select distinct k from t", [[("t", &[], &two)], [("t", &two, &[])]], ["-7"]);
    let sql = "select k from t except select k from u";
    last!(sql, [[("t", &[], &two)], [("u", &[], &[row(3, 7)])]], ["-7"]);
    let sql = "select k from t intersect select k from u";
    last!(sql, [[("t", &[], &two)], [("u", &[], &[row(3, 7)])]], ["+7"]);
}

#[tokio::test]
async fn the_next_row_of_a_key_takes_the_place_of_the_first() {
    let sql = "select id, k from (select id, k, row_number() over (partition by k order by id) as n \
               from t) as r where n = 1";
    let all = [row(1, 7), row(2, 7), row(3, 8)];
    last!(sql, [[("t", &[], &all)], [("t", &all[..1], &[])]], ["-1|7", "+2|7"]);
}

#[tokio::test]
async fn sums_of_floats_are_those_of_a_recompute() {
    let sql = "select k, sum(x) as s from t group by k";
    let (large, small) = ([real(1, 1e16)], [real(2, 1.0), real(3, 1.0)]);
    let epochs: [&[Step<'_>]; 3] =
        [&[("t", &[], &large)], &[("t", &[], &small)], &[("t", &large, &[])]];
    let told = last_change(sql, &epochs).await;
    assert!(told.contains(&"+7|2.0".to_owned()), "added up and taken off again it were 0");
}

#[tokio::test]
async fn both_zeros_are_one_group() {
    let (minus, plus) = ([real(1, -0.0)], [real(2, 0.0)]);
    let sql = "select x, count(*) as n from t group by x";
    last!(sql, [[("t", &[], &minus)]], ["+0.0|1"]);
    last!(sql, [[("t", &[], &minus)], [("t", &[], &plus)]], ["-0.0|1", "+0.0|2"]);
}

#[tokio::test]
async fn a_value_of_the_row_and_the_time_does_not_freeze() {
    let sql = "select k, count(*) filter (where ts > localtimestamp - interval '3 days') as n from t \
               group by k";
    let told = last_change(sql, &[&[("t", &[], &[at(1, 0), at(2, 1)])], &[], &[], &[]]).await;
    assert_eq!(told[1..], ["-7|1", "+7|0"], "{told:?}");
    assert!(told[0].contains("time"), "said, not silent: {told:?}");
    let sql = "select k, count(case when ts > localtimestamp - interval '3 days' then 1 end) as n from t \
               group by k";
    let told = last_change(sql, &[&[("t", &[], &[at(1, 0), at(2, 1)])], &[], &[], &[]]).await;
    assert_eq!(told[1..], ["-7|1", "+7|0"], "{told:?}");
    let sql = "select k, count(*) filter (where ts > t0) as n from (select k, ts, localtimestamp - \
               interval '3 days' as t0 from t) as r group by k";
    let told = last_change(sql, &[&[("t", &[], &[at(1, 0), at(2, 1)])], &[], &[], &[]]).await;
    assert_eq!(told[1..], ["-7|1", "+7|0"], "{told:?}");
    let sql = "select id, ts < localtimestamp - interval '2 days' as is_old from t";
    let told = last_change(sql, &[&[("t", &[], &[at(1, 0)])], &[], &[]]).await;
    assert_eq!(told[1..], ["-1|false", "+1|true"], "{told:?}");
}

#[tokio::test]
async fn a_frame_that_looks_the_other_way_is_not_cut_off() {
    let sql = "select id, count(*) over (partition by k order by ts range between interval '-1 days' \
               preceding and interval '2 days' following) as n from t";
    last!(sql, [[("t", &[], &[at(1, 0)])], [("t", &[], &[at(2, 1)])]], ["-1|0", "+1|1", "+2|0"]);
}

#[tokio::test]
async fn rows_of_no_relation_do_not_vanish() {
    let (one, two) = ([row(1, 7)], [row(2, 8)]);
    let steps = "with recursive s as (select 1 as n union all select n + 1 from s where n < 3) ";
    for other in ["s", "generate_series(1, 3) as s(n)"] {
        let with = if other == "s" { steps } else { "" };
        let sql = format!("{with}select t.id, s.n from t cross join {other}");
        last!(&sql, [[("t", &[], &one)], [("t", &[], &two)]], ["+2|1", "+2|2", "+2|3"]);
        last!(&sql, [[("t", &[], &one)], [("t", &one, &[])]], ["-1|1", "-1|2", "-1|3"]);
        // What is recomputed node by node, since the order of rows may decide, has them too.
        let sql = format!(
            "{with}select id, n, row_number() over (partition by id order by n) as r from t \
             cross join {other}"
        );
        last!(&sql, [[("t", &[], &one)], [("t", &[], &two)]], ["+2|1|1", "+2|2|2", "+2|3|3"]);
    }
}

#[tokio::test]
async fn two_functions_are_two() {
    let sql = "select t.id, a.n, b.n as m from t cross join generate_series(1, 2) as a(n) cross join \
               generate_series(3, 5) as b(n)";
    let told = last_change(sql, &[&[("t", &[], &[row(1, 7)])], &[("t", &[], &[row(2, 8)])]]).await;
    assert_eq!(told, ["+2|1|3", "+2|1|4", "+2|1|5", "+2|2|3", "+2|2|4", "+2|2|5"]);
}

#[tokio::test]
async fn days_up_to_the_epochs_do_not_freeze() {
    let sql = "with recursive d as (select date '2024-01-01' as day union all select cast(day + interval \
               '1 day' as date) from d where day < current_date) select day from d";
    let told = last_change(sql, &[&[], &[], &[]]).await;
    assert_eq!(told[1..], ["+2024-01-04"], "{told:?}");
}

#[tokio::test]
async fn working_rows_may_have_a_relations_name() {
    let sql = "with recursive u as (select id, 0 as n from t union all select id, n + 1 from u where n < 1) \
               select id, n from u";
    let told = last_change(sql, &[&[("t", &[], &[row(1, 7)])], &[("t", &[], &[row(2, 8)])]]).await;
    assert_eq!(told, ["full: a recursive query", "+2|0", "+2|1"]);
}

#[tokio::test]
async fn a_recursion_over_relations_is_made_anew() {
    let tree = "with recursive r as (select id, k, 0 as depth from t where k is null union all \
                select t.id, t.k, r.depth + 1 from t join r on t.k = r.id) ";
    let (top, under, below) = ([none(1)], [row(2, 1)], [row(3, 2)]);
    for sql in [
        "select id, depth from r",
        "select r.id, max(r.depth) as d from r join u on u.id = r.id group by r.id",
        "select id, row_number() over (partition by k order by id) - 1 + depth as n from r",
    ] {
        let sql = format!("{tree}{sql}");
        let u = [row(1, 0), row(2, 0), row(3, 0)];
        let first: &[Step<'_>] = &[("t", &[], &top), ("u", &[], &u)];
        let told = last_change(&sql, &[first, &[("t", &[], &under)], &[("t", &[], &below)]]).await;
        assert_eq!(told, ["full: a recursive query", "+3|2"], "{sql}");
        let told = last_change(&sql, &[first, &[("t", &[], &under)], &[("t", &under, &[])]]).await;
        assert_eq!(told, ["full: a recursive query", "-2|1"], "{sql}");
        let told = last_change(&sql, &[first, &[("u", &[], &[row(9, 0)])]]).await;
        assert!(told.is_empty(), "it reads nothing that changed: {told:?}");
    }
    // A bound in time within it is not followed.
    let sql = "with recursive r as (select id, 0 as n from t where ts > localtimestamp - interval \
               '2 days' union all select id, n + 1 from r where n < 1) select id, n from r";
    let told = last_change(sql, &[&[("t", &[], &[at(1, 0)])], &[]]).await;
    assert_eq!(told[1..], ["-1|0", "-1|1"], "{told:?}");
    assert!(told[0].contains("time"), "{told:?}");
}

#[tokio::test]
async fn a_limit_without_an_order_sees_the_rows() {
    let one = [row(1, 7)];
    let told =
        last_change("select id from t limit 5", &[&[("t", &[], &one)], &[("t", &one, &[])]]).await;
    assert_eq!(told, ["full: a limit over all rows", "-1"]);
    // Below a window it is computed node by node.
    let sql = "select id, row_number() over (partition by id order by k) as n from (select id, k \
               from t limit 5) as s";
    let told = last_change(sql, &[&[("t", &[], &one)], &[("t", &[], &[row(2, 8)])]]).await;
    assert_eq!(told.last().map(String::as_str), Some("+2|1"));
}

#[tokio::test]
async fn one_hot_key_that_reaches_too_much_is_recomputed_and_said() {
    let many: Vec<Row> = (1..=40).map(|id| row(id, 7)).collect();
    let sql = "select u.id, count(*) as n from t join u on t.k = u.k group by u.id";
    let first: &[Step<'_>] = &[("t", &[], &many), ("u", &[], &[row(1, 8)])];
    let (cold, hot) = ([row(2, 9)], [row(2, 7)]);
    let told = last_change_within(sql, &[first, &[("u", &[], &cold)]], 10).await;
    assert!(told.is_empty(), "a key without partners reaches nothing: {told:?}");
    let told = last_change_within(sql, &[first, &[("u", &[], &hot)]], 10).await;
    assert_eq!(told, ["full: the change reaches more than 10 rows", "+2|40"]);
    let told = last_change_within(sql, &[first, &[("u", &[], &hot)]], 100).await;
    assert_eq!(told, ["+2|40"]);
}

#[tokio::test]
async fn after_a_large_change_that_reached_too_much_one_like_it_is_recomputed_at_once() {
    let many: Vec<Row> = (1..=40).map(|id| row(id, 7)).collect();
    let sql = "select u.id, count(*) as n from t join u on t.k = u.k group by u.id";
    let first: &[Step<'_>] = &[("t", &[], &many), ("u", &[], &[row(1, 8)])];
    let hot = |ids: std::ops::Range<i64>| ids.map(|id| row(id, 7)).collect::<Vec<Row>>();
    let (large, like_it) = (hot(2..5), hot(5..8));
    let epochs: [&[Step<'_>]; 3] = [first, &[("u", &[], &large)], &[("u", &[], &like_it)]];
    let told = last_change_within(sql, &epochs, 10).await;
    let said = "full: changes like it reached more than 10 rows";
    assert_eq!(told, [said, "+5|40", "+6|40", "+7|40"]);
    // A small one is followed all the same.
    let small: [&[Step<'_>]; 3] = [first, &[("u", &[], &large)], &[("u", &[], &[row(9, 8)])]];
    assert!(last_change_within(sql, &small, 10).await.is_empty());
}

#[tokio::test]
async fn groups_that_a_having_leaves_out_are_not_read() {
    let alone: Vec<Row> = (1..=40).map(|id| row(id, id)).collect();
    let first: &[Step<'_>] = &[("t", &[], &alone)];
    // One that gets a second row, one that has one and one that loses its own.
    let more: &[Step<'_>] = &[("t", &[row(3, 3)], &[row(41, 1), row(42, 42)])];
    let again: &[Step<'_>] = &[("t", &[row(1, 1)], &[row(43, 42)])];
    // Rows read for each: of a key with two rows, which is remembered, and then of the other.
    for (having, last, read) in [
        ("count(*) > 1", &["-1|2", "+42|2"][..], [2, 2]),
        ("count(id) >= 2", &["-1|2", "+42|2"], [2, 2]),
        ("2 <= count(*)", &["-1|2", "+42|2"], [2, 2]),
        ("count(*) = 2 and k < 9", &["-1|2"], [2, 0]),
        // This does not say how many, so that the one row of a key is read too.
        ("count(*) <> 1", &["-1|2", "+42|2"], [3, 2]),
    ] {
        let sql = format!("select k, count(*) as n from t group by k having {having}");
        let first_change = followed(&sql, &[first, more], u64::MAX).await;
        assert_eq!(first_change, (vec!["+1|2".to_owned()], read[0]), "{having}");
        let (told, rows) = followed(&sql, &[first, more, again], u64::MAX).await;
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        assert_eq!((told.as_slice(), rows), (last, read[1]), "{having}");
    }
}

#[tokio::test]
async fn where_order_decides_rows_do_not_depend_on_where_they_lay() {
    // The same rows, come at once and one by one the other way round.
    let rows = [real(1, 1e16), real(2, 1.0), real(3, -1e16), real(4, 1.0), real(5, 3.0)];
    for sql in [
        "select k, sum(x) as s from t group by rollup (k)",
        "select id, sum(x) over (order by k) as s from t",
        "select id, first_value(x) over (order by k) as s from t",
        "select id, x from t order by k limit 2",
        "select id from t limit 2",
        "select id from t order by k offset 3",
        "select id from t order by x offset 3",
        "with recursive r as (select k, sum(x) as s from t group by k union all select k + 1, s from r \
         where k < 8) select k, s from r",
    ] {
        let at_once = last_change(sql, &[&[("t", &[], &rows)]]).await;
        let mut held: Vec<String> = Vec::new();
        let one_by_one: Vec<Vec<Step<'_>>> =
            (0..rows.len()).rev().map(|at| vec![("t", &[][..], &rows[at..=at])]).collect();
        for count in 1..=rows.len() {
            let epochs: Vec<&[Step<'_>]> = one_by_one[..count].iter().map(Vec::as_slice).collect();
            for line in last_change(sql, &epochs).await {
                match line.split_at(1) {
                    ("-", row) => held.retain(|known| known != row),
                    ("+", row) => held.push(row.to_owned()),
                    _ => {}
                }
            }
        }
        let mut wanted: Vec<String> =
            at_once.iter().filter_map(|line| line.strip_prefix('+')).map(str::to_owned).collect();
        wanted.sort_unstable();
        held.sort_unstable();
        assert_eq!(held, wanted, "{sql}");
    }
}
