//! The ids of the topics that stored offsets belong to: by them a topic that was deleted and created
//! anew is told from the one before, however many records it holds.
//!
//! Shared between the source, which asks and compares, and the loop, which keeps them with the
//! offsets. It must never let go of an id for one that differs, unless it is told to forget.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

const CREATED_ANEW: &str = "stored offsets don't belong to this topic: let the connector do a new \
    initial read of its tables into topics of another prefix; or, if the same records lie at the same \
    offsets again, start once with kafka.topic_ids_wait_ms = 0, which forgets the ids";

/// Ids by topic.
#[derive(Debug, Clone, Default)]
pub struct TopicIds(Arc<Mutex<BTreeMap<String, String>>>);

impl TopicIds {
    /// Those that a checkpoint stored.
    pub fn new(stored: BTreeMap<String, String>) -> Self {
        Self(Arc::new(Mutex::new(stored)))
    }

    /// Takes in what the brokers say now; refuses a topic whose id was another.
    pub fn admit(&self, found: BTreeMap<String, String>) -> Result<()> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, id) in found {
            if known.get(&topic).is_some_and(|known| *known != id) {
                let what =
                    format!("topic `{topic}` was deleted and created anew since it was read");
                return Err(Error::corrupt(what).with_hint(CREATED_ANEW));
            }
            known.insert(topic, id);
        }
        Ok(())
    }

    /// Lets go of all: the next that are taken in are believed.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// All of them, for those topics that `wanted` names.
    pub fn of(&self, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|(t, _)| wanted(t)).map(|(t, id)| (t.clone(), id.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_the_same_name_and_another_id_is_refused() {
        let ids = |topic: &str, id: &str| BTreeMap::from([(topic.to_owned(), id.to_owned())]);
        let known = TopicIds::new(ids("t", "a"));
        known.admit(ids("t", "a")).unwrap();
        known.admit(BTreeMap::new()).unwrap();
        known.admit(ids("later", "c")).unwrap();
        for (topic, id) in [("t", "b"), ("later", "d")] {
            let text = known.admit(ids(topic, id)).unwrap_err().to_string();
            assert!(text.contains(&format!("`{topic}`")) && text.contains("anew"), "{text}");
        }
        assert_eq!(known.of(|_| true).len(), 2);
        assert_eq!(known.of(|topic| topic == "t"), ids("t", "a"));
        known.forget();
        known.admit(ids("t", "b")).unwrap();
    }
}
