//! The law: what is maintained equals what is recomputed, for any schema, query, history and cut.
//!
//! `FRESHET_CASES` sets how many random cases are run, `FRESHET_SEED` where they begin, and
//! `FRESHET_CASES_TO` a file in which each is told for another engine to compare.

mod case;
mod combine;
mod epochs;
mod equivalence;
mod mistakes;
pub mod mutations;
mod query;
mod ranges;
mod rows;
mod shapes;
mod tape;
mod wider;
mod world;
