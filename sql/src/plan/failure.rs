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
        let message = clean(&text);
        let hint = refuse::hint(&message);
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

fn clean(text: &str) -> String {
    let mut message = text;
    for prefix in ["SQL error: ", "Error during planning: ", "Schema error: ", "Execution error: "]
    {
        message = message.trim_start_matches(prefix);
    }
    message.split("\n\nBacktrace").next().unwrap_or(message).to_owned()
}
