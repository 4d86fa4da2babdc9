//! The envelope station's options: how the connector was told to write values.
//!
//! Only what a message can't say itself stands here; where a message carries its schema, the schema
//! wins. It must never hold secrets or anything that changes while records are read.

use serde::Deserialize;

/// The station's part of the configuration. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Debezium's `unavailable.value.placeholder`: the text, or `hex:` and its bytes.
    pub unavailable_placeholder: String,
    /// Topics that start with this are heartbeats (Debezium's `topic.heartbeat.prefix`).
    pub heartbeat_topic_prefix: String,
    /// How *strings* of decimal columns are read (JSON numbers and structs speak for themselves).
    pub decimal_strings: DecimalStrings,
    /// How strings of binary columns are read (Debezium's `binary.handling.mode`).
    pub binary_strings: BinaryStrings,
    /// The connector's `time.precision.mode`, for columns that the catalog declares
    /// ([`super::schema::TableSchema::sent_with`]).
    pub time_precision: TimePrecision,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            unavailable_placeholder: "__debezium_unavailable_value".into(),
            heartbeat_topic_prefix: "__debezium-heartbeat".into(),
            decimal_strings: DecimalStrings::default(),
            binary_strings: BinaryStrings::default(),
            time_precision: TimePrecision::default(),
        }
    }
}

/// How a string in a decimal column is read. `"1234"` could be either, so it has to be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecimalStrings {
    /// Decimal digits (`decimal.handling.mode=string`).
    #[default]
    Text,
    /// Base64 of the unscaled number's big-endian two's complement (`precise` without a schema).
    Base64,
}

/// How a string in a binary column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryStrings {
    /// Base64 in either alphabet, padded or not (`bytes`, `base64`, `base64-url-safe`).
    #[default]
    Base64,
    /// Hexadecimal digits (`hex`).
    Hex,
}

/// Debezium's `time.precision.mode`, in its own words. ISO strings are read under each of them;
/// `structured` is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimePrecision {
    /// Milliseconds for columns of precision 0 to 3, else microseconds.
    #[default]
    Adaptive,
    /// The same for timestamps; microseconds for all times of day.
    AdaptiveTimeMicroseconds,
    /// Milliseconds for all: Kafka Connect's own types.
    Connect,
    /// ISO strings for all.
    Isostring,
    /// Microseconds for all.
    Microseconds,
    /// Nanoseconds for all.
    Nanoseconds,
}
