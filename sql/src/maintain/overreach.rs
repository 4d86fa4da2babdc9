//! A change that reached too much: the next large one like it is recomputed at once, and not when half of its
//! rows were read in vain.
//!
//! It must never decide for a small change, which may reach little where a large one reached all.

use std::sync::{Mutex, PoisonError};

/// Changes of fewer rows are followed whatever others reached.
const LARGE_CHANGE: u64 = if cfg!(test) { 3 } else { 5_000 };
/// Changes that are recomputed unseen before one is followed again: the data may be other by then.
const UNSEEN_MAX: u32 = 16;

/// The last change that reached too much.
#[derive(Debug, Default)]
pub(super) struct Overreach(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    changed: u64,
    limit: u64,
    unseen: u32,
}

impl Overreach {
    /// Whether a change of so many rows is expected to reach more than `limit`: one that was no larger by
    /// more than a quarter did, where no more than a quarter less was allowed.
    pub fn is_expected(&self, changed: u64, limit: u64) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = held.as_mut().filter(|_| changed >= LARGE_CHANGE) else { return false };
        let is_like = changed * 5 >= known.changed * 4 && limit * 4 <= known.limit * 5;
        known.unseen += u32::from(is_like);
        is_like && known.unseen <= UNSEEN_MAX
    }

    /// What became of a change that was followed.
    pub fn learn(&self, changed: u64, limit: u64, reached_too_much: bool) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reached_too_much && changed >= LARGE_CHANGE {
            *held = Some(Known { changed, limit, unseen: 0 });
        } else if held.as_ref().is_some_and(|known| changed >= known.changed) {
            *held = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_changes_like_the_one_that_reached_too_much_are_expected_to() {
        let known = Overreach::default();
        assert!(!known.is_expected(100, 1_000), "nothing is known");
        known.learn(2, 1_000, true);
        assert!(!known.is_expected(100, 1_000), "a small change says nothing of large ones");
        known.learn(100, 1_000, true);
        for (changed, limit, expected) in
            [(100, 1_000, true), (80, 1_250, true), (79, 1_000, false), (100, 1_251, false)]
        {
            assert_eq!(known.is_expected(changed, limit), expected, "{changed} within {limit}");
        }
        known.learn(90, 1_000, false);
        assert!(known.is_expected(100, 1_000), "a smaller one says nothing of it");
        known.learn(100, 1_000, false);
        assert!(!known.is_expected(100, 1_000), "it was followed");
    }

    #[test]
    fn it_is_tried_again_after_a_while() {
        let known = Overreach::default();
        known.learn(100, 1_000, true);
        let unseen = (0..100).take_while(|_| known.is_expected(100, 1_000)).count();
        assert_eq!(unseen, UNSEEN_MAX as usize);
    }
}
