//! The rules of the house, as tests: a station imports only to its left, walls around third-party
//! crates, file sizes, headers, words, and the licences of what is linked.

mod licences;
mod sources;

use sources::{File, all};

/// The stations in the order in which a change meets them.
const LINE: [&str; 7] =
    ["source", "envelope", "epoch", "lake", "transform", "checkpoint", "publish"];
/// What every station may use.
const LEFT_OF_ALL: [&str; 5] = ["error", "clock", "failpoint", "cores", "memory"];
/// A third-party crate, and the only places that may name it.
const WALLS: [(&str, &[&str]); 9] = [
    ("rdkafka::", &["engine/src/source/"]),
    ("deltalake::", &["engine/src/lake/"]),
    ("reqwest::", &["engine/src/connector/", "engine/src/publish/snowflake/"]),
    ("snowflake_api::", &["engine/src/publish/snowflake/"]),
    ("rusqlite::", &["engine/src/publish/local/"]),
    ("axum::", &["engine/src/emulator/"]),
    ("SessionContext::new", &["sql/src/plan/"]),
    ("minijinja::", &["sql/src/jinja/", "sql/src/project/"]),
    (
        "tokio_postgres::",
        &["engine/src/catalog/", "engine/src/bank/sql/", "engine/src/config/", "engine/src/cli/"],
    ),
];
const LINES_MAX: usize = 400;
const LINES_MOSTLY_MAX: usize = 250;
const FUNCTION_LINES_MAX: usize = 70;

fn complain(rule: &str, faults: Vec<String>) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn a_station_imports_only_stations_to_its_left() {
    let mut faults = Vec::new();
    for file in all("engine/src") {
        let Some(place) = LINE.iter().position(|s| file.is_under(&format!("engine/src/{s}/")))
        else {
            continue;
        };
        for (number, line) in file.code() {
            for used in modules_in(line) {
                let allowed = LEFT_OF_ALL.contains(&used)
                    || LINE[..=place].contains(&used)
                    || !file.is_a_module_of_the_crate(used);
                if !allowed {
                    faults.push(format!("{}:{number}: {} uses `{used}`", file.path, LINE[place]));
                }
            }
        }
    }
    complain("a station imports only to its left", faults);
}

#[test]
fn the_bank_and_the_pure_crate_know_no_station() {
    let mut faults = Vec::new();
    for file in all("engine/src/bank") {
        for (number, line) in file.code() {
            let known = modules_in(line).into_iter().filter(|m| LINE.contains(m));
            faults.extend(known.map(|used| format!("{}:{number}: uses `{used}`", file.path)));
        }
    }
    for file in all("sql/src").iter().filter(|f| !f.is_test()) {
        for (number, line) in file.code() {
            for word in ["std::fs", "std::net", "std::env", "SystemTime", "Instant::now", "tokio::"]
            {
                if line.contains(word) {
                    faults.push(format!("{}:{number}: `{word}`", file.path));
                }
            }
        }
    }
    complain("the bank knows no station, and `sql` no clock, disk or network", faults);
}

#[test]
fn third_party_crates_stay_behind_their_walls() {
    let mut faults = Vec::new();
    for file in all("engine/src").into_iter().chain(all("sql/src")) {
        for (number, line) in file.code() {
            for (name, rooms) in WALLS {
                if line.contains(name) && !rooms.iter().any(|room| file.is_under(room)) {
                    faults.push(format!("{}:{number}: `{name}` belongs in {rooms:?}", file.path));
                }
            }
        }
    }
    complain("third-party walls", faults);
}

#[test]
fn files_say_what_they_are_and_stay_small() {
    let files: Vec<File> = all("engine/src").into_iter().chain(all("sql/src")).collect();
    assert!(files.len() > 100, "the rules looked at {} files only", files.len());
    let mut faults = Vec::new();
    for file in &files {
        if !file.text.starts_with("//!") {
            faults.push(format!("{} does not open with what it is", file.path));
        }
        if file.lines() > LINES_MAX {
            faults.push(format!("{} has {} lines", file.path, file.lines()));
        }
        for (name, lines) in file.long_functions(FUNCTION_LINES_MAX) {
            faults.push(format!("{}: fn {name} has {lines} lines", file.path));
        }
    }
    let mut sizes: Vec<usize> = files.iter().map(File::lines).collect();
    sizes.sort_unstable();
    if sizes[sizes.len() * 9 / 10] > LINES_MOSTLY_MAX {
        faults.push("more than a tenth of the files is over 250 lines".to_owned());
    }
    complain("headers and sizes", faults);
}

#[test]
fn nothing_private_stands_in_the_repository() {
    let words = ["/root/.cargo"];
    let mut faults = Vec::new();
    for folder in ["engine", "sql", "models", "tests", "docker"] {
        for file in all(folder).iter().filter(|f| !f.path.starts_with("tests/tidy/")) {
            for word in words {
                if file.text.contains(word) {
                    faults.push(format!("{} has `{word}`", file.path));
                }
            }
        }
    }
    complain("paths of a machine", faults);
}

/// Names after `crate::` in a line of code.
fn modules_in(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .map(|(at, found)| {
            let rest = &line[at + found.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            &rest[..end]
        })
        .collect()
}
