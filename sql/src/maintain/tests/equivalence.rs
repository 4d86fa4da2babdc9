//! Random cases: incremental equals full. DuckDB's part is a script that reads what these tell.

use std::io::Write;

use super::case;
use super::tape::{Tape, shrink};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Runs a case, and makes a failing one small.
fn check(seed: u64) -> case::Told {
    let mut tape = Tape::random(seed);
    let failure = match case::run(&mut tape) {
        Ok(told) => return told,
        Err(failure) => failure,
    };
    let choices = tape.choices().to_vec();
    let small = shrink(&choices, 600, |c| case::run(&mut Tape::replay(c.to_vec())).is_err());
    let smallest = case::run(&mut Tape::replay(small)).err().unwrap_or(failure);
    panic!("FRESHET_SEED={seed} FRESHET_CASES=1: {smallest}");
}

#[test]
fn what_is_maintained_equals_what_is_recomputed() {
    let (cases, first) = (number("FRESHET_CASES", 150), number("FRESHET_SEED", 1));
    let mut told_to =
        std::env::var("FRESHET_CASES_TO").ok().map(|path| std::fs::File::create(path).unwrap());
    let (mut followed, mut recomputed) = (0, 0);
    for seed in first..first + cases {
        let told = check(seed);
        followed += told.followed;
        recomputed += told.recomputed;
        if let Some(file) = &mut told_to {
            let models: Vec<_> = told
                .models
                .iter()
                .map(|(name, sql, portable, rows)| {
                    serde_json::json!({"name": name, "sql": sql, "portable": portable, "rows": rows})
                })
                .collect();
            let (tables, columns) = (told.tables, told.columns);
            let line = serde_json::json!({
                "seed": seed, "tables": tables, "columns": columns, "models": models
            });
            writeln!(file, "{line}").unwrap();
        }
    }
    println!("{cases} cases: {followed} epochs of models followed, {recomputed} recomputed");
    assert!(cases < 50 || recomputed * 2 < followed, "most of what is generated must be followed");
}
