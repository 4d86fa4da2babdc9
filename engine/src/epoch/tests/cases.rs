//! Cases by hand: the life of a load, and the cut without boundaries.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::envelope::change::{Change, Op, Parsed, ReadMark};

use super::super::content::Guarantee;
use super::super::cutter::Cutter;
use super::super::item::{Force, Topics};
use super::super::loading::Loading;
use super::super::options::Options;
use super::history::{Logs, TABLES, append, change};

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
