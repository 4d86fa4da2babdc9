//! Files of the whole bank over many epochs: merged beside them, however short a process lives.

use crate::publish::bank::BankLake;

/// Files of all keyed tables, and of the one that has most.
fn files(bank: &BankLake) -> (usize, usize) {
    let counts = || bank.pipeline.tables().relations().map(|table| table.file_count());
    (counts().sum(), counts().max().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_stay_few_while_a_process_runs_on() {
    let mut bank = BankLake::open(40, 21).await;
    for _ in 0..60 {
        bank.live(5).await;
    }
    let (all, most) = files(&bank);
    // A class is due from eight files on, and a merge may take some epochs.
    assert!(most < 6 * 8 + 8, "{most} files of one table, {all} of all");
    let bank = bank.reopen(None).await;
    let (again, _) = files(&bank);
    assert!(again <= all, "{again} files after a start, {all} before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_one_epoch_merges_too() {
    let mut bank = BankLake::open(40, 22).await;
    let mut most = 0;
    for _ in 0..24 {
        bank.live(3).await;
        most = most.max(files(&bank).1);
        bank = bank.reopen(None).await;
    }
    assert!(most <= 16, "{most} files of one table after processes of one epoch each");
}
