//! The errors of the pure crate: what is wrong, in which file, on which line, and what to do.
//!
//! Every station that reads a model, its SQL or its tests ends in one of these three kinds; the
//! engine turns them into exit codes. They must never carry a row's values or a secret.

use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in a file of the project. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Path relative to the project's root, with `/`.
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl Location {
    pub fn new(file: impl Into<String>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column }
    }

    /// The first character of a file.
    pub fn top(file: impl Into<String>) -> Self {
        Self::new(file, 1, 1)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What went wrong, named for who repairs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The project, a model or its SQL is wrong or not supported: whoever wrote it changes it.
    Invalid { location: Option<Location>, message: String, hint: Option<String> },
    /// A model or a test failed on the rows it met: the rows or the model need a look.
    Failed { location: Option<Location>, message: String, hint: Option<String> },
    /// A broken promise of this program itself.
    Bug(String),
}

impl Error {
    /// An `Invalid` at a known place.
    pub fn invalid(location: Location, message: impl Into<String>) -> Self {
        Self::Invalid { location: Some(location), message: message.into(), hint: None }
    }

    /// An `Invalid` that belongs to no file, such as a missing one.
    pub fn invalid_nowhere(message: impl Into<String>) -> Self {
        Self::Invalid { location: None, message: message.into(), hint: None }
    }

    /// A `Failed` at a known place.
    pub fn failed(location: Location, message: impl Into<String>) -> Self {
        Self::Failed { location: Some(location), message: message.into(), hint: None }
    }

    /// A `Failed` that belongs to no file, such as a query that met a value it can't cast.
    pub fn failed_nowhere(message: impl Into<String>) -> Self {
        Self::Failed { location: None, message: message.into(), hint: None }
    }

    /// The same error with an advice; an earlier advice gives way, `None` and a bug change nothing.
    #[must_use]
    pub fn hinted(mut self, advice: impl Into<Option<String>>) -> Self {
        if let Self::Invalid { hint, .. } | Self::Failed { hint, .. } = &mut self
            && let Some(advice) = advice.into()
        {
            *hint = Some(advice);
        }
        self
    }

    /// Where it is, if it has a place.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Invalid { location, .. } | Self::Failed { location, .. } => location.as_ref(),
            Self::Bug(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (location, message, hint) = match self {
            Self::Invalid { location, message, hint } => (location, message, hint),
            Self::Failed { location, message, hint } => (location, message, hint),
            Self::Bug(message) => return write!(f, "bug in freshet: {message}"),
        };
        if let Some(location) = location {
            write!(f, "{location}: ")?;
        }
        f.write_str(message)?;
        match hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The name closest to a misspelt one, as an advice: `did you mean "customers"?`.
/// `None` where nothing is close enough to be meant.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(wrong, known).map(|name| format!("did you mean \"{name}\"?"))
}

/// The known name that a misspelt one most likely means; ties go to the first in order.
pub fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.7;
    let wrong = wrong.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for name in known {
        let likeness = strsim::normalized_damerau_levenshtein(&wrong, &name.to_lowercase());
        if likeness >= LIKENESS_MIN && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, name));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_place_message_and_advice() {
        let error = Error::invalid(Location::new("marts/a.sql", 3, 7), "no model \"b\"")
            .hinted(did_you_mean("custmers", ["accounts", "customers"]));
        assert_eq!(
            error.to_string(),
            "marts/a.sql:3:7: no model \"b\"\nhint: did you mean \"customers\"?"
        );
        assert_eq!(did_you_mean("zebra", ["accounts", "customers"]), None);
    }
}
