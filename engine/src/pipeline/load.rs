//! Opening a lake: recover, read the tables, plan the project, and see what must be made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use freshet_sql::project::Project;
use futures::{StreamExt, TryStreamExt, stream};

use super::catalog::Catalog;
use super::wishes::wishes;
use crate::checkpoint::decision::Decision;
use crate::epoch::loading::Phase;
use crate::error::{Error, Result};
use crate::lake::append::AppendTable;
use crate::lake::dedupe::Window;
use crate::lake::parquet::decode;
use crate::lake::remember::{self, Remembered};
use crate::lake::room::{LOADED_AT_ONCE, Room};
use crate::lake::spec::TableSpec;
use crate::lake::store::Store;
use crate::lake::table::Table;
use crate::lake::tables::{Standing, Tables};
use crate::lake::{dead, layout, load, raw};
use crate::transform::planned::Planned;
use crate::transform::report::ModelReport;
use crate::transform::taken_over::TakenOver;

/// A lake, loaded for one project.
pub struct Opened {
    /// Its tables.
    pub tables: Tables,
    /// The project, planned and filled.
    pub planned: Planned,
    /// Redelivered changes are recognised by it.
    pub window: Window,
    /// Models that must be made anew: new, edited, or below such.
    pub forced: BTreeSet<String>,
    /// Those of them that a proof found wrong.
    pub wished: BTreeSet<String>,
    /// Sources whose columns changed: to be made anew from raw.
    pub stale_sources: BTreeSet<String>,
}

/// Loads what the latest decision says, for this project.
pub async fn open(
    store: &Store,
    project: &Project,
    catalog: &Catalog,
    last: Option<&Decision>,
    (dedupe_events, room): (usize, Arc<Room>),
) -> Result<Opened> {
    let mut planned = Planned::new(project, &catalog.columns()).await?;
    take_imports(store, &mut planned).await?;
    let standing = last.map(|d| d.tables.clone()).unwrap_or_default();
    let version = |path: &str| standing.get(path).map(|s| s.version);
    let mut tables = Tables { room: Some(room.clone()), ..Tables::default() };
    // Before the tables, which take what room is left then.
    for (path, at) in &standing {
        if let Some(folder) = path.strip_prefix("raw/") {
            let table = raw::table(store, path.clone(), at.version).await?;
            tables.raw.insert(folder.to_owned(), table);
        }
    }
    if let Some(at) = version(layout::DEAD_LETTERS) {
        let path = layout::DEAD_LETTERS.to_owned();
        tables.dead = AppendTable::load(store, path, dead::schema(), None, at).await?;
    }
    let window = fill_window(store, &tables, catalog, dedupe_events).await?;
    let mut stale_sources = BTreeSet::new();
    let wished = wishes(store, &planned).await?;
    distrust(&wished, &planned, catalog, &room)?;
    let sources = catalog.iter().map(|(_, source)| source.spec());
    let models = planned.models.iter().map(|model| model.spec.clone());
    let mut loaded = load_tables(store, sources.chain(models), &standing, &room).await?;
    for (_, source) in catalog.iter() {
        let spec = source.spec();
        let fresh = || Table::fresh(spec.clone());
        let mut table = loaded.remove(&spec.path).unwrap_or_else(fresh);
        // While everything is read anew a repair waits: raw holds half of that read.
        let reads = last.is_some_and(|d| d.cut.phase != Phase::Done);
        let disproved = wished.contains(&source.relation) && !reads;
        if disproved {
            table.rehash()?;
        }
        let has_raw = version(&layout::raw(&source.folder)).is_some();
        if table.version().is_some() && table.is_restarted()
            || table.version().is_none() && has_raw
            || disproved
        {
            stale_sources.insert(source.relation.clone());
        }
        tables.source.insert(source.relation.clone(), table);
    }
    let mut forced = take_models(&wished, &planned, &mut tables, loaded, last)?;
    planned.add_readers(&mut forced);
    Ok(Opened { tables, planned, window, forced, wished, stale_sources })
}

/// Histories that were taken over from a target. They are part of what their snapshot is: its
/// fingerprint names them, so that it is folded anew once.
pub async fn take_imports(store: &Store, planned: &mut Planned) -> Result<()> {
    for model in &mut planned.models {
        let Some(snapshot) = &mut model.snapshot else { continue };
        let path = layout::imported(&model.name);
        let Some(body) = store.get(&path).await? else { continue };
        model.fingerprint = format!("{}+{:x}", model.fingerprint, digest_of(&body));
        let versions = decode(body, &snapshot.spec.schema(), &path)?;
        snapshot.taken_over = TakenOver::of(vec![versions]);
    }
    Ok(())
}

