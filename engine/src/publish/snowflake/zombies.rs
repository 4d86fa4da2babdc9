//! Transactions that an earlier life of this lake left open.
//!
//! A process that was killed inside its push leaves a transaction that holds the lock for hours.
//! Ours have names: lake, generation, push. Those of our lake and an earlier generation may be ended,
//! and pushes whose session this process has lost; any other is left alone. One that lives on after
//! that must find out by itself: see `push`.

use std::collections::BTreeSet;

use super::Snowflake;
use super::answer::Refusal;
use super::session::Failure;
use crate::publish::moves::Push;

/// Codes of a statement that gave up waiting for a lock.
const LOCKED: [&str; 2] = ["000625", "000626"];

/// Opens a named transaction.
pub fn begin(push: &Push) -> String {
    format!("BEGIN TRANSACTION NAME \"{}\"", name(&push.lake, push.generation, &push.id))
}

fn name(lake: &str, generation: u64, push: &str) -> String {
    format!("freshet/{lake}/{generation}/{push}")
}

/// Whether a statement failed for a lock that another transaction holds.
pub fn is_locked(refusal: &Refusal) -> bool {
    LOCKED.contains(&refusal.code.as_str())
}

/// Whether a transaction of this name is one that this push may end.
fn may_end(found: &str, push: &Push, lost: &BTreeSet<String>) -> bool {
    let mut parts = found.split('/');
    let ours = parts.next() == Some("freshet") && parts.next() == Some(push.lake.as_str());
    let generation = parts.next().and_then(|g| g.parse::<u64>().ok());
    let of_ours = parts.next().is_some_and(|id| lost.contains(id));
    ours && (generation.is_some_and(|g| g < push.generation) || of_ours)
}

/// Ends what may be ended; says whether there was any.
pub async fn end(snowflake: &mut Snowflake, push: &Push) -> Result<bool, Failure> {
    let lost = snowflake.lost.clone();
    let Some(session) = snowflake.session.as_mut() else { return Err(Failure::SessionGone) };
    let found = session.run("SHOW TRANSACTIONS").await?;
    let column = |name: &str| found.columns.iter().position(|c| c.eq_ignore_ascii_case(name));
    let (Some(id_at), Some(name_at)) = (column("id"), column("name")) else { return Ok(false) };
    let mut ended = false;
    for row in &found.rows {
        let cell = |i: usize| row.get(i).and_then(|c| c.as_deref());
        let (Some(id), Some(name)) = (cell(id_at), cell(name_at)) else { continue };
        if may_end(name, push, &lost) && id.chars().all(|c| c.is_ascii_digit()) {
            tracing::warn!("a push that was left open holds the lock in Snowflake: ending it");
            session.run(&format!("SELECT SYSTEM$ABORT_TRANSACTION({id})")).await?;
            ended = true;
        }
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn only_older_pushes_of_this_lake_are_ended() {
        let push = Push {
            id: "p2".to_owned(),
            lake: "lake".to_owned(),
            generation: 4,
            from: None,
            to: 1,
            time_us: 0,
            commit_us: None,
            offsets: String::new(),
            tables: Vec::new(),
            unchanged: Vec::new(),
            raw: Vec::new(),
            before: BTreeMap::new(),
        };
        let lost = BTreeSet::from(["p1".to_owned()]);
        let none = BTreeSet::new();
        assert!(may_end(&name("lake", 3, "p0"), &push, &none));
        assert!(may_end(&name("lake", 4, "p1"), &push, &lost));
        assert!(!may_end(&name("lake", 4, "p1"), &push, &none));
        assert!(!may_end(&name("lake", 4, "p2"), &push, &lost));
        assert!(!may_end(&name("lake", 5, "p0"), &push, &none));
        assert!(!may_end(&name("other", 3, "p1"), &push, &lost));
        assert!(!may_end("a person's own", &push, &lost));
    }
}
