//! What can be typed behind `freshet publish`.

use clap::{Args, Subcommand};

/// `freshet publish`
#[derive(Debug, Subcommand)]
pub enum Publish {
    /// Show what each target holds, what waits, what is held and why, and what it costs
    Status(PublishStatus),
    /// Push now what waits, whatever the policy says of the time
    Push(PublishPush),
    /// Compare the target's own counts and hashes with the lake's
    Verify(PublishVerify),
    /// Write the statements that make role, warehouse, schemas, tables and grants, or run them
    Setup(PublishSetup),
    /// Take over the history that a target's snapshot table holds, before the first push
    Import(PublishImport),
    /// Hold a target back
    Hold(PublishHold),
    /// Let a held target go on
    Release(PublishTarget),
    /// Forget what was pushed: the next push writes the tables whole
    Reset(PublishReset),
}

/// Which target.
#[derive(Debug, Clone, Args)]
pub struct PublishTarget {
    /// `snowflake` or `local` [default: the one that is configured]
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
}

/// `freshet publish status`
#[derive(Debug, Args)]
pub struct PublishStatus {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `freshet publish push`
#[derive(Debug, Args)]
pub struct PublishPush {
    #[command(flatten)]
    pub to: PublishTarget,
    /// Tables whose rows may be replaced although freshet did not write them
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub overwrite: Vec<String>,
    /// Push as of this epoch [default: the last]
    #[arg(long, value_name = "N")]
    pub epoch: Option<u64>,
    /// Push although data tests fail or the target is held
    #[arg(long)]
    pub force: bool,
}

/// `freshet publish verify`
#[derive(Debug, Args)]
pub struct PublishVerify {
    #[command(flatten)]
    pub to: PublishTarget,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `freshet publish setup`
#[derive(Debug, Args)]
pub struct PublishSetup {
    #[command(flatten)]
    pub to: PublishTarget,
    /// Print the statements, to be run by an administrator
    #[arg(long, conflicts_with = "apply", required_unless_present = "apply")]
    pub print: bool,
    /// Run those that the configured role may: schemas, tables, ledger and stage
    #[arg(long)]
    pub apply: bool,
    /// The role that the report reads with: it is granted the marts
    #[arg(long, value_name = "ROLE")]
    pub reader: Option<String>,
}

/// `freshet publish import`
#[derive(Debug, Args)]
pub struct PublishImport {
    #[command(flatten)]
    pub from: PublishTarget,
    /// The snapshot whose history it is
    #[arg(long, value_name = "MODEL")]
    pub snapshot: String,
    /// The table that holds it, such as SNAPSHOTS.CUSTOMERS_SNAPSHOT
    #[arg(long, value_name = "TABLE")]
    pub table: String,
}

/// `freshet publish hold`
#[derive(Debug, Args)]
pub struct PublishHold {
    #[command(flatten)]
    pub to: PublishTarget,
    /// Why, for those who look at the status
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// `freshet publish reset`
#[derive(Debug, Args)]
pub struct PublishReset {
    #[command(flatten)]
    pub to: PublishTarget,
    /// Only these tables [default: all]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub tables: Vec<String>,
}
