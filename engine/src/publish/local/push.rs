//! One push into SQLite: a transaction that holds the write lock from its first statement on.

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior, params_from_iter};
use tokio::time::Instant;

use super::facts::facts;
use super::{cells, failed, ident};
use crate::error::Result;
use crate::failpoint;
use crate::publish::canonical::timestamp;
use crate::publish::contract::Contract;
use crate::publish::moves::{Move, Push, TableMove};
use crate::publish::warehouse::{Cost, Pushed};

/// What a table's counts are, and must be.
struct Counted {
    what: &'static str,
    found: usize,
    expected: usize,
}

/// Pushes; see the trait.
pub fn push(connection: &mut Connection, push: &Push) -> Result<Pushed> {
    let cannot = failed("be written");
    let began = Instant::now();
    let behavior = TransactionBehavior::Immediate;
    let change = connection.transaction_with_behavior(behavior).map_err(&cannot)?;
    let found = facts(&change).map_err(&cannot)?.unwrap_or_default();
    if found.generation > push.generation {
        return Ok(Pushed::Fenced(found.generation));
    }
    let strange = found.lake.as_ref().is_some_and(|lake| *lake != push.lake);
    if strange || found.pushed() != push.from || !push.stands_on(&found) {
        return Ok(Pushed::Moved);
    }
    for table in &push.tables {
        for counted in apply(&change, table)? {
            if counted.found != counted.expected {
                let Counted { what, found, expected } = counted;
                let table = table.contract.table.clone();
                return Ok(Pushed::Differs {
                    table,
                    what: format!("{what}: {found}, expected {expected}"),
                });
            }
        }
        failpoint::hit("moved");
    }
    write_ledger(&change, push).map_err(&cannot)?;
    failpoint::hit("committing");
    change.commit().map_err(&cannot)?;
    failpoint::hit("pushed");
    let visible = "UPDATE FRESHET_EPOCHS SET VISIBLE_AT = strftime('%Y-%m-%d %H:%M:%f', 'now') \
        WHERE VISIBLE_AT IS NULL";
    connection.execute(visible, []).map_err(&cannot)?;
    Ok(Pushed::Done(Cost {
        requests: 1,
        warehouse_seconds: began.elapsed().as_secs_f64(),
        rows: push.rows_sent() as u64,
        bytes: 0,
    }))
}

fn where_key(contract: &Contract) -> String {
    let key = contract.key.iter().enumerate();
    let same = key.map(|(i, k)| format!("{} IS ?{}", ident(&contract.columns[*k].name), i + 1));
    same.collect::<Vec<_>>().join(" AND ")
}

fn apply(change: &Transaction<'_>, table: &TableMove) -> Result<Vec<Counted>> {
    let contract = &table.contract;
    let name = ident(&contract.table);
    let by_key = where_key(contract);
    let insert = insert_sql(contract);
    let mut counted = Vec::new();
    let mut count = |what, found, expected| counted.push(Counted { what, found, expected });
    match &table.what {
        Move::Overwrite { rows, .. } => {
            change.execute(&format!("DELETE FROM {name}"), []).map_err(failed("be emptied"))?;
            for batch in rows {
                count("inserted", each(change, &insert, batch, None)?, batch.num_rows());
            }
        }
        Move::Merge(keyed) => {
            let delete = format!("DELETE FROM {name} WHERE {by_key}");
            let found = each(change, &delete, &keyed.deletes, Some(contract))?;
            count("deleted", found, keyed.deletes.num_rows());
            let found = each(change, &delete, &keyed.updates, Some(contract))?;
            count("updated", found, keyed.updates.num_rows());
            each(change, &insert, &keyed.updates, None)?;
            // A key that is new must not be there: nothing may be deleted by it.
            let found = each(change, &delete, &keyed.inserts, Some(contract))?;
            count("keys that should be new", found, 0);
            let found = each(change, &insert, &keyed.inserts, None)?;
            count("inserted", found, keyed.inserts.num_rows());
        }
        Move::Replace { keys, rows, before } => {
            let delete = format!("DELETE FROM {name} WHERE {by_key}");
            count("deleted", each(change, &delete, keys, Some(contract))?, *before);
            count("inserted", each(change, &insert, rows, None)?, rows.num_rows());
        }
    }
    Ok(counted)
}

fn insert_sql(contract: &Contract) -> String {
    let names: Vec<String> = contract.columns.iter().map(|c| ident(&c.name)).collect();
    let places: Vec<String> = (1..=names.len()).map(|i| format!("?{i}")).collect();
    format!(
        "INSERT INTO {} ({}) VALUES ({})",
        ident(&contract.table),
        names.join(", "),
        places.join(", ")
    )
}

/// Runs a statement for each row, with all of its cells or those of its key; rows it changed.
fn each(
    change: &Transaction<'_>,
    sql: &str,
    batch: &arrow::array::RecordBatch,
    key_of: Option<&Contract>,
) -> Result<usize> {
    let columns = cells::columns(batch)?;
    let picked: Vec<&Vec<Value>> = match key_of {
        Some(contract) => contract.key.iter().map(|k| &columns[*k]).collect(),
        None => columns.iter().collect(),
    };
    let cannot = failed("be written");
    let mut statement = change.prepare_cached(sql).map_err(&cannot)?;
    let mut changed = 0;
    for row in 0..batch.num_rows() {
        let cells = picked.iter().map(|column| &column[row]);
        changed += statement.execute(params_from_iter(cells)).map_err(&cannot)?;
    }
    Ok(changed)
}

fn write_ledger(change: &Transaction<'_>, push: &Push) -> rusqlite::Result<()> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    for (name, row) in push.ledger() {
        change.execute(
            "INSERT OR REPLACE INTO FRESHET_LEDGER VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            rusqlite::params![
                name,
                number(row.epoch),
                number(row.version),
                number(row.rows),
                row.hash,
                number(row.generation),
                push.id
            ],
        )?;
    }
    change.execute(
        "UPDATE FRESHET_LOCK SET GENERATION = ?1, LAKE = ?2 WHERE ID = 1",
        rusqlite::params![number(push.generation), push.lake],
    )?;
    change.execute(
        "INSERT INTO FRESHET_EPOCHS VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL)",
        rusqlite::params![
            number(push.to),
            timestamp(push.time_us),
            push.commit_us.map(timestamp),
            push.offsets,
            number(push.generation),
            push.id,
            i64::try_from(push.rows_sent()).unwrap_or(i64::MAX)
        ],
    )?;
    Ok(())
}
