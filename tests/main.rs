//! The integration tests: one binary, since each would link DataFusion anew.
//!
//! - `scripts`: text cases that double as documentation: changes in, tables out.
//! - `lake`: files of the whole bank over many epochs.
//! - `proof`: damaged tables are found by a recompute, held back, and made anew.
//! - `publish`: pushes to the emulated Snowflake and to a local file, through every failure.
//! - `tidy`: the rules of the house: imports, sizes, names, licences.
//!
//! What needs real servers or other engines' eyes is Python, beside this file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may end a test")]

#[path = "lake/mod.rs"]
mod lake;
#[path = "proof/mod.rs"]
mod proof;
#[path = "publish/mod.rs"]
mod publish;
#[path = "scripts/mod.rs"]
mod scripts;
#[path = "tidy/mod.rs"]
mod tidy;
