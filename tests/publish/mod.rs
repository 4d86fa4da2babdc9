//! Pushes, from a real lake of the bank's models to the emulated Snowflake and to SQLite.
//!
//! - `faults`: a failure at every request of a push, before and after its effect, one and two.
//! - `readers`: whoever reads all marts and the ledger in one statement sees one epoch.
//! - `rules`: targets that are not ours, keys and columns, zombies, two instances.
//! - `beside`: RAW, history that is taken over, a local file, logins and setup.

pub mod bank;
mod beside;
mod faults;
mod readers;
mod rules;
mod target;

/// Whether the long runs were asked for.
fn long() -> bool {
    std::env::var_os("FRESHET_LONG").is_some()
}
