//! What of dbt's Jinja is refused, and how a refusal of Jinja becomes one of ours with its place.
//!
//! A name that dbt knows and we don't is told as "not supported yet", any other as a misspelling.
//! No error of Jinja must ever leave without the file, line and column of what the user wrote.

use std::fmt;

use minijinja::{Error as JinjaError, ErrorKind};

use crate::error::{Error, Location, did_you_mean};
use crate::jinja::context::KNOWN_NAMES;

/// Names of dbt's context and of common packages that no template can use here yet.
const NOT_YET: &[&str] = &[
    "adapter",
    "api",
    "audit_helper",
    "builtins",
    "codegen",
    "context",
    "database",
    "database_schemas",
    "dbt",
    "dbt_artifacts",
    "dbt_date",
    "dbt_expectations",
    "dbt_utils",
    "dbt_version",
    "doc",
    "elementary",
    "flags",
    "fromjson",
    "fromyaml",
    "graph",
    "invocation_id",
    "load_agate_table",
    "load_relation",
    "load_result",
    "local_md5",
    "model",
    "modules",
    "node",
    "results",
    "return",
    "run_query",
    "run_started_at",
    "schema",
    "selected_resources",
    "set",
    "set_strict",
    "statement",
    "store_result",
    "submit_python_job",
    "thread_id",
    "toyaml",
    "zip",
    "zip_strict",
];

/// A refusal raised inside a function of ours, with its advice; it travels as the source of a
/// Jinja error.
#[derive(Debug)]
pub struct Refusal {
    pub hint: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hint.as_deref().unwrap_or("no advice"))
    }
}

impl std::error::Error for Refusal {}

/// A refusal in Jinja's dress.
pub fn refusal(message: impl Into<String>, hint: Option<String>) -> JinjaError {
    JinjaError::new(ErrorKind::InvalidOperation, message.into()).with_source(Refusal { hint })
}

/// The innermost Jinja error: the one that holds the reason and, of those, the closest place.
fn innermost(error: &JinjaError) -> &JinjaError {
    let mut found = error;
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(inner) = source.downcast_ref::<JinjaError>() {
            found = inner;
        }
        next = source.source();
    }
    found
}

/// Looks for a marker of ours among an error's causes.
pub fn cause<T: std::error::Error + 'static>(error: &JinjaError) -> Option<&T> {
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(found) = source.downcast_ref::<T>() {
            return Some(found);
        }
        next = source.source();
    }
    None
}

/// Turns an error of Jinja into ours. `source` is the text Jinja saw, `locate` gives the user's
/// place of a byte of it, `names` are the macros that exist beside our own functions.
pub fn convert(
    error: &JinjaError,
    source: &str,
    names: &[String],
    locate: impl Fn(usize) -> Location,
) -> Error {
    if let Some(refused) = cause::<Refusal>(error) {
        let at = error.range().or_else(|| innermost(error).range()).map_or(0, |range| range.start);
        let message = innermost(error).detail().unwrap_or("refused").to_owned();
        return Error::invalid(locate(at), message).hinted(refused.hint.clone());
    }
    let error = innermost(error);
    let line_start = |line: usize| {
        source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>()
    };
    let start = error
        .range()
        .map(|range| range.start)
        .unwrap_or_else(|| line_start(error.line().unwrap_or(1)));
    let detail = error.detail().unwrap_or_default();
    if let Some(tag) = detail.strip_prefix("unknown statement ") {
        return Error::invalid(locate(start), format!("`{{% {tag} %}}` is not supported yet"));
    }
    match undefined(error, source, start) {
        Some((at, path)) => unknown_name(locate(at), path, names),
        None => {
            let text = if detail.is_empty() { error.kind().to_string() } else { detail.to_owned() };
            Error::invalid(locate(start), format!("jinja: {text}"))
        }
    }
}

/// The dotted name that an error about something undefined is about, and its place.
fn undefined<'a>(error: &JinjaError, source: &'a str, start: usize) -> Option<(usize, &'a str)> {
    let detail = error.detail().unwrap_or_default();
    let concerns = match error.kind() {
        ErrorKind::UndefinedError | ErrorKind::UnknownFunction => true,
        ErrorKind::UnknownMethod => detail.contains("is undefined"),
        _ => false,
    };
    if !concerns {
        return None;
    }
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let before = source.get(..start)?;
    let begin = before.trim_end_matches(part).len();
    let path = &source[begin..];
    let path = &path[..path.find(|c| !part(c)).unwrap_or(path.len())];
    (path.starts_with(|c: char| c.is_alphabetic() || c == '_')).then_some((begin, path))
}

fn unknown_name(at: Location, path: &str, names: &[String]) -> Error {
    let root = path.split('.').next().unwrap_or(path);
    if NOT_YET.contains(&root) {
        return Error::invalid(at, format!("`{path}` is not supported yet"))
            .hinted("write what it would render to".to_owned());
    }
    let known = KNOWN_NAMES.iter().copied().chain(names.iter().map(String::as_str));
    let mut hint = did_you_mean(root, known.clone().filter(|name| *name != root));
    if hint.is_none() && path.contains('.') {
        hint = Some("packages are not supported yet; a variable is read with var()".to_owned());
    }
    Error::invalid(at, format!("`{path}` is not defined")).hinted(hint)
}
