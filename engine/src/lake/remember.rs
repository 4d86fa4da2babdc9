//! The window of change identities after a start: from the newest raw events, by few of their columns.
//!
//! It must give the identities that the changes had when they were taken in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};

use super::append::stored;
use super::dedupe::{Told, Window, place};
use super::raw;
use super::store::Store;
use crate::envelope::change::Op;
use crate::error::{Error, Result};

/// What tells a change that has a key, and when it was taken in.
const KEYED: [&str; 7] = ["seq", "op", "key", "connector", "tx_id", "lsn", "commit_at"];
/// The same of one that has none.
const KEYLESS: [&str; 6] = ["total_order", "before", "after", "topic", "partition", "offset"];

/// One raw event.
#[derive(Debug, Clone, Copy)]
pub struct Remembered {
    /// In the order in which its table's were taken in.
    seq: i64,
    /// Its identity, position and commit time.
    told: (u128, i64, i64),
}

/// The events of these raw files of one table; those without a position are left out.
pub async fn read(store: &Store, files: &[String], table: &str) -> Result<Vec<Remembered>> {
    let (few, all) = (only(&KEYED), only(&[&KEYED[..], &KEYLESS].concat()));
    let mut events = Vec::new();
    for file in files {
        let mut batch = stored(store, file, &few).await?;
        if batch.column_by_name("key").is_none_or(|key| key.null_count() > 0) {
            batch = stored(store, file, &all).await?;
        }
        take(&batch, table, &mut events)?;
    }
    Ok(events)
}

/// The window with these events, the newest that fit; `forgot` says that there were more.
pub fn window(mut events: Vec<Remembered>, events_max: usize, forgot: bool) -> Window {
    events.sort_unstable_by_key(|event| (event.seq, event.told));
    let mut window = Window::new(events_max);
    if forgot {
        window.mark_forgetful();
    }
    for event in events.iter().skip(events.len().saturating_sub(events_max)) {
        window.admit_told(event.told);
    }
    window
}

fn only(names: &[&str]) -> SchemaRef {
    let schema = raw::schema();
    let fields = schema.fields().iter().filter(|f| names.contains(&f.name().as_str())).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn take(batch: &RecordBatch, table: &str, into: &mut Vec<Remembered>) -> Result<()> {
    let column = |name: &str| -> Result<&ArrayRef> {
        batch.column_by_name(name).ok_or_else(|| Error::corrupt(format!("raw lacks `{name}`")))
    };
    let int = |name: &str| column(name).map(|c| c.as_primitive::<Int64Type>());
    let text = |name: &str| column(name).map(|c| c.as_string::<i32>());
    let (seq, tx_id, lsn) = (int("seq")?, int("tx_id")?, int("lsn")?);
    let (op, key, connector) = (text("op")?, text("key")?, text("connector")?);
    let commit = column("commit_at")?.as_primitive::<TimestampMicrosecondType>();
    let keyless = match key.null_count() {
        0 => None,
        _ => Some((int("total_order")?, text("after")?, text("before")?)),
    };
    let read_at = match key.null_count() {
        0 => None,
        _ => {
            Some((text("topic")?, column("partition")?.as_primitive::<Int32Type>(), int("offset")?))
        }
    };
    let mut room = Vec::new();
    for row in (0..batch.num_rows()).filter(|row| lsn.is_valid(*row)) {
        let tx = tx_id.is_valid(row).then(|| tx_id.value(row));
        let (mut total_order, mut image) = (0, None);
        if let Some((order, after, before)) = keyless {
            let placed = order.is_valid(row) && tx.is_some();
            total_order = if placed { u64::try_from(order.value(row)).unwrap_or(0) } else { 0 };
            let known = [after, before].into_iter().find(|texts| texts.is_valid(row));
            image = known.map(|texts| texts.value(row).as_bytes());
        }
        let of_read = |_: &_| key.is_null(row) && op.value(row) == raw::op_word(Op::Read);
        let read_at = read_at.as_ref().filter(of_read);
        let read_at = read_at.map(|(topic, partition, offset)| {
            place(topic.value(row), partition.value(row), offset.value(row))
        });
        let image = read_at.as_deref().map(str::as_bytes).or(image);
        let told = Told {
            connector: connector.value(row),
            table,
            op: op.value(row),
            key: key.is_valid(row).then(|| key.value(row).as_bytes()),
            total_order,
            image,
            tx_id: tx,
            position: lsn.value(row),
        };
        let told = (told.identity(&mut room), lsn.value(row), commit.value(row));
        into.push(Remembered { seq: seq.value(row), told });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::change::{Change, ReadMark, TxRef};
    use crate::lake::dedupe::Delivery;
    use crate::lake::options::Options;
    use crate::lake::parquet::{Effort, encode};

    fn change(number: i64, has_key: bool) -> Change {
        let text = |word: &str| Some(format!("{{\"{word}\":{number}}}").into());
        Change {
            table: "public.t".into(),
            connector: "bank".into(),
            op: [Op::Delete, Op::Update, Op::Read][usize::try_from(number % 3).unwrap()],
            initial: ReadMark::None,
            tx: (number % 4 > 0).then_some(TxRef { id: number / 5, total_order: 7 }),
            tx_id: (number % 4 > 0).then_some(number / 5),
            lsn: (number % 11 > 0).then_some(1000 + number),
            sequence_lsn: None,
            commit_us: 1_700_000_000_000_000 + number,
            key: has_key.then(|| text("id")).flatten(),
            before: if number % 3 == 0 { text("before") } else { None },
            after: if number % 3 == 0 { None } else { text("after") },
            moved_from: None,
            moved_to: None,
            wire_schema: None,
            wire_key: None,
            topic: "t".into(),
            partition: 0,
            offset: number,
            timestamp_ms: -1,
            record_value: None,
        }
    }

    #[tokio::test]
    async fn a_window_from_raw_knows_what_was_taken_in_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::at(dir.path().display().to_string())).unwrap();
        for has_key in [true, false] {
            let changes: Vec<Change> = (0..300).map(|n| change(n, has_key)).collect();
            let list: Vec<&Change> = changes.iter().collect();
            let (_, rows) = raw::rows(&list, 1, 0).unwrap().remove(0);
            let body = encode(&rows, Effort::Events).unwrap();
            let file = format!("raw/{has_key}.parquet");
            store.put(&file, body).await.unwrap();
            let events = read(&store, &[file], "public.t").await.unwrap();
            let mut again = window(events.clone(), 1000, false);
            let mut first = Window::new(1000);
            for change in &changes {
                let expected = match change.lsn {
                    Some(_) => Delivery::Again,
                    None => Delivery::First,
                };
                assert_eq!(first.admit(change), Delivery::First);
                assert_eq!(again.admit(change), expected, "{}", change.offset);
            }
            assert_eq!(again.admit(&change(5_001, has_key)), Delivery::First);
            // Only the newest fit: what is older than they are is known by that.
            let mut small = window(events, 100, true);
            assert_eq!(small.admit(&changes[10]), Delivery::BeforeWindow);
            assert_eq!(small.admit(&changes[299]), Delivery::Again);
        }
    }
}
