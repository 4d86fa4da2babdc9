//! The engine's errors: few kinds, named for what the operator does next.
//!
//! Stands left of every station, so that each can return it. It must never carry row values or
//! secrets: only names, positions, and what to do.

use std::fmt;

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, by what is to be done about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server or disk did not answer: retried with backoff, then exit 3.
    #[error("{what}")]
    Unavailable {
        /// What was tried, and with whom.
        what: String,
        /// The client's own error.
        #[source]
        cause: Option<Cause>,
    },
    /// Configuration, a model or its SQL has to be fixed: exit 2.
    #[error("{message}{}", hint_line(hint))]
    Invalid {
        /// `file:line:column: what is wrong`, where a file is known.
        message: String,
        /// What would mend it, where known.
        hint: Option<String>,
    },
    /// A model or a data test failed on the data: exit 1.
    #[error("{message}{}", hint_line(hint))]
    Failed {
        /// Which model or test, and why.
        message: String,
        /// What would mend it, where known.
        hint: Option<String>,
    },
    /// Another instance owns this lake now: stop, change nothing.
    #[error("fenced: {0}")]
    Fenced(String),
    /// Stored facts contradict each other: stop, change nothing.
    #[error("{message}{}", hint_line(hint))]
    Corrupt {
        /// Which facts, and where they lie.
        message: String,
        /// What would mend it, where known.
        hint: Option<String>,
    },
    /// The engine contradicts itself.
    #[error("bug: {0}; please report it with the log")]
    Bug(String),
}

fn hint_line(hint: &Option<String>) -> String {
    hint.as_ref().map(|h| format!("\n  hint: {h}")).unwrap_or_default()
}

impl Error {
    /// A server or disk did not answer.
    pub fn unavailable(
        what: impl fmt::Display,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable { what: format!("{what}: {cause}"), cause: Some(Box::new(cause)) }
    }

    /// Something the user wrote has to be fixed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), hint: None }
    }

    /// A model or a test failed on the data.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: None }
    }

    /// Stored facts contradict each other.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::Corrupt { message: message.into(), hint: None }
    }

    /// The engine contradicts itself.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::Bug(message.into())
    }

    /// The same error with a line that says what to do.
    #[must_use]
    pub fn with_hint(self, text: impl Into<String>) -> Self {
        let hint = Some(text.into());
        match self {
            Self::Invalid { message, .. } => Self::Invalid { message, hint },
            Self::Failed { message, .. } => Self::Failed { message, hint },
            Self::Corrupt { message, .. } => Self::Corrupt { message, hint },
            other => other,
        }
    }

    /// The process's exit code: 1 model or test, 2 configuration, 3 a server, 4 fenced, 5 the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed { .. } => 1,
            Self::Invalid { .. } => 2,
            Self::Unavailable { .. } => 3,
            Self::Fenced(_) => 4,
            Self::Corrupt { .. } | Self::Bug(_) => 5,
        }
    }
}

impl From<freshet_sql::error::Error> for Error {
    fn from(error: freshet_sql::error::Error) -> Self {
        use freshet_sql::error::Error as Sql;
        let place = error.location().map(|l| format!("{l}: ")).unwrap_or_default();
        match error {
            Sql::Invalid { message, hint, .. } => {
                Self::Invalid { message: format!("{place}{message}"), hint }
            }
            Sql::Failed { message, hint, .. } => {
                Self::Failed { message: format!("{place}{message}"), hint }
            }
            Sql::Bug(message) => Self::Bug(message),
        }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Bug(format!("arrow: {error}"))
    }
}
