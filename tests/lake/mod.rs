//! Files of the whole bank over many epochs: merged beside them, however short a process lives, and
//! read from local copies at the next start.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use freshet::lake::{load, log};

use crate::publish::bank::BankLake;

/// Customers of a bank whose larger tables have files that are copied.
const MANY: u32 = 34_000;

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

/// Files below a folder.
fn count(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}

fn digests(bank: &BankLake) -> BTreeMap<String, (usize, u64)> {
    let tables = bank.pipeline.tables().relations();
    tables.map(|t| (t.path().to_owned(), (t.rows(), t.digest()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_from_copies_goes_on_as_one_from_the_lake() {
    let mut bank = BankLake::open_keeping(MANY, 23).await;
    bank.live(200).await;
    bank.pipeline.keep_all().await;
    let copies = count(bank.cold.as_ref().unwrap().path());
    assert!(copies > 10, "rows and indexes of some large files: {copies}");
    let before = digests(&bank);
    let mut bank = bank.reopen(None).await;
    assert_eq!(digests(&bank), before);
    for _ in 0..3 {
        bank.live(200).await;
    }
    let scanned: BTreeMap<_, _> = bank
        .pipeline
        .tables()
        .relations()
        .map(|t| (t.path().to_owned(), t.scan().unwrap().iter().map(|b| b.num_rows()).sum()))
        .collect();
    let counted = digests(&bank).into_iter().map(|(path, (rows, _))| (path, rows)).collect();
    assert_eq!(scanned, counted);
    // The lake has what those rows and indexes made of three epochs.
    let mut prove = Command::new(env!("CARGO_BIN_EXE_freshet"));
    prove.args(["prove", "--json", "--lake"]).arg(bank.folder.path());
    let proved = prove.current_dir(bank.folder.path()).output().unwrap();
    assert!(proved.status.success(), "{proved:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_says_what_delta_rs_reads_in_it() {
    let mut bank = BankLake::open(40, 24).await;
    let (mut whole, mut behind) = (0, 0);
    for epoch in 0..130 {
        bank.live(4).await;
        if epoch % 13 > 0 {
            continue;
        }
        for (table, standing) in &bank.last().tables {
            let log = bank.folder.path().join(table).join("_delta_log");
            let has_checkpoint = log.join("_last_checkpoint").exists();
            let read = log::replayed(&bank.store(), table, standing.version).await.unwrap();
            let delta = load::by_delta(&bank.store(), table, Some(standing.version)).await.unwrap();
            assert_eq!(read, Some(delta), "{table} at {}", standing.version);
            whole += usize::from(!has_checkpoint);
            behind += usize::from(has_checkpoint);
        }
    }
    assert!(whole > 40 && behind > 40, "{whole} without a checkpoint, {behind} with one");
}
