//! One epoch: from its changes to its decision, applied.
//!
//! Everything before `decide` may be thrown away; everything after it is repeated until it is done.
//! After any error here the tables in memory are not to be trusted: the lake is loaded anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::Pipeline;
use super::images::numbered;
use super::shares::{self, Share};
use crate::checkpoint::apply::apply;
use crate::checkpoint::decide::{Decided, decide};
use crate::checkpoint::decision::{self, DecidedEntry, Decision};
use crate::cores;
use crate::envelope::change::Change;
use crate::epoch::content::{Epoch, Guarantee};
use crate::epoch::loading::Loading;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::lake::commit::Stamp;
use crate::lake::current::{Resolved, resolve};
use crate::lake::dead::{self, DeadLetter};
use crate::lake::table::Table;
use crate::lake::tables::upload;
use crate::lake::{append::AppendTable, changelog, layout, raw};
use crate::source::record::Record;
use crate::transform::run::{Input, Output};
use freshet_sql::change::ChangeBatch;
use freshet_sql::rows::RowHasher;

/// One table's changes, each with its place in the table's epoch.
type TableChanges<'e> = BTreeMap<Arc<str>, Placed<'e>>;
type Placed<'e> = Vec<(usize, &'e Change)>;

impl Pipeline {
    /// Takes an epoch through the line. `Overtaken`: load the lake anew, then go on.
    pub async fn step(&mut self, epoch: &Epoch) -> Result<Decided> {
        failpoint::hit("cut");
        self.lease.check()?;
        let number = self.last.as_ref().map_or(0, |d| d.epoch) + 1;
        let before = self.last.as_ref().map_or(i64::MIN, |d| d.time_us);
        let time_us = self.clock.now_us().max(before);
        let since = Instant::now();
        // While everything is read, and where that ends, sources are what the read found so far.
        if epoch.loading == Loading::Done {
            self.take_wishes(time_us).await?;
        }
        self.compacting.take(&self.store, &mut self.tables, number).await?;
        if let Some(room) = &self.tables.room {
            room.set_beside(self.planned.remembered_bytes(room.beside_max()));
        }
        self.tables.make_room()?;
        self.keeping.take(&mut self.tables, number).await;
        shares::add(Share::Compact, since);
        let tables = by_table(&epoch.changes);
        let before_us = if before == i64::MIN { time_us } else { before };
        let mut input = Input { epoch: number, time_us, before_us, ..Input::default() };
        input.commit_us = epoch.last_commit_us.unwrap_or(time_us);
        let mut letters: Vec<DeadLetter> = epoch.dead.clone();
        for (name, changes) in &tables {
            self.take_in(name, changes, &mut input, &mut letters)?;
        }
        if let (Loading::Finishing { reread: true }, Some(read_us)) =
            (epoch.loading, epoch.state.read_us)
        {
            for (name, gone) in self.not_found(read_us).await? {
                let first = tables.get(&name).map_or(0, Vec::len);
                let places: Vec<_> = gone.iter().enumerate().map(|(i, c)| (first + i, c)).collect();
                self.take_in(&name, &places, &mut input, &mut letters)?;
            }
        }
        for (name, place, reason) in self.remake(&mut input, epoch.loading).await? {
            let change = tables.get(&name).and_then(|changes| changes.get(place));
            letters.extend(change.map(|(_, change)| (record_of(change), reason)));
        }
        let letter_rows = dead::rows(&letters, number, time_us)?;
        self.tables.dead.append(&letter_rows, None, number)?;
        self.count(epoch, letters.len() as u64);
        let since = Instant::now();
        let mut output = self.transform(&mut input, epoch.loading).await?;
        self.proving.forget(&input.forced, number);
        for model in &mut output.models {
            model.proved = self.proving.epoch_of(&model.name);
        }
        shares::add(Share::Transform, since);
        failpoint::hit("transformed");
        self.tables.make_room_once(&mut output.changes)?;
        let changes =
            if self.publishers.is_empty() { BTreeMap::new() } else { output.changes.clone() };
        let decision = self.stage(epoch, &input, output).await?;
        let since = Instant::now();
        let decided = decide(&self.store, &decision).await?;
        shares::add(Share::Decide, since);
        if decided == Decided::Overtaken {
            return Ok(Decided::Overtaken);
        }
        let since = Instant::now();
        apply(&self.store, &decision).await?;
        shares::add(Share::Apply, since);
        for publisher in &self.publishers {
            publisher.committed(&decision, &changes);
        }
        self.decided(decision, &input, epoch.loading).await?;
        self.stop_if_all_bad(epoch, letters.len())?;
        Ok(Decided::Ours)
    }

    /// What an epoch that was decided begins and ends beside the line.
    async fn decided(&mut self, decision: Decision, input: &Input, loading: Loading) -> Result<()> {
        self.tending.start(&self.store, &decision);
        if !matches!(loading, Loading::Reading { .. }) {
            self.forced.clear();
            self.stale_sources.clear();
            self.repaired(input).await?;
        }
        if loading == Loading::Done
            && let Some(found) = {
                let line = (&self.planned, &self.catalog, &self.tables);
                self.proving.tick(line, decision.epoch, decision.time_us).await
            }
        {
            self.disproved(&found).await?;
        }
        self.last = Some(decision);
        Ok(())
    }

