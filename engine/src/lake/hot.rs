//! Hot and cold rows: which of a lake's rows stay in memory.
//!
//! Where there is no room the files that were not used for longest are moved to the local disk, the
//! largest first, with their indexes. They read alike from there, slower where the kernel has dropped
//! their pages, until a merge or a start takes them into memory again. It must never change what a
//! table holds.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use freshet_sql::change::ChangeBatch;

use super::room::{MOVED_ROWS_MIN, Room};
use super::table::Table;
use super::tables::Tables;
use crate::error::Result;

/// Once a bound is passed, this share of it is kept, in percent.
const KEPT_PERCENT: usize = 90;

/// What tables hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// Bytes in memory.
    pub hot_bytes: u64,
    /// Bytes that they may hold at most.
    pub bytes_max: u64,
    /// Bytes of what queries remember beside them, within the same bound.
    #[serde(default)]
    pub remembered_bytes: u64,
    /// Bytes on the local disk.
    pub cold_bytes: u64,
    /// Tables of which something lies there.
    pub cold: Vec<String>,
}

impl Tables {
    fn hot_bytes(&self) -> usize {
        self.relations().map(Table::heap_bytes).sum()
    }

    /// What a merge may hold beside the tables.
    pub fn merge_max(&self) -> usize {
        self.room.as_ref().map_or(usize::MAX, |room| room.merge_max())
    }

    /// What is held now.
    pub fn held(&self) -> Held {
        let is_cold = |table: &&Table| table.cold_bytes() > 0;
        Held {
            hot_bytes: self.hot_bytes() as u64,
            bytes_max: self.room.as_ref().map_or(0, |room| room.bytes_max as u64),
            remembered_bytes: self
                .room
                .as_ref()
                .map_or(0, |room| room.beside.load(Ordering::Relaxed) as u64),
            cold_bytes: self.relations().map(|t| t.cold_bytes() as u64).sum(),
            cold: self.relations().filter(is_cold).map(|t| t.path().to_owned()).collect(),
        }
    }

    /// Moves rows to disk until what is left fits into the tables' part.
    pub fn make_room(&mut self) -> Result<()> {
        let Some(room) = self.room.clone() else { return Ok(()) };
        self.cool_to(&room, self.room_taken(&room), room.bytes_max)
    }

    /// The same before full runs that read so many bytes: into what the process has for tables beside them.
    /// What merges and proofs still hold of rows that go is counted as theirs.
    pub fn make_room_for(&mut self, read: usize) -> Result<()> {
        let Some(room) = self.room.clone() else { return Ok(()) };
        let held = self.room_taken(&room);
        self.cool_to(&room, held, room.bytes_now(held, room.work_bytes(read)))
    }

    /// As [`Self::make_room`], after an epoch made these changes, which hold none of the rows in memory
    /// then either.
    pub fn make_room_once(&mut self, changes: &mut BTreeMap<String, ChangeBatch>) -> Result<()> {
        self.make_room()?;
        self.hold_once(changes);
        Ok(())
    }

    /// Lets changes of this epoch have their rows as their tables have them, on disk or in memory.
    pub fn hold_once<'c>(
        &self,
        changes: impl IntoIterator<Item = (&'c String, &'c mut ChangeBatch)>,
    ) {
        for (name, change) in changes {
            if let Some(table) = self.relation(name) {
                table.hold_once(change);
            }
        }
    }

    /// What counts against the tables' part: their rows in memory, and what queries remember.
    fn room_taken(&self, room: &Room) -> usize {
        self.hot_bytes() + room.beside.load(Ordering::Relaxed)
    }

    /// Moves rows to disk until of so many hot bytes no more are left than this.
    fn cool_to(&mut self, room: &Room, mut hot: usize, bytes_max: usize) -> Result<()> {
        if hot <= bytes_max {
            return Ok(());
        }
        let kept = bytes_max / 100 * KEPT_PERCENT;
        let mut files = Vec::new();
        for table in self.relations_mut() {
            let identity = &table.spec.identity;
            let large = table.files.values_mut().filter(|f| f.rows.num_rows() >= MOVED_ROWS_MIN);
            files.extend(large.map(|file| (file.heap_bytes(), file, identity)));
        }
        files.sort_by_key(|(bytes, file, _)| {
            (file.used.load(Ordering::Relaxed), std::cmp::Reverse(*bytes))
        });
        for (bytes, file, identity) in files {
            if hot <= kept {
                break;
            }
            let mut cooled = file.cool(&room.cold, identity);
            if let (Err(error), Some(kept)) = (&cooled, &room.kept) {
                // Rows that have no room come before copies that save some seconds.
                tracing::warn!(%error, "local copies are deleted to make room on the disk");
                kept.clear()?;
                cooled = file.cool(&room.cold, identity);
            }
            cooled?;
            hot -= bytes.saturating_sub(file.heap_bytes());
        }
        tracing::debug!(hot_bytes = hot, bytes_max, "moved cold rows to disk");
        Ok(())
    }
}
