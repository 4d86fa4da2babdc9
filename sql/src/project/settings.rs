//! dbt_project.yml: the project's name, folders, variables and configuration trees.
//!
//! The first file that is read. Keys that would change what is built and that we can't follow are
//! refused, those that only dbt's own commands read are passed over.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::{Error, Location, Result};
use crate::project::yaml::{Node, Yaml};

/// The file's name, at the root of the project.
pub const FILE: &str = "dbt_project.yml";

/// What dbt_project.yml says.
#[derive(Debug)]
pub struct Settings {
    pub name: String,
    pub model_paths: Vec<String>,
    pub snapshot_paths: Vec<String>,
    pub test_paths: Vec<String>,
    pub macro_paths: Vec<String>,
    pub vars: BTreeMap<String, Json>,
    pub models: Option<Yaml>,
    pub snapshots: Option<Yaml>,
    pub tests: Option<Yaml>,
}

const KNOWN: &[&str] = &[
    "analysis-paths",
    "asset-paths",
    "clean-targets",
    "config-version",
    "data_tests",
    "dispatch",
    "docs-paths",
    "exposures",
    "flags",
    "function-paths",
    "functions",
    "macro-paths",
    "metrics",
    "model-paths",
    "models",
    "name",
    "on-run-end",
    "on-run-start",
    "packages-install-path",
    "profile",
    "query-comment",
    "quoting",
    "require-dbt-version",
    "restrict-access",
    "saved-queries",
    "seed-paths",
    "seeds",
    "semantic-models",
    "snapshot-paths",
    "snapshots",
    "sources",
    "target-path",
    "test-paths",
    "tests",
    "unit_tests",
    "vars",
    "version",
];

impl Settings {
    /// Reads the file; `given` are the variables of the command line, which win.
    pub fn read(
        files: &BTreeMap<String, String>,
        given: &BTreeMap<String, Json>,
    ) -> Result<Settings> {
        let text = files.get(FILE).ok_or_else(|| {
            Error::invalid_nowhere(format!("{FILE} is missing"))
                .hinted("point freshet at the folder that holds it".to_owned())
        })?;
        let yaml = Yaml::parse(FILE, text)?;
        yaml.allow(FILE, KNOWN)?;
        refuse_hooks(&yaml)?;
        refuse_packages(files)?;
        let name = match yaml.get("name") {
            Some(name) => name.text("name")?,
            None => {
                return Err(Error::invalid(Location::top(FILE), format!("{FILE} has no name:")));
            }
        };
        Ok(Settings {
            vars: variables(&yaml, &name, given)?,
            model_paths: paths(&yaml, "model-paths", "models")?,
            snapshot_paths: paths(&yaml, "snapshot-paths", "snapshots")?,
            test_paths: paths(&yaml, "test-paths", "tests")?,
            macro_paths: paths(&yaml, "macro-paths", "macros")?,
            models: yaml.get("models").cloned(),
            snapshots: yaml.get("snapshots").cloned(),
            tests: yaml.get("data_tests").or_else(|| yaml.get("tests")).cloned(),
            name,
        })
    }
}

fn refuse_hooks(yaml: &Yaml) -> Result<()> {
    for key in ["on-run-start", "on-run-end"] {
        if let Some(hook) = yaml.get(key)
            && !hook.texts(key)?.is_empty()
        {
            let hint = "a run does not exist here: the models are always current".to_owned();
            let message = format!("{key} is not supported yet");
            return Err(Error::invalid(hook.at.clone(), message).hinted(hint));
        }
    }
    Ok(())
}

fn refuse_packages(files: &BTreeMap<String, String>) -> Result<()> {
    for file in ["packages.yml", "dependencies.yml"] {
        let Some(text) = files.get(file) else {
            continue;
        };
        if let Some(list) = Yaml::parse(file, text)?.get("packages")
            && let Some(first) = list.items("packages")?.first()
        {
            return Err(Error::invalid(first.at.clone(), "packages are not supported yet")
                .hinted("write the macros you use into this project".to_owned()));
        }
    }
    Ok(())
}

