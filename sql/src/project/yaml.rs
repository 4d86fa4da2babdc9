//! YAML with places: every key and value knows its file, line and column.
//!
//! It stands under the readers of dbt_project.yml and the property files. It must never decide
//! what a key means; it only says what was found where something else was expected.

use serde_json::Value as Json;
use serde_saphyr::Spanned;

use crate::error::{Error, Location, Result, did_you_mean};
use crate::project::nodes::{Raw, narrow, placed};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Yaml {
    pub node: Node,
    pub at: Location,
}

/// What YAML can say; scalars as JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Scalar(Json),
    List(Vec<Yaml>),
    Map(Vec<Entry>),
}

/// One `key: value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub at: Location,
    pub value: Yaml,
}

impl Yaml {
    /// Reads one document; an empty file is null.
    pub fn parse(file: &str, text: &str) -> Result<Yaml> {
        // Only true and false are booleans: a column named `y` stays a text.
        let options = serde_saphyr::options! { strict_booleans: true };
        match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
            Ok(raw) => Ok(placed(raw, file)),
            Err(error) => {
                let error = error.without_snippet();
                let at = error.location().map_or_else(
                    || Location::top(file),
                    |at| Location::new(file, narrow(at.line()), narrow(at.column())),
                );
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                let braces = message.contains("expected string scalar");
                let hint = braces.then(|| "put Jinja into quotes: \"{{ .. }}\"".to_owned());
                Err(Error::invalid(at, format!("yaml: {message}")).hinted(hint))
            }
        }
    }

    pub fn is_null(&self) -> bool {
        self.node == Node::Scalar(Json::Null)
    }

    /// The entries of a map; null is an empty one.
    pub fn entries(&self, what: &str) -> Result<&[Entry]> {
        match &self.node {
            Node::Map(entries) => Ok(entries),
            Node::Scalar(Json::Null) => Ok(&[]),
            _ => Err(self.expected(what, "a map")),
        }
    }

    /// The items of a list; null is an empty one.
    pub fn items(&self, what: &str) -> Result<&[Yaml]> {
        match &self.node {
            Node::List(items) => Ok(items),
            Node::Scalar(Json::Null) => Ok(&[]),
            _ => Err(self.expected(what, "a list")),
        }
    }

    /// A key's value, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        match &self.node {
            Node::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// A text; numbers and booleans are taken as they are written.
    pub fn text(&self, what: &str) -> Result<String> {
        match &self.node {
            Node::Scalar(Json::String(text)) => Ok(text.clone()),
            Node::Scalar(scalar) if !scalar.is_null() => Ok(scalar.to_string()),
            _ => Err(self.expected(what, "a text")),
        }
    }

    /// A text or a list of texts.
    pub fn texts(&self, what: &str) -> Result<Vec<String>> {
        match &self.node {
            Node::List(items) => items.iter().map(|item| item.text(what)).collect(),
            Node::Scalar(Json::Null) => Ok(Vec::new()),
            _ => Ok(vec![self.text(what)?]),
        }
    }

    /// The value without its places.
    pub fn json(&self) -> Json {
        match &self.node {
            Node::Scalar(scalar) => scalar.clone(),
            Node::List(items) => items.iter().map(Yaml::json).collect(),
            Node::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.value.json())).collect())
            }
        }
    }

    /// The required name of an entry of a list.
    pub fn name(&self, what: &str) -> Result<String> {
        self.entries(what)?;
        match self.get("name") {
            Some(name) => name.text("name"),
            None => Err(Error::invalid(self.at.clone(), format!("{what} has no name:"))),
        }
    }

    /// The text of an optional key, empty if it is missing.
    pub fn optional_text(&self, key: &str) -> Result<String> {
        self.get(key).filter(|value| !value.is_null()).map_or(Ok(String::new()), |v| v.text(key))
    }

    /// Refuses keys that are none of these.
    pub fn allow(&self, what: &str, known: &[&str]) -> Result<()> {
        for entry in self.entries(what)? {
            if !known.contains(&entry.key.as_str()) {
                let message = format!("{what} has no key \"{}\"", entry.key);
                return Err(Error::invalid(entry.at.clone(), message)
                    .hinted(did_you_mean(&entry.key, known.iter().copied())));
            }
        }
        Ok(())
    }

    fn expected(&self, what: &str, kind: &str) -> Error {
        let found = match &self.node {
            Node::Map(_) => "a map",
            Node::List(_) => "a list",
            Node::Scalar(Json::Null) => "nothing",
            Node::Scalar(_) => "a single value",
        };
        Error::invalid(self.at.clone(), format!("{what} must be {kind}, found {found}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_places() {
        let yaml = Yaml::parse("a.yml", "models:\n  - name: x\n    tags: [1, b]\n").unwrap();
        let model = &yaml.get("models").unwrap().items("models").unwrap()[0];
        assert_eq!(model.get("name").unwrap().at, Location::new("a.yml", 2, 11));
        assert_eq!(model.get("tags").unwrap().texts("tags").unwrap(), ["1", "b"]);
        let error = model.allow("a model", &["name", "tag"]).unwrap_err().to_string();
        assert!(error.starts_with("a.yml:3:5: a model has no key \"tags\""), "{error}");
        assert!(Yaml::parse("a.yml", "# nothing\n").unwrap().is_null());
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        let yaml = Yaml::parse("a.yml", "[y, yes, on, true]").unwrap();
        assert_eq!(yaml.json(), serde_json::json!(["y", "yes", "on", true]));
    }

    #[test]
    fn broken_yaml_is_told_with_its_place() {
        let error = Yaml::parse("a.yml", "a: 1\na: 2\n").unwrap_err().to_string();
        assert!(error.starts_with("a.yml:2:1: yaml: duplicate mapping key: a"), "{error}");
        let error = Yaml::parse("a.yml", "a: {{ x }}\n").unwrap_err().to_string();
        assert!(error.starts_with("a.yml:1:5: "), "{error}");
        assert!(error.contains("hint: put Jinja into quotes"), "{error}");
    }
}
