//! `freshet sources` and `freshet connector`: what is done to the servers around the lake.

use std::io::Write;
use std::process::ExitCode;

use super::args::{Connector, Sources};
use super::unprintable;
use crate::catalog;
use crate::catalog::read::Wanted;
use crate::config::Config;
use crate::config::postgres::PostgresOptions;
use crate::connector;
use crate::error::{Error, Result};
use crate::source::kafka::partitions_of;

/// The database of the command line, else of the configuration.
pub fn postgres(
    url: Option<&str>,
    config: impl Fn() -> Result<Config>,
) -> Result<tokio_postgres::Config> {
    match url {
        Some(url) => PostgresOptions::at(url)?.client(),
        None => config()?
            .postgres
            .ok_or_else(|| {
                Error::invalid("no database is named")
                    .with_hint("give --postgres URL, or [postgres] url in freshet.toml")
            })?
            .client(),
    }
}

/// Writes the dbt sources file from the catalog.
pub async fn sources(options: &Sources, config: impl Fn() -> Result<Config>) -> Result<ExitCode> {
    let client = postgres(options.postgres.as_deref(), config)?;
    let wanted = Wanted { schema: options.schema.clone(), tables: options.tables.clone() };
    let made = catalog::sources(&client, &wanted, options.out.as_deref()).await?;
    for notice in &made.notices {
        eprintln!("note: {notice}");
    }
    match &options.out {
        Some(path) => std::fs::write(path, &made.text)
            .map_err(|e| Error::unavailable(format!("cannot write \"{}\"", path.display()), e))?,
        None => std::io::stdout().lock().write_all(made.text.as_bytes()).map_err(unprintable)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the connector, or looks at it.
pub async fn connector(
    command: &Connector,
    config: impl Fn() -> Result<Config>,
) -> Result<ExitCode> {
    let section = |config: Config| {
        let missing = Error::invalid("freshet.toml has no [connector]")
            .with_hint("it names Connect's address: url = \"http://connect:8083\"");
        config.connector.ok_or(missing)
    };
    match command {
        Connector::Print => {
            let options = config().ok().and_then(|c| c.connector);
            println!("{}", connector::print(options.as_ref())?);
            Ok(ExitCode::SUCCESS)
        }
        Connector::Apply => {
            let config = config()?;
            let topic = config.kafka.transaction_topic();
            let partitions =
                topic.and_then(|topic| partitions_of(&config.kafka, &topic).ok()).flatten();
            let options = section(config)?;
            connector::apply(&options, partitions).await?;
            println!("connector {} runs", options.name);
            Ok(ExitCode::SUCCESS)
        }
        Connector::Status(wanted) => {
            let options = section(config()?)?;
            match connector::status(&options).await? {
                None => {
                    println!("connector {} is not there", options.name);
                    Ok(ExitCode::from(1))
                }
                Some(status) => {
                    if wanted.json {
                        let text = serde_json::to_string_pretty(&status);
                        println!("{}", text.map_err(|e| Error::bug(e.to_string()))?);
                    } else {
                        println!("connector {}: {:?}", status.name, status.verdict());
                    }
                    Ok(ExitCode::SUCCESS)
                }
            }
        }
    }
}
