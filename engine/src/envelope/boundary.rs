//! Where source transactions begin and end: BEGIN and END, and the ids in changes.
//!
//! BEGIN and END are known by their shape, since the transaction topic can be renamed. An id's part
//! after `:` differs from event to event of one transaction, so only the number before it counts.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::change::{Malformed, Parsed, TxBegin, TxEnd, TxRef};
use super::json;
use super::names::Names;
use super::wire::{Collection, Envelope, Transaction};

type Reading<T> = Result<T, Malformed>;

/// A BEGIN or END; `None` where the payload is neither.
pub(super) fn read(envelope: &Envelope<'_>, names: &mut Names) -> Option<Reading<Parsed>> {
    let status = envelope.status.map_or("", RawValue::get);
    let id = envelope.id.map_or("", RawValue::get);
    match status {
        _ if !id.starts_with('"') => None,
        "\"BEGIN\"" => Some(begin(envelope, id)),
        "\"END\"" => Some(end(envelope, id, names)),
        _ => None,
    }
}

/// A change's place in its transaction.
pub(super) fn tx_ref(transaction: &Transaction<'_>) -> Reading<TxRef> {
    let id = transaction.id.as_ref().map_or("", |id| &id.0);
    let lacks_order = || Malformed::new("`transaction` has no `total_order`");
    let total_order = transaction.total_order.ok_or_else(lacks_order)?;
    Ok(TxRef { id: number(id)?, total_order })
}

fn begin(envelope: &Envelope<'_>, id: &str) -> Reading<Parsed> {
    let (id, id_text) = read_id(id)?;
    Ok(Parsed::Begin(TxBegin { id, id_text, time_us: time_us(envelope) }))
}

fn end(envelope: &Envelope<'_>, id: &str, names: &mut Names) -> Reading<Parsed> {
    let lacks = |what| Malformed::new(format!("a transaction's END without `{what}`"));
    let (id, id_text) = read_id(id)?;
    Ok(Parsed::End(TxEnd {
        id,
        id_text,
        event_count: envelope.event_count.ok_or_else(|| lacks("event_count"))?,
        collections: collections(envelope.data_collections, names)?,
        commit_us: time_us(envelope).ok_or_else(|| lacks("ts_ms"))?,
    }))
}

fn time_us(envelope: &Envelope<'_>) -> Option<i64> {
    envelope.ts_ms.and_then(|ms| ms.checked_mul(1000))
}

fn collections(raw: Option<&RawValue>, names: &mut Names) -> Reading<Vec<(Arc<str>, u64)>> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let collections: Vec<Collection> = serde_json::from_str(raw.get())
        .map_err(|e| Malformed::new(format!("data_collections of END: {}", json::fault(&e))))?;
    let counted = |c: Collection| (names.share(&c.data_collection.0), c.event_count);
    Ok(collections.into_iter().map(counted).collect())
}

fn read_id(raw: &str) -> Reading<(i64, Arc<str>)> {
    let text = json::string(raw).map_err(Malformed::new)?.unwrap_or_default();
    Ok((number(&text)?, Arc::from(text.as_ref())))
}

fn number(id: &str) -> Reading<i64> {
    let number = id.split(':').next().and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Malformed::new("a transaction id that doesn't begin with a number"))
}