    /// Raw, then current rows of one table.
    fn take_in(
        &mut self,
        name: &Arc<str>,
        changes: &[(usize, &Change)],
        input: &mut Input,
        letters: &mut Vec<DeadLetter>,
    ) -> Result<()> {
        let number = input.epoch;
        let folder = self.catalog.raw_folder(name);
        let raw_table = self.tables.raw.entry(folder.clone()).or_insert_with(|| {
            AppendTable::fresh(layout::raw(&folder), raw::schema(), Some(raw::PARTITION))
        });
        let Some(source) = self.catalog.get(name) else {
            keep(raw_table, changes, number)?;
            self.warn_undeclared(name);
            return Ok(());
        };
        if self.stale_sources.contains(&source.relation) {
            for (_, change) in changes {
                self.window.admit(change);
            }
            return keep(raw_table, changes, number);
        }
        let Some(table) = self.tables.source.get_mut(&source.relation) else {
            return Err(Error::bug(format!("source \"{name}\" has no table")));
        };
        let (window, options) = (&mut self.window, &self.envelope);
        let (kept, resolved) = std::thread::scope(|scope| {
            let kept = scope.spawn(|| keep(raw_table, changes, number));
            let resolved = shares::time(Share::Current, || {
                let resolved = resolve(&source.schema, table, changes, window, options)?;
                table.apply_at(&resolved.change, &resolved.gone, number)?;
                Ok::<Resolved, Error>(resolved)
            });
            (kept.join(), resolved)
        });
        kept.map_err(|_| Error::bug("writing raw events ended in a panic"))??;
        let resolved = resolved?;
        for (place, reason) in &resolved.found.dead {
            if let Some((_, change)) = changes.iter().find(|(at, _)| at == place) {
                letters.push((record_of(change), reason.clone()));
            }
        }
        let (totals, counts) = (&mut self.totals, resolved.found.counts);
        totals.redelivered += counts.redelivered;
        totals.filled += counts.filled;
        totals.unfilled += counts.unfilled;
        totals.unknown_deletes += counts.unknown_deletes;
        if !resolved.change.is_empty() || !resolved.images.is_empty() {
            changed(input, &source.relation, &resolved.change, table.hasher())?;
            if self.planned.models.iter().any(|model| model.folds(&source.relation)) {
                let images = numbered(&resolved, |place| raw::seq(number, place))?;
                input.images.insert(source.relation.clone(), images);
            }
        }
        for column in resolved.found.undeclared {
            self.warn_undeclared_column(name, column);
        }
        Ok(())
    }

    async fn transform(&mut self, input: &mut Input, loading: Loading) -> Result<Output> {
        if matches!(loading, Loading::Reading { .. }) {
            let last = self.last.as_ref();
            let models = last.map(|d| d.models.clone()).unwrap_or_default();
            let tests = last.map(|d| d.tests.clone()).unwrap_or_default();
            return Ok(Output { models, tests, changes: BTreeMap::new() });
        }
        // What a read changed in sources it changed in epochs of its own: all is counted anew.
        if loading == Loading::Done {
            input.verdicts = self.last.as_ref().map(|d| d.tests.clone()).unwrap_or_default();
        }
        self.planned.run(&mut self.tables, input).await
    }

    /// Writes what the decision will name, and makes the decision.
    async fn stage(&mut self, epoch: &Epoch, input: &Input, output: Output) -> Result<Decision> {
        let stamp = Stamp {
            epoch: input.epoch,
            time_ms: input.time_us / 1000,
            retention_minutes: self.lake.retention_minutes,
        };
        self.put_large().await?;
        let since = Instant::now();
        let (mut entries, mut uploads) = self.tables.stage(stamp)?;
        self.tending.note(&mut entries, stamp.time_ms);
        let marts = self.planned.models.iter().filter(|m| m.layer == layout::MARTS);
        let changed = marts.filter_map(|m| Some((m, output.changes.get(&m.name)?)));
        let rows = |name: &str| self.tables.models.get(name).map_or(0, Table::rows);
        let (whole, changed): (Vec<_>, Vec<_>) =
            changed.partition(|(m, change)| changelog::is_from_nothing(change, rows(&m.name)));
        let from_nothing: Vec<String> =
            whole.into_iter().map(|(model, _)| model.name.clone()).collect();
        let files = cores::run(changed, |(model, change)| {
            changelog::file(&model.layer, &model.name, input.epoch, change)
        })?;
        let changes = files.iter().map(|file| file.path.clone()).collect();
        uploads.extend(files);
        shares::add(Share::Encode, since);
        failpoint::hit("uploading");
        let since = Instant::now();
        upload(&self.store, uploads).await?;
        shares::add(Share::Upload, since);
        failpoint::hit("uploaded");
        for ((topic, partition), offset) in &epoch.offsets {
            self.offsets.entry(topic.to_string()).or_default().insert(*partition, *offset);
        }
        Ok(Decision {
            format: decision::format(&from_nothing),
            epoch: input.epoch,
            generation: self.lease.generation,
            nonce: uuid::Uuid::new_v4().to_string(),
            time_us: input.time_us,
            last_commit_us: epoch.last_commit_us,
            cut: epoch.state.clone(),
            guarantee: guarantee_word(epoch.guarantee).to_owned(),
            offsets: self.offsets.clone(),
            // Of topics from which nothing was taken yet an id says nothing.
            topic_ids: self.topic_ids.of(|topic| self.offsets.contains_key(topic)),
            entries: entries.into_iter().map(DecidedEntry::from_entry).collect::<Result<_>>()?,
            tables: self.tables.standing(),
            models: output.models,
            proved_sources: self.proving.of(self.catalog.iter().map(|(_, s)| s.relation.as_str())),
            tests: output.tests,
            changes,
            from_nothing,
            totals: self.totals,
            held: self.tables.held(),
        })
    }

