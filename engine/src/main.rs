//! The `freshet` binary: parses the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use freshet::cli;

/// Epochs make and drop columns on every core for months: the system's allocator keeps several times
/// what is in use, in holes.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(cli::args::Arguments::parse()).await
}
