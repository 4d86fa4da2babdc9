//! A change that reached too much: the next large one like it is recomputed at once, and not when half of its
//! rows were read in vain.
//!
//! It must never decide for a small change, which may reach little where a large one reached all.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Changes of fewer rows are followed whatever others reached.
const LARGE_CHANGE: u64 = if cfg!(test) { 3 } else { 5_000 };
/// Changes that are recomputed unseen, at most, before one is followed again: the data may be other by then.
const UNSEEN_MAX: u32 = 16;

/// The last change that reached too much.
#[derive(Debug, Default)]
pub(super) struct Overreach(Mutex<Option<Known>>);

#[derive(Debug)]
struct Known {
    /// Where most of it was: the relation's place, and its changed rows.
    most: (usize, u64),
    limit: u64,
    /// Changes like it since, and how many of them are not tried.
    since: u32,
    unseen: u32,
}

/// The relation of which most rows changed, if they are many.
fn most_of(changed: &[u64]) -> Option<(usize, u64)> {
    let most = changed.iter().copied().enumerate().max_by_key(|(_, rows)| *rows);
    most.filter(|(_, rows)| *rows >= LARGE_CHANGE)
}

impl Overreach {
    fn held(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a change of so many rows of each relation is expected to reach more than `limit`: one of the same
    /// relation that was no larger by more than a quarter did, where no more than a quarter less was allowed.
    pub fn is_expected(&self, changed: &[u64], limit: u64) -> bool {
        let mut held = self.held();
        let Some((known, (at, rows))) = held.as_mut().zip(most_of(changed)) else { return false };
        let is_like = at == known.most.0
            && rows >= known.most.1 - known.most.1 / 5
            && limit <= known.limit.saturating_add(known.limit / 4);
        known.since += u32::from(is_like);
        is_like && known.since <= known.unseen
    }

    /// What became of a change that was followed. Each that reached too much again is a reason to try less often.
    pub fn learn(&self, changed: &[u64], limit: u64, reached_too_much: bool) {
        let mut held = self.held();
        let Some(most) = most_of(changed) else { return };
        let known = held.take().filter(|known| known.most.0 == most.0 || !reached_too_much);
        *held = match known {
            _ if reached_too_much => {
                let before = known.map_or(1, |known| known.unseen);
                Some(Known { most, limit, since: 0, unseen: UNSEEN_MAX.min(before * 2) })
            }
            // A smaller one says nothing of it, nor one of another relation.
            Some(known) if most.0 != known.most.0 || most.1 < known.most.1 - known.most.1 / 5 => {
                Some(known)
            }
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_changes_like_the_one_that_reached_too_much_are_expected_to() {
        let is_expected = |learned: &[(&[u64], bool)], changed: &[u64], limit: u64| {
            let known = Overreach::default();
            learned.iter().for_each(|(changed, too_much)| known.learn(changed, 1_000, *too_much));
            known.is_expected(changed, limit)
        };
        assert!(!is_expected(&[], &[100], 1_000), "nothing is known");
        assert!(
            !is_expected(&[(&[2], true)], &[100], 1_000),
            "a small one says nothing of large ones"
        );
        for (changed, limit, expected) in [
            (&[100, 9][..], 1_000, true),
            (&[80, 0], 1_250, true),
            (&[79, 0], 1_000, false),
            (&[100, 0], 1_251, false),
            (&[0, 100], 1_000, false),
            (&[100, 101], 1_000, false),
        ] {
            assert_eq!(is_expected(&[(&[100, 0], true)], changed, limit), expected, "{changed:?}");
        }
        let too_much: (&[u64], bool) = (&[100, 0], true);
        assert!(is_expected(&[too_much, (&[79, 0], false)], &[100, 0], 1_000), "that was smaller");
        assert!(is_expected(&[too_much, (&[0, 200], false)], &[100, 0], 1_000), "that was another");
        assert!(!is_expected(&[too_much, (&[80, 0], false)], &[100, 0], 1_000), "it was followed");
    }

    #[test]
    fn it_is_tried_again_after_a_while_each_time_later() {
        let known = Overreach::default();
        let unseen = [(); 6].map(|()| {
            known.learn(&[100], 1_000, true);
            (0..100).take_while(|_| known.is_expected(&[100], 1_000)).count()
        });
        assert_eq!(unseen, [2, 4, 8, 16, 16, 16]);
    }
}
