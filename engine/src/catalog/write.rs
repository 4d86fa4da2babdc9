//! The sources file's text.
//!
//! Right of `existing`. The same input gives the same bytes: tables stand in the order of the file
//! that was there, new ones after them by name; columns as the database declares them.

use serde_json::{Map, Value as Json};

use super::existing::{Existing, Kept, KeptTable};
use super::table::{Catalog, Table};

const WIDTH: usize = 100;
const HEADER: &str = "\
# The source tables of the line, as PostgreSQL declares them; `freshet sources` writes this file.
# Types and keys come from the catalog; descriptions and tests written here stay.
";
/// The columns that Freshet adds to every source table.
const ADDED: &[(&str, &str, &str)] = &[
    (
        "_commit_at",
        "timestamp(6) with time zone",
        "Commit time, in the source, of the row's last change.",
    ),
    ("_tx_id", "bigint", "Source transaction of the row's last change."),
    ("_lsn", "bigint", "Position of the row's last change in the source's log."),
];

/// Renders the file.
pub fn render(catalog: &Catalog, existing: &Existing) -> String {
    let mut out = Lines::default();
    out.0.push_str(if existing.header.is_empty() { HEADER } else { &existing.header });
    out.0.push_str("\nversion: 2\n\nsources:\n");
    let name = existing.name.as_ref().unwrap_or(&catalog.database);
    out.line(2, &format!("- name: {}", scalar(name)));
    out.line(4, &format!("schema: {}", scalar(&catalog.schema)));
    out.kept(4, &existing.source, None);
    out.line(4, "tables:");
    for (nth, table) in ordered(catalog, existing).into_iter().enumerate() {
        if nth > 0 {
            out.0.push('\n');
        }
        out.table(table, existing.tables.get(&table.name).unwrap_or(&KeptTable::default()));
    }
    out.0
}

fn ordered<'a>(catalog: &'a Catalog, existing: &Existing) -> Vec<&'a Table> {
    let place = |table: &&Table| {
        existing.order.iter().position(|name| *name == table.name).unwrap_or(usize::MAX)
    };
    let mut tables: Vec<_> = catalog.tables.iter().collect();
    tables.sort_by_key(|table| (place(table), &table.name));
    tables
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, indent: usize, text: &str) {
        self.0.push_str(&" ".repeat(indent));
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn table(&mut self, table: &Table, kept: &KeptTable) {
        self.line(6, &format!("- name: {}", scalar(&table.name)));
        self.kept(8, &kept.own, table.comment.as_deref());
        self.line(8, "config:");
        self.others(10, &kept.config);
        self.line(10, "meta:");
        let key = match &kept.primary_key {
            Some(given) if table.primary_key.is_empty() => given.to_string(),
            _ => {
                let names: Vec<_> = table.primary_key.iter().map(|name| word(name)).collect();
                format!("[{}]", names.join(", "))
            }
        };
        self.line(12, &format!("primary_key: {key}"));
        self.others(12, &kept.meta);
        self.line(8, "columns:");
        let nothing = Kept::default();
        let kept = |name: &str| kept.columns.get(name).unwrap_or(&nothing);
        for column in &table.columns {
            self.column(&column.name, &column.data_type);
            self.kept(12, kept(&column.name), column.comment.as_deref());
        }
        for (name, data_type, description) in ADDED {
            self.column(name, data_type);
            self.kept(12, kept(name), Some(description));
        }
    }

    fn column(&mut self, name: &str, data_type: &str) {
        self.line(10, &format!("- name: {}", scalar(name)));
        self.line(12, &format!("data_type: {}", scalar(data_type)));
    }

    /// The description that was there, else the database's comment; then all other keys.
    fn kept(&mut self, indent: usize, kept: &Kept, comment: Option<&str>) {
        let description = match kept.description.as_str() {
            "" => comment.unwrap_or("").trim(),
            written => written,
        };
        self.description(indent, description);
        self.others(indent, &kept.others);
    }

    /// On one line where it fits, else folded; paragraphs as they are.
    fn description(&mut self, indent: usize, text: &str) {
        let one = format!("description: {}", scalar(text));
        if text.is_empty() {
        } else if text.contains('\n') {
            self.line(indent, "description: |");
            text.lines().for_each(|line| match line.trim() {
                "" => self.0.push('\n'),
                line => self.line(indent + 2, line),
            });
        } else if indent + one.chars().count() <= WIDTH {
            self.line(indent, &one);
        } else {
            self.line(indent, "description: >");
            folded(text, WIDTH - indent - 2).iter().for_each(|line| self.line(indent + 2, line));
        }
    }

    /// Keys that we know nothing of, in YAML's flow form, which is JSON.
    fn others(&mut self, indent: usize, keys: &Map<String, Json>) {
        for (key, value) in keys {
            self.line(indent, &format!("{}: {value}", scalar(key)));
        }
    }
}

fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A text as a YAML value on a line of its own: plain where no reader can take it for anything
/// else, else quoted.
fn scalar(text: &str) -> String {
    let opens = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let breaks = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    let lower = text.to_lowercase();
    let word =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&lower.as_str());
    match opens && !breaks && !word && !text.chars().any(char::is_control) {
        true => text.to_owned(),
        false => Json::from(text).to_string(),
    }
}

/// A name within a list's brackets.
fn word(name: &str) -> String {
    match name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => scalar(name),
        false => Json::from(name).to_string(),
    }
}
