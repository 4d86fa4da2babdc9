//! What can be typed: commands and options, with their help.
//!
//! Definitions alone; the commands themselves stand beside this file. It must never open a file or
//! decide anything that the configuration decides too: an absent option is `None`.

mod bench;
mod publish;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use bench::{Bench, Drain, EpochBench, LakeBench, PublishBench};
pub use publish::{Publish, PublishHold, PublishPush, PublishSetup, PublishTarget};

use crate::config::log::LogFormat;

/// Keeps a warehouse's staging models, history and marts fresh from a database's change stream.
///
/// Records of Debezium come from Kafka, dbt models are kept exactly current in Delta tables, and
/// all of them move together, epoch by epoch. Try `freshet demo`: it needs nothing else running.
#[derive(Debug, Parser)]
#[command(name = "freshet", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done, 1 a model or test failed, 2 configuration, \
    3 a server unavailable, 4 another instance runs, 5 stored facts contradict each other.")]
pub struct Arguments {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", env = "FRESHET_CONFIG")]
    #[arg(default_value = "freshet.toml")]
    pub config: PathBuf,
    /// The form of log lines; wins over [log] format
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Log more: -v each epoch, -vv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole line on this machine: broker, bank, engine and lake in one process
    Demo(Demo),
    /// Run the service until it is told to stop (SIGTERM, ctrl-c)
    Serve,
    /// Work off what is there, then exit; for cron and Airflow
    CatchUp(CatchUp),
    /// Show the last epoch, lag, rows per model, failed tests and dead letters
    Status(Status),
    /// Ask the lake, as of its last epoch
    Sql(Sql),
    /// Show how models follow their inputs, what that costs, and what stands in the way
    Explain(Explain),
    /// Recompute models from what they read and compare with what is stored
    Prove(Prove),
    /// Run captured records (kcat -J) through the line into a lake of their own
    Replay(Replay),
    /// Push finished marts to a warehouse, set one up, compare it with the lake
    #[command(subcommand)]
    Publish(Publish),
    /// Write the dbt sources file from PostgreSQL's catalog
    Sources(Sources),
    /// Put the Debezium connector into Kafka Connect, or look at it
    #[command(subcommand)]
    Connector(Connector),
    /// Let the bank live in a PostgreSQL: customers, accounts, transfers
    Generate(Generate),
    /// Measure this machine
    #[command(subcommand)]
    Bench(Bench),
    /// Run a Snowflake to try things on: on this machine, in memory, for pushes and plain queries
    Emulator(Emulator),
}

