//! Cases by hand: the life of a load, and the cut without boundaries.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::envelope::change::{Change, Op, Parsed, ReadMark};

use super::super::content::Guarantee;
use super::super::cutter::Cutter;
use super::super::item::{Force, Topics};
use super::super::loading::Loading;
use super::super::options::Options;
use super::history::{Logs, TABLES, append, begin, change, end, topics};

fn logs(marks: &[(ReadMark, i64)]) -> Logs {
    let mut logs = Logs::new();
    for (place, (initial, id)) in marks.iter().enumerate() {
        let op = if *initial == ReadMark::None { Op::Update } else { Op::Read };
        let row = Change { op, initial: *initial, tx: None, ..change(TABLES[0], *id, 1, place) };
        append(&mut logs, "bank.public.customers", 0, Parsed::Change(Box::new(row)));
    }
    logs
}

#[test]
fn a_load_ends_once_and_without_boundaries_a_transaction_waits_for_the_next() {
    use ReadMark::{First, Last, None, Within};
    let logs = logs(&[(First, 1), (Within, 1), (Last, 1), (None, 2), (None, 2), (None, 3)]);
    let mut cutter = Cutter::new(Options::default(), Topics::default());
    let topic: Arc<str> = Arc::from("bank.public.customers");
    let items = &logs[&(Arc::clone(&topic), 0)];
    for item in &items[..3] {
        cutter.push(item.clone(), 0);
    }
    assert!(cutter.wants_end_offsets() && !cutter.wants_end_offsets());
    cutter.set_end_offsets(BTreeMap::from([((Arc::clone(&topic), 0), 3)]));
    let epoch = cutter.cut(0, Force::Yes).unwrap();
    assert_eq!((epoch.rows, epoch.guarantee), (3, Guarantee::PerPartition));
    assert_eq!(epoch.loading, Loading::Finishing { reread: false });
    for item in &items[3..] {
        cutter.push(item.clone(), 1);
    }
    let epoch = cutter.cut(1, Force::Yes).unwrap();
    assert_eq!((epoch.rows, epoch.loading), (2, Loading::Done));
    cutter.at_end(&topic, 0, 2);
    assert!(cutter.cut(3, Force::Yes).is_none());
    assert_eq!(cutter.cut(6_000, Force::Yes).unwrap().rows, 1);
}

/// One transaction of so many rows, whose images are slices of their records' values.
fn large(rows: usize) -> Logs {
    let mut logs = Logs::new();
    append(&mut logs, "bank.transaction", 0, begin(7));
    for place in 0..rows {
        let value = Bytes::from(format!("{{\"before\":{{\"n\":{place}}},\"after\":{{}}}}"));
        let before = value.slice(10..value.len() - 12);
        let after = value.slice(value.len() - 3..value.len() - 1);
        let row = Change {
            before: Some(before),
            after: Some(after),
            record_value: Some(value),
            ..change(TABLES[0], 7, place as u64 + 1, place)
        };
        append(&mut logs, "bank.public.customers", 0, Parsed::Change(Box::new(row)));
    }
    append(&mut logs, "bank.transaction", 0, end(7, &[(TABLES[0], rows as u64)]));
    logs
}

#[test]
fn contents_that_wait_may_lie_elsewhere_and_nothing_of_an_epoch_changes() {
    let logs = large(1_000);
    let epoch_of = |move_every: usize| {
        let mut cutter = Cutter::new(Options::default(), topics());
        let (mut moves, mut place) = (0, 0);
        for item in logs.values().flatten() {
            cutter.push(item.clone(), 0);
            place += 1;
            if place % move_every == 0 {
                assert!(cutter.movable_bytes() > 0);
                let moved = cutter.move_contents(|contents| {
                    moves += contents.len();
                    let copies = contents.iter().map(|c| Bytes::copy_from_slice(c)).collect();
                    Ok::<Vec<Bytes>, ()>(copies)
                });
                assert_eq!((moved, cutter.movable_bytes()), (Ok(()), 0));
            }
        }
        let epoch = cutter.cut(0, Force::Yes).unwrap();
        assert_eq!((epoch.rows, cutter.movable_bytes()), (1_000, 0));
        (format!("{:?}", epoch.changes), moves)
    };
    let (plain, none) = epoch_of(usize::MAX);
    let (moved, moves) = epoch_of(300);
    assert_eq!((none, moves), (0, 2 * 900), "each record moves once, its key and its value");
    assert!(plain == moved);
}

/// One whole transaction, and one of which a partition that lags still holds a row.
fn lagging(rows: usize) -> Logs {
    let mut logs = Logs::new();
    for (id, rows) in [(7, 2), (8, rows)] {
        append(&mut logs, "bank.transaction", 0, begin(id));
        for place in 0..rows {
            let row = change(TABLES[0], id, place as u64 + 1, place);
            append(&mut logs, "bank.public.customers", 0, Parsed::Change(Box::new(row)));
        }
        let missing = u64::from(id == 8);
        let counts = [(TABLES[0], rows as u64), (TABLES[1], missing)];
        append(&mut logs, "bank.transaction", 0, end(id, &counts));
    }
    logs
}

#[test]
fn in_a_backlog_little_waits_longer_for_what_lags_and_not_forever() {
    // Each record counts as a hundred bytes.
    let options = Options { bytes_max: 10_000, ..Options::default() };
    for (rows, held_ms, cut_ms) in [(10, 999, 1_000), (200, 3_999, 4_000)] {
        let mut cutter = Cutter::new(options.clone(), topics());
        cutter.add_partition(&Arc::from("bank.public.accounts"), 0, 0);
        for item in lagging(rows).values().flatten() {
            cutter.push(item.clone(), 0);
        }
        assert!(cutter.cut(held_ms, Force::No).is_none(), "{rows} rows wait");
        assert_eq!(cutter.cut(cut_ms, Force::No).map(|epoch| epoch.rows), Some(2));
    }
}
