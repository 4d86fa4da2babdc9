//! `freshet bench`: measures, and asserts nothing.
//!
//! `drain` measures the whole line on a real Kafka, which `fill` fills; `lake` the lake and the
//! checkpoint alone, on changes that `scatter` makes. It must never leave the path that the service
//! takes: what is timed here is what `serve` does.

pub mod drain;
mod fill;
pub mod lake;
mod memory;
mod scatter;
mod spans;
