//! Which topics are read: a list, a pattern, the transaction topic.
//!
//! Pure: it is told what a cluster holds and says what of it is ours. It must never match topics
//! that Kafka or Connect keep for themselves.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::options::Options;
use crate::error::{Error, Result};

/// Topics of a cluster and the number of their partitions.
pub type Listing = BTreeMap<String, usize>;

/// The topics asked for.
#[derive(Debug)]
pub struct Selection {
    named: BTreeSet<String>,
    pattern: Option<Regex>,
}

impl Selection {
    /// What `options` ask for; `Invalid` where that is nothing, or no regular expression.
    pub fn of(options: &Options) -> Result<Self> {
        let mut named: BTreeSet<_> = options.topics.iter().cloned().collect();
        let pattern = match (&options.topic_pattern, &options.prefix) {
            (Some(pattern), _) => Some(pattern.clone()),
            (None, Some(prefix)) if named.is_empty() => {
                Some(format!("{}\\..+", regex::escape(prefix)))
            }
            (None, Some(_)) => None,
            (None, None) if named.is_empty() => {
                return Err(Error::invalid("[kafka] names no topics")
                    .with_hint("write `topics`, `topic_pattern`, or the connector's `prefix`"));
            }
            (None, None) => None,
        };
        named.extend(options.transaction_topic());
        let pattern = pattern.map(|text| {
            Regex::new(&format!("^(?:{text})$")).map_err(|cause| {
                Error::invalid(format!("`topic_pattern` in [kafka] is no pattern: {cause}"))
            })
        });
        Ok(Self { named, pattern: pattern.transpose()? })
    }

    /// True where `topic` is asked for.
    pub fn contains(&self, topic: &str) -> bool {
        self.named.contains(topic)
            || (!topic.starts_with("__")
                && self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(topic)))
    }

    /// Topics that are asked for by name and don't exist yet.
    pub fn missing<'a>(&'a self, listing: &'a Listing) -> impl Iterator<Item = &'a String> {
        self.named.iter().filter(|topic| !listing.contains_key(*topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(change: impl FnOnce(&mut Options)) -> Result<Selection> {
        let mut options = Options::at("localhost:1");
        change(&mut options);
        Selection::of(&options)
    }

    #[test]
    fn lists_patterns_and_prefixes_select() {
        let listed = selection(|o| o.topics = vec!["a".into(), "__b".into()]).unwrap();
        assert!(listed.contains("a") && listed.contains("__b") && !listed.contains("c"));
        let listing = Listing::from([("a".to_owned(), 3)]);
        assert_eq!(listed.missing(&listing).collect::<Vec<_>>(), ["__b"]);

        let pattern = selection(|o| o.topic_pattern = Some("bank\\.x|.*y".into())).unwrap();
        assert!(pattern.contains("bank.x") && pattern.contains("my"));
        assert!(!pattern.contains("bank.xx") && !pattern.contains("__y"));

        let prefix = selection(|o| o.prefix = Some("bank".into())).unwrap();
        assert!(prefix.contains("bank.public.t") && prefix.contains("bank.transaction"));
        assert!(!prefix.contains("bankx") && !prefix.contains("other.bank.t"));
    }

    #[test]
    fn nothing_and_nonsense_are_refused() {
        assert!(selection(|_| ()).unwrap_err().to_string().contains("no topics"));
        let text = selection(|o| o.topic_pattern = Some("(".into())).unwrap_err().to_string();
        assert!(text.contains("topic_pattern"), "{text}");
    }
}
