//! What an epoch did, as tables that `freshet sql` can ask: models, tests, and where tables stand.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use crate::checkpoint::decision::Decision;
use crate::error::{Error, Result};
use crate::lake::tables::Standing;

/// The schema that these tables are in.
pub const SCHEMA: &str = "freshet";

/// The rows of one of them.
pub fn rows(decision: &Decision, name: &str) -> Result<RecordBatch> {
    let columns = match name {
        "models" => models(decision),
        "tests" => tests(decision),
        "tables" => tables(decision),
        _ => {
            return Err(Error::invalid(format!("there is no table \"{SCHEMA}.{name}\""))
                .with_hint("there are: freshet.models, freshet.tests, freshet.tables"));
        }
    };
    Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))?)
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn texts<'t>(values: impl Iterator<Item = Option<&'t str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn numbers(values: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    let number = |n: Option<u64>| n.and_then(|n| i64::try_from(n).ok());
    Arc::new(values.map(number).collect::<Int64Array>())
}

/// A word as JSON reports have it.
fn word(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

fn models(decision: &Decision) -> Columns {
    let all = || decision.models.iter();
    let modes: Vec<Option<String>> = all().map(|m| word(&m.mode)).collect();
    let costs: Vec<Option<String>> = all().map(|m| m.cost.as_ref().and_then(word)).collect();
    vec![
        ("name", texts(all().map(|m| Some(m.name.as_str())))),
        ("layer", texts(all().map(|m| Some(m.layer.as_str())))),
        ("mode", texts(modes.iter().map(Option::as_deref))),
        ("reason", texts(all().map(|m| Some(m.reason.as_str()).filter(|r| !r.is_empty())))),
        ("cost", texts(costs.iter().map(Option::as_deref))),
        ("proved_at_epoch", numbers(all().map(|m| m.proved))),
        ("rows", numbers(all().map(|m| Some(m.rows)))),
        ("rows_in", numbers(all().map(|m| Some(m.rows_in)))),
        ("rows_read", numbers(all().map(|m| Some(m.rows_read)))),
        ("rows_out", numbers(all().map(|m| Some(m.changed)))),
        ("micros", numbers(all().map(|m| Some(m.micros)))),
    ]
}

fn tests(decision: &Decision) -> Columns {
    let all = || decision.tests.iter();
    let verdicts: Vec<Option<String>> = all().map(|t| word(&t.status)).collect();
    let modes: Vec<Option<String>> = all().map(|t| t.mode.as_ref().and_then(word)).collect();
    vec![
        ("name", texts(all().map(|t| Some(t.name.as_str())))),
        ("model", texts(all().map(|t| Some(t.model.as_str()).filter(|m| !m.is_empty())))),
        ("status", texts(verdicts.iter().map(Option::as_deref))),
        ("failures", numbers(all().map(|t| Some(t.failures)))),
        ("mode", texts(modes.iter().map(Option::as_deref))),
        ("reason", texts(all().map(|t| Some(t.reason.as_str()).filter(|r| !r.is_empty())))),
        ("rows_read", numbers(all().map(|t| Some(t.rows_read)))),
        ("micros", numbers(all().map(|t| Some(t.micros)))),
    ]
}

fn tables(decision: &Decision) -> Columns {
    let all = || decision.tables.iter();
    let cold = |path: &str| decision.held.cold.iter().any(|c| c == path);
    let places: Vec<&str> =
        all().map(|(path, _)| if cold(path) { "memory and disk" } else { "memory" }).collect();
    let held = |(_, standing): (&String, &Standing)| standing.digest.is_some();
    let places: Vec<Option<&str>> =
        all().zip(places).map(|(table, place)| Some(place).filter(|_| held(table))).collect();
    vec![
        ("path", texts(all().map(|(path, _)| Some(path.as_str())))),
        ("version", numbers(all().map(|(_, s)| Some(s.version)))),
        ("rows", numbers(all().map(|(_, s)| Some(s.rows)))),
        ("digest", texts(all().map(|(_, s)| s.digest.as_deref()))),
        ("held_in", texts(places.into_iter())),
    ]
}
