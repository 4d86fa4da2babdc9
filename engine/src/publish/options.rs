//! Where finished marts go, as the configuration says it.
//!
//! Options alone. They must never hold a secret, only the names of variables and files that do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// `[publish]`: one table for each target that is used.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// A Snowflake account.
    pub snowflake: Option<Snowflake>,
    /// A SQLite file: a warehouse for a team without one, and for the demo.
    pub local: Option<Local>,
}

/// `[publish.snowflake]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snowflake {
    /// `organization-account`, as it stands before `.snowflakecomputing.com`.
    pub account: String,
    /// Another address of it: a private link, a proxy, an emulator.
    pub url: Option<String>,
    /// Who logs in.
    pub user: String,
    /// How: by key pair, programmatic access token or password.
    #[serde(default)]
    pub authenticator: Authenticator,
    /// The variable that holds the private key (PEM, PKCS#8, encrypted or not).
    pub private_key_env: Option<String>,
    /// Or the file that does.
    pub private_key_file: Option<PathBuf>,
    /// The variable that holds the encrypted key's passphrase.
    pub passphrase_env: Option<String>,
    /// Or the file that does.
    pub passphrase_file: Option<PathBuf>,
    /// The variable that holds the access token or the password.
    pub secret_env: Option<String>,
    /// Or the file that does.
    pub secret_file: Option<PathBuf>,
    /// The role that pushes.
    #[serde(default = "default_freshet")]
    pub role: String,
    /// The warehouse that pushes run in.
    #[serde(default = "default_freshet")]
    pub warehouse: String,
    /// Credits that it burns an hour: 1 for X-Small.
    #[serde(default = "default_credits_per_hour")]
    pub credits_per_hour: f64,
    /// The database that the report reads.
    #[serde(default = "default_database")]
    pub database: String,
    /// The schema of the marts.
    #[serde(default = "default_schema")]
    pub schema: String,
    /// The schema of ledger and stage.
    #[serde(default = "default_freshet")]
    pub state_schema: String,
    /// `sse`: the server encrypts staged files; `full`: they are encrypted before they leave.
    #[serde(default)]
    pub stage_encryption: StageEncryption,
    /// Seconds after which a statement that still runs is given up.
    #[serde(default = "default_statement_seconds")]
    pub statement_seconds_max: u64,
    /// What is published, when, and what is allowed.
    #[serde(default)]
    pub policy: Policy,
    /// RAW as events, where it is wanted.
    pub raw: Option<Raw>,
}

impl Snowflake {
    /// The defaults for an account at this address, by password.
    pub fn at(account: &str, url: &str) -> Self {
        Self {
            account: account.to_owned(),
            url: Some(url.to_owned()),
            user: default_freshet(),
            authenticator: Authenticator::Password,
            private_key_env: None,
            private_key_file: None,
            passphrase_env: None,
            passphrase_file: None,
            secret_env: None,
            secret_file: None,
            role: default_freshet(),
            warehouse: default_freshet(),
            credits_per_hour: default_credits_per_hour(),
            database: default_database(),
            schema: default_schema(),
            state_schema: default_freshet(),
            stage_encryption: StageEncryption::default(),
            statement_seconds_max: default_statement_seconds(),
            policy: Policy::default(),
            raw: None,
        }
    }
}

/// `[publish.local]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// The SQLite file; it is made if it is not there.
    pub path: PathBuf,
    /// What is published, when, and what is allowed.
    #[serde(default)]
    pub policy: Policy,
}

/// How a login proves who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authenticator {
    /// A signed token; the private key never leaves this machine.
    #[default]
    KeyPair,
    /// A programmatic access token.
    Token,
    /// A password, for those who must.
    Password,
}

/// Who encrypts staged files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageEncryption {
    /// The stage, when it gets them.
    #[default]
    Sse,
    /// We, by a key that the stage gives out.
    Full,
}

/// What is published, when, and what is allowed: `[publish.<target>.policy]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Models to publish; empty for all of the folder `marts`.
    pub models: Vec<String>,
    /// Table names that differ from the model's, in capitals.
    pub names: BTreeMap<String, String>,
    /// Seconds between two pushes at least; 0 pushes each epoch.
    pub every_seconds: u64,
    /// Credits a day that pushes may burn; they are spaced to stay inside. 0 sets no budget.
    pub credits_per_day: f64,
    /// Hours without pushes, in UTC: `22:00-06:00`.
    pub quiet_hours: Vec<String>,
    /// Whether a failing data test of severity error holds pushes back.
    pub hold_on_failed_tests: bool,
    /// A push of more than this share of a mart's rows sends the mart whole.
    pub overwrite_share: f64,
    /// Changed rows in memory, over all marts; a mart that would go beyond is sent whole.
    pub pending_rows_max: usize,
    /// Whether a column whose type changed is changed in the target too.
    pub allow_type_changes: bool,
    /// Whether a column that the model dropped is dropped in the target too.
    pub allow_dropped_columns: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            names: BTreeMap::new(),
            every_seconds: 60,
            credits_per_day: 0.0,
            quiet_hours: Vec::new(),
            hold_on_failed_tests: true,
            overwrite_share: 0.5,
            pending_rows_max: 2_000_000,
            allow_type_changes: false,
            allow_dropped_columns: false,
        }
    }
}

/// `[publish.snowflake.raw]`: the events themselves, append-only.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The schema of the tables.
    #[serde(default = "default_raw_schema")]
    pub schema: String,
    /// The VARIANT column: what the team's staging models read, `DATA` or `V`.
    #[serde(default = "default_raw_column")]
    pub column: String,
    /// The column that says when a row came; empty for none.
    #[serde(default = "default_raw_time")]
    pub time_column: String,
    /// Source tables to publish; empty for all that the project declares.
    #[serde(default)]
    pub tables: Vec<String>,
}

fn default_freshet() -> String {
    "FRESHET".to_owned()
}

const fn default_credits_per_hour() -> f64 {
    1.0
}

fn default_database() -> String {
    "BANKING".to_owned()
}

fn default_schema() -> String {
    "ANALYTICS".to_owned()
}

const fn default_statement_seconds() -> u64 {
    3_600
}

fn default_raw_schema() -> String {
    "RAW".to_owned()
}

fn default_raw_column() -> String {
    "DATA".to_owned()
}

fn default_raw_time() -> String {
    "INGESTED_AT".to_owned()
}
