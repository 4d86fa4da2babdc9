//! Windows over a number of rows: a change reaches the rows beside it, not its whole partition.
//!
//! Where a row sees at most `n` rows on either side, a changed row reaches the `n` rows before its
//! place and the `n` after it, and those see `n` more. Rows of one place are taken together, so that how
//! ties fall decides nothing here. Rows whose order is null lie at one end, whichever the query says: who
//! reaches an end reaches them. It must never be used where a filter stands between the window and its
//! relation: rows are counted in the relation.

use super::mutated;
use super::near::{FIRST, RangeKey, Ranges};
use super::node::{Access, Node, Op};
use super::run::{Run, Stop};

/// So many changed rows are always looked beside.
const CHANGED_MIN: usize = 256;
/// A look beside a row costs as much as reading so many rows of a partition.
const ROWS_A_LOOK: usize = 40;

/// Whether every row of the relation below is a row that is found.
pub(super) fn passes_every_row(access: &Access, nodes: &[Node]) -> bool {
    match access {
        Access::Range { .. } => true,
        Access::Through { node, input } => {
            let passes = matches!(nodes[*node].op, Op::Project { .. } | Op::Rename { .. });
            passes && passes_every_row(input, nodes)
        }
        _ => false,
    }
}

impl Run<'_> {
    /// Whether looking beside so many changed rows costs less than reading the whole relation: where it
    /// does not, touched partitions cost less too.
    pub fn looks_beside(&self, access: &Access, changed: usize) -> Result<bool, Stop> {
        let (relation, _) = self.below(access)?;
        let rows = self.stored(relation)?.rows();
        Ok(changed <= CHANGED_MIN || changed.saturating_mul(ROWS_A_LOOK) < rows)
    }

    /// The relation below, and its order.
    fn below<'a>(&'a self, access: &'a Access) -> Result<(&'a str, &'a RangeKey), Stop> {
        match access {
            Access::Through { input, .. } => self.below(input),
            Access::Range { node, index } => match &self.plan.nodes[*node].op {
                Op::Scan { relation, .. } => Ok((relation, index)),
                _ => Err(Stop::bug()),
            },
            _ => Err(Stop::bug()),
        }
    }

    /// The ranges, and so many rows on either side of each.
    pub fn with_rows_beside(
        &self,
        access: &Access,
        ranges: &Ranges,
        rows: usize,
    ) -> Result<Ranges, Stop> {
        let (relation, index) = self.below(access)?;
        let stored = self.stored(relation)?;
        let each = ranges.iter().flat_map(|(hash, list)| list.iter().map(move |r| (hash, *r)));
        // Beside the nulls lie the rows at either end.
        let asked: Vec<(u64, (i64, i64))> = each
            .flat_map(|(hash, range)| match range {
                Ranges::NULLS => vec![(hash, (FIRST, FIRST)), (hash, (i64::MAX, i64::MAX))],
                range => vec![(hash, range)],
            })
            .collect();
        // The moment after is enough: where a row that came lies between, it is a changed one and has a
        // range of its own, which touches this one.
        let beside = stored.beside(index, &asked, rows)?;
        let mut found = asked.clone();
        for ((_, wide), (from, to)) in found.iter_mut().zip(beside) {
            *wide = (wide.0.min(from), wide.1.max(to));
        }
        if mutated("rows beside: only those that follow") {
            found.iter_mut().zip(&asked).for_each(|((_, wide), (_, own))| wide.0 = own.0);
        }
        let mut all = Vec::with_capacity(found.len() * 2);
        for (hash, (from, to)) in found {
            let at_an_end = from == FIRST || to == i64::MAX;
            if at_an_end && !mutated("rows beside: an end is not beside the nulls") {
                all.push((hash, Ranges::NULLS));
            }
            all.push((hash, (from, to)));
        }
        Ok(Ranges::of(all))
    }
}
