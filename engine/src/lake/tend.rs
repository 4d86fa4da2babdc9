//! Tending a table: Delta checkpoints, and log entries and files that nobody needs any more.
//!
//! Runs beside the epochs and may fail without harm: what it does not do now it does later. It must
//! never delete a file that the latest version names, or one that was not seen unnamed for the whole
//! retention (a running reader or an epoch in hand may need it); and it never commits.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::kernel::{DeletionVectorDescriptor, StorageType};

use super::commit::Actions;
use super::load::{failure, handle};
use super::store::Store;
use super::vector;
use crate::error::Result;

/// Entries kept below a checkpoint, for readers that started before it.
const ENTRIES_KEPT: u64 = 200;

/// A file that an epoch or a merge in hand has put is not named yet: it is left for so long.
const RETENTION_MINUTES_MIN: u64 = 10;

/// Files that no version names any more, and since when they were seen so, milliseconds.
///
/// Derived: after a restart they are seen anew, and go one retention later.
#[derive(Debug, Default)]
pub struct Unnamed(BTreeMap<String, i64>);

impl Actions {
    /// The files that are removed, and their vectors, by path in the lake.
    pub(super) fn removed(&self, table: &str) -> Vec<String> {
        let mut paths = Vec::new();
        for (file, _) in &self.removes {
            let vector = file.vector.as_ref().and_then(vector_name);
            paths.extend(vector.map(|name| format!("{table}/{name}")));
            paths.push(format!("{table}/{}", file.path));
        }
        paths
    }
}

impl Unnamed {
    /// Takes in what entries removed: such a file may have been seen before any entry named it, and its
    /// time begins when the last one stops.
    pub fn take(&mut self, removed: Vec<(String, i64)>) {
        self.0.extend(removed);
    }

    /// Whether a file that is not named now has not been for so long.
    fn is_over(&mut self, path: &str, now_ms: i64, retention_ms: i64) -> bool {
        let since = *self.0.entry(path.to_owned()).or_insert(now_ms);
        let over = now_ms - since >= retention_ms;
        if over {
            self.0.remove(path);
        }
        over
    }
}

/// Writes a Delta checkpoint of `version`, deletes entries far below it, and sweeps the folder.
pub async fn tend(
    store: &Store,
    table: &str,
    version: u64,
    retention_minutes: u64,
    now_ms: i64,
    unnamed: &mut Unnamed,
) -> Result<()> {
    let opened =
        handle(store, table)?.with_version(version).load().await.map_err(|e| failure(table, e))?;
    deltalake::checkpoints::create_checkpoint(&opened, None)
        .await
        .map_err(|e| failure(table, e))?;
    let minutes = retention_minutes.max(RETENTION_MINUTES_MIN);
    let retention_ms = i64::try_from(minutes.saturating_mul(60_000)).unwrap_or(i64::MAX);
    let named = named(&opened, table)?;
    let keep_from = version.saturating_sub(ENTRIES_KEPT);
    for object in store.list(table).await? {
        let path = object.location.as_ref();
        let Some(name) = path.strip_prefix(&format!("{table}/")) else { continue };
        if named.contains(name) {
            unnamed.0.remove(path);
        }
        let goes = match name.strip_prefix("_delta_log/") {
            Some(entry) => entry_number(entry).is_some_and(|number| number < keep_from),
            None => !named.contains(name) && unnamed.is_over(path, now_ms, retention_ms),
        };
        if goes {
            store.delete(path).await?;
        }
    }
    Ok(())
}

/// Files that the version names, and their vectors.
fn named(opened: &deltalake::DeltaTable, table: &str) -> Result<BTreeSet<String>> {
    let state = opened.snapshot().map_err(|e| failure(table, e))?;
    let mut named = BTreeSet::new();
    for file in state.log_data().iter() {
        named.insert(file.path().into_owned());
        named.extend(file.deletion_vector_descriptor().as_ref().and_then(vector_name));
    }
    Ok(named)
}

fn vector_name(at: &DeletionVectorDescriptor) -> Option<String> {
    (at.storage_type == StorageType::UuidRelativePath).then(|| vector::file_name(at)).flatten()
}

