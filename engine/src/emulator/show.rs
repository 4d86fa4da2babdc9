//! SHOW TRANSACTIONS, and ending one.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::World;
use super::answer::{Done, Outcome, SELECT, compilation, said};
use super::sessions::SessionId;

/// Open transactions: number, session, name.
pub fn transactions(world: &World) -> Outcome {
    let (mut ids, mut sessions, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (session, transaction) in world.tables.transactions() {
        ids.push(i64::try_from(transaction.id).unwrap_or(0));
        sessions.push(i64::try_from(session).unwrap_or(0));
        names.push(transaction.name.clone());
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(ids))),
        ("session", Arc::new(Int64Array::from(sessions))),
        ("name", Arc::new(StringArray::from(names))),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(compilation)?;
    Ok(Done { schema: batch.schema(), batches: vec![batch], kind: SELECT, data: None })
}

/// The session's own transaction, or null.
pub fn current(world: &World, session: SessionId) -> Outcome {
    let own = world.tables.transactions().find(|(of, _)| *of == session);
    let id = own.and_then(|(_, transaction)| i64::try_from(transaction.id).ok());
    let column: ArrayRef = Arc::new(Int64Array::from(vec![id]));
    let batch = RecordBatch::try_from_iter_with_nullable([("CURRENT_TRANSACTION()", column, true)]);
    let batch = batch.map_err(compilation)?;
    Ok(Done { schema: batch.schema(), batches: vec![batch], kind: SELECT, data: None })
}

/// `SYSTEM$ABORT_TRANSACTION`.
pub fn abort(world: &mut World, id: u64) -> Outcome {
    let found = world.tables.transactions().find(|(_, t)| t.id == id).map(|(session, _)| session);
    match found {
        Some(session) => {
            world.tables.roll_back(session);
            said(&format!("Transaction {id} aborted."))
        }
        None => Err(compilation(format!("transaction {id} is not open"))),
    }
}