fn paths(yaml: &Yaml, key: &str, default: &str) -> Result<Vec<String>> {
    let Some(value) = yaml.get(key) else {
        return Ok(vec![default.to_owned()]);
    };
    let trim = |path: String| path.trim_start_matches("./").trim_end_matches('/').to_owned();
    Ok(value.texts(key)?.into_iter().map(trim).collect())
}

/// Variables: those for all, over them the project's own, over them the command line's.
fn variables(
    yaml: &Yaml,
    project: &str,
    given: &BTreeMap<String, Json>,
) -> Result<BTreeMap<String, Json>> {
    let mut vars = BTreeMap::new();
    if let Some(all) = yaml.get("vars") {
        let own = |key: &str, value: &Yaml| key == project && matches!(value.node, Node::Map(_));
        for entry in all.entries("vars")?.iter().filter(|entry| !own(&entry.key, &entry.value)) {
            vars.insert(entry.key.clone(), entry.value.json());
        }
        if let Some(scoped) = all.get(project).filter(|value| own(project, value)) {
            for entry in scoped.entries("vars")? {
                vars.insert(entry.key.clone(), entry.value.json());
            }
        }
    }
    vars.extend(given.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(vars)
}

/// The folder of `paths` that a file lies in, and its path below that folder.
pub fn below<'a>(paths: &'a [String], file: &'a str) -> Option<(&'a str, &'a str)> {
    paths
        .iter()
        .filter_map(|folder| {
            let rest = file.strip_prefix(folder.as_str())?.strip_prefix('/')?;
            Some((folder.as_str(), rest))
        })
        .max_by_key(|(folder, _)| folder.len())
}

/// The layer of a model: its model path, where there are several; else the first folder below
/// the only one, or that one itself.
pub fn layer(paths: &[String], folder: &str, rest: &str) -> String {
    let own = folder.rsplit('/').next().unwrap_or(folder);
    match rest.split_once('/') {
        Some((first, _)) if paths.len() == 1 => first.to_owned(),
        _ => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings> {
        let files = BTreeMap::from([(FILE.to_owned(), text.to_owned())]);
        Settings::read(&files, &BTreeMap::from([("c".to_owned(), Json::from(9))]))
    }

    #[test]
    fn the_command_line_wins_over_the_project_and_that_over_all() {
        let settings = read("name: b\nvars:\n  a: 1\n  c: 1\n  d: 1\n  b:\n    a: 2\n").unwrap();
        let vars: Vec<_> = settings.vars.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(vars, ["a=2", "c=9", "d=1"]);
        assert_eq!(settings.model_paths, ["models"]);
    }

    #[test]
    fn unknown_keys_and_hooks_are_refused_where_they_stand() {
        let error = read("name: b\nmodel-path: [x]\n").unwrap_err().to_string();
        assert!(error.starts_with("dbt_project.yml:2:1: dbt_project.yml has no key"), "{error}");
        assert!(error.contains("\"model-paths\""), "{error}");
        let error = read("name: b\non-run-end: [x]\n").unwrap_err().to_string();
        assert!(error.starts_with("dbt_project.yml:2:13: on-run-end is not"), "{error}");
    }

    #[test]
    fn layers_are_folders() {
        let one = ["models".to_owned()];
        let two = ["staging".to_owned(), "a/marts".to_owned()];
        assert_eq!(layer(&one, "models", "staging/x/y.sql"), "staging");
        assert_eq!(layer(&one, "models", "y.sql"), "models");
        assert_eq!(layer(&two, "a/marts", "x/y.sql"), "marts");
        assert_eq!(below(&two, "a/marts/x.sql"), Some(("a/marts", "x.sql")));
    }
}