    /// Writes large files part by part: invisible too.
    async fn put_large(&mut self) -> Result<()> {
        loop {
            let part = shares::time(Share::Encode, || self.tables.encode_large())?;
            if part.is_empty() {
                return Ok(());
            }
            let since = Instant::now();
            upload(&self.store, part).await?;
            shares::add(Share::Upload, since);
        }
    }

    fn count(&mut self, epoch: &Epoch, letters: u64) {
        self.totals.events += epoch.changes.len() as u64;
        self.totals.transactions += epoch.transactions as u64;
        self.totals.passed_by_timeout += epoch.passed_by_timeout;
        self.totals.dead_letters += letters;
    }

    /// When nothing decodes any more, going on would only fill the dead letters.
    fn stop_if_all_bad(&mut self, epoch: &Epoch, letters: usize) -> Result<()> {
        if letters == 0 || letters < epoch.changes.len() + epoch.dead.len() {
            self.bad_in_a_row = 0;
            return Ok(());
        }
        self.bad_in_a_row += letters;
        if self.bad_in_a_row < BAD_IN_A_ROW_MAX {
            return Ok(());
        }
        Err(Error::failed(format!(
            "the last {} records could not be decoded, and none could; they are kept in \"{}\"",
            self.bad_in_a_row,
            layout::DEAD_LETTERS
        ))
        .with_hint(
            "`freshet sql \"select distinct reason from dead_letters\"` says why; mostly the \
             connector's converter changed. Mend that first: a new start goes on behind them",
        ))
    }
}

/// Raw events that are made into rows at a time: an epoch may hold a transaction of any size.
const RAW_ROWS_AT_ONCE: usize = 131_072;
/// Records that fail one after another before the line stops.
const BAD_IN_A_ROW_MAX: usize = 1000;

/// Notes what changed in a source's current rows; what changed before in the epoch comes first.
pub(super) fn changed(
    input: &mut Input,
    relation: &str,
    change: &ChangeBatch,
    hasher: &RowHasher,
) -> Result<()> {
    let all = match input.changes.remove(relation) {
        Some(before) => before.then(change, hasher)?,
        None => change.clone(),
    };
    input.changes.insert(relation.to_owned(), all);
    Ok(())
}

/// Puts one table's changes into its raw table.
fn keep(table: &mut AppendTable, changes: &[(usize, &Change)], epoch: u64) -> Result<()> {
    shares::time(Share::Raw, || {
        for part in changes.chunks(RAW_ROWS_AT_ONCE) {
            let list: Vec<&Change> = part.iter().map(|(_, change)| *change).collect();
            let first = part.first().map_or(0, |(place, _)| *place);
            for (date, rows) in raw::rows(&list, epoch, first)? {
                table.append(&rows, Some(&date), epoch)?;
            }
        }
        Ok(())
    })
}

fn by_table(changes: &[Change]) -> TableChanges<'_> {
    let mut lists: Vec<(Arc<str>, Placed<'_>)> = Vec::new();
    for change in changes {
        // Names are shared by their records, so that nearly always the pointer tells.
        let same = |(name, _): &(Arc<str>, _)| Arc::ptr_eq(name, &change.table);
        let known = lists.iter().position(same);
        let known = known.or_else(|| lists.iter().position(|(name, _)| *name == change.table));
        let at = known.unwrap_or_else(|| {
            lists.push((change.table.clone(), Vec::new()));
            lists.len() - 1
        });
        if let Some((_, list)) = lists.get_mut(at) {
            list.push((list.len(), change));
        }
    }
    lists.into_iter().collect()
}

const fn guarantee_word(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::Transactional => "transactional",
        Guarantee::PerPartition => "per_partition",
    }
}

/// The record a change came from: its place, its key, its whole value.
fn record_of(change: &Change) -> Record {
    Record {
        topic: change.topic.clone(),
        partition: change.partition,
        offset: change.offset,
        timestamp_ms: change.timestamp_ms,
        key: change.key.clone(),
        value: change.record_value.clone(),
        headers: Vec::new(),
    }
}