/// `freshet explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The model [default: all of them]
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
    /// Exit 1 if a model costs everything at each change, or more than it did
    #[arg(long)]
    pub strict: bool,
    /// What it cost before: an earlier `freshet explain --json` [default: the lake's last epoch]
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// The dbt project [default: that of the configuration, else the bank's, which is built in]
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `freshet prove`
#[derive(Debug, Args)]
pub struct Prove {
    /// The model [default: every source, snapshot and model]
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,
    /// A folder or s3://bucket/prefix [default: that of the configuration]
    #[arg(long, value_name = "URL")]
    pub lake: Option<String>,
    /// The dbt project [default: that of the configuration, else the bank's, which is built in]
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `freshet demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Seconds of stream
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = at_least_one())]
    pub seconds: u64,
    /// Where the lake is made [default: a new folder under the system's temporary one]
    #[arg(long, value_name = "DIR")]
    pub lake: Option<PathBuf>,
    /// The seed of the bank; the same one repeats a run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Print the result as JSON and nothing else
    #[arg(long)]
    pub json: bool,
    /// Transactions of the bank per second
    #[arg(long, value_name = "R", value_parser = at_least_one())]
    pub rate: Option<u64>,
    /// Push to a warehouse too: the emulated Snowflake or a SQLite file beside the lake
    #[arg(long, value_name = "KIND", num_args = 0..=1, default_missing_value = "local")]
    pub warehouse: Option<DemoWarehouse>,
    /// The dbt project [default: the bank's, which is built in]
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Also write all records to a file, for `freshet replay`
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
}

/// `freshet catch-up`
#[derive(Debug, Args)]
pub struct CatchUp {
    /// Give up after so many seconds, with exit code 3; what is committed stays [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = at_least_one())]
    pub timeout: Option<u64>,
}

/// Where the demo pushes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoWarehouse {
    /// A SQLite file
    Local,
    /// The emulated Snowflake
    Snowflake,
}

/// `freshet status`
#[derive(Debug, Args)]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The lake to look at; without it, that of the configuration
    #[arg(long, value_name = "URL")]
    pub lake: Option<String>,
}

/// `freshet sql`
#[derive(Debug, Args)]
pub struct Sql {
    /// The query, such as "select count(*) from dim_customers"
    pub query: String,
    /// The lake to ask; without it, that of the configuration
    #[arg(long, value_name = "URL")]
    pub lake: Option<String>,
    /// Ask it as of this epoch [default: the last]
    #[arg(long, value_name = "N")]
    pub epoch: Option<u64>,
    /// The form of the answer
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: RowFormat,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// For people
    Table,
    /// With a header line
    Csv,
    /// One object per line
    Json,
}

/// `freshet replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// The captured records: one JSON object per line, as `kcat -J` writes them
    pub capture: PathBuf,
    /// Where the lake is made
    #[arg(long, value_name = "DIR")]
    pub lake: PathBuf,
    /// The dbt project; without it, only raw and source tables are made
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Rows of one epoch at most (a transaction stays whole)
    #[arg(long, value_name = "N")]
    pub epoch_rows: Option<usize>,
    /// Cut epochs at random places, by this seed
    #[arg(long, value_name = "N")]
    pub cut_seed: Option<u64>,
    /// Read the partitions in a random interleaving, by this seed
    #[arg(long, value_name = "N")]
    pub interleave_seed: Option<u64>,
    /// The topic of BEGIN and END; without it, transactions are told apart by txId alone
    #[arg(long, value_name = "T")]
    pub transaction_topic: Option<String>,
}

/// `freshet emulator`
#[derive(Debug, Args)]
pub struct Emulator {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
    /// The public key that key-pair logins must be signed for
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// The variable that holds the password or token that others must know
    #[arg(long, value_name = "NAME")]
    pub secret_env: Option<String>,
    /// Milliseconds that a statement waits for a lock
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub lock_timeout_ms: u64,
    /// Keep staged files in this folder, as they came
    #[arg(long, value_name = "DIR")]
    pub keep_files: Option<PathBuf>,
}

/// `freshet sources`
#[derive(Debug, Args)]
pub struct Sources {
    /// The database, without a password (that is PGPASSWORD's); else [postgres] url
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// The schema to read
    #[arg(long, value_name = "NAME", default_value = "public")]
    pub schema: String,
    /// The tables to write, separated by commas [default: all of the schema]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub tables: Vec<String>,
    /// The file to write; descriptions and tests in it stay [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `freshet connector`
#[derive(Debug, Subcommand)]
pub enum Connector {
    /// Create or change the connector, and wait until it runs
    Apply,
    /// Show how the connector and its tasks are
    Status(ConnectorStatus),
    /// Print the settings as JSON, as `apply` would send them
    Print,
}

/// `freshet connector status`
#[derive(Debug, Args)]
pub struct ConnectorStatus {
    /// Print JSON, whole traces included
    #[arg(long)]
    pub json: bool,
}

/// `freshet generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// Make the tables and the first customers, then exit
    #[arg(long, conflicts_with_all = ["seconds", "rate"])]
    pub once: bool,
    /// Transactions per second
    #[arg(long, value_name = "R", value_parser = at_least_one())]
    pub rate: Option<u64>,
    /// The seed of the bank
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The database, without a password (that is PGPASSWORD's); else [postgres] url
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Stop after so many seconds [default: when told to]
    #[arg(long, value_name = "N", value_parser = at_least_one())]
    pub seconds: Option<u64>,
}

fn at_least_one() -> clap::builder::RangedU64ValueParser {
    clap::builder::RangedU64ValueParser::new().range(1..)
}

#[cfg(test)]
mod tests;
