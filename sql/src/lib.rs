//! Freshet's pure half: model files and Arrow in, changes out.
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
