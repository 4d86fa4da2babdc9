//! The `freshet` binary: parses the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use freshet::cli;

/// Epochs make and drop columns on every core for months: the system's allocator keeps several times
/// what is in use, in holes.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A free page goes back to the system after a second, not after ten, and from threads that sleep too: the
/// next epoch of a backlog finds pages of the last one there, and what an epoch that makes everything needed is
/// not held for long. `MALLOC_CONF` overrides it.
#[expect(
    unsafe_code,
    reason = "jemalloc reads its options from a symbol of this name at its start"
)]
#[unsafe(export_name = "malloc_conf")]
pub static MALLOC_CONF: &[u8; 43] = b"dirty_decay_ms:1000,background_thread:true\0";

#[tokio::main]
async fn main() -> ExitCode {
    cli::main(cli::args::Arguments::parse()).await
}
