//! Deciding: one create-if-absent, and what its outcome means.

use super::decision::Decision;
use super::floor;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::lake::layout;
use crate::lake::store::{Created, Store};

/// What an existing object under our epoch's name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// We wrote it; the answer was lost.
    Ours,
    /// A newer instance decided this epoch: we are fenced.
    Newer,
    /// An older instance decided it before it noticed us: read the lake again.
    Older,
}

/// Reads an existing decision against ours: a function of the two alone.
pub fn meaning(ours: (u64, &str), found: (u64, &str)) -> Meaning {
    if ours.1 == found.1 {
        Meaning::Ours
    } else if found.0 > ours.0 {
        Meaning::Newer
    } else {
        Meaning::Older
    }
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It stands.
    Ours,
    /// Another one stands; recover, then go on.
    Overtaken,
}

/// Writes the decision; after `Ours` the epoch is done, whatever happens next.
pub async fn decide(store: &Store, decision: &Decision) -> Result<Decided> {
    let path = layout::decision(decision.epoch);
    let body = decision.encode()?;
    for _ in 0..3 {
        match store.create(&path, body.clone()).await? {
            Created::New => return stand(store, decision).await,
            Created::Exists => {
                let Some(found) = store.get(&path).await? else { continue };
                let found = Decision::decode(&found, &path)?;
                let ours = (decision.generation, decision.nonce.as_str());
                return match meaning(ours, (found.generation, &found.nonce)) {
                    Meaning::Ours => stand(store, decision).await,
                    Meaning::Older => Ok(Decided::Overtaken),
                    Meaning::Newer => Err(Error::Fenced(format!(
                        "epoch {} was decided by generation {}, this instance is generation {}; \
                         another instance runs on this lake",
                        decision.epoch, found.generation, decision.generation
                    ))),
                };
            }
        }
    }
    Err(Error::corrupt(format!("\"{path}\" exists and can't be read")))
}

/// A decision below the floor was pruned long ago: its writer slept through a takeover.
async fn stand(store: &Store, decision: &Decision) -> Result<Decided> {
    failpoint::hit("decided");
    let floor = floor::read(store).await?;
    if floor.is_some_and(|floor| floor >= decision.epoch) {
        store.delete(&layout::decision(decision.epoch)).await?;
        return Err(Error::Fenced(format!(
            "epoch {} lies below the lake's floor: another instance has moved on",
            decision.epoch
        )));
    }
    Ok(Decided::Ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_decision_is_ours_only_by_its_nonce() {
        assert_eq!(meaning((3, "a"), (3, "a")), Meaning::Ours);
        assert_eq!(meaning((3, "a"), (4, "b")), Meaning::Newer);
        assert_eq!(meaning((3, "a"), (2, "b")), Meaning::Older);
        assert_eq!(meaning((3, "a"), (3, "b")), Meaning::Older);
    }
}
