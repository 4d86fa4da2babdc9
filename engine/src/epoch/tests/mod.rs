//! Tests of the epoch station: random histories under random interleavings, and cases by hand.

mod cases;
mod history;
mod random;
