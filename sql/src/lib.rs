//! Freshet's pure half: model files and Arrow in, changes out.
//!
//! It knows no Kafka, no Delta, no HTTP, no disk and no clock; the engine depends on it, never back.
//! (DataFusion spills to a folder that the engine names.)
//!
//! # The life of a model
//!
//! 1. [`project`] takes the texts of a dbt project's files and checks them: properties, sources,
//!    models, snapshots, tests. Whatever is wrong or not supported is refused with file, line, column.
//! 2. [`jinja`] renders a model; `ref` and `source` become names in one flat namespace, and every
//!    character of the result knows its place in the file.
//! 3. [`graph`] orders the models; a cycle is named as a path.
//! 4. [`plan`] turns the text into a DataFusion plan, once: relations are [`plan::live`] tables whose
//!    rows change between runs. `current_timestamp` is the epoch's time; `random()` and samples are
//!    refused. Windows run by whole columns where all their calls are known.
//! 5. [`lineage`] finds the audit columns, which say when a row was written and take no part in
//!    equality, and refuses to decide rows by one.
//! 6. [`maintain`] derives from the optimized plan how the stored table follows the changes of what
//!    the query reads, and says what that costs; `recompute` runs the query in full and compares,
//!    `images` rewrites a snapshot's query to run over every transaction's last image of a key.
//! 7. [`materialize`] folds those images into SCD2 versions.
//! 8. What leaves is a [`change::ChangeBatch`]: rows with weight -1 and +1. [`rows`] tells rows apart,
//!    [`digest`] keeps a table's order-free digest by its changes.
//!
//! # Invariants
//!
//! - Everything here is a function of its arguments: the same files and rows give the same changes.
//! - A retraction removes exactly one copy of a row that is there.
//! - A query runs in one partition, so that order decides nothing; a full recompute of which no order
//!   is seen may run in several, within a bound of memory ([`plan::full`]). A pool refuses and never lets
//!   one wait for another; what it refused is run without it.

pub mod change;
pub mod digest;
pub mod error;
pub mod graph;
pub mod jinja;
pub mod lineage;
pub mod maintain;
pub mod materialize;
pub mod plan;
pub mod project;
pub mod rows;
