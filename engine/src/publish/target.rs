//! A configured target, ready to be connected: its options, and the secrets that it logs in with.

use super::attempt::Attempt;
use super::contract::Contract;
use super::local::Local;
use super::options::{self, Policy, Raw};
use super::snowflake::Snowflake;
use super::snowflake::credentials::Credentials;
use super::warehouse::Warehouse;
use crate::error::Result;
use crate::lake::store::Store;

/// Every target's name.
pub const TARGETS: [&str; 2] = ["snowflake", "local"];

/// A target by its name in the configuration.
#[derive(Debug, Clone)]
pub enum Target {
    /// `snowflake`.
    Snowflake(Box<options::Snowflake>, Credentials),
    /// `local`.
    Local(options::Local),
}

impl Target {
    /// `snowflake` or `local`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Snowflake(..) => "snowflake",
            Self::Local(_) => "local",
        }
    }

    /// What is published, when, and what is allowed.
    pub fn policy(&self) -> &Policy {
        match self {
            Self::Snowflake(options, _) => &options.policy,
            Self::Local(options) => &options.policy,
        }
    }

    /// RAW, where it is wanted.
    pub fn raw(&self) -> Option<&Raw> {
        match self {
            Self::Snowflake(options, _) => options.raw.as_ref(),
            Self::Local(_) => None,
        }
    }

    /// Credits that its warehouse burns an hour.
    pub fn credits_per_hour(&self) -> f64 {
        match self {
            Self::Snowflake(options, _) => options.credits_per_hour,
            Self::Local(_) => 0.0,
        }
    }

    /// RAW's tables where the options name none: these.
    pub fn fill_raw(&mut self, tables: impl Iterator<Item = String>) {
        if let Self::Snowflake(options, _) = self
            && let Some(raw) = &mut options.raw
            && raw.tables.is_empty()
        {
            raw.tables = tables.map(|t| t.to_uppercase()).collect();
        }
    }

    /// The target itself. A local file is opened; an account is asked only when it must be.
    pub fn connect(&self) -> Result<Box<dyn Warehouse>> {
        Ok(match self {
            Self::Snowflake(options, credentials) => {
                Box::new(Snowflake::new(options.as_ref().clone(), credentials.clone()))
            }
            Self::Local(options) => Box::new(Local::open(&options.path)?),
        })
    }

    /// Ready for a first attempt.
    pub fn attempt(
        &self,
        store: Store,
        lake: String,
        generation: u64,
        contracts: Vec<Contract>,
    ) -> Result<Attempt> {
        Ok(Attempt {
            target: self.name().to_owned(),
            warehouse: self.connect()?,
            store,
            lake,
            generation,
            contracts,
            policy: self.policy().clone(),
            raw: self.raw().cloned(),
            credits_per_hour: self.credits_per_hour(),
            adopted: std::collections::BTreeSet::new(),
            raw_behind: false,
            known: None,
        })
    }
}
