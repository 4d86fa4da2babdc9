//! Row images of one table, decoded in order: a row for each change, its key alone for a delete.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::concat_batches;

use super::{Found, schema};
use crate::envelope::change::{Change, Malformed, Op};
use crate::envelope::options::Options;
use crate::envelope::rows::{Gaps, RowDecoder};
use crate::envelope::schema::TableSchema;
use crate::error::{Error, Result};

/// The row of a change that has none: a truncate.
pub(super) const NO_ROW: usize = usize::MAX;

/// Why a change of a table without a key can't be worked in.
const NOT_WHOLE: &str = "the table has no key, and the event does not tell the whole row before it, so \
                         this change can't be applied to one of its rows; give it a primary key, or \
                         REPLICA IDENTITY FULL";

/// The row before a change, the row after it, and what that leaves out; else why there are none.
type Before = std::result::Result<(usize, usize, Gaps), String>;

/// A change that decoded, with its row in the decoded batch.
pub(super) struct Decoded<'a> {
    pub place: usize,
    pub change: &'a Change,
    pub gaps: Gaps,
    /// Row of the old key, for the second half of a key change.
    /// Of a table without a key: the whole row before an update or a delete.
    pub moved_from: Option<usize>,
    pub row: usize,
}

/// Every change gets a row of its own, a delete one with only its key; truncates get none.
pub(super) fn decode<'a>(
    table: &TableSchema,
    changes: &[(usize, &'a Change)],
    options: &Options,
    found: &mut Found,
) -> Result<(Vec<Decoded<'a>>, RecordBatch)> {
    let mut decoders = WireDecoders {
        declared: Arc::new(table.clone()),
        options,
        open: None,
        batches: Vec::new(),
        rows: 0,
        undeclared: BTreeSet::new(),
        infinities: 0,
    };
    let mut decoded = Vec::with_capacity(changes.len());
    for (place, change) in changes {
        if table.key.is_empty() && matches!(change.op, Op::Update | Op::Delete) {
            match decoders.before_and_after(change)? {
                Ok((moved_from, row, gaps)) => {
                    let moved_from = Some(moved_from);
                    decoded.push(Decoded { place: *place, change, gaps, moved_from, row });
                }
                Err(why) => found.dead.push((*place, why)),
            }
            continue;
        }
        let decoder = decoders.of(change)?;
        let appended = match (change.op, &change.after, &change.key) {
            (Op::Truncate, _, _) => Ok(None),
            (Op::Delete, _, Some(key)) => decoder.append_key(key).map(|()| Some(Gaps::default())),
            (Op::Delete, _, None) => Err(Malformed::new(
                "a delete without a key can't name its row; give the table a primary key or \
                 REPLICA IDENTITY FULL",
            )),
            (_, Some(after), _) => decoder.append(after).map(Some),
            (_, None, _) => Err(Malformed::new("the event has no `after`")),
        };
        match appended {
            Err(why) => found.dead.push((*place, why.reason)),
            Ok(None) => decoded.push(Decoded {
                place: *place,
                change,
                gaps: Gaps::default(),
                moved_from: None,
                row: NO_ROW,
            }),
            Ok(Some(gaps)) => {
                let row = decoders.rows;
                decoders.rows += 1;
                let moved_from = match &change.moved_from {
                    Some(old) if decoders.of(change)?.append_key(old).is_ok() => {
                        decoders.rows += 1;
                        Some(row + 1)
                    }
                    _ => None,
                };
                decoded.push(Decoded { place: *place, change, gaps, moved_from, row });
            }
        }
    }
    let rows = decoders.finish(table)?;
    found.counts.infinities += decoders.infinities;
    found.undeclared.append(&mut decoders.undeclared);
    Ok((decoded, rows))
}

/// A decoder per message schema: a message that brings one says how its own values are written.
struct WireDecoders<'o> {
    declared: Arc<TableSchema>,
    options: &'o Options,
    open: Option<(usize, RowDecoder)>,
    batches: Vec<RecordBatch>,
    rows: usize,
    undeclared: BTreeSet<String>,
    infinities: u64,
}

impl WireDecoders<'_> {
    fn of(&mut self, change: &Change) -> Result<&mut RowDecoder> {
        let wire = change.wire_schema.as_ref().map_or(0, |w| Arc::as_ptr(w) as usize);
        if self.open.as_ref().is_none_or(|(open, _)| *open != wire) {
            self.close()?;
            let schema = match &change.wire_schema {
                Some(wire) => Arc::new(self.declared.written_as(wire)),
                None => self.declared.clone(),
            };
            self.open = Some((wire, RowDecoder::new(schema, self.options)));
        }
        match &mut self.open {
            Some((_, decoder)) => Ok(decoder),
            None => Err(Error::bug("no decoder is open")),
        }
    }

    /// Rows of a change of a table without a key: the one before it, and the one after it, which is the
    /// same for a delete.
    fn before_and_after(&mut self, change: &Change) -> Result<Before> {
        let Some(before) = &change.before else { return Ok(Err(NOT_WHOLE.to_owned())) };
        let gaps = match self.of(change)?.append(before) {
            Ok(gaps) => gaps,
            Err(why) => return Ok(Err(why.reason)),
        };
        let row = self.rows;
        self.rows += 1;
        // A field that is missing came later than the event: its row was taken in without it too.
        let columns = self.declared.columns.len();
        if !gaps.unavailable.is_empty() || gaps.missing.iter().count() == columns {
            return Ok(Err(NOT_WHOLE.to_owned()));
        }
        let Some(after) = change.after.as_ref().filter(|_| change.op == Op::Update) else {
            return Ok(Ok((row, row, Gaps::default())));
        };
        match self.of(change)?.append(after) {
            Ok(gaps) => {
                self.rows += 1;
                Ok(Ok((row, row + 1, gaps)))
            }
            Err(why) => Ok(Err(why.reason)),
        }
    }

    fn close(&mut self) -> Result<()> {
        if let Some((_, mut decoder)) = self.open.take() {
            self.infinities += decoder.infinities();
            self.undeclared.extend(decoder.unknown_columns().keys().cloned());
            self.batches.push(decoder.finish()?);
        }
        Ok(())
    }

    fn finish(&mut self, table: &TableSchema) -> Result<RecordBatch> {
        self.close()?;
        Ok(concat_batches(&table.arrow_schema(), &self.batches)?)
    }
}

/// Adds commit time, transaction and position to each decoded row.
pub(super) fn stamp(
    table: &TableSchema,
    decoded: &[Decoded<'_>],
    rows: &RecordBatch,
) -> Result<RecordBatch> {
    let mut at = vec![None; rows.num_rows()];
    let mut tx = vec![None; rows.num_rows()];
    let mut lsn = vec![None; rows.num_rows()];
    for item in decoded.iter().filter(|d| d.row != NO_ROW) {
        at[item.row] = Some(item.change.commit_us);
        tx[item.row] = item.change.tx_id;
        lsn[item.row] = item.change.lsn;
    }
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns.push(Arc::new(TimestampMicrosecondArray::from(at).with_timezone("UTC")));
    columns.push(Arc::new(Int64Array::from(tx)));
    columns.push(Arc::new(Int64Array::from(lsn)));
    Ok(RecordBatch::try_new(schema(table), columns)?)
}
