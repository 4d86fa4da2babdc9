//! How the connector that the bank imitates is set up.
//!
//! The defaults are the contract's connector. It must never hold an address or a secret.

/// Whether messages bring their schema along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The envelope alone.
    Bare,
    /// `{"schema":..,"payload":..}`, key and value.
    Wrapped,
}

/// Whether a delete is followed by a message without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tombstones {
    /// As Debezium does unasked.
    Sent,
    /// As the contract's connector is set.
    Off,
}

/// How to render.
#[derive(Debug, Clone)]
pub struct RenderOptions {
    /// Before every topic's name; also the connector's logical name.
    pub prefix: String,
    /// The database's name.
    pub database: String,
    /// The connector's version in the source block.
    pub version: String,
    /// Bare or wrapped.
    pub form: Form,
    /// After deletes.
    pub tombstones: Tombstones,
    /// The first transaction id.
    pub start_tx_id: u32,
    /// The log position at which the bank begins.
    pub start_lsn: i64,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            prefix: "banking_server".to_owned(),
            database: "banking".to_owned(),
            version: "3.6.1.Final".to_owned(),
            form: Form::Bare,
            tombstones: Tombstones::Off,
            start_tx_id: 733,
            start_lsn: 26_458_000,
        }
    }
}
