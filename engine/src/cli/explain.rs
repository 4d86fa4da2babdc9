//! `freshet explain`: how models follow what they read, what a change costs, what stands in the way.
//!
//! It reads the project and, for what a model cost before, the lake's last decision. It opens no
//! lease, runs no query and never looks at a row.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use freshet_sql::maintain::place::place;
use freshet_sql::maintain::{Construct, Cost, Explained, InputMode};
use freshet_sql::project::Project;
use serde_json::json;

use super::args::Explain;
use super::{bank_project, unprintable};
use crate::checkpoint::recover;
use crate::config::Config;
use crate::envelope;
use crate::error::{Error, Result};
use crate::lake::store::Store;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::project;
use crate::transform::planned::{Planned, PlannedModel};

/// One model, explained.
struct Told<'p> {
    model: &'p PlannedModel,
    explained: Explained,
    /// By input: where the construct stands that makes it cost everything.
    places: Vec<Option<String>>,
    before: Option<Cost>,
}

/// Explains and prints.
pub async fn run(options: &Explain, config: impl Fn() -> Result<Config>) -> Result<ExitCode> {
    let project = project_of(options.models.as_deref(), &config)?;
    let catalog = Catalog::of(&project, &envelope::options::Options::default())?;
    let planned = Planned::new(&project, &catalog.columns()).await?;
    let before = costs_before(options, &config).await?;
    let wanted = |m: &&PlannedModel| options.model.as_ref().is_none_or(|name| *name == m.name);
    let told: Vec<Told<'_>> = planned
        .models
        .iter()
        .filter(wanted)
        .map(|model| told(&project, model, before.get(&model.name).copied()))
        .collect();
    if told.is_empty() {
        return Err(unknown(&planned, options.model.as_deref().unwrap_or_default()));
    }
    let tests: Vec<(&str, Explained)> = planned
        .tests
        .iter()
        .filter(|t| options.model.as_ref().is_none_or(|name| *name == t.model))
        .map(|t| (t.name.as_str(), t.maintained.explain()))
        .collect();
    let text = if options.json {
        let models: Vec<_> = told.iter().map(Told::as_json).collect();
        let tests: BTreeMap<&str, Cost> = tests.iter().map(|(n, e)| (*n, e.cost())).collect();
        format!("{}\n", json!({"models": models, "tests": tests}))
    } else {
        let mut text: String = told.iter().map(|t| t.text(options.model.is_some())).collect();
        text.push_str(&tests_text(&tests));
        text
    };
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(unprintable)?;
    let bad: Vec<String> = told.iter().filter_map(Told::complaint).collect();
    if options.strict && before.is_empty() {
        let how = "`--against FILE` names what `freshet explain --json` wrote";
        eprintln!("no earlier costs to compare with: no lake was found that has any; {how}");
    }
    if options.strict && !bad.is_empty() {
        for line in &bad {
            eprintln!("{line}");
        }
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// The project that was named, else the configuration's, else the one that is built in.
pub fn project_of(folder: Option<&Path>, config: &impl Fn() -> Result<Config>) -> Result<Project> {
    match folder {
        Some(folder) => project::load(folder, &Default::default()),
        None => match config() {
            Ok(config) => project::load(&config.models.dir, &config.models.vars),
            Err(_) => bank_project::load(),
        },
    }
}

/// What models cost in an earlier explanation, or in the lake's last epoch.
async fn costs_before(
    options: &Explain,
    config: &impl Fn() -> Result<Config>,
) -> Result<BTreeMap<String, Cost>> {
    if let Some(path) = &options.against {
        let what = || format!("cannot read \"{}\"", path.display());
        let text = std::fs::read(path).map_err(|e| Error::unavailable(what(), e))?;
        return earlier(&text).ok_or_else(|| {
            Error::invalid(format!("\"{}\" is no explanation", path.display()))
                .with_hint("write it by `freshet explain --json`")
        });
    }
    let Ok(config) = config() else { return Ok(BTreeMap::new()) };
    let Ok(store) = Store::open_existing(&config.lake) else { return Ok(BTreeMap::new()) };
    let models = recover::latest(&store).await?.map(|d| d.models).unwrap_or_default();
    Ok(models.into_iter().filter_map(|m| Some((m.name, m.cost?))).collect())
}

fn earlier(text: &[u8]) -> Option<BTreeMap<String, Cost>> {
    let told: serde_json::Value = serde_json::from_slice(text).ok()?;
    let models = told.get("models")?.as_array()?.iter();
    let one = |m: &serde_json::Value| {
        let cost = serde_json::from_value(m.get("cost")?.clone()).ok()?;
        Some((m.get("name")?.as_str()?.to_owned(), cost))
    };
    models.map(one).collect()
}

fn told<'p>(project: &Project, model: &'p PlannedModel, before: Option<Cost>) -> Told<'p> {
    let explained = model.maintained.explain();
    let written = project.models.iter().find(|m| m.name == model.name);
    let at = |input: &InputMode| {
        let (written, obstacle) = (written?, input.obstacle?);
        Some(match place(&written.sql, obstacle, &input.obstacle_key) {
            Some((line, column)) => written.locate(line, column).to_string(),
            None => written.location.to_string(),
        })
    };
    let places = explained.inputs.iter().map(at).collect();
    Told { model, explained, places, before }
}

