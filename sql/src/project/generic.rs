//! The project's own tests: `{% test %}` blocks with parameters, kept until they are declared.
//!
//! A body is rendered in place, so that its errors point into the test's file.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;

use crate::error::{Error, Location, Result};
use crate::jinja::Jinja;
use crate::jinja::blocks::{Block, cut};
use crate::jinja::source::SourceFile;

/// A test of the project's own.
#[derive(Debug, Clone)]
pub struct GenericTest {
    pub file: Arc<SourceFile>,
    /// What Jinja gets: the block in its place in the file.
    pub template: String,
    /// In order; the value is the default's expression.
    pub parameters: Vec<(String, Option<String>)>,
    pub at: Location,
}

/// The tests of a file, added to those that are known.
pub fn collect(file: &Arc<SourceFile>, into: &mut BTreeMap<String, GenericTest>) -> Result<()> {
    for block in cut(file, &["test", "data_test"])? {
        let at = file.locate(block.offset);
        let test = GenericTest {
            file: Arc::clone(file),
            parameters: parameters(&block, &at)?,
            template: block.text,
            at: at.clone(),
        };
        if let Some(first) = into.insert(block.name.clone(), test) {
            let message = format!("the test \"{}\" is already defined at {}", block.name, first.at);
            return Err(Error::invalid(at, message));
        }
    }
    Ok(())
}

fn parameters(block: &Block, at: &Location) -> Result<Vec<(String, Option<String>)>> {
    let text = block.parameters.as_deref().unwrap_or_default();
    let mut all = Vec::new();
    for part in split(text).into_iter().map(str::trim).filter(|part| !part.is_empty()) {
        let (name, default) = match part.split_once('=') {
            Some((name, default)) => (name.trim(), Some(default.trim().to_owned())),
            None => (part, None),
        };
        all.push((name.to_owned(), default));
    }
    if all.first().is_none_or(|(name, _)| name != "model") {
        let message = format!("the test \"{}\" must take \"model\" first", block.name);
        return Err(Error::invalid(at.clone(), message)
            .hinted(format!("write {{% test {}(model, column_name) %}}", block.name)));
    }
    Ok(all)
}

/// Splits at commas outside brackets and quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_i32, None);
    for (at, letter) in text.char_indices() {
        match quote {
            Some(open) if open == letter => quote = None,
            Some(_) => {}
            None => match letter {
                '\'' | '"' => quote = Some(letter),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    parts.push(&text[start..at]);
                    start = at + 1;
                }
                _ => {}
            },
        }
    }
    parts.push(&text[start..]);
    parts
}

impl GenericTest {
    /// The names of its parameters without `model` and `column_name`.
    pub fn own_parameters(&self) -> Vec<&str> {
        let names = self.parameters.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !matches!(*name, "model" | "column_name")).collect()
    }

    /// The values that its body sees: those given, else the defaults. `at` is the declaration.
    pub fn bind(
        &self,
        given: &BTreeMap<String, Value>,
        jinja: &Jinja<'_>,
        at: &Location,
    ) -> Result<Vec<(String, Value)>> {
        let mut bound = Vec::new();
        for (name, default) in &self.parameters {
            let value = match (given.get(name), default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => {
                    let file = SourceFile::pinned(default.clone(), self.at.clone());
                    jinja.evaluate(default, &Arc::new(file))?.0
                }
                (None, None) => {
                    let message = format!("this test needs the argument \"{name}\"");
                    return Err(Error::invalid(at.clone(), message));
                }
            };
            bound.push((name.clone(), value));
        }
        Ok(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_may_have_defaults_with_commas() {
        let text = "{% test t(model, column_name, a=[1, ','], b = 'x') %}select 1{% endtest %}";
        let mut tests = BTreeMap::new();
        collect(&Arc::new(SourceFile::new("t.sql", text)), &mut tests).unwrap();
        let test = &tests["t"];
        assert_eq!(test.own_parameters(), ["a", "b"]);
        assert_eq!(test.parameters[2].1.as_deref(), Some("[1, ',']"));
        let file = Arc::new(SourceFile::new("u.sql", "{% test u(x) %}{% endtest %}"));
        let error = collect(&file, &mut tests).unwrap_err().to_string();
        assert!(error.starts_with("u.sql:1:9: the test \"u\" must take \"model\""), "{error}");
    }
}
