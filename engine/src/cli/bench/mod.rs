//! `freshet bench`: measures, and asserts nothing.
//!
//! `drain` measures the whole line on a real Kafka, which `fill` fills; `lake` the lake and the
//! checkpoint alone, on changes that `scatter` makes; `epoch` small epochs over the bank at several
//! sizes; `publish` pushes what the bank's `life` changes.
//! It must never leave the path that the service
//! takes: what is timed here is what `serve` does.

pub mod drain;
pub mod epoch;
mod fill;
pub mod lake;
pub mod life;
mod memory;
pub mod publish;
mod scatter;
mod spans;
