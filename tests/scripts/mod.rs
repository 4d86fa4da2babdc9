//! Script cases: each file under `cases/` tells a story in changes, and the tables it ends in.
//!
//! A line of a script:
//! ```text
//! change customers u 1 {"id":1,"city":"Oslo"} at=11:00 tx=7   an event; at is a time of one day
//! again 3                                                     the third event is delivered again
//! epoch [reading | finishing HH:MM]                           everything since the last epoch
//! restart                                                     the lake is closed and loaded anew
//! table customers_snapshot customer_id,city [order]           what the table holds
//! ---
//! customer_id city valid_from ...                             until an empty line
//! ```
//! Every change goes through the envelope, the lake, the models and a decision, in a real folder.

mod case;
mod events;

use std::path::Path;

/// Zero cases run would be a failure.
#[test]
fn every_case_ends_in_the_tables_it_tells() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scripts/cases");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "script"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 8, "cases are missing from {}", folder.display());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut failures = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Err(why) = runtime.block_on(case::run(&text)) {
            failures.push(format!("{name}: {why}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases\n{}",
        failures.len(),
        paths.len(),
        failures.join("\n\n")
    );
}
