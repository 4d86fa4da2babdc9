//! `freshet bench`: measures, and asserts nothing.

pub mod drain;
pub mod lake;
