//! A script's `change` lines as the records that Debezium would send.

use std::sync::Arc;

use bytes::Bytes;
use freshet::envelope::change::{Change, Parsed};
use freshet::envelope::options::Options;
use freshet::envelope::parse::Parser;
use freshet::source::record::Record;

/// Microseconds of 2024-01-01 00:00 UTC, the day of every script.
pub const DAY_US: i64 = 1_704_067_200_000_000;

/// Makes events in order.
pub struct Events {
    parser: Parser,
    made: Vec<Change>,
    lsn: i64,
    offset: i64,
}

impl Events {
    pub fn new() -> Self {
        let parser = Parser::new(Options::default());
        Self { parser, made: Vec::new(), lsn: 1000, offset: 0 }
    }

    /// `table op key row [<- row before] [at=HH:MM] [tx=N] [oldkey=K]`; key and rows are JSON, `-` is
    /// none.
    pub fn change(&mut self, line: &str) -> Result<Change, String> {
        let mut options = std::collections::BTreeMap::new();
        let mut words = Vec::new();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some((name @ ("at" | "tx" | "oldkey" | "lsn"), value)) => {
                    options.insert(name, value);
                }
                _ => words.push(word),
            }
        }
        let [table, op, key, row @ ..] = words.as_slice() else {
            return Err(format!("not a change: {line}"));
        };
        self.lsn = match options.get("lsn") {
            Some(lsn) => lsn.parse().map_err(|_| "bad lsn".to_owned())?,
            None => self.lsn + 10,
        };
        let at_us = DAY_US + minutes(options.get("at").copied().unwrap_or("09:00"))? * 60_000_000;
        let tx: i64 = match options.get("tx") {
            Some(tx) => tx.parse().map_err(|_| "bad tx".to_owned())?,
            None => self.lsn,
        };
        let row = row.join(" ");
        let (before, after) = match *op {
            "d" => (row.as_str(), "null"),
            "t" => ("null", "null"),
            _ => row.split_once(" <- ").map_or(("null", row.as_str()), |(new, old)| (old, new)),
        };
        let before = if before.is_empty() { "null" } else { before };
        let value = format!(
            r#"{{"before":{before},"after":{after},"source":{{"version":"3.6","connector":"postgresql","name":"shop","ts_ms":{},"ts_us":{at_us},"snapshot":"{}","db":"shop","sequence":"[null,\"{}\"]","schema":"public","table":"{table}","txId":{tx},"lsn":{},"xmin":null}},"op":"{op}","ts_ms":0,"transaction":null}}"#,
            at_us / 1000,
            if *op == "r" { "true" } else { "false" },
            self.lsn,
            self.lsn,
        );
        let headers = options
            .get("oldkey")
            .map(|old| ("__debezium.oldkey".to_owned(), Bytes::from(format!(r#"{{"id":{old}}}"#))));
        self.offset += 1;
        let record = Record {
            topic: Arc::from(format!("shop.public.{table}")),
            partition: 0,
            offset: self.offset,
            timestamp_ms: at_us / 1000,
            key: (*key != "-").then(|| Bytes::from(format!(r#"{{"id":{key}}}"#))),
            value: Some(Bytes::from(value)),
            headers: headers.into_iter().collect(),
        };
        match self.parser.parse(&record) {
            Parsed::Change(change) => {
                self.made.push((*change).clone());
                Ok(*change)
            }
            other => Err(format!("{line}: {other:?}")),
        }
    }

    /// The n-th event, from 1, at a new offset.
    pub fn again(&mut self, number: usize) -> Result<Change, String> {
        let mut change = self.made.get(number - 1).ok_or("no such event")?.clone();
        self.offset += 1;
        change.offset = self.offset;
        Ok(change)
    }
}

/// Minutes since midnight of `HH:MM`.
pub fn minutes(clock: &str) -> Result<i64, String> {
    let (hour, minute) = clock.split_once(':').ok_or_else(|| format!("not a time: {clock}"))?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| format!("not a time: {clock}"));
    Ok(number(hour)? * 60 + number(minute)?)
}
