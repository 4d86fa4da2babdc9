//! The configuration: one `freshet.toml`, the sum of what each station asks for.
//!
//! Stands before the line: `cli` loads it once and hands each station its own options. A file goes
//! 1. through `tree::keys`, which knows where each key and value stands,
//! 2. through `literal::refuse`, before anything could print a value,
//! 3. through serde into [`Config`]; `unknown::explain` says what serde meant,
//! 4. and its relative paths are taken from the file's own folder.
//!
//! It must never hold a secret (only the names of variables and files that do), and never guess:
//! a key that nobody asked for is refused, with its line and column.

mod literal;
pub mod log;
pub mod models;
mod parse;
pub mod postgres;
pub mod secrets;
mod tree;
mod unknown;

#[cfg(test)]
mod sample_tests;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::{checkpoint, connector, envelope, epoch, lake, publish, source, transform};

pub use literal::refuse_text;

/// The commented file that names every key with its default.
pub const SAMPLE: &str = include_str!("sample.toml");

/// All options of the service, checked for keys and types; stations check what values mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where records come from.
    pub kafka: source::options::Options,
    /// How the connector writes values.
    #[serde(default)]
    pub envelope: envelope::options::Options,
    /// How much one epoch holds.
    #[serde(default)]
    pub epoch: epoch::options::Options,
    /// Where tables lie.
    pub lake: lake::options::Options,
    /// `[memory]`.
    #[serde(default)]
    pub memory: lake::options::Memory,
    /// The dbt project.
    #[serde(default)]
    pub models: models::ModelsOptions,
    /// How much proving may take.
    #[serde(default)]
    pub proof: transform::options::ProofOptions,
    /// The lease and what recovery keeps.
    #[serde(default)]
    pub checkpoint: checkpoint::options::Options,
    /// Where finished marts go.
    #[serde(default)]
    pub publish: publish::options::Options,
    /// What is logged, and how.
    #[serde(default)]
    pub log: log::LogOptions,
    /// The source database, for `sources` and `generate` alone.
    pub postgres: Option<postgres::PostgresOptions>,
    /// The Debezium connector, for `connector` alone.
    pub connector: Option<connector::options::Options>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// `Invalid` when it can't be read, is no TOML, has an unknown, missing or ill-typed key, or
    /// holds a secret: `file:line:column`, what is wrong and what to write.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::invalid(format!("configuration `{}` can't be read: {cause}", path.display()))
                .with_hint("name another with --config FILE; `freshet demo` needs none")
        })?;
        let mut config = parse::parse(path, &text)?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Takes relative paths from `folder` instead of from where the program was started.
    fn resolve(&mut self, folder: &Path) {
        self.models.dir = folder.join(&self.models.dir);
        if !self.lake.url.contains("://") {
            self.lake.url = folder.join(&self.lake.url).to_string_lossy().into_owned();
        }
        let dirs = [&mut self.epoch.spill_dir, &mut self.memory.cold_dir];
        for dir in dirs.into_iter().filter(|dir| !dir.is_empty()) {
            *dir = folder.join(&*dir).to_string_lossy().into_owned();
        }
        for file in self.kafka.properties_from_file.values_mut() {
            *file = folder.join(&*file);
        }
        if let Some(local) = &mut self.publish.local {
            local.path = folder.join(&local.path);
        }
        if let Some(target) = &mut self.publish.snowflake {
            let files = [
                &mut target.private_key_file,
                &mut target.passphrase_file,
                &mut target.secret_file,
            ];
            for file in files.into_iter().flatten() {
                *file = folder.join(&*file);
            }
        }
        if let Some(file) = self.postgres.as_mut().and_then(|p| p.password_file.as_mut()) {
            *file = folder.join(&*file);
        }
    }
}
