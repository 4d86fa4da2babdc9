//! tmp
pub mod bank;
pub mod envelope;
pub mod error;
pub mod lake;
pub mod source;
