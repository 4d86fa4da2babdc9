//! What serde meant: its messages turned into the words of `freshet.toml`, with a suggestion.
//!
//! Right of `tree`, left of `parse`. It must never change what is accepted, only how a refusal
//! reads.

use std::ops::Range;

use super::tree::{self, Key};

/// A refusal in our words.
#[derive(Debug, PartialEq, Eq)]
pub struct Explained {
    /// What is wrong, without its place.
    pub message: String,
    /// What to do, where known.
    pub hint: Option<String>,
    /// The byte it stands at.
    pub at: usize,
}

/// Explains serde's message about the piece of the file at `span`.
pub fn explain(message: &str, span: Option<Range<usize>>, keys: &[Key]) -> Explained {
    let start = span.as_ref().map_or(0, |span| span.start);
    let key = keys.iter().rfind(|key| key.value.start == start && !key.value.is_empty());
    let first = message.lines().next().unwrap_or("").trim();
    let explained = |message, hint| Explained { message, hint, at: start };
    if let Some(rest) = first.strip_prefix("unknown field ") {
        let (name, known) = named(rest);
        let key = keys.iter().find(|key| key.key.start == start && key.name() == name);
        let table = key.and_then(Key::table);
        let wrong = match &table {
            Some(table) => format!("unknown key `{name}` in {table}"),
            None => format!("unknown key `{name}`"),
        };
        return explained(wrong + &did_you_mean(&name, &known), hint_of("known keys", &known));
    }
    if let Some(rest) = first.strip_prefix("unknown variant ") {
        let (name, known) = named(rest);
        let of = key.map(|key| format!(" for `{}`", key.name())).unwrap_or_default();
        let wrong = format!("unknown value `{name}`{of}{}", did_you_mean(&name, &known));
        return explained(wrong, hint_of("known values", &known));
    }
    if let Some(rest) = first.strip_prefix("missing field ") {
        let name = rest.trim_matches('`');
        // The root's span can begin with its first table's.
        let table = keys.iter().rfind(|key| Some(&key.value) == span.as_ref());
        let table = table.and_then(|table| tree::table_name(&table.path));
        return match table {
            Some(table) => explained(format!("`{name}` is missing in {table}"), None),
            None => explained(format!("[{name}] is missing"), needed(name)),
        };
    }
    match key {
        Some(key) => explained(format!("`{}`: {}", key.name(), worded(first)), None),
        None => explained(worded(first), None),
    }
}

fn needed(table: &str) -> Option<String> {
    let lines = match table {
        "kafka" => {
            "say where records come from:\n    [kafka]\n    brokers = \"HOST:9092\"\n    \
                    prefix = \"PREFIX\""
        }
        "lake" => "say where tables lie:\n    [lake]\n    url = \"lake\"",
        _ => return None,
    };
    Some(lines.to_owned())
}

/// Rust's names of types in the words of TOML.
fn worded(message: &str) -> String {
    let (said, expected) = message.rsplit_once("expected ").unwrap_or((message, ""));
    let expected = match expected {
        "u64" | "u32" | "usize" | "u16" | "u8" => "a whole number, not negative",
        "i64" | "i32" => "a whole number",
        "a string" => "a text in quotes",
        "a sequence" => "a list: [\"..\"]",
        "a boolean" => "true or false",
        "a map" => "a table",
        expected if expected.starts_with("struct ") => "a table",
        _ => return message.to_owned(),
    };
    format!("{said}expected {expected}")
}

/// The name in question and those that were expected, from serde's backticks.
fn named(rest: &str) -> (String, Vec<String>) {
    let mut names = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    let name = names.next().unwrap_or_default();
    (name, names.collect())
}

fn did_you_mean(name: &str, known: &[String]) -> String {
    let distance = |other: &&String| strsim::damerau_levenshtein(name, other);
    let near = known.iter().min_by_key(distance);
    let allowed = 1 + name.chars().count() / 3;
    match near.filter(|near| distance(near) <= allowed) {
        Some(near) => format!(": did you mean `{near}`?"),
        None => String::new(),
    }
}

fn hint_of(what: &str, known: &[String]) -> Option<String> {
    (!known.is_empty()).then(|| format!("{what}: {}", known.join(", ")))
}
