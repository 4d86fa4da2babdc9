//! tmp
pub mod bank;
pub mod catalog;
pub mod checkpoint;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connector;
pub mod envelope;
pub mod epoch;
pub mod error;
pub mod failpoint;
pub mod lake;
pub mod pipeline;
pub mod source;
pub mod transform;
