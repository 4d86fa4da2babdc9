//! Failpoints: named places at which a test build can be killed, as by `kill -9`.
//!
//! `FRESHET_FAILPOINT=decided:3` ends the process at the third pass of `decided`. Debug builds only:
//! a release build has none. It must never do anything but end the process.

/// Every name that [`hit`] is called with; the recovery tests kill at each.
pub const NAMES: [&str; 8] =
    ["cut", "transformed", "uploading", "uploaded", "decided", "entry-put", "applied", "recovered"];

/// The same inside a push.
pub const PUSH_NAMES: [&str; 6] = ["staging", "loaded", "locked", "moved", "committing", "pushed"];

/// Ends the process here, if the environment says so.
#[cfg(debug_assertions)]
pub fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSES: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("FRESHET_FAILPOINT").ok()?;
        let (name, pass) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), pass.parse().ok()?))
    });
    if let Some((wanted, pass)) = wanted
        && wanted == name
        && PASSES.fetch_add(1, Ordering::Relaxed) + 1 == *pass
    {
        std::process::abort();
    }
}

/// A release build has no failpoints.
#[cfg(not(debug_assertions))]
pub const fn hit(_: &str) {}
