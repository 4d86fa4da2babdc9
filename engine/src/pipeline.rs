//! The loop: the only file that names every station.
//!
//! One ordered epoch at a time: the for-loop is the scheduler.
//!
//! ```text
//! recover()                       pipeline::open: facts -> where to go on
//! loop: epoch    = next(source)   pipeline::cutting: offset range and cut, one epoch ahead
//!       effects  = transform      pipeline::step: files that no log names yet
//!       decision = create once    checkpoint::decide
//!       apply    = log entries    checkpoint::apply
//!       publish.wake(N)           publish::publisher: beside the loop, which never waits for it
//! ```

pub mod catalog;
pub mod compacting;
pub mod cutting;
pub mod drive;
mod images;
pub mod keeping;
pub mod load;
pub mod project;
mod proof_run;
pub mod proving;
pub mod publishing;
pub mod reader;
pub mod rebuild;
pub mod replay;
pub mod reread;
pub mod shares;
pub mod sizes;
pub mod spill;
pub mod step;
pub mod tending;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freshet_sql::project::Project;

use crate::checkpoint::decision::{Decision, Totals};
use crate::checkpoint::lease::Lease;
use crate::checkpoint::{self, recover};
use crate::clock::Clock;
use crate::envelope;
use crate::epoch::loading::{CutState, Phase};
use crate::error::Result;
use crate::failpoint;
use crate::lake;
use crate::lake::dedupe::Window;
use crate::lake::half_written;
use crate::lake::room::Room;
use crate::lake::store::Store;
use crate::lake::tables::Tables;
use crate::publish::publisher::Publisher;
use crate::source::topic_ids::TopicIds;
use crate::transform::options::ProofOptions;
use crate::transform::planned::Planned;
use catalog::Catalog;
use compacting::Compacting;
use keeping::Keeping;
use proving::Proving;
use tending::Tending;

/// What a pipeline is opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[lake]`.
    pub lake: lake::options::Options,
    /// `[envelope]`.
    pub envelope: envelope::options::Options,
    /// `[checkpoint]`.
    pub checkpoint: checkpoint::options::Options,
    /// `[proof]`.
    pub proof: ProofOptions,
    /// `[memory]`, as far as it is the tables'.
    pub memory: lake::options::Memory,
    /// Tells the epochs' times.
    pub clock: Arc<dyn Clock>,
}

/// A lake that this instance holds, and a project on it.
pub struct Pipeline {
    store: Store,
    lease: Lease,
    lake: lake::options::Options,
    envelope: envelope::options::Options,
    clock: Arc<dyn Clock>,
    catalog: Catalog,
    planned: Planned,
    tables: Tables,
    window: Window,
    last: Option<Decision>,
    offsets: BTreeMap<String, BTreeMap<i32, i64>>,
    topic_ids: TopicIds,
    totals: Totals,
    forced: BTreeSet<String>,
    stale_sources: BTreeSet<String>,
    undeclared: BTreeSet<Arc<str>>,
    bad_in_a_row: usize,
    /// Models that are made anew because of a proof.
    wished: BTreeSet<String>,
    /// When wishes were looked for, microseconds since 1970 UTC.
    wishes_us: i64,
    compacting: Compacting,
    keeping: Keeping,
    tending: Tending,
    proving: Proving,
    publishers: Vec<Publisher>,
}