fn digest_of(body: &[u8]) -> u64 {
    freshet_sql::digest::lower64(body)
}

/// Local copies of a model that was found wrong, and of what it reads, are deleted: the lake's own rows
/// are what is repaired, and indexes may be what was wrong.
fn distrust(
    wished: &BTreeSet<String>,
    planned: &Planned,
    catalog: &Catalog,
    room: &Room,
) -> Result<()> {
    let models = planned.models.iter().map(|m| (m.name.clone(), m.spec.path.clone()));
    let sources = catalog.iter().map(|(_, source)| (source.relation.clone(), source.spec().path));
    let paths: BTreeMap<String, String> = models.chain(sources).collect();
    let models = planned.models.iter().filter(|m| wished.contains(&m.name));
    let inputs = models.flat_map(|m| m.inputs.iter().map(|input| input.name()));
    let names = inputs.chain(wished.iter().map(String::as_str));
    names.filter_map(|name| paths.get(name)).try_for_each(|p| room.forget_copies(p))
}

/// Those of these tables that the decision names, by path; each in a task of its own.
async fn load_tables(
    store: &Store,
    specs: impl Iterator<Item = TableSpec>,
    standing: &BTreeMap<String, Standing>,
    room: &Arc<Room>,
) -> Result<BTreeMap<String, Table>> {
    let known = specs.filter_map(|spec| Some((spec.clone(), standing.get(&spec.path)?.clone())));
    let known: Vec<(TableSpec, Standing)> = known.collect();
    let load = |(spec, at): (TableSpec, Standing)| {
        let (store, room) = (store.clone(), room.clone());
        let task =
            tokio::spawn(async move { load::standing(&store, spec, &at, Some(&room)).await });
        async move { task.await.map_err(|_| Error::bug("loading a table ended in a panic"))? }
    };
    let tables: Vec<Table> =
        stream::iter(known).map(load).buffer_unordered(LOADED_AT_ONCE).try_collect().await?;
    Ok(tables.into_iter().map(|table| (table.path().to_owned(), table)).collect())
}

/// The models' tables; answers which of them must be made anew.
fn take_models(
    wished: &BTreeSet<String>,
    planned: &Planned,
    tables: &mut Tables,
    mut loaded: BTreeMap<String, Table>,
    last: Option<&Decision>,
) -> Result<BTreeSet<String>> {
    let mut forced = BTreeSet::new();
    let known: BTreeMap<&str, &ModelReport> =
        last.map(|d| d.models.iter().map(|m| (m.name.as_str(), m)).collect()).unwrap_or_default();
    for model in &planned.models {
        let table = loaded.remove(&model.spec.path);
        let mut table = table.unwrap_or_else(|| Table::fresh(model.spec.clone()));
        let disproved = wished.contains(&model.name);
        let known = known.get(model.name.as_str());
        // Another engine may have compared other columns.
        let compared_else = known.is_some_and(|report| report.audit != model.lineage.audit);
        if disproved || compared_else {
            table.rehash()?;
        }
        if known.is_none_or(|report| report.fingerprint != model.fingerprint)
            || compared_else
            || table.is_restarted()
            || table.version().is_none()
            || disproved
        {
            forced.insert(model.name.clone());
        }
        tables.models.insert(model.name.clone(), table);
    }
    Ok(forced)
}

/// Fills the window with the newest raw events; each table's are read in a task of its own.
async fn fill_window(
    store: &Store,
    tables: &Tables,
    catalog: &Catalog,
    events_max: usize,
) -> Result<Window> {
    let raw = catalog.iter().filter_map(|(name, source)| {
        let table = tables.raw.get(&source.folder)?;
        Some((name.clone(), table.rows(), table.newest(events_max)))
    });
    let raw: Vec<(Arc<str>, usize, Vec<String>)> = raw.collect();
    let total: usize = raw.iter().map(|(_, rows, _)| rows).sum();
    let read = |(name, _, files): (Arc<str>, usize, Vec<String>)| {
        let store = store.clone();
        let task = tokio::spawn(async move { remember::read(&store, &files, &name).await });
        async move { task.await.map_err(|_| Error::bug("reading raw events ended in a panic"))? }
    };
    let told: Vec<Vec<Remembered>> =
        stream::iter(raw).map(read).buffer_unordered(LOADED_AT_ONCE).try_collect().await?;
    Ok(remember::window(told.into_iter().flatten().collect(), events_max, total > events_max))
}
