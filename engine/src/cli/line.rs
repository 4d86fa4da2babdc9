//! Putting a line together: source, cutter, pipeline, and running them until done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use freshet_sql::project::Project;
use tokio::sync::watch;

use crate::checkpoint::decide::Decided;
use crate::clock::Clock;
use crate::config::Config;
use crate::epoch::cutter::Cutter;
use crate::epoch::item::Topics;
use crate::error::{Error, Result};
use crate::pipeline::cutting::{Ahead, Cutting, RandomCuts, Until};
use crate::pipeline::drive::{Driver, Progress};
use crate::pipeline::reader::Reader;
use crate::pipeline::spill::Spill;
use crate::pipeline::{Pipeline, Settings};
use crate::publish::target::Target;
use crate::source::Source;
use crate::{epoch, lake};

/// A stop that hangs longer, on a server that does not answer, is cut short: what was decided
/// stands, and anything else is made anew, as after any other death.
const STOP_MAX: Duration = Duration::from_millis(9_500);

/// Makes a source that reads on from these offsets.
pub type OpenSource<'s> =
    dyn Fn(&BTreeMap<(String, i32), i64>) -> Result<Box<dyn Source>> + Send + Sync + 's;

/// How to run a line.
pub struct Line<'l> {
    /// The dbt project.
    pub project: &'l Project,
    /// What the pipeline is opened with.
    pub settings: Settings,
    /// `[epoch]`.
    pub epoch: epoch::options::Options,
    /// The topic of BEGIN and END, where there is one.
    pub transaction_topic: Option<String>,
    /// The topics that are read, where they are listed; empty for all of the project's tables.
    pub topics: Vec<String>,
    /// Where finished marts go.
    pub publish: Vec<Target>,
    /// Opens the source.
    pub source: &'l OpenSource<'l>,
    /// Random cuts, in tests.
    pub random: Option<RandomCuts>,
    /// Whether reading goes on while an epoch waits.
    pub ahead: Ahead,
    /// Set to end the run.
    pub stop: watch::Receiver<bool>,
}

impl Line<'_> {
    /// Runs until `until`; the pipeline comes back for a look at what it holds.
    pub async fn run(
        self,
        until: Until,
        watcher: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Pipeline> {
        loop {
            let mut pipeline = Pipeline::open(self.project, self.settings.clone()).await?;
            pipeline.publish_to(self.project, &self.publish).await?;
            let run = self.once(&mut pipeline, until, watcher).await;
            match run {
                Ok(Decided::Ours) => return Ok(pipeline),
                Ok(Decided::Overtaken) => {
                    tracing::warn!(
                        "an older instance decided an epoch first; reading the lake anew"
                    );
                    pipeline.close().await?;
                }
                Err(error) => {
                    if let Err(second) = pipeline.close().await {
                        tracing::warn!(error = %second, "closing after an error failed too");
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Declared tables whose topics are read: the cut waits for their events.
    fn subscribed(&self, pipeline: &Pipeline) -> BTreeSet<Arc<str>> {
        let mut tables = pipeline.source_tables();
        if !self.topics.is_empty() {
            tables.retain(|table| {
                let ending = format!(".{table}");
                self.topics.iter().any(|topic| topic.ends_with(&ending))
            });
        }
        tables
    }

    async fn once(
        &self,
        pipeline: &mut Pipeline,
        until: Until,
        watcher: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Decided> {
        let mut source = (self.source)(&pipeline.offsets())?;
        source.know(pipeline.topic_ids())?;
        let topics = Topics {
            transaction_topic: self.transaction_topic.as_deref().map(Arc::from),
            tables: self.subscribed(pipeline),
        };
        let cutter = match pipeline.cut_state() {
            Some(state) => Cutter::resume(self.epoch.clone(), topics, state),
            None => Cutter::new(self.epoch.clone(), topics),
        };
        let reader = Reader::start(source, self.settings.envelope.clone())?;
        let spill = Spill::new(&self.epoch.spill_dir);
        let clock: Arc<dyn Clock> = self.settings.clock.clone();
        let cutting = Cutting::new(cutter, reader, clock, self.random, spill, self.ahead);
        let timer = std::time::Duration::from_millis(self.epoch.timer_ms);
        let mut driver = Driver { pipeline, stop: self.stop.clone(), timer, watcher };
        driver.run(cutting, until).await
    }
}

/// The lake that a reading command looks at.
pub fn lake_options(
    url: Option<&str>,
    config: impl Fn() -> Result<Config>,
) -> Result<lake::options::Options> {
    match url {
        None => Ok(config()?.lake),
        Some(url) => {
            let known = config().ok().map(|c| c.lake);
            let mut options = known.unwrap_or_else(|| lake::options::Options::at(url));
            url.clone_into(&mut options.url);
            if options.s3_endpoint.is_none() {
                options.s3_endpoint = std::env::var("AWS_ENDPOINT_URL").ok();
            }
            Ok(options)
        }
    }
}

/// A channel that turns true at SIGTERM or ctrl-c.
pub fn stop_signal() -> Result<watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|e| Error::unavailable("cannot listen to signals", e));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: the epoch in hand is finished or given up whole");
        let _ = stop.send(true);
        tokio::select! {
            () = stop.closed() => {}
            () = tokio::time::sleep(STOP_MAX) => {
                tracing::warn!("a server does not answer; stopping without it, nothing is lost");
                std::process::exit(0);
            }
        }
    });
    Ok(stopped)
}
