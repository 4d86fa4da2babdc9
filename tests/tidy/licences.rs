//! The licences of everything that is linked, as the crates themselves declare them.
//!
//! `deny.toml` says the same to cargo-deny, which also knows advisories; this test needs nothing but
//! cargo.

use std::process::Command;

use super::sources::root;

/// Licences that may be linked into a binary that others run.
const ALLOWED: [&str; 15] = [
    // File-level copyleft: linking is free, changed files of that crate are not ours to keep.
    "MPL-2.0",
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "Unlicense",
];

#[test]
fn every_linked_crate_has_a_licence_that_we_may_pass_on() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: std::collections::BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let mut faults = Vec::new();
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if !used.contains(package["id"].as_str().unwrap()) {
            continue;
        }
        seen += 1;
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none declared");
        if !allowed(licence) {
            faults.push(format!("{name}: {licence}"));
        }
    }
    assert!(seen > 300, "cargo metadata named {seen} packages only");
    assert!(faults.is_empty(), "licences to look at:\n  {}", faults.join("\n  "));
}

/// An expression holds if one of its alternatives consists of allowed licences only.
fn allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain
        .split(" OR ")
        .any(|choice| choice.split(" AND ").all(|licence| ALLOWED.contains(&licence.trim())))
}
