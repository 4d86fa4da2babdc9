//! Merges beside changes, and rows on disk: a table stays what its changes say.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::keys::KeyExprs;
use freshet_sql::maintain::near::{FIRST, RangeKey};
use freshet_sql::maintain::recompute::StoredRows;
use freshet_sql::maintain::stored::{Stored, Wanted, When};
use freshet_sql::plan::Session;

use super::merge::Merged;
use super::moment::Moment;
use super::options::Memory;
use super::ranges::Ranges;
use super::room::Room;
use super::spec::TableSpec;
use super::table::Table;
use super::tables::Tables;

/// Numbers that look random; the same for the same seed.
pub(super) struct Numbers(pub u64);

impl Numbers {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Rows by key: the group, and a text.
pub(super) type Model = BTreeMap<i64, (i64, String)>;

fn rows(of: &[(i64, (i64, String))]) -> RecordBatch {
    let column = |value: fn(&(i64, (i64, String))) -> i64| {
        Arc::new(Int64Array::from_iter_values(of.iter().map(value))) as ArrayRef
    };
    let texts = StringArray::from_iter_values(of.iter().map(|(_, (_, text))| text));
    let columns = vec![
        ("id", column(|r| r.0)),
        ("of", column(|r| r.1.0)),
        ("text", Arc::new(texts) as ArrayRef),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

fn schema() -> SchemaRef {
    rows(&[]).schema()
}

pub(super) fn spec() -> TableSpec {
    let path = "source/t".to_owned();
    TableSpec {
        path,
        schema: schema(),
        identity: vec![0],
        digest: vec![0, 1, 2],
        order: Vec::new(),
    }
}

/// Changes some rows, as an epoch does.
pub(super) fn change(model: &mut Model, numbers: &mut Numbers, epoch: u64) -> ChangeBatch {
    let (mut removed, mut added) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..numbers.below(60) {
        let id = i64::try_from(numbers.below(300)).unwrap();
        let before = model.get(&id).cloned();
        if let Some(before) = before
            && added.remove(&id).is_none()
        {
            removed.insert(id, before);
        }
        model.remove(&id);
        if numbers.below(3) > 0 {
            let row = (id % 7, format!("{epoch}-{}", numbers.below(1000)));
            model.insert(id, row.clone());
            added.insert(id, row);
        }
    }
    let batch = |of: BTreeMap<_, _>| rows(&of.into_iter().collect::<Vec<_>>());
    ChangeBatch { removed: batch(removed), added: batch(added) }
}

/// Every way to read the table gives what the changes gave.
pub(super) fn check(table: &Table, model: &Model, by_group: &KeyExprs) {
    assert_eq!(table.rows(), model.len());
    let scanned = Ranges::of(&table.scan().unwrap(), table.hasher(), &[0, 1, 2]).unwrap();
    assert_eq!(table.digest(), scanned.digest(), "the digest is that of the rows");
    let all: Vec<_> = model.clone().into_iter().collect();
    let identities = table.hasher().hashes(&rows(&all)).unwrap();
    for (identity, row) in identities.into_iter().zip(all) {
        let places = table.find(identity);
        assert_eq!(places.len(), 1, "row {}", row.0);
        assert_eq!(table.take(&places).unwrap(), rows(&[row]));
    }
    let wanted = rows(&[(0, (3, String::new()))]).project(&[1]).unwrap();
    let alone = Session::new().unwrap().key(&wanted.schema(), &[0]).unwrap();
    let keys = alone.set([&wanted]).unwrap();
    let moment = Moment { table, change: None };
    let found = moment.with_keys(by_group, &keys, &[0], When::After, Wanted::Every).unwrap();
    let ids_of = |rows: &[RecordBatch]| {
        let ids =
            rows.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec());
        let mut ids: Vec<i64> = ids.collect();
        ids.sort_unstable();
        ids
    };
    let expected = model.iter().filter(|(_, (of, _))| *of == 3).map(|(id, _)| *id);
    let expected: Vec<i64> = expected.collect();
    assert_eq!(ids_of(&found), expected, "rows of a group by its index");
    let any = moment.with_keys(by_group, &keys, &[0], When::After, Wanted::Any).unwrap();
    let some = ids_of(&any);
    assert_eq!(some.len(), expected.len().min(1), "one row says that there are any");
    assert!(some.iter().all(|id| expected.contains(id)));
    let by_id = RangeKey::new(&Session::new().unwrap().key(&schema(), &[1, 0]).unwrap()).unwrap();
    let asked: Vec<_> = keys.hashes().map(|hash| (hash, (140, 160))).collect();
    let beside = moment.beside(&by_id, &asked, 2).unwrap();
    let before = expected.iter().rev().filter(|id| **id < 140).nth(1).copied();
    let after = expected.iter().filter(|id| **id > 160).nth(1).copied();
    assert_eq!(
        beside,
        [(before.unwrap_or(FIRST), after.unwrap_or(i64::MAX))],
        "the second on each side"
    );
}

pub(super) fn by_group() -> KeyExprs {
    Session::new().unwrap().key(&schema(), &[1]).unwrap()
}

#[test]
fn merges_that_take_several_epochs_change_no_row() {
    let (by_group, mut merges, mut late) = (by_group(), 0, 0);
    for seed in 0..12 {
        let mut numbers = Numbers(seed);
        let (mut table, mut model) = (Table::fresh(spec()), Model::new());
        let mut running: Option<(Merged, u64)> = None;
        for epoch in 1..60 {
            match running.take() {
                Some((merged, until)) if until <= epoch => {
                    table.install(merged).unwrap();
                    merges += 1;
                }
                other => running = other,
            }
            if running.is_none() {
                running = table
                    .due(3, usize::MAX, epoch)
                    .map(|merge| (merge.run().unwrap(), epoch + numbers.below(4)));
                late += u64::from(running.as_ref().is_some_and(|(_, until)| *until > epoch));
            }
            table.begin_epoch(epoch);
            let change = change(&mut model, &mut numbers, epoch);
            table.apply(&change, epoch).unwrap();
            check(&table, &model, &by_group);
        }
    }
    assert!(merges > 100 && late > 50, "{merges} merges, {late} of them over several epochs");
}

/// Where a batch's first value lies.
fn first_value(rows: &RecordBatch) -> *const i64 {
    rows.column(0).as_primitive::<Int64Type>().values().as_ptr()
}

#[test]
fn rows_on_disk_read_and_change_like_those_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let cold_dir = dir.path().display().to_string();
    let room = Arc::new(Room::new(&Memory { bytes_max: 1, cold_dir, ..Memory::default() }));
    let mut tables = Tables { room: Some(room), ..Tables::default() };
    tables.source.insert("t".to_owned(), Table::fresh(spec()));
    let (mut cold, mut shared) = (0, 0);
    let (by_group, mut model, mut numbers) = (by_group(), Model::new(), Numbers(5));
    for epoch in 1..60 {
        let change = change(&mut model, &mut numbers, epoch);
        let table = tables.source.get_mut("t").unwrap();
        table.compact(3, epoch).unwrap();
        table.begin_epoch(epoch);
        table.apply(&change, epoch).unwrap();
        tables.make_room().unwrap();
        let mut once = change.clone();
        tables.source["t"].hold_once(&mut once);
        assert_eq!(once.added, change.added, "the same rows, wherever they lie");
        shared += u64::from(!std::ptr::eq(first_value(&once.added), first_value(&change.added)));
        check(&tables.source["t"], &model, &by_group);
        let held = tables.held();
        cold += u64::from(held.cold_bytes > 0);
        assert_eq!(held.cold.is_empty(), held.cold_bytes == 0);
    }
    assert!(shared > 30, "a change was held once, on disk, in {shared} of 59 epochs");
    assert!(cold > 50, "something lay on disk in {cold} of 59 epochs");
}

#[test]
fn a_merge_takes_no_more_than_fits() {
    let (mut table, mut model, mut numbers) = (Table::fresh(spec()), Model::new(), Numbers(3));
    for epoch in 1..20 {
        table.begin_epoch(epoch);
        table.apply(&change(&mut model, &mut numbers, epoch), epoch).unwrap();
    }
    let rows = |bytes_max| table.due(8, bytes_max, 20).map_or(0, |merge| merge.rows());
    let (all, some) = (rows(usize::MAX), rows(2_500));
    assert!((1..all / 2).contains(&some), "{some} of {all} rows");
    assert_eq!(rows(1), 0, "every file is large");
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let mut tables = Tables::default();
    let big = |from: i64| {
        let of: Vec<_> = (from..from + 2000).map(|id| (id, (0, "x".repeat(50)))).collect();
        ChangeBatch { removed: rows(&[]), added: rows(&of) }
    };
    for (name, epoch) in [("old", 1), ("new", 2)] {
        let mut table = Table::fresh(TableSpec { path: name.to_owned(), ..spec() });
        table.begin_epoch(epoch);
        table.apply(&big(0), epoch).unwrap();
        tables.source.insert(name.to_owned(), table);
    }
    let hot = tables.held().hot_bytes;
    let memory = Memory { bytes_max: hot - 1, ..Memory::default() };
    tables.room = Some(Arc::new(Room::new(&memory)));
    tables.make_room().unwrap();
    let held = tables.held();
    assert_eq!(held.cold, ["old"]);
    assert!(held.hot_bytes < hot / 2 + 10_000 && held.cold_bytes > 100_000, "{held:?}");
}
