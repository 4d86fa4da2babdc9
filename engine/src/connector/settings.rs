//! What the connector is told: debezium.json, the configuration's changes, and what must hold.
//!
//! Pure. It must never let a password through: those settings are kept in a topic.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// The settings that the tests run with, and that the facts about Debezium call for.
pub const DEBEZIUM: &str = include_str!("debezium.json");

const TRANSACTION_INCLUDE: &str = "topic.creation.transaction.include";

/// All settings of the connector, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Ours with changes; an empty text takes a setting out.
    ///
    /// # Errors
    /// `Bug` when debezium.json is no JSON object of texts.
    pub fn of(changed: &BTreeMap<String, String>) -> Result<Self> {
        let ours: BTreeMap<String, String> = serde_json::from_str(DEBEZIUM)
            .map_err(|error| Error::bug(format!("debezium.json: {error}")))?;
        let mut settings = Self(ours);
        settings.0.extend(changed.clone());
        if !changed.contains_key(TRANSACTION_INCLUDE) {
            let pattern = settings.transaction_topic().replace('.', "\\.");
            settings.0.insert(TRANSACTION_INCLUDE.to_owned(), pattern);
        }
        settings.0.retain(|_, value| !value.is_empty());
        Ok(settings)
    }

    /// One setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, for the request.
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// As JSON, one setting a line.
    ///
    /// # Errors
    /// `Bug`: texts always can be written.
    pub fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(&self.0).map_err(|error| Error::bug(error.to_string()))
    }

    /// The topic of BEGIN and END.
    pub fn transaction_topic(&self) -> String {
        let prefix = self.get("topic.prefix").unwrap_or_default();
        format!("{prefix}.{}", self.get("topic.transaction").unwrap_or("transaction"))
    }

    /// Checks what the line rests on. `partitions` as in [`super::apply`].
    ///
    /// # Errors
    /// `Invalid` with the setting, why it matters, and what to write.
    pub fn check(&self, partitions: Option<i32>) -> Result<()> {
        let wrong = |message: String, hint: &str| Err(Error::invalid(message).with_hint(hint));
        for (name, value) in &self.0 {
            let reference = value.starts_with("${") && value.ends_with('}');
            if name.ends_with("password") && !reference {
                return wrong(
                    format!("connector setting `{name}` holds a secret, written out"),
                    "let Connect fill it in from its own environment: \"${env:PGPASSWORD}\"",
                );
            }
        }
        if self.get("provide.transaction.metadata") != Some("true") {
            return wrong(
                "connector setting `provide.transaction.metadata` is not \"true\": epochs could \
                 not be cut at the source's transactions"
                    .to_owned(),
                "leave it out of [connector.settings]",
            );
        }
        let topic = self.transaction_topic();
        match partitions {
            Some(1) => Ok(()),
            Some(many) => wrong(
                format!(
                    "topic `{topic}` has {many} partitions: BEGIN and END of one transaction \
                     would be read in any order"
                ),
                "stop the connector, delete the topic, and apply again: it is created with one",
            ),
            None if self.creates_one_partition() => Ok(()),
            None => wrong(
                format!("nothing says that topic `{topic}` gets one partition"),
                "create it with one partition, or leave topic.creation.* out of \
                 [connector.settings]",
            ),
        }
    }

    fn creates_one_partition(&self) -> bool {
        let groups = self.get("topic.creation.groups").unwrap_or_default();
        let mut groups = groups.split(',').map(str::trim);
        groups.any(|group| group == "transaction")
            && self.get("topic.creation.transaction.partitions") == Some("1")
    }
}
