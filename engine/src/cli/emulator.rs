//! `freshet emulator`: a Snowflake to try things on.

use std::process::ExitCode;

use super::args::Emulator as Arguments;
use super::line::stop_signal;
use crate::emulator::{Emulator, Options};
use crate::error::{Error, Result};

/// Runs until it is told to stop.
pub async fn run(options: &Arguments) -> Result<ExitCode> {
    let public_key = match &options.public_key {
        None => None,
        Some(path) => Some(std::fs::read_to_string(path).map_err(|cause| {
            Error::invalid(format!("public key `{}` can't be read: {cause}", path.display()))
        })?),
    };
    let secret = options.secret_env.as_ref().map(|name| {
        std::env::var(name)
            .map_err(|_| Error::invalid(format!("environment variable {name} is not set")))
    });
    let made = Options {
        public_key,
        secret: secret.transpose()?,
        lock_timeout_ms: options.lock_timeout_ms,
        keep_files: options.keep_files.clone(),
    };
    let emulator = Emulator::start(options.port, made).await?;
    println!("listening on {}", emulator.url());
    let mut stop = stop_signal()?;
    let _ = stop.wait_for(|stop| *stop).await;
    Ok(ExitCode::SUCCESS)
}
