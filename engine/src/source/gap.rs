//! What an offset means against the offsets that a partition still holds.
//!
//! Pure: from facts to a verdict and its words. It must never suggest to skip what is missing.

use crate::error::{Error, Result};

/// The offsets that a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first that is kept.
    pub low: i64,
    /// The one after the last that may be read: the last stable offset.
    pub high: i64,
}

/// Where to begin, or why not: `stored` is where the checkpoint ended; without it a partition is
/// read from its beginning.
pub fn start(topic: &str, partition: i32, stored: Option<i64>, held: Watermarks) -> Result<i64> {
    match stored {
        None => Ok(held.low),
        Some(offset) if offset < held.low => Err(deleted(topic, partition, offset, held.low)),
        Some(offset) if offset > held.high => Err(recreated(topic, partition, offset, held.high)),
        Some(offset) => Ok(offset),
    }
}

/// The error of a broker that refused to read at `wanted`. `held` was asked afterwards.
pub fn out_of_range(topic: &str, partition: i32, wanted: i64, held: Watermarks) -> Error {
    match start(topic, partition, Some(wanted), held) {
        Err(verdict) => verdict,
        Ok(_) => Error::corrupt(format!(
            "topic `{topic}`, partition {partition}: the broker refused offset {wanted}, though it \
             holds {} to {}",
            held.low, held.high
        ))
        .with_hint("the topic may have been created anew just now; start again to see"),
    }
}

/// A topic that has fewer partitions than offsets are stored for.
pub fn shrunk(topic: &str, partition: i32, offset: i64, partitions: usize) -> Error {
    Error::corrupt(format!(
        "topic `{topic}` was created anew: offset {offset} of partition {partition} is stored, the \
         topic has {partitions} partitions now"
    ))
    .with_hint(REREAD)
}

fn deleted(topic: &str, partition: i32, wanted: i64, low: i64) -> Error {
    Error::corrupt(format!(
        "topic `{topic}`, partition {partition}: records were deleted before they were read: the \
         next is offset {wanted}, the first kept is {low} ({} missing)",
        low - wanted
    ))
    .with_hint(
        "raise the topic's retention.ms and retention.bytes above the longest pause, then let the \
         connector do a new initial read of its tables",
    )
}

fn recreated(topic: &str, partition: i32, wanted: i64, high: i64) -> Error {
    Error::corrupt(format!(
        "topic `{topic}`, partition {partition} was created anew or cut off: the next is offset \
         {wanted}, the topic ends at {high}"
    ))
    .with_hint(REREAD)
}

const REREAD: &str = "stored offsets don't belong to this topic: restore the topic, or let the \
                      connector do a new initial read of its tables into topics of another prefix";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_held_or_refused_with_both_numbers() {
        let held = Watermarks { low: 10, high: 20 };
        assert_eq!(start("t", 0, None, held).unwrap(), 10);
        for inside in [10, 15, 20] {
            assert_eq!(start("t", 0, Some(inside), held).unwrap(), inside);
        }
        let text = start("t", 3, Some(9), held).unwrap_err().to_string();
        assert!(text.contains("deleted") && text.contains("offset 9") && text.contains("10"));
        let text = start("t", 3, Some(21), held).unwrap_err().to_string();
        assert!(text.contains("anew") && text.contains("21") && text.contains("20"));
        assert!(out_of_range("t", 3, 12, held).to_string().contains("refused"));
    }
}
