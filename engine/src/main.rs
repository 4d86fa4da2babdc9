//! The `freshet` binary: parses the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use freshet::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(cli::args::Arguments::parse()).await
}
