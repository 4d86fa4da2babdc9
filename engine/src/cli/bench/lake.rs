//! tmp
use crate::cli::args::LakeBench;
use crate::error::Result;
use std::process::ExitCode;
pub async fn run(_: &LakeBench) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
