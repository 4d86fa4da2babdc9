//! Recovery: from what lies in the lake to where the engine goes on.

use super::apply;
use super::decision::Decision;
use super::floor;
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::store::Store;

/// The newest decision among objects named by epoch; `None` for a new lake. A function of facts.
pub fn newest(names: &[String], floor: Option<u64>) -> Result<Option<String>> {
    let newest = names.iter().max().cloned();
    match (&newest, floor) {
        (None, Some(floor)) => Err(Error::corrupt(format!(
            "the lake has decided epochs up to {floor} at least, and none of them is left under \
             \"{}\"",
            layout::EPOCHS
        ))
        .with_hint(
            "restore that folder from a backup; without it nobody knows which rows are current",
        )),
        _ => Ok(newest),
    }
}

/// Reads the latest decision.
pub async fn latest(store: &Store) -> Result<Option<Decision>> {
    let objects = store.list(layout::EPOCHS).await?;
    let names: Vec<String> = objects.into_iter().map(|o| o.location.to_string()).collect();
    let Some(path) = newest(&names, floor::read(store).await?)? else { return Ok(None) };
    let body = store.get(&path).await?;
    let body = body.ok_or_else(|| Error::corrupt(format!("\"{path}\" vanished")))?;
    Decision::decode(&body, &path).map(Some)
}

/// The decision of one epoch, for readers of the past.
pub async fn at(store: &Store, epoch: u64) -> Result<Option<Decision>> {
    let path = layout::decision(epoch);
    match store.get(&path).await? {
        Some(body) => Decision::decode(&body, &path).map(Some),
        None => Ok(None),
    }
}

/// Completes the latest decision, if a crash left some of its entries out.
pub async fn recover(store: &Store) -> Result<Option<Decision>> {
    let decision = latest(store).await?;
    if let Some(decision) = &decision {
        apply::apply(store, decision).await?;
    }
    Ok(decision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_decision_wins_and_a_lake_that_lost_all_is_told() {
        let names = vec![layout::decision(9), layout::decision(10)];
        assert_eq!(newest(&names, Some(3)).unwrap(), Some(layout::decision(10)));
        assert_eq!(newest(&[], None).unwrap(), None);
        assert!(matches!(newest(&[], Some(7)), Err(Error::Corrupt { .. })));
    }
}
