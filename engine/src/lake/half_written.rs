//! What a killed process left of a write into a local lake.
//!
//! A local object is written under its name with `#` and a number, then renamed. Nothing lists or
//! reads such a name, so a half that stays costs space alone. This must never touch a name that a
//! reader could see, nor a half so young that another process may still be writing it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::lake::store::Store;

/// No write of ours, a proof's neither, takes as long.
const AGE_MIN: Duration = Duration::from_secs(3600);

/// Deletes the halves in a local lake that are an hour old at this time, microseconds since 1970; in a
/// bucket there are none.
///
/// What can't be looked at or deleted stays: the next start tries again.
pub fn sweep(store: &Store, now_us: i64) {
    let Some(folder) = store.folder().cloned() else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(now_us).unwrap_or(0));
    // Nobody waits for it: a folder on a slow disk may take a while.
    tokio::task::spawn_blocking(move || {
        let files = sweep_folder(&folder, now);
        if files > 0 {
            tracing::info!(files, "what killed processes left half written was deleted");
        }
    });
}

/// How many went.
fn sweep_folder(folder: &Path, now: SystemTime) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut swept = 0;
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            swept += sweep_folder(&entry.path(), now);
        } else if entry.file_name().to_str().is_some_and(is_half) && is_old(&entry, now) {
            swept += usize::from(std::fs::remove_file(entry.path()).is_ok());
        }
    }
    swept
}

/// The names that `object_store` gives them, and hides.
fn is_half(name: &str) -> bool {
    let number = name.split_once('#').map(|(_, number)| number);
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_old(entry: &std::fs::DirEntry, now: SystemTime) -> bool {
    let written = entry.metadata().and_then(|it| it.modified());
    written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age >= AGE_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_halves_go() {
        let lake = tempfile::tempdir().unwrap();
        let folder = lake.path().join("_freshet/epochs");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["7.json", "8.json#1", "8.json#", "8.json#1#2", "8.json#1a"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let now = std::fs::metadata(folder.join("8.json#1")).unwrap().modified().unwrap();
        assert_eq!(sweep_folder(lake.path(), now), 0, "it may still be written");
        assert_eq!(sweep_folder(lake.path(), now + AGE_MIN + Duration::from_secs(60)), 1);
        let mut left: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["7.json", "8.json#", "8.json#1#2", "8.json#1a"]);
    }
}
