//! Running one script, line by line.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::Array;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use freshet::checkpoint;
use freshet::cli::query::ask;
use freshet::clock::ManualClock;
use freshet::envelope;
use freshet::envelope::change::Change;
use freshet::epoch::content::Epoch;
use freshet::epoch::loading::{CutState, Loading, Phase};
use freshet::lake::options::Options as LakeOptions;
use freshet::pipeline::{Pipeline, Settings, project};
use freshet_sql::project::Project;

use crate::proof::replay::differences;

use super::events::{DAY_US, Events, minutes};

struct Stage {
    folder: tempfile::TempDir,
    project: Project,
    clock: ManualClock,
    pipeline: Option<Pipeline>,
    events: Events,
    waiting: Vec<Change>,
}

/// Runs a script; the error says which line, what was expected and what was found.
pub async fn run(text: &str) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scripts/project");
    let project = project::load(&root, &BTreeMap::new()).map_err(|e| e.to_string())?;
    let mut stage = Stage {
        folder: tempfile::tempdir().map_err(|e| e.to_string())?,
        project,
        clock: ManualClock::default(),
        pipeline: None,
        events: Events::new(),
        waiting: Vec::new(),
    };
    stage.clock.set_us(DAY_US);
    stage.open().await?;
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let at = |why: String| format!("line {}: {why}", number + 1);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" => {}
            "change" => {
                let change = stage.events.change(rest).map_err(at)?;
                stage.waiting.push(change);
            }
            "again" => {
                let event = rest.trim().parse().map_err(|_| at("again N".to_owned()))?;
                let change = stage.events.again(event).map_err(at)?;
                stage.waiting.push(change);
            }
            "epoch" => stage.epoch(rest).await.map_err(at)?,
            "restart" => stage.open().await.map_err(at)?,
            "table" => {
                let mut wanted = Vec::new();
                if lines.next().map(|(_, l)| l) != Some("---") {
                    return Err(at("expected --- after table".to_owned()));
                }
                while let Some((_, row)) = lines.next_if(|(_, l)| !l.trim().is_empty()) {
                    wanted.push(row.split_whitespace().collect::<Vec<_>>().join(" "));
                }
                let found = stage.table(rest).await.map_err(at)?;
                if found != wanted {
                    let (found, wanted) = (found.join("\n"), wanted.join("\n"));
                    return Err(at(format!("{rest} holds\n{found}\nand not\n{wanted}")));
                }
            }
            other => return Err(at(format!("unknown word {other}"))),
        }
    }
    let pipeline = stage.pipeline.take().ok_or("no pipeline")?;
    for part_events in [1, 3, usize::MAX] {
        differences(&pipeline, &stage.project, part_events).await?;
    }
    pipeline.close().await.map_err(|e| e.to_string())
}

impl Stage {
    async fn open(&mut self) -> Result<(), String> {
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.close().await.map_err(|e| e.to_string())?;
        }
        let settings = Settings {
            lake: LakeOptions::at(self.folder.path().display().to_string()),
            envelope: envelope::options::Options::default(),
            proof: freshet::transform::options::ProofOptions::default(),
            checkpoint: checkpoint::options::Options::default(),
            memory: freshet::lake::options::Memory::default(),
            clock: Arc::new(self.clock.clone()),
        };
        let opened = Pipeline::open(&self.project, settings).await;
        self.pipeline = Some(opened.map_err(|e| e.to_string())?);
        Ok(())
    }

    async fn epoch(&mut self, how: &str) -> Result<(), String> {
        let (loading, state) = loading(how)?;
        let changes = std::mem::take(&mut self.waiting);
        let last = changes.iter().map(|c| c.commit_us).max();
        self.clock.set_us(last.unwrap_or(DAY_US));
        let epoch = Epoch {
            rows: changes.len(),
            first_commit_us: changes.iter().map(|c| c.commit_us).min(),
            last_commit_us: last,
            changes,
            loading,
            ..Epoch::empty(state)
        };
        let pipeline = self.pipeline.as_mut().ok_or("no pipeline")?;
        pipeline.step(&epoch).await.map_err(|e| e.to_string())?;
        Ok(())
    }

    /// `NAME [columns]`: a header and rows, sorted as text; times as HH:MM, null as `-`.
    async fn table(&self, wanted: &str) -> Result<Vec<String>, String> {
        let (name, columns) = wanted.split_once(' ').unwrap_or((wanted, "*"));
        let pipeline = self.pipeline.as_ref().ok_or("no pipeline")?;
        let decision = pipeline.last().ok_or("no epoch")?;
        let query = format!("select {columns} from {name}");
        let (schema, batches) =
            ask(pipeline.store(), decision, &query).await.map_err(|e| e.to_string())?;
        let options = FormatOptions::default()
            .with_timestamp_format(Some("%H:%M"))
            .with_timestamp_tz_format(Some("%H:%M"))
            .with_null("-");
        let mut rows = Vec::new();
        for batch in &batches {
            let cells: Vec<_> = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).map_err(|e| e.to_string()))
                .collect::<Result<_, _>>()?;
            for row in 0..batch.num_rows() {
                let texts: Vec<String> = cells
                    .iter()
                    .zip(batch.columns())
                    .map(|(cell, column)| match column.is_null(row) {
                        true => "-".to_owned(),
                        false => cell.value(row).to_string().replace(' ', "_"),
                    })
                    .collect();
                rows.push(texts.join(" "));
            }
        }
        rows.sort();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        rows.insert(0, names.join(" "));
        Ok(rows)
    }
}

/// `reading` and `finishing HH:MM`: an epoch of a later read of everything, and the one that ends it.
fn loading(how: &str) -> Result<(Loading, CutState), String> {
    let done = CutState { phase: Phase::Done, ..CutState::default() };
    Ok(match how.split_once(' ').unwrap_or((how, "")) {
        ("", _) => (Loading::Done, done),
        ("reading", _) => (
            Loading::Reading { reread: true },
            CutState { phase: Phase::Reading, reread: true, ..CutState::default() },
        ),
        ("finishing", at) => {
            let read_us = DAY_US + minutes(at)? * 60_000_000;
            let state = CutState { reread: true, read_us: Some(read_us), ..done };
            (Loading::Finishing { reread: true }, state)
        }
        _ => return Err(format!("unknown epoch: {how}")),
    })
}
