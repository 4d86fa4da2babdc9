//! Replays a source from raw: every event it ever had, worked in again from an empty table, in order.
//!
//! It goes by parts of some whole epochs, as the line did; what is held is the table, the histories that are
//! folded from it, and a part: never all that raw has. Numbers of images are those of raw, so that a rebuilt
//! history equals the one that was followed. It must never touch what stands.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::catalog::SourceTable;
use super::images::numbered;
use crate::envelope::change::Change;
use crate::envelope::options::Options;
use crate::error::Result;
use crate::lake::append::AppendTable;
use crate::lake::current::resolve;
use crate::lake::dedupe::Window;
use crate::lake::in_order::InOrder;
use crate::lake::raw;
use crate::lake::scratch::Scratch;
use crate::lake::store::Store;
use crate::transform::folding::Folding;

/// Where a replay reads, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    /// The lake.
    pub store: &'r Store,
    /// As the line decodes.
    pub envelope: &'r Options,
    /// Events that are remembered, to tell what was sent again.
    pub dedupe_events: usize,
    /// Events that are worked in together, and those of their last epoch.
    pub part_events: usize,
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// The source's rows.
    pub rows: Vec<RecordBatch>,
    /// The versions of each snapshot that was folded on the way.
    pub histories: BTreeMap<String, Vec<RecordBatch>>,
    /// Events of the epoch that was asked for which do not decode: their places in it, and why.
    pub undecoded: Vec<(usize, String)>,
}

/// Works every event in, those of the running `epoch` included, and folds these snapshots from them.
pub async fn replay(
    rules: Rules<'_>,
    source: &SourceTable,
    raw_table: Option<&AppendTable>,
    mut folding: Vec<Folding<'_>>,
    epoch: u64,
) -> Result<Replayed> {
    let mut table = Scratch::new(source.spec());
    let mut window = Window::new(rules.dedupe_events.max(1));
    let mut undecoded = Vec::new();
    if let Some(raw_table) = raw_table {
        let name = source.schema.name.clone();
        let mut events = InOrder::of(raw_table, rules.store, name, rules.part_events).await?;
        while let Some(part) = events.next().await? {
            let list: Vec<(usize, &Change)> =
                part.iter().enumerate().map(|(place, (_, change))| (place, change)).collect();
            let resolved =
                resolve(&source.schema, table.table(), &list, &mut window, rules.envelope)?;
            table.apply(&resolved.change, &resolved.gone)?;
            if !folding.is_empty() {
                let number = |place: usize| part.get(place).map_or(0, |(number, _)| *number);
                let images = numbered(&resolved, number)?;
                for one in &mut folding {
                    one.part(&images).await?;
                }
            }
            for (place, why) in resolved.found.dead {
                let number = part.get(place).map(|(number, _)| raw::place_of(*number));
                let ours = number.filter(|(of, _)| *of == epoch);
                undecoded.extend(ours.map(|(_, place)| (place, why)));
            }
        }
    }
    let rows = table.into_rows()?;
    let mut histories = BTreeMap::new();
    for one in folding {
        histories.insert(one.name().to_owned(), one.finish()?);
    }
    Ok(Replayed { rows, histories, undecoded })
}