impl Told<'_> {
    /// The first of the places.
    fn at(&self) -> Option<&str> {
        self.places.iter().flatten().next().map(String::as_str)
    }

    fn text(&self, with_plan: bool) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let name = format!("{}.{}", self.model.layer, self.model.name);
        let _ = writeln!(text, "{name:<40} a change costs: {}", self.explained.cost().name());
        if let Some(snapshot) = &self.model.snapshot {
            let how = match &snapshot.images {
                Ok(_) => "history: a version for every transaction that changed the row".to_owned(),
                Err(why) => format!("history: one version an epoch at most, since {why}"),
            };
            let _ = writeln!(text, "  {how}");
        }
        for (input, at) in self.explained.inputs.iter().zip(&self.places) {
            let by = if input.keys.is_empty() {
                String::new()
            } else {
                format!(" by {}", input.keys.join("; "))
            };
            let _ = writeln!(text, "  {:<38} {}{by}", input.relation, input.cost.name());
            if let Some(why) = input.obstacle.filter(|_| input.cost == Cost::Full) {
                let at = at.as_deref().unwrap_or_default();
                let _ = writeln!(text, "    {at}: {}", why.name());
                let _ = writeln!(text, "    what helps: {}", why.help());
            }
        }
        let audit = self.model.lineage.audit.join(", ");
        if with_plan && !audit.is_empty() {
            let _ = writeln!(text, "audit columns, no part of what is compared: {audit}");
        }
        if with_plan {
            let _ = writeln!(text, "plan");
            for line in &self.explained.plan {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    fn as_json(&self) -> serde_json::Value {
        let inputs: Vec<_> = self
            .explained
            .inputs
            .iter()
            .zip(&self.places)
            .map(|(i, at)| {
                json!({
                    "relation": i.relation,
                    "cost": i.cost,
                    "keys": i.keys,
                    "obstacle": i.obstacle.map(Construct::name),
                    "help": i.obstacle.map(Construct::help),
                    "at": at,
                })
            })
            .collect();
        json!({
            "name": self.model.name,
            "layer": self.model.layer,
            "cost": self.explained.cost(),
            "cost_before": self.before,
            "inputs": inputs,
            "at": self.at(),
            "audit": self.model.lineage.audit,
            "plan": self.explained.plan,
        })
    }

    /// What `--strict` says of it.
    fn complaint(&self) -> Option<String> {
        let (cost, name) = (self.explained.cost(), &self.model.name);
        let at = self.at().map_or_else(|| self.model.location.to_string(), str::to_owned);
        if let Some(before) = self.before.filter(|before| cost > *before) {
            return Some(format!(
                "{at}: model \"{name}\" got worse: a change cost {}, now {}",
                before.name(),
                cost.name()
            ));
        }
        let full = cost == Cost::Full;
        full.then(|| format!("{at}: a change of model \"{name}\" costs everything"))
    }
}

fn tests_text(tests: &[(&str, Explained)]) -> String {
    use std::fmt::Write as _;
    let count = |cost| tests.iter().filter(|(_, e)| e.cost() == cost).count();
    let mut text = format!(
        "\ndata tests: {} cost changed rows, {} touched keys, {} everything\n",
        count(Cost::Rows),
        count(Cost::Keys),
        count(Cost::Full)
    );
    for (name, explained) in tests.iter().filter(|(_, e)| e.cost() == Cost::Full) {
        let why = explained.inputs.iter().find_map(|i| i.obstacle).map_or("", Construct::name);
        let _ = writeln!(text, "  {name}: {why}");
    }
    text
}

/// No model of this name.
pub fn unknown(planned: &Planned, name: &str) -> Error {
    let names = planned.models.iter().map(|m| m.name.as_str());
    let near = freshet_sql::error::closest(name, names);
    let error = Error::invalid(format!("the project has no model \"{name}\""));
    match near {
        Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
        None => error,
    }
}
