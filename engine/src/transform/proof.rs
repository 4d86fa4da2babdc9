//! The proof: a model recomputed from what it reads, compared with what is stored.
//!
//! A model's recompute shares nothing with maintenance but its SQL: the query runs over whole tables (where the
//! order of rows would decide (sums of floats, first values), operators run one by one over whole inputs in
//! a canonical order, as the recompute of such a model does: there it shares the operators, and only the way
//! to their rows is another). A source's, and a history's, works the raw events in again: it shares how an
//! event is worked in, and finds what was lost, damaged or not worked in. What differs is kept beside the lake, both versions of it; logs and status say
//! how much and in which ranges of the key, never a value. Keys are for whoever asks at a terminal.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use freshet_sql::change::ChangeBatch;
use freshet_sql::digest::row_texts;
use freshet_sql::maintain::recompute::difference;
use freshet_sql::rows::RowHasher;

use super::planned::{Planned, PlannedModel};
use super::view::{Changes, View};
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::parquet::{Effort, encode};
use crate::lake::ranges::Ranges;
use crate::lake::ranges::range_of;
use crate::lake::stage::Upload;
use crate::lake::table::Table;
use crate::lake::tables::Tables;

/// What a recompute said of one table.
#[derive(Debug)]
pub struct Proof {
    /// The table's name.
    pub name: String,
    /// The epoch it was compared at.
    pub epoch: u64,
    /// Rows stored.
    pub rows: u64,
    /// Rows that are stored and should not be (removed), and that should be and are not (added).
    pub difference: ChangeBatch,
    /// Whether the rows are right and the digests that were kept of them are not.
    pub drifted: bool,
    /// The ranges of the key's hash in which rows differ, or digests where only they do.
    pub ranges: Vec<usize>,
}

impl Proof {
    /// Whether what is stored is what the query gives.
    pub fn holds(&self) -> bool {
        self.difference.is_empty() && !self.drifted
    }

    /// What differs, in a sentence without a value.
    pub fn summary(&self) -> String {
        if self.drifted {
            return format!("\"{}\" has the right rows and a digest of others", self.name);
        }
        format!(
            "\"{}\" differs from its recompute: {} rows too many, {} missing",
            self.name,
            self.difference.removed.num_rows(),
            self.difference.added.num_rows()
        )
    }

    /// What these columns hold in rows that differ: for whoever asks for it, and for no log.
    pub fn keys(&self, columns: &[usize]) -> Result<BTreeSet<String>> {
        let mut keys = BTreeSet::new();
        for rows in [&self.difference.removed, &self.difference.added] {
            keys.extend(row_texts(rows, columns)?);
        }
        Ok(keys)
    }

    /// Both versions of what differs, as files of the lake.
    pub fn files(&self) -> Result<Vec<Upload>> {
        let folder = layout::proofs(&self.name, self.epoch);
        let file = |name: &str, rows: &RecordBatch| -> Result<Upload> {
            Ok(Upload {
                path: format!("{folder}/{name}.parquet"),
                body: encode(rows, Effort::Quick)?,
            })
        };
        Ok(vec![
            file("stored", &self.difference.removed)?,
            file("recomputed", &self.difference.added)?,
        ])
    }
}

/// A model over what it reads, against its own table. Not for a snapshot of images: its history is
/// folded, and compared by [`proof`].
pub async fn model(
    planned: &Planned,
    model: &PlannedModel,
    tables: &Tables,
    epoch: u64,
) -> Result<Proof> {
    let nothing = Changes::new();
    let view = View::new(tables, &model.inputs, [&nothing, &nothing]);
    let fresh = planned.whole(model, tables, &view, 1).await?;
    let table = own(tables, model)?;
    proof(&model.name, epoch, table, &fresh)
}

/// Rows against a table.
pub fn proof(name: &str, epoch: u64, table: &Table, fresh: &[RecordBatch]) -> Result<Proof> {
    let rows = table.rows() as u64;
    let name = name.to_owned();
    if table.equals(fresh)? {
        let (difference, ranges) = (ChangeBatch::empty(table.schema()), Vec::new());
        return Ok(Proof { name, epoch, rows, difference, drifted: false, ranges });
    }
    let found = table.pinned_by_digest()?;
    let fresh = concat_batches(&table.schema(), fresh)?;
    let counted = Ranges::of(std::slice::from_ref(&fresh), table.hasher(), &table.spec().digest)?;
    let difference = difference(&found, vec![fresh], &table.schema(), found.hasher())?;
    let drifted = difference.is_empty();
    let ranges = if drifted {
        table.ranges().differing(&counted)
    } else {
        within(&difference, table.hasher())?
    };
    Ok(Proof { name, epoch, rows, difference, drifted, ranges })
}

fn within(difference: &ChangeBatch, hasher: &RowHasher) -> Result<Vec<usize>> {
    let mut ranges = BTreeSet::new();
    for rows in [&difference.removed, &difference.added] {
        ranges.extend(hasher.hashes(rows)?.into_iter().map(range_of));
    }
    Ok(ranges.into_iter().collect())
}

fn own<'t>(tables: &'t Tables, model: &PlannedModel) -> Result<&'t Table> {
    let table = tables.models.get(&model.name);
    table.ok_or_else(|| Error::bug(format!("model \"{}\" has no table", model.name)))
}
