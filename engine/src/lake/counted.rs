//! Keys by how many rows they have, counted in the indexes alone: no row is read.
//!
//! It must count living rows, at both moments, and never say that a key has fewer than it has.

use freshet_sql::error::Result;
use freshet_sql::maintain::keys::{KeyExprs, KeySet};
use freshet_sql::maintain::stored::When;
use hashbrown::HashMap;

use super::moment::Moment;

impl Moment<'_> {
    /// See [`freshet_sql::maintain::stored::Stored::keys_of_at_least`].
    pub(super) fn keys_of_rows(
        &self,
        index: &KeyExprs,
        keys: &KeySet,
        rows: usize,
    ) -> Result<KeySet> {
        let mut hashes: Vec<u64> = keys.hashes().collect();
        hashes.sort_unstable();
        let places: Vec<(usize, u64)> = hashes.iter().copied().enumerate().collect();
        let (mut before, mut after) = (vec![0; hashes.len()], vec![0; hashes.len()]);
        for (number, file) in self.files_at(When::After) {
            let by = file.index(index)?;
            let (is_old, mut found) = (self.is_of(number, When::Before), false);
            by.in_turn(
                &places,
                |(_, hash)| *hash,
                |(at, hash)| {
                    let living = by.rows(*hash).iter().filter(|row| !file.gone.contains(**row));
                    let living = living.count();
                    after[*at] += living;
                    before[*at] += if is_old { living } else { 0 };
                    found |= living > 0;
                },
            );
            if found {
                file.touch(self.table.epoch);
            }
        }
        if let Some(removed) = self.removed(When::Before) {
            let place: HashMap<u64, usize> = places.iter().map(|(at, hash)| (*hash, *at)).collect();
            for (hash, _) in index.entries(removed)? {
                if let Some(at) = place.get(&hash) {
                    before[*at] += 1;
                }
            }
        }
        let enough = |at: usize| before[at].max(after[at]) >= rows;
        keys.with(|hash| hashes.binary_search(&hash).is_ok_and(enough))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use freshet_sql::change::ChangeBatch;
    use freshet_sql::maintain::stored::Stored;
    use freshet_sql::plan::Session;

    use super::*;
    use crate::lake::spec::TableSpec;
    use crate::lake::table::Table;

    /// Rows of these keys, each with a number of its own.
    fn rows(of: &[(i64, i64)]) -> RecordBatch {
        let column = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let (keys, numbers) = of.iter().copied().unzip();
        RecordBatch::try_from_iter([("k", column(keys)), ("n", column(numbers))]).unwrap()
    }

    #[test]
    fn rows_of_a_key_are_those_of_either_moment() {
        let schema = rows(&[]).schema();
        let mut table = Table::fresh(TableSpec::whole_rows("t".to_owned(), schema.clone(), &[]));
        let first = [(1, 0), (1, 1), (2, 2), (3, 3), (4, 4), (4, 5)];
        table.begin_epoch(1);
        table.apply(&ChangeBatch { removed: rows(&[]), added: rows(&first) }, 1).unwrap();
        table.begin_epoch(2);
        let change = ChangeBatch {
            removed: rows(&[(1, 0), (4, 4), (4, 5)]),
            added: rows(&[(2, 6), (5, 7), (5, 8), (5, 9)]),
        };
        table.apply(&change, 2).unwrap();
        let by = Session::new().unwrap().key(&schema, &[0]).unwrap();
        let asked = by.set([&rows(&[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)])]).unwrap();
        let with_change = Moment { table: &table, change: Some(&change) };
        let of_at_least = |moment: &Moment<'_>, rows: usize| {
            let keys = moment.keys_of_at_least(&by, &asked, rows).unwrap();
            let mut keys = keys.columns()[0].as_primitive::<Int64Type>().values().to_vec();
            keys.sort_unstable();
            keys
        };
        assert_eq!(of_at_least(&with_change, 1), [1, 2, 3, 4, 5]);
        assert_eq!(of_at_least(&with_change, 2), [1, 2, 4, 5]);
        assert_eq!(of_at_least(&with_change, 3), [5]);
        assert!(of_at_least(&with_change, 4).is_empty());
        let alone = Moment { table: &table, change: None };
        assert_eq!(of_at_least(&alone, 2), [2, 5], "as it is after the change");
    }
}
