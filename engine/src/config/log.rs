//! What is logged, and in which form.
//!
//! Read by `cli` before anything else runs; the command line wins over it. It must never name a
//! place to write to: logs go to standard error, where whoever runs the service takes them.

use clap::ValueEnum;
use serde::Deserialize;

/// `[log]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogOptions {
    /// The form of a line.
    pub format: LogFormat,
    /// The least grave event that is shown.
    pub level: LogLevel,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line, for collectors.
    Json,
}

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What stops the line.
    Error,
    /// What someone should look at.
    Warn,
    /// The life of the service.
    #[default]
    Info,
    /// Each epoch, with each station's share.
    Debug,
    /// All there is.
    Trace,
}

impl LogLevel {
    /// This level, or the one that so many `-v` ask for if it shows more.
    #[must_use]
    pub fn raised(self, verbose: u8) -> Self {
        self.max(match verbose {
            0 => Self::Error,
            1 => Self::Debug,
            _ => Self::Trace,
        })
    }

    /// The word that log filters know it by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
