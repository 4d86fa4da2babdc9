//! The places of rows beside others, in an order that an index has: what a window over a number of rows
//! asks. It must count living rows alone, as they were before the epoch or as they are after it.

use std::collections::HashMap;
use std::sync::Arc;

use freshet_sql::error::Result;
use freshet_sql::maintain::near::{FIRST, RangeKey};
use freshet_sql::maintain::stored::When;

use super::file::LiveFile;
use super::keys::KeyIndex;
use super::moment::Moment;

/// The rows that are counted, file by file.
struct Counted<'m> {
    files: Vec<(&'m LiveFile, Arc<KeyIndex>)>,
    /// Places of rows that the epoch removed, by their key.
    removed: HashMap<u64, Vec<i64>>,
    rows: usize,
}

impl Moment<'_> {
    /// See [`freshet_sql::maintain::stored::Stored::beside`].
    pub(super) fn rows_beside(
        &self,
        index: &RangeKey,
        ranges: &[(u64, (i64, i64))],
        rows: usize,
        when: When,
    ) -> Result<Vec<(i64, i64)>> {
        let files = self.files_at(when).map(|(_, file)| Ok((file, file.ranges(index)?)));
        let mut removed: HashMap<u64, Vec<i64>> = HashMap::new();
        if let Some(gone) = self.removed(when) {
            for (hash, at) in index.places(gone)? {
                removed.entry(hash).or_default().push(at);
            }
        }
        let counted = Counted { files: files.collect::<Result<_>>()?, removed, rows };
        Ok(ranges.iter().map(|(hash, range)| counted.beside(*hash, *range)).collect())
    }
}

impl Counted<'_> {
    fn beside(&self, hash: u64, (from, to): (i64, i64)) -> (i64, i64) {
        if self.rows == 0 {
            return (from, to);
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (file, index) in &self.files {
            let (orders, rows) = index.in_order(hash);
            let living = |(order, row): (&i64, &u32)| (!file.gone.contains(*row)).then_some(*order);
            let all = || orders.iter().zip(rows);
            let below = orders.partition_point(|order| *order < from);
            let nulls = orders.partition_point(|order| *order < FIRST);
            let lower = all().take(below).skip(nulls).rev().filter_map(living);
            before.extend(lower.take(self.rows));
            let above = orders.partition_point(|order| *order <= to).max(nulls);
            after.extend(all().skip(above).filter_map(living).take(self.rows));
        }
        let removed = self.removed.get(&hash).into_iter().flatten().copied();
        let removed = removed.filter(|at| *at >= FIRST);
        before.extend(removed.clone().filter(|at| *at < from));
        after.extend(removed.filter(|at| *at > to));
        before.sort_unstable_by(|a, b| b.cmp(a));
        after.sort_unstable();
        let nth = |of: &[i64], end: i64| of.get(self.rows - 1).copied().unwrap_or(end);
        (nth(&before, FIRST), nth(&after, i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_rows_on_either_side_count() {
        let removed = HashMap::from([(7, vec![i64::MIN, 1, 3, 3, 5, 9])]);
        let counted = |rows| Counted { files: Vec::new(), removed: removed.clone(), rows };
        assert_eq!(counted(0).beside(7, (4, 4)), (4, 4));
        assert_eq!(counted(1).beside(7, (4, 4)), (3, 5));
        assert_eq!(counted(3).beside(7, (4, 4)), (1, i64::MAX));
        assert_eq!(counted(4).beside(7, (3, 5)), (FIRST, i64::MAX));
        assert_eq!(counted(2).beside(7, (3, 4)), (FIRST, 9));
        assert_eq!(counted(1).beside(8, (3, 4)), (FIRST, i64::MAX));
    }
}
