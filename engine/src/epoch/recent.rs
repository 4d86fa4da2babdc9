//! The transactions that were cut lately: their redelivered records belong where they are met.
//!
//! A bounded memory that a restart loses. It must never answer for an id that the source uses
//! again: the commit time is compared too.

use std::collections::{HashMap, VecDeque};

use super::item::TxKey;

/// How many cut transactions are remembered.
const RECENT_MAX: usize = 65_536;

/// Ids and commit times, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    order: VecDeque<(i64, i64)>,
    commit_ms: HashMap<i64, i64>,
}

impl Recent {
    pub fn remember(&mut self, id: i64, commit_us: i64) {
        let commit_ms = commit_us.div_euclid(1_000);
        if self.commit_ms.insert(id, commit_ms) == Some(commit_ms) {
            return;
        }
        self.order.push_back((id, commit_ms));
        if self.order.len() > RECENT_MAX
            && let Some((old, at)) = self.order.pop_front()
            && self.commit_ms.get(&old) == Some(&at)
        {
            self.commit_ms.remove(&old);
        }
    }

    pub fn holds(&self, key: TxKey) -> bool {
        self.commit_ms.get(&key.id) == Some(&key.commit_us.div_euclid(1_000))
    }
}
