//! What can be typed behind `freshet bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DemoWarehouse, at_least_one};

/// `freshet bench`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Drain a prefilled topic of a real Kafka: events/s, bytes/s, memory, each station's share
    Drain(Drain),
    /// Commit many small epochs to many tables: time per epoch, log size, reload, compaction
    Lake(LakeBench),
    /// Follow small epochs over banks of several sizes: time, memory, restart, side by side
    Epoch(EpochBench),
    /// Push the bank's marts, epoch by epoch: rows sent, requests, delay, warehouse seconds
    Publish(PublishBench),
}

/// `freshet bench drain`
#[derive(Debug, Args)]
pub struct Drain {
    /// The brokers; without them, those of the configuration
    #[arg(long, value_name = "HOST:PORT,..")]
    pub brokers: Option<String>,
    /// Events to fill the topics with before the clock starts; 0 drains what is there, all of it as one
    /// initial read
    #[arg(long, value_name = "N", default_value_t = 3_000_000)]
    pub events: u64,
    /// Bytes of one record
    #[arg(long, value_name = "N", default_value_t = 700)]
    pub record_bytes: usize,
    /// Where the lake is made [default: a new folder under the system's temporary one]
    #[arg(long, value_name = "URL")]
    pub lake: Option<String>,
    /// The topics are PREFIX.public.customers and so on
    #[arg(long, value_name = "PREFIX", default_value = "freshet_bench")]
    pub prefix: String,
    /// Fill with updates of the same rows alone, so that what is stored does not grow
    #[arg(long)]
    pub same_rows: bool,
    /// Bytes of waiting records at most, as [epoch] buffer_bytes_max; queues and epochs follow it
    #[arg(long, value_name = "BYTES", value_parser = at_least_one())]
    pub buffer_bytes: Option<u64>,
    /// Also keep the models of this dbt project current [default: raw and current rows alone]
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// The seed of the bank
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `freshet bench publish`
#[derive(Debug, Args)]
pub struct PublishBench {
    /// Where to push to
    #[arg(long, value_name = "KIND", default_value = "snowflake")]
    pub warehouse: DemoWarehouse,
    /// Epochs to push, one by one
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one())]
    pub epochs: u64,
    /// Transactions of the bank in each
    #[arg(long, value_name = "N", default_value_t = 110)]
    pub transactions: usize,
    /// Customers of the bank before the first
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub customers: u32,
    /// The seed of the bank
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `freshet bench lake`
#[derive(Debug, Args)]
pub struct LakeBench {
    /// A folder or s3://bucket/prefix, new or empty
    #[arg(long, value_name = "URL")]
    pub lake: String,
    /// Delta tables
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub tables: usize,
    /// Epochs to commit
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub epochs: u64,
    /// Scattered changes of one epoch, over all tables
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub changes: usize,
    /// Rows of each table before the first epoch
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub rows: u64,
    /// The seed of the changes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `freshet bench epoch`
#[derive(Debug, Args)]
pub struct EpochBench {
    /// Rows of the bank before the first epoch; each size is measured, side by side
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "100000,1000000")]
    pub rows: Vec<usize>,
    /// Changes of one epoch
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub changes: usize,
    /// Epochs that are measured
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one())]
    pub epochs: u64,
    /// Epochs before them that are not
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub warm_up: u64,
    /// What the process may hold, MiB: the rest of the tables lies on disk [default: half of what
    /// there is]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub memory_mib: Option<u64>,
    /// What the lake's log keeps of files that went, minutes: epochs back to back make as many in one
    /// as a line does in an hour
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub retention_minutes: u64,
    /// The folder that lakes are made in [default: the system's temporary one]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Leave the lakes there
    #[arg(long)]
    pub keep: bool,
    /// The seed of the bank
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
