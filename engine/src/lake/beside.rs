//! The places of rows beside others, in an order that an index has: what a window over a number of rows
//! asks. It must count living rows alone, as they are with the epoch's change.

use std::sync::Arc;

use freshet_sql::error::Result;
use freshet_sql::maintain::near::{FIRST, RangeKey};
use freshet_sql::maintain::stored::When;

use super::file::LiveFile;
use super::keys::{AHEAD_KEYS, KeyIndex};
use super::moment::Moment;

impl Moment<'_> {
    /// See [`freshet_sql::maintain::stored::Stored::beside`].
    pub(super) fn rows_beside(
        &self,
        index: &RangeKey,
        ranges: &[(u64, (i64, i64))],
        rows: usize,
    ) -> Result<Vec<(i64, i64)>> {
        if rows == 0 {
            return Ok(ranges.iter().map(|(_, range)| *range).collect());
        }
        let files = self.files_at(When::After).map(|(_, file)| Ok((file, file.ranges(index)?)));
        let files: Vec<(&LiveFile, Arc<KeyIndex>)> = files.collect::<Result<_>>()?;
        let mut found = Vec::with_capacity(ranges.len());
        for some in ranges.chunks(AHEAD_KEYS) {
            files
                .iter()
                .for_each(|(_, index)| index.read_ahead(some.iter().map(|(hash, _)| *hash)));
            found.extend(some.iter().map(|(hash, range)| beside(&files, *hash, *range, rows)));
        }
        Ok(found)
    }
}

fn beside(
    files: &[(&LiveFile, Arc<KeyIndex>)],
    hash: u64,
    (from, to): (i64, i64),
    rows: usize,
) -> (i64, i64) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (file, index) in files {
        let (orders, numbers) = index.in_order(hash);
        let living = |(order, row): (&i64, &u32)| (!file.gone.contains(*row)).then_some(*order);
        let all = || orders.iter().zip(numbers);
        let below = orders.partition_point(|order| *order < from);
        let nulls = orders.partition_point(|order| *order < FIRST);
        before.extend(all().take(below).skip(nulls).rev().filter_map(living).take(rows));
        let above = orders.partition_point(|order| *order <= to).max(nulls);
        after.extend(all().skip(above).filter_map(living).take(rows));
    }
    before.sort_unstable_by(|a, b| b.cmp(a));
    after.sort_unstable();
    let nth = |of: &[i64], end: i64| of.get(rows - 1).copied().unwrap_or(end);
    (nth(&before, FIRST), nth(&after, i64::MAX))
}
