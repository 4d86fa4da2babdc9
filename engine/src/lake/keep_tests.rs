//! Copies for a quick start: a table that is loaded from them is the one that the lake has.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::commit::Stamp;
use super::compact_tests::{Model, Numbers, by_group, change, check, spec};
use super::layout;
use super::load;
use super::options::{Memory, Options};
use super::room::Room;
use super::store::Store;
use super::table::Table;
use super::tables::{Standing, Tables};

/// A lake of one table, and the folder of its copies.
struct Lake {
    dir: tempfile::TempDir,
    store: Store,
    tables: Tables,
    model: Model,
    numbers: Numbers,
    epoch: u64,
}

impl Lake {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(&Options::at(dir.path().join("lake").display().to_string())).unwrap();
        let mut tables = Tables { room: Some(room(dir.path(), u64::MAX)), ..Tables::default() };
        tables.source.insert("t".to_owned(), Table::fresh(spec()));
        Self { dir, store, tables, model: Model::new(), numbers: Numbers(seed), epoch: 0 }
    }

    fn table(&self) -> &Table {
        &self.tables.source["t"]
    }

    /// One more epoch, committed.
    async fn live(&mut self) {
        self.epoch += 1;
        let change = change(&mut self.model, &mut self.numbers, self.epoch);
        let table = self.tables.source.get_mut("t").unwrap();
        table.compact(3, self.epoch).unwrap();
        table.begin_epoch(self.epoch);
        table.apply(&change, self.epoch).unwrap();
        let stamp = Stamp { epoch: self.epoch, time_ms: 1, retention_minutes: 60 };
        let Some(staged) = table.stage(stamp).unwrap() else { return };
        for upload in staged.uploads {
            self.store.put(&upload.path, upload.body).await.unwrap();
        }
        let path = layout::log_entry("source/t", staged.version);
        self.store.put(&path, staged.bytes).await.unwrap();
    }

    /// Looks rows up by group, which makes indexes, and writes all copies.
    fn keep(&mut self) {
        check(self.table(), &self.model, &by_group());
        if let Some(job) = self.tables.keep(&Default::default()) {
            job.run().unwrap();
        }
    }

    async fn loaded(&self, bytes_max: u64) -> Table {
        let table = self.table();
        let at = Standing {
            version: table.version().unwrap(),
            rows: table.rows() as u64,
            digest: None,
            ranges: Some(table.ranges().encode()),
        };
        let room = room(self.dir.path(), bytes_max);
        let loaded = load::standing(&self.store, spec(), &at, Some(&room)).await.unwrap();
        check(&loaded, &self.model, &by_group());
        loaded
    }

    /// Every file among the copies.
    fn copies(&self) -> Vec<PathBuf> {
        files(&self.dir.path().join("copies"))
    }
}