impl Pipeline {
    /// Takes the lease, completes what was decided, loads the lake and plans the project.
    pub async fn open(project: &Project, settings: Settings) -> Result<Self> {
        let store = Store::open(&settings.lake)?;
        store.probe().await?;
        let generation = recover::latest(&store).await?.map_or(0, |d| d.generation);
        let lease = Lease::take(&store, &settings.checkpoint, generation).await?;
        let last = recover::recover(&store).await?;
        failpoint::hit("recovered");
        half_written::sweep(&store, settings.clock.now_us());
        let catalog = Catalog::of(project, &settings.envelope)?;
        let events = settings.lake.dedupe_events;
        let room = Arc::new(Room::keeping(&settings.memory, &settings.lake));
        let opened = load::open(&store, project, &catalog, last.as_ref(), (events, room)).await?;
        let mut proved = last.as_ref().map(|d| d.proved_sources.clone()).unwrap_or_default();
        let models = last.iter().flat_map(|d| &d.models);
        proved.extend(models.filter_map(|m| Some((m.name.clone(), m.proved?))));
        Ok(Self {
            proving: Proving::new(&settings, project, catalog.columns(), proved),
            compacting: Compacting::new(settings.lake.merge_files),
            keeping: Keeping::default(),
            tending: Tending::new(&settings.lake, settings.checkpoint.decisions_kept),
            store,
            lease,
            lake: settings.lake,
            envelope: settings.envelope,
            clock: settings.clock,
            catalog,
            planned: opened.planned,
            tables: opened.tables,
            window: opened.window,
            offsets: last.as_ref().map(|d| d.offsets.clone()).unwrap_or_default(),
            topic_ids: TopicIds::new(
                last.as_ref().map(|d| d.topic_ids.clone()).unwrap_or_default(),
            ),
            totals: last.as_ref().map(|d| d.totals).unwrap_or_default(),
            last,
            forced: opened.forced,
            stale_sources: opened.stale_sources,
            undeclared: BTreeSet::new(),
            bad_in_a_row: 0,
            wished: opened.wished,
            wishes_us: i64::MIN / 2,
            publishers: Vec::new(),
        })
    }

    /// The latest decision.
    pub fn last(&self) -> Option<&Decision> {
        self.last.as_ref()
    }

    /// Next offset to read, by topic and partition.
    pub fn offsets(&self) -> BTreeMap<(String, i32), i64> {
        let flat = self.offsets.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, offset)| ((topic.clone(), *partition), *offset))
        });
        flat.collect()
    }

    /// The ids of the topics that the offsets belong to, for the source to compare and add to.
    pub fn topic_ids(&self) -> TopicIds {
        self.topic_ids.clone()
    }

    /// What the cutter goes on from.
    pub fn cut_state(&self) -> Option<CutState> {
        self.last.as_ref().map(|d| d.cut.clone())
    }

    /// Whether models or sources wait to be made anew, and the lake has rows to make them from.
    pub fn wants_rebuild(&self) -> bool {
        self.last.as_ref().is_some_and(|d| d.cut.phase == Phase::Done)
            && !(self.forced.is_empty() && self.stale_sources.is_empty())
    }

    /// The source tables that the project declares, as `schema.table`.
    pub fn source_tables(&self) -> BTreeSet<Arc<str>> {
        self.catalog.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The tables in memory.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Writes every copy for a quick start that is missing. Takes as long as writing the tables does.
    pub async fn keep_all(&mut self) {
        let epoch = self.last.as_ref().map_or(0, |d| d.epoch);
        self.keeping.all(&mut self.tables, epoch).await;
    }

    /// Where the lake lies.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Ends background work and gives the lease back.
    pub async fn close(mut self) -> Result<()> {
        self.stop_publishing().await;
        self.compacting.abandon();
        self.keeping.stop();
        self.tending.finish().await;
        let released = self.lease.release(&self.store).await;
        self.keeping.finish(0).await;
        released
    }

    fn warn_undeclared_column(&mut self, table: &Arc<str>, column: String) {
        if self.undeclared.insert(format!("{table}.{column}").into()) {
            tracing::warn!(
                %table,
                column,
                "rows have a column that the project does not declare: it is kept in raw only; \
                 `freshet sources` writes the declaration, and the next start fills it from raw"
            );
        }
    }

    fn warn_undeclared(&mut self, table: &Arc<str>) {
        if self.undeclared.insert(table.clone()) {
            tracing::warn!(
                %table,
                "no source of the project declares this table: its events are kept in raw only; \
                 `freshet sources` writes the declaration"
            );
        }
    }
}
