//! dbt's names inside a template: ref, source, config, var, env_var, this, target and the rest.
//!
//! The functions read one shared `Scope` and write down in it what a template asked for. They must
//! never read the environment themselves: a missing variable is asked of the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error as JinjaError, ErrorKind};
use serde_json::Value as Json;

use crate::error::did_you_mean;
use crate::jinja::objects::{Config, Exceptions, Silent};
use crate::jinja::refuse::refusal;
use crate::jinja::relation::Relation;
use crate::jinja::value::{to_jinja, to_json};
use crate::project::Target;

/// What a template may name; suggestions for misspelt names come from here.
pub const KNOWN_NAMES: &[&str] = &[
    "config",
    "debug",
    "dict",
    "env_var",
    "exceptions",
    "execute",
    "is_incremental",
    "log",
    "namespace",
    "print",
    "project_name",
    "range",
    "ref",
    "source",
    "target",
    "this",
    "tojson",
    "var",
];

/// What a template may read, and what the last one asked for.
#[derive(Debug, Default)]
pub struct Scope {
    pub project: String,
    /// The models by name.
    pub models: BTreeMap<String, Relation>,
    /// The source tables by source and table name.
    pub sources: BTreeMap<(String, String), Relation>,
    pub vars: BTreeMap<String, Json>,
    /// Environment variables that were asked for; `None`: asked for and not set.
    pub env: BTreeMap<String, Option<String>>,
    /// Configuration from outside the file, for `config.get`.
    pub outer: BTreeMap<String, Json>,
    pub found: Found,
}

/// What a template asked for while it was rendered.
#[derive(Debug, Default, Clone)]
pub struct Found {
    /// The arguments of its `config(..)` calls; later ones win.
    pub config: Vec<(String, Json)>,
    pub refs: Vec<String>,
    pub sources: Vec<(String, String)>,
}

/// The scope as the functions hold it.
pub type Desk = Arc<Mutex<Scope>>;

/// Locks the scope; a template that panicked left it usable.
pub fn open(desk: &Desk) -> MutexGuard<'_, Scope> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The marker of a render that stopped at a variable nobody has looked up yet.
#[derive(Debug)]
pub struct WantsVariable(pub String);

impl fmt::Display for WantsVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} is to be looked up", self.0)
    }
}

impl std::error::Error for WantsVariable {}

/// Adds dbt's names to an environment.
pub fn install(env: &mut Environment<'static>, desk: &Desk, target: &Target) {
    let held = Arc::clone(desk);
    env.add_function("ref", move |names: Rest<Value>| model(&mut open(&held), &names));
    let held = Arc::clone(desk);
    env.add_function("source", move |source: String, table: String| {
        source_table(&mut open(&held), source, table)
    });
    let held = Arc::clone(desk);
    env.add_function("var", move |name: String, default: Option<Value>| {
        variable(&open(&held), &name, default)
    });
    let held = Arc::clone(desk);
    env.add_function("env_var", move |name: String, default: Option<String>| {
        env_variable(&open(&held), &name, default)
    });
    env.add_global("config", Value::from_object(Config(Arc::clone(desk))));
    env.add_global("exceptions", Value::from_object(Exceptions));
    // Incremental models are kept exact, whatever their filter would skip: it never applies.
    env.add_function("is_incremental", || false);
    env.add_global("log", Value::from_object(Silent));
    env.add_global("print", Value::from_object(Silent));
    env.add_function("tojson", |value: Value| -> Result<String, JinjaError> {
        to_json(&value)
            .map(|json| json.to_string())
            .ok_or_else(|| refusal("tojson() of something undefined", None))
    });
    env.add_global("execute", true);
    env.add_global("project_name", open(desk).project.clone());
    env.add_global(
        "target",
        Value::from_pairs([
            ("name", target.name.as_str()),
            ("target_name", target.name.as_str()),
            ("schema", target.schema.as_str()),
            ("database", target.database.as_str()),
            ("dbname", target.database.as_str()),
            ("type", "freshet"),
        ]),
    );
}

fn model(scope: &mut Scope, names: &[Value]) -> Result<Value, JinjaError> {
    let texts: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    if texts.len() < names.len() {
        let hint = "write ref('model') or ref('project', 'model')".to_owned();
        return Err(refusal(
            "ref() takes one or two names as text; versions are not supported yet",
            Some(hint),
        ));
    }
    let name = match texts[..] {
        [name] => name,
        [project, name] if project == scope.project => name,
        [project, _] => {
            let message = format!("ref() to the project \"{project}\" is not supported yet");
            let hint = format!("this project is \"{}\"", scope.project);
            return Err(refusal(message, Some(hint)));
        }
        _ => return Err(refusal("ref() takes one or two names", None)),
    };
    let Some(relation) = scope.models.get(name).cloned() else {
        let message = format!("ref() names the model \"{name}\", which does not exist");
        return Err(refusal(message, did_you_mean(name, scope.models.keys().map(String::as_str))));
    };
    if !scope.found.refs.iter().any(|seen| seen == name) {
        scope.found.refs.push(name.to_owned());
    }
    Ok(Value::from_object(relation))
}

fn source_table(scope: &mut Scope, source: String, table: String) -> Result<Value, JinjaError> {
    let key = (source, table);
    let Some(relation) = scope.sources.get(&key).cloned() else {
        let (source, table) = &key;
        let tables = scope.sources.keys().filter(|(of, _)| of == source).map(|(_, t)| t.as_str());
        let sources = scope.sources.keys().map(|(of, _)| of.as_str());
        let hint = did_you_mean(table, tables)
            .or_else(|| did_you_mean(source, sources.filter(|known| known != source)));
        let message = format!("source() names \"{source}.{table}\", which no sources: entry has");
        return Err(refusal(message, hint));
    };
    if !scope.found.sources.contains(&key) {
        scope.found.sources.push(key);
    }
    Ok(Value::from_object(relation))
}

fn variable(scope: &Scope, name: &str, default: Option<Value>) -> Result<Value, JinjaError> {
    match (scope.vars.get(name), default) {
        (Some(json), _) => Ok(to_jinja(json)),
        (None, Some(default)) => Ok(default),
        (None, None) => {
            let hint = did_you_mean(name, scope.vars.keys().map(String::as_str))
                .unwrap_or_else(|| format!("set it under vars:, or write var('{name}', default)"));
            Err(refusal(format!("the variable \"{name}\" is not set"), Some(hint)))
        }
    }
}

fn env_variable(scope: &Scope, name: &str, default: Option<String>) -> Result<Value, JinjaError> {
    if name.starts_with("DBT_ENV_SECRET_") {
        let message = format!("\"{name}\" is a secret, and compiled text is stored");
        return Err(refusal(message, Some("secrets belong in freshet.toml".to_owned())));
    }
    match (scope.env.get(name), default) {
        (Some(Some(text)), _) => Ok(Value::from(text.as_str())),
        (Some(None), Some(default)) => Ok(Value::from(default)),
        (Some(None), None) => {
            let message = format!("the environment variable \"{name}\" is not set");
            let hint = format!("set it, or write env_var('{name}', 'default')");
            Err(refusal(message, Some(hint)))
        }
        (None, _) => Err(JinjaError::new(ErrorKind::InvalidOperation, "a variable is wanted")
            .with_source(WantsVariable(name.to_owned()))),
    }
}