fn room(dir: &Path, bytes_max: u64) -> Arc<Room> {
    let cold_dir = dir.join("copies").display().to_string();
    Arc::new(Room::keeping(
        &Memory { bytes_max, cold_dir, ..Memory::default() },
        &Options::at("lake"),
    ))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Files of a table whose rows came from their copy.
fn from_copies(table: &Table) -> usize {
    table.files.values().filter(|file| file.home().is_some()).count()
}

#[tokio::test]
async fn a_table_from_copies_is_the_one_that_the_lake_has() {
    let (mut hot, mut cold, mut from_lake) = (0, 0, 0);
    for seed in 0..6 {
        let mut lake = Lake::new(seed);
        for _ in 0..40 {
            lake.live().await;
            if lake.numbers.below(2) == 0 {
                lake.keep();
            }
            if lake.numbers.below(4) == 0 && lake.table().version().is_some() {
                let loaded = lake.loaded(u64::MAX).await;
                hot += from_copies(&loaded);
                from_lake += loaded.files.len() - from_copies(&loaded);
                assert_eq!(loaded.cold_bytes(), 0, "all of it has room");
                let loaded = lake.loaded(1).await;
                cold += from_copies(&loaded);
                assert!(
                    loaded.cold_bytes() > 0 || from_copies(&loaded) == 0,
                    "mapped, without room"
                );
                if lake.numbers.below(2) == 0 {
                    // A restart: the epochs go on with what was loaded.
                    lake.tables.source.insert("t".to_owned(), loaded);
                }
            }
        }
    }
    assert!(hot > 30 && cold > 30 && from_lake > 30, "{hot} {cold} {from_lake}");
}

#[tokio::test]
async fn a_job_that_is_stopped_leaves_whole_copies_alone() {
    let mut lake = Lake::new(5);
    for _ in 0..20 {
        lake.live().await;
    }
    check(lake.table(), &lake.model, &by_group());
    let job = lake.tables.keep(&Default::default()).unwrap();
    job.stop().store(true, std::sync::atomic::Ordering::Relaxed);
    job.run_beside().unwrap();
    assert!(lake.copies().is_empty(), "of the first copy a step was written: {:?}", lake.copies());
    assert!(lake.tables.keep(&Default::default()).is_some(), "they are missing still");
    lake.keep();
    assert!(!lake.copies().is_empty());
    assert!(from_copies(&lake.loaded(u64::MAX).await) > 0);
}

#[tokio::test]
async fn copies_that_are_broken_or_of_another_make_are_passed_over() {
    let mut lake = Lake::new(3);
    for _ in 0..20 {
        lake.live().await;
    }
    lake.keep();
    let whole = from_copies(&lake.loaded(u64::MAX).await);
    assert!(whole > 0, "a file is large enough for a copy");
    let loaded = lake.loaded(u64::MAX).await;
    lake.tables.source.insert("t".to_owned(), loaded);
    let live = lake.tables.keep(&Default::default()).unwrap().live();
    assert!(lake.tables.keep(&live).is_none(), "what was loaded from copies has them");
    let of_rows = |path: &&PathBuf| path.ends_with("rows.arrow");
    assert!(lake.copies().iter().filter(of_rows).count() < lake.copies().len(), "and its indexes");

    for path in lake.copies() {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(from_copies(&lake.loaded(u64::MAX).await), 0, "a changed byte is seen");
    assert_eq!(lake.copies().iter().filter(of_rows).count(), 0, "and the copy deleted");

    lake.tables.source.insert("t".to_owned(), lake.loaded(u64::MAX).await);
    lake.keep();
    assert_eq!(from_copies(&lake.loaded(1).await), whole, "they are made anew");
    for path in lake.copies() {
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
    }
    assert_eq!(from_copies(&lake.loaded(u64::MAX).await), 0, "half a copy is none");

    let other = lake.dir.path().join("copies").join("other");
    fs::create_dir_all(other.join("0-0")).unwrap();
    room(lake.dir.path(), 1);
    assert!(other.exists(), "another lake's copies stay");
    let own = fs::read_dir(lake.dir.path().join("copies")).unwrap();
    let own = own.map(|e| e.unwrap().path()).find(|path| *path != other).unwrap();
    fs::create_dir_all(own.join("0-0").join("source.t")).unwrap();
    room(lake.dir.path(), 1);
    assert!(!own.join("0-0").exists(), "those of another make go");
}

#[tokio::test]
async fn copies_of_files_that_are_no_more_go_and_a_folder_that_is_none_is_told() {
    let mut lake = Lake::new(9);
    let mut most = 0;
    for _ in 0..60 {
        lake.live().await;
        lake.keep();
        let large = lake.table().files.values().filter(|f| f.identities.is_some()).count();
        // Rows, the index by identity and the two by group; what came with this epoch waits for its commit.
        assert!(lake.copies().len() <= 4 * large, "{} of {large} files", lake.copies().len());
        most = most.max(lake.copies().len());
    }
    assert!(most >= 3, "copies were written");
    let job = lake.tables.keep(&Default::default()).unwrap();
    let copies = lake.dir.path().join("copies");
    fs::remove_dir_all(&copies).unwrap();
    fs::write(copies, "no folder").unwrap();
    let said = job.run().unwrap_err().to_string();
    assert!(said.contains("memory.cold_dir"), "{said}");
}
