//! The Debezium connector: put into Kafka Connect with the settings that the line rests on.
//!
//! Stands before the line, and is run by `freshet connector` alone.
//! 1. `settings::Settings` is debezium.json with the configuration's changes, checked,
//! 2. `rest::Connect` puts it, which is the same whether the connector is there or not,
//! 3. `status::Status` is asked for until it runs or has failed.
//!
//! It must never hold or send the database's password, and never delete a connector, slot or topic.

pub mod options;
pub mod rest;
pub mod settings;
pub mod status;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use options::Options;
use rest::{Connect, Put};
use settings::Settings;
use status::{Status, Verdict};

const POLL_EVERY: Duration = Duration::from_millis(500);
/// A state counts once it has lasted so long: right after a put it is that of before.
const SETTLE: Duration = Duration::from_secs(3);

/// Puts the connector and waits until it and its tasks run.
///
/// `partitions`: how many the transaction topic has; none if there is no such topic yet, or the
/// broker could not be asked.
///
/// # Errors
/// `Invalid` for settings that the line can't work with or Connect refuses; `Failed` with the first
/// line of the trace when the connector failed; `Unavailable` when Connect does not answer, or it
/// does not run within `wait_seconds`.
pub async fn apply(options: &Options, partitions: Option<i32>) -> Result<Status> {
    let settings = Settings::of(&options.settings)?;
    settings.check(partitions)?;
    let connect = Connect::at(options)?;
    let until = Instant::now() + Duration::from_secs(options.wait_seconds);
    let mut restart = put(&connect, &settings, until).await? == Put::Changed;
    let (mut since, mut last) = (Instant::now(), None);
    loop {
        let verdict = match connect.status().await {
            // A worker that is just being restarted; the deadline decides.
            Err(Error::Unavailable { .. }) if Instant::now() < until => None,
            answer => answer?.map(|status| (status.verdict(), status)),
        };
        if last.as_ref() != verdict.as_ref().map(|(verdict, _)| verdict) {
            since = Instant::now();
        }
        let settled = since.elapsed() >= SETTLE;
        match &verdict {
            Some((Verdict::Running, status)) if settled => return Ok(status.clone()),
            Some((Verdict::Failed(_), _)) if settled && restart => {
                // New settings do not restart a task that failed under the old ones.
                connect.restart_failed().await?;
                (restart, since) = (false, Instant::now());
            }
            Some((Verdict::Failed(why), _)) if settled => {
                return Err(Error::failed(format!("connector `{}` failed: {why}", options.name))
                    .with_hint("the whole trace: freshet connector status --json"));
            }
            _ => {}
        }
        last = verdict.map(|(verdict, _)| verdict);
        if Instant::now() >= until {
            let (name, seconds) = (&options.name, options.wait_seconds);
            let seen = last.as_ref().map_or("no status".to_owned(), ToString::to_string);
            let what = format!("connector `{name}` does not run after {seconds} s: {seen}");
            return Err(Error::Unavailable { what, cause: None });
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// What Connect says of the connector; none if it knows no such connector.
///
/// # Errors
/// `Unavailable` when Connect does not answer, `Invalid` when its address is no http:// one.
pub async fn status(options: &Options) -> Result<Option<Status>> {
    Connect::at(options)?.status().await
}

/// The settings as JSON, as `apply` would put them.
///
/// # Errors
/// `Invalid` for settings that the line can't work with.
pub fn print(options: Option<&Options>) -> Result<String> {
    let none = Default::default();
    let settings = Settings::of(options.map_or(&none, |options| &options.settings))?;
    settings.check(None)?;
    settings.json()
}

/// Puts the settings, again while the workers' group is being formed.
async fn put(connect: &Connect, settings: &Settings, until: Instant) -> Result<Put> {
    loop {
        match connect.put(settings).await? {
            Put::NotYet if Instant::now() < until => tokio::time::sleep(POLL_EVERY).await,
            Put::NotYet => {
                let what = "connect: the workers' group has not formed".to_owned();
                return Err(Error::Unavailable { what, cause: None });
            }
            done => return Ok(done),
        }
    }
}
