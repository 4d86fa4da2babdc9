//! The bank's Kafka output: transactions as the messages that Debezium for PostgreSQL would send.
//!
//! Stands beside `sql`, right of the teller. `renderer` knows the order and the coordinates of
//! events, `envelope` their text, `connect` the schemas of the wrapped form, `json` how a value is
//! written, `message` what comes out, `options` how the connector is set.
//!
//! Checked against Debezium 3.6.1 on 300 of the bank's transactions that PostgreSQL had committed:
//! keys, partitions, fields and their order, images and counts are the same, bare and wrapped;
//! times, positions and transaction ids are the renderer's own. (The real initial read goes by
//! where rows lie, this one by key; the header with the run's id is left out.) It must never talk
//! to Kafka: messages are handed to whoever does.

pub mod connect;
pub mod envelope;
pub mod json;
pub mod message;
pub mod options;
pub mod renderer;
