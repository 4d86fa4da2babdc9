//! The commands: what was typed (`args`) to what is done, and its exit code.
//!
//! Right of the whole line: a command builds a pipeline or reads a lake, and prints. It must never
//! decide what a station decides.

pub mod args;
pub mod bank_project;
pub mod bench;
pub mod demo;
mod desk;
pub mod emulator;
mod explain;
pub mod generate;
pub mod line;
pub mod outside;
mod prove;
mod prove_print;
pub mod publish;
mod publish_print;
pub mod query;
pub mod replay;
mod reports;
pub mod serve;
pub mod status;

use std::io::IsTerminal;
use std::process::ExitCode;

use args::{Arguments, Bench, Command};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::Config;
use crate::config::log::{LogFormat, LogOptions};
use crate::error::{Error, Result};

/// Runs what was typed.
pub async fn main(arguments: Arguments) -> ExitCode {
    match dispatch(arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(arguments: Arguments) -> Result<ExitCode> {
    let quiet = LogOptions { level: crate::config::log::LogLevel::Warn, ..LogOptions::default() };
    let log = |options| start_log(&arguments, options);
    let config = || Config::load(&arguments.config);
    match &arguments.command {
        Command::Demo(options) => {
            log(quiet);
            demo::run(options).await
        }
        Command::Serve => {
            let config = config()?;
            log(config.log);
            serve::serve(&config).await
        }
        Command::CatchUp(options) => {
            let config = config()?;
            log(config.log);
            serve::catch_up(&config, options).await
        }
        Command::Replay(options) => {
            log(quiet);
            replay::run(options).await
        }
        Command::Status(options) => {
            log(quiet);
            let lake = line::lake_options(options.lake.as_deref(), config)?;
            status::run(&lake, options).await
        }
        Command::Sql(options) => {
            log(quiet);
            let lake = line::lake_options(options.lake.as_deref(), config)?;
            query::run(&lake, options).await
        }
        Command::Explain(options) => {
            log(quiet);
            explain::run(options, config).await
        }
        Command::Prove(options) => {
            log(quiet);
            prove::run(options, config).await
        }
        Command::Publish(command) => {
            log(quiet);
            publish::run(command, &config()?).await
        }
        Command::Emulator(options) => {
            log(quiet);
            emulator::run(options).await
        }
        Command::Sources(options) => {
            log(quiet);
            outside::sources(options, config).await
        }
        Command::Connector(options) => {
            log(quiet);
            outside::connector(options, config).await
        }
        Command::Generate(options) => {
            log(quiet);
            generate::run(options, config).await
        }
        Command::Bench(command) => {
            log(quiet);
            measure(command, config).await
        }
    }
}

async fn measure(command: &Bench, config: impl Fn() -> Result<Config>) -> Result<ExitCode> {
    match command {
        Bench::Drain(options) => bench::drain::run(options, config).await,
        Bench::Epoch(options) => bench::epoch::run(options).await,
        Bench::Lake(options) => bench::lake::run(options).await,
        Bench::Publish(options) => bench::publish::run(options).await,
    }
}

/// Logs go to standard error; `RUST_LOG` wins over everything else.
fn start_log(arguments: &Arguments, options: LogOptions) {
    let level = options.level.raised(arguments.verbose).word();
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,freshet={level},freshet_sql={level}")));
    let filter = hiding_secrets(filter);
    let format = arguments.log_format.unwrap_or(options.format);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        eprintln!("logging was started before");
    }
}

/// Crates whose debug lines hold tokens or signed addresses stay silent, whatever is asked for.
const TELLTALES: [&str; 6] = [
    "snowflake_api=off",
    "hyper=warn",
    "hyper_util=warn",
    "reqwest=warn",
    "h2=warn",
    "rustls=warn",
];

fn hiding_secrets(filter: EnvFilter) -> EnvFilter {
    let directives = TELLTALES.iter().filter_map(|d| d.parse().ok());
    directives.fold(filter, EnvFilter::add_directive)
}

/// Standard output was closed, or is full.
pub(crate) fn unprintable(error: std::io::Error) -> Error {
    Error::unavailable("cannot write to standard output", error)
}
