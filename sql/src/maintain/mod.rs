//! How a model's table follows its inputs.
//!
//! [`recompute`] runs the whole query and compares with what is stored: always right, and the rule
//! that any other has to equal. [`images`] turns a snapshot's query into one over every
//! transaction's last image of a key.

pub mod images;
pub mod recompute;
