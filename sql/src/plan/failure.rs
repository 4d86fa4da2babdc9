//! Why a query could not be planned or run, with the place in its text where one is known.

use std::fmt;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

use super::refuse;
use crate::error::Error;

/// A query that could not be planned: the message, and line and column in the compiled text.
#[derive(Debug, Clone)]
pub struct PlanFailure {
    /// What is wrong, without the engine's own prefixes.
    pub message: String,
    /// Line and column in the compiled SQL, both from 1, where known.
    pub at: Option<(u64, u64)>,
    /// What would mend it, where known.
    pub hint: Option<String>,
}

impl fmt::Display for PlanFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PlanFailure {}

impl From<DataFusionError> for PlanFailure {
    fn from(error: DataFusionError) -> Self {
        let at = error.diagnostic().and_then(|d| d.span).map(|s| (s.start.line, s.start.column));
        let text = error.strip_backtrace();
        let at = at.filter(|(line, _)| *line > 0).or_else(|| place_in(&text));
        let (message, hint) = worded(&clean(&text));
        Self { message, at, hint }
    }
}

impl From<Error> for PlanFailure {
    fn from(error: Error) -> Self {
        Self { message: error.to_string(), at: None, hint: None }
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        Error::failed_nowhere(error.to_string())
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Error::failed_nowhere(clean(&error.strip_backtrace()))
    }
}

/// The parser names a place only in its message: `... at Line: 3, Column: 7`.
fn place_in(text: &str) -> Option<(u64, u64)> {
    let rest = text.split("Line: ").nth(1)?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((line.parse().ok()?, digits.parse().ok()?))
}

/// The message as ours read, and what would mend it: DataFusion tells both in one text.
fn worded(text: &str) -> (String, Option<String>) {
    if let Some((name, hint)) = refuse::refused(text) {
        return (format!("`{name}()` can't be used in a model"), Some(hint));
    }
    let (message, hint) = match text.split_once('\n') {
        Some((message, hint)) => (message.trim_end_matches('.'), Some(lower_first(hint))),
        None => (text, None),
    };
    (lower_first(message), hint)
}

fn lower_first(text: &str) -> String {
    // Only words: an acronym or a quoted name stays as it is.
    let word = text.chars().nth(1).is_some_and(|c| c.is_ascii_lowercase());
    match text.chars().next() {
        Some(first) if word => {
            format!("{}{}", first.to_ascii_lowercase(), &text[first.len_utf8()..])
        }
        _ => text.to_owned(),
    }
}

fn clean(text: &str) -> String {
    let mut message = text;
    for prefix in ["SQL error: ", "Error during planning: ", "Schema error: ", "Execution error: "]
    {
        message = message.trim_start_matches(prefix);
    }
    message.split("\n\nBacktrace").next().unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_worded_as_ours() {
        let unknown = "No field named b.\nValid fields are t.a, t.c.";
        let hint = Some("valid fields are t.a, t.c.".to_owned());
        assert_eq!(worded(unknown), ("no field named b".to_owned(), hint));
        let (message, hint) = worded("Invalid function 'random'.\nDid you mean 'range'?");
        assert_eq!(message, "`random()` can't be used in a model");
        assert!(hint.is_some_and(|h| !h.contains("range")));
        assert_eq!(worded("SQL of A is odd"), ("SQL of A is odd".to_owned(), None));
    }
}