/// `00000000000000000012.json`, `00000000000000000012.checkpoint.parquet`: 12.
fn entry_number(name: &str) -> Option<u64> {
    name.split('.').next().and_then(|digits| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use bytes::Bytes;
    use freshet_sql::change::ChangeBatch;

    use super::*;
    use crate::lake::commit::{DataChange, FileEntry, Stamp};
    use crate::lake::layout;
    use crate::lake::load;
    use crate::lake::options::Options;
    use crate::lake::spec::TableSpec;
    use crate::lake::table::Table;
    use crate::lake::tables::upload;

    const HOUR_MS: i64 = 3_600_000;

    fn rows(from: i64, to: i64) -> RecordBatch {
        let ids = Arc::new(Int64Array::from_iter_values(from..to)) as arrow::array::ArrayRef;
        RecordBatch::try_from_iter_with_nullable(vec![("id", ids, true)]).unwrap()
    }

    async fn commit(store: &Store, table: &mut Table, epoch: u64) {
        let stamp = Stamp { epoch, time_ms: 0, retention_minutes: 60 };
        let staged = table.stage(stamp).unwrap().unwrap();
        upload(store, staged.uploads).await.unwrap();
        let path = layout::log_entry(table.path(), staged.version);
        store.create(&path, staged.bytes).await.unwrap();
    }

    #[tokio::test]
    async fn sweeping_takes_orphans_and_leaves_what_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::at(dir.path().display().to_string())).unwrap();
        let spec = TableSpec::whole_rows("marts/t".to_owned(), rows(0, 0).schema(), &[]);
        let mut table = Table::fresh(spec.clone());
        for epoch in 1..=6 {
            let from = i64::try_from(epoch).unwrap() * 10;
            let removed = if epoch == 6 { rows(10, 15) } else { rows(0, 0) };
            let change = ChangeBatch { removed, added: rows(from, from + 10) };
            table.apply(&change, epoch).unwrap();
            if epoch == 5 {
                assert_eq!(table.compact(4, epoch).unwrap(), 1, "one merge");
            }
            commit(&store, &mut table, epoch).await;
        }
        store.put("marts/t/part-orphan.parquet", Bytes::from_static(b"x")).await.unwrap();
        let version = table.version().unwrap();
        let mut unnamed = Unnamed::default();
        for (now_ms, orphan) in [(0, true), (HOUR_MS - 1, true), (HOUR_MS, false)] {
            tend(&store, "marts/t", version, 60, now_ms, &mut unnamed).await.unwrap();
            let found = store.get("marts/t/part-orphan.parquet").await.unwrap();
            assert_eq!(found.is_some(), orphan, "after {now_ms} ms");
        }
        // What was unnamed, then named, then unnamed again waits its whole time again.
        store.put("marts/t/part-twice.parquet", Bytes::from_static(b"x")).await.unwrap();
        tend(&store, "marts/t", version, 60, 0, &mut unnamed).await.unwrap();
        let seen = unnamed.0.remove("marts/t/part-twice.parquet");
        assert_eq!(seen, Some(0));
        let live = store.list("marts/t").await.unwrap();
        let live = live.iter().map(|o| o.location.to_string()).find(|path| {
            path.ends_with(".parquet") && !path.contains("_delta_log") && !path.contains("twice")
        });
        let live = live.unwrap();
        let at = |paths: Vec<String>| paths.into_iter().map(|path| (path, HOUR_MS)).collect();
        unnamed.0.insert(live.clone(), 0);
        tend(&store, "marts/t", version, 60, HOUR_MS, &mut unnamed).await.unwrap();
        assert!(!unnamed.0.contains_key(&live), "it is named");
        // What was seen before any entry named it waits its whole time from when none names it any more.
        store.put("marts/t/part-early.parquet", Bytes::from_static(b"x")).await.unwrap();
        tend(&store, "marts/t", version, 60, 0, &mut unnamed).await.unwrap();
        let early = FileEntry {
            path: "part-early.parquet".to_owned(),
            size: 1,
            rows: 1,
            partition: None,
            vector: None,
        };
        let removes = vec![(early, DataChange::Layout)];
        unnamed.take(at(Actions { removes, ..Actions::default() }.removed("marts/t")));
        for (now_ms, there) in [(2 * HOUR_MS - 1, true), (2 * HOUR_MS, false)] {
            tend(&store, "marts/t", version, 60, now_ms, &mut unnamed).await.unwrap();
            let found = store.get("marts/t/part-early.parquet").await.unwrap();
            assert_eq!(found.is_some(), there, "after {now_ms} ms");
        }
        let again = load::table(&store, spec, version, None).await.unwrap();
        assert_eq!((again.rows(), again.digest()), (55, table.digest()));
        assert_eq!(again.file_count(), table.file_count());
    }
}
