//! Raw events come in order, in whole epochs, and little of them is held.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::append::AppendTable;
use super::commit::Stamp;
use super::in_order::InOrder;
use super::options::Options;
use super::raw;
use super::store::Store;
use super::tables::upload;
use crate::envelope::change::{Change, Op, ReadMark};

const DAY_US: i64 = 86_400_000_000;

fn change(number: i64, day: i64) -> Change {
    Change {
        table: "public.t".into(),
        connector: "bank".into(),
        op: Op::Create,
        initial: ReadMark::None,
        tx: None,
        tx_id: None,
        lsn: Some(number),
        sequence_lsn: None,
        commit_us: day * DAY_US,
        key: Some(format!("{{\"id\":{number}}}").into()),
        before: None,
        after: Some("{}".into()),
        moved_from: None,
        moved_to: None,
        wire_schema: None,
        wire_key: None,
        topic: "t".into(),
        partition: 0,
        offset: number,
        timestamp_ms: -1,
        record_value: None,
    }
}

/// Writes 60 epochs of seven events, each of one of two days or of both, and merges files as they
/// come; the last epoch is not in the lake yet.
async fn written(store: &Store) -> AppendTable {
    let mut table = AppendTable::fresh("raw/t".to_owned(), raw::schema(), Some(raw::PARTITION));
    for epoch in 1..=60_i64 {
        let days = if epoch % 3 == 0 { [0, 1] } else { [epoch % 2; 2] };
        let changes: Vec<Change> = (0..7)
            .map(|at| change(epoch * 7 + at, days[usize::try_from(at % 2).unwrap()]))
            .collect();
        let list: Vec<&Change> = changes.iter().collect();
        let number = u64::try_from(epoch).unwrap();
        for (date, rows) in raw::rows(&list, number, 0).unwrap() {
            table.append(&rows, Some(&date), number).unwrap();
        }
        if epoch == 60 {
            return table;
        }
        let stamp = Stamp { epoch: number, time_ms: 0, retention_minutes: 60 };
        if let Some(staged) = table.stage(stamp).unwrap() {
            upload(store, staged.uploads).await.unwrap();
        }
        while let Some(merge) = table.due(4, number) {
            table.install(merge.run(store).await.unwrap());
        }
    }
    table
}

#[tokio::test]
async fn parts_are_whole_epochs_in_order_and_little_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Options::at(dir.path().display().to_string())).unwrap();
    let table = written(&store).await;
    let files = table.files().len();
    assert!((8..40).contains(&files), "{files} files: some are merged");
    for part_events in [1, 10, 100, usize::MAX] {
        let name: Arc<str> = "public.t".into();
        let mut events = InOrder::of(&table, &store, name, part_events).await.unwrap();
        let (mut seen, mut parts, mut most) = (Vec::new(), 0, 0);
        while let Some(part) = events.next().await.unwrap() {
            assert!(part.len() % 7 == 0, "an epoch is parted");
            assert!(part.len() < part_events.saturating_add(7), "a part of {}", part.len());
            most = most.max(events.held.iter().map(RecordBatch::num_rows).sum::<usize>());
            let told = part.iter().map(|(number, change)| (*number, change.lsn.unwrap()));
            seen.extend(told);
            parts += 1;
        }
        let wanted: Vec<(i64, i64)> = (1..=60)
            .flat_map(|epoch| (0..7).map(move |at| (epoch << 32 | at, epoch * 7 + at)))
            .collect();
        assert_eq!(seen, wanted, "in parts of {part_events}");
        let largest = table.files().iter().map(|file| file.rows).max().unwrap();
        match part_events {
            1 => assert_eq!(parts, 60),
            usize::MAX => assert_eq!((parts, most), (1, 0)),
            _ => assert!(parts > 3),
        }
        // The files of each day that lie across the part's end.
        assert!(most <= 4 * largest, "{most} events are held, and the largest file has {largest}");
    }
}
