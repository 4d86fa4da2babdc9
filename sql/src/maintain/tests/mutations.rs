//! Ways to break the maintenance on purpose: the proof must see each of them.
//!
//! A way is a name at the place in the code that it breaks. For each, random cases are run until one
//! differs; a way that none of them sees is a hole in the proof.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::case;
use super::tape::Tape;

/// Every file that maintenance is made of.
const SOURCES: [&str; 18] = [
    include_str!("../access.rs"),
    include_str!("../beside.rs"),
    include_str!("../delta.rs"),
    include_str!("../fetch.rs"),
    include_str!("../interval.rs"),
    include_str!("../joins.rs"),
    include_str!("../least.rs"),
    include_str!("../mod.rs"),
    include_str!("../near.rs"),
    include_str!("../partials.rs"),
    include_str!("../parts.rs"),
    include_str!("../reach.rs"),
    include_str!("../rewrite.rs"),
    include_str!("../rowwise.rs"),
    include_str!("../run.rs"),
    include_str!("../timed.rs"),
    include_str!("../totals.rs"),
    include_str!("../windows.rs"),
];
/// Cases after which a way counts as not seen.
const CASES_MAX: u64 = 6_000;

thread_local! {
    static ACTIVE: Cell<&'static str> = const { Cell::new("") };
}

/// Whether this way is the one that is tried now.
pub fn is_active(way: &str) -> bool {
    ACTIVE.with(|active| active.get() == way)
}

/// The names in the code.
fn ways() -> Vec<&'static str> {
    let mut all = BTreeSet::new();
    for source in SOURCES {
        for piece in source.split("mutated(\"").skip(1) {
            all.extend(piece.split('"').next());
        }
    }
    all.into_iter().collect()
}

/// The first case that sees this way.
fn seen_after(way: &'static str) -> Option<u64> {
    ACTIVE.with(|active| active.set(way));
    let most = std::env::var("FRESHET_CASES").ok().and_then(|n| n.parse().ok());
    let seen =
        (1..=most.unwrap_or(CASES_MAX)).find(|seed| case::run(&mut Tape::random(*seed)).is_err());
    ACTIVE.with(|active| active.set(""));
    seen
}

#[test]
fn every_way_to_break_the_maintenance_is_seen() {
    let ways = ways();
    assert!(ways.len() >= 60, "{} ways are too few", ways.len());
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Cases that fail panic on their way; there will be many.
                while let Some(way) = ways.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match seen_after(way) {
                        Some(case) => println!("case {case} sees: {way}"),
                        None => missed.lock().unwrap().push(*way),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "no case sees: {missed:#?}");
    println!("{} ways, each of them seen", ways.len());
}
