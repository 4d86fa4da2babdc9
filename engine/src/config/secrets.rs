//! A secret: what the environment or a file holds for us.
//!
//! Stations that need one ask here by name, at the moment they need it. It must never be printed,
//! and never come from the configuration file itself (`literal` refuses that).

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};

/// A password, key or token. Printed, it is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value of an environment variable.
    ///
    /// # Errors
    /// `Invalid` when the variable is not set, is empty or is no text.
    pub fn from_env(variable: &str) -> Result<Self> {
        match std::env::var(variable) {
            Ok(value) if !value.is_empty() => Ok(Self(value)),
            _ => Err(Error::invalid(format!("environment variable {variable} is not set"))
                .with_hint(format!("set {variable} for this process; it should hold a secret"))),
        }
    }

    /// The content of a file, without line ends behind it.
    ///
    /// # Errors
    /// `Invalid` when the file can't be read or is empty.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::invalid(format!("secret file `{}` can't be read: {cause}", path.display()))
        })?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(Error::invalid(format!("secret file `{}` is empty", path.display()))),
            secret => Ok(Self(secret.to_owned())),
        }
    }

    /// A secret that the configuration names by variable or by file; none if by neither.
    ///
    /// `what` is the key as users write it, such as `[postgres] password`.
    ///
    /// # Errors
    /// `Invalid` when both are named, or the one named holds nothing.
    pub fn named(what: &str, env: Option<&str>, file: Option<&Path>) -> Result<Option<Self>> {
        match (env, file) {
            (None, None) => Ok(None),
            (Some(variable), None) => Self::from_env(variable).map(Some),
            (None, Some(path)) => Self::from_file(path).map(Some),
            (Some(_), Some(_)) => {
                Err(Error::invalid(format!("{what} is named twice: by _env and by _file"))
                    .with_hint("keep one of the two"))
            }
        }
    }

    /// The secret itself, for the client that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
