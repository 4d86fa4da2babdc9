//! Whether a query follows its inputs' changes in this epoch, or is recomputed: the cost gate.
//!
//! A change that reaches as many rows as a recompute would read is recomputed. The gate must never
//! decide what the result is, only how it is come by.

use freshet_sql::change::ChangeBatch;
use freshet_sql::maintain::{Maintained, Outcome};
use freshet_sql::plan::Session;
use freshet_sql::rows::RowHasher;

use super::view::View;
use crate::error::Result;

/// Changes of fewer rows are followed however small the table is.
const SMALL_CHANGE: u64 = 5_000;
/// A change of more than this share of a relation, in percent, is recomputed.
const CHANGED_PERCENT_MAX: u64 = 30;
/// The same where nothing but the changed rows is looked at: each update is two of them.
const ROW_BY_ROW_PERCENT_MAX: u64 = 150;
/// Fewer rows may always be looked at.
const REACHED_ROWS_MIN: u64 = 50_000;

/// Why a query is recomputed whose keys can't be computed: without the value, which is a row's.
const NOT_FOLLOWED: &str = "a key by which its rows are found can't be computed of every row";

/// What the gate and the maintenance came to.
pub enum Followed {
    /// The change, and how many rows were read for it.
    Change(ChangeBatch, u64),
    /// Recompute: the reason.
    Full(String),
}

/// The change of a query in this epoch.
pub async fn change(
    session: &Session,
    (name, maintained): (&str, &Maintained),
    view: &View<'_>,
    hasher: &RowHasher,
    before_us: i64,
) -> Result<Followed> {
    let percent_max =
        if maintained.is_row_by_row() { ROW_BY_ROW_PERCENT_MAX } else { CHANGED_PERCENT_MAX };
    if let Some((name, changed, rows)) = view.most_changed()
        && changed > SMALL_CHANGE
        && changed * 100 > rows * percent_max
    {
        return Ok(Followed::Full(format!(
            "{changed} rows of \"{name}\" changed, of {rows}: a recompute costs less"
        )));
    }
    let limit = view.rows().max(REACHED_ROWS_MIN);
    Ok(match maintained.change(session, view, hasher, before_us, limit).await {
        Ok(Outcome::Change(change, rows_read)) => Followed::Change(change, rows_read),
        Ok(Outcome::Full(why)) => Followed::Full(why),
        // A key is computed of every row, also of those that the query leaves out before it casts or
        // divides them: the whole may be right where following it fails.
        Err(freshet_sql::error::Error::Failed { .. }) => {
            tracing::warn!(
                query = name,
                "{NOT_FOLLOWED}; it is run in full, at each of its changes"
            );
            Followed::Full(NOT_FOLLOWED.to_owned())
        }
        Err(other) => return Err(other.into()),
    })
}
