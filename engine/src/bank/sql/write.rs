//! A transaction of the bank, committed to PostgreSQL.
//!
//! Ids come with the rows, so that both outputs agree; the sequences follow them. Cascaded deletes
//! are left to `on delete cascade`: only the parent is deleted. It must never commit half of a
//! transaction, or one whose rows were not found as the ledger knows them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::super::row::{Account, Customer, Posting, RowRef, Table};
use super::super::transaction::{Cause, Change, Op, RowChange, Transaction};
use super::failed;
use crate::error::{Error, Result};

type Sql<'a> = tokio_postgres::Transaction<'a>;
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

const INSERT_CUSTOMER: &str = "insert into public.customers \
    (first_name, last_name, email, created_at, id) values ($1, $2, $3, $4, $5)";
const UPDATE_CUSTOMER: &str = "update public.customers \
    set first_name = $1, last_name = $2, email = $3, created_at = $4 where id = $5";
const INSERT_ACCOUNT: &str = "insert into public.accounts \
    (customer_id, account_type, balance, currency, created_at, id) \
    values ($1, $2, $3::numeric / 100, $4, $5, $6)";
const UPDATE_ACCOUNT: &str = "update public.accounts set customer_id = $1, account_type = $2, \
    balance = $3::numeric / 100, currency = $4, created_at = $5 where id = $6";
const INSERT_POSTING: &str = "insert into public.transactions \
    (account_id, txn_type, amount, related_account_id, status, created_at, id) \
    values ($1, $2, $3::numeric / 100, $4, $5, $6, $7)";
const UPDATE_POSTING: &str = "update public.transactions set account_id = $1, txn_type = $2, \
    amount = $3::numeric / 100, related_account_id = $4, status = $5, created_at = $6 \
    where id = $7";

/// Commits a transaction: all of it or nothing.
///
/// # Errors
/// `Unavailable` when the connection fails (the commit may then have happened or not: reread the
/// ledger), `Failed` when the server refuses a row or a row is not there.
pub async fn apply(client: &mut Client, transaction: &Transaction) -> Result<()> {
    let sql = client.transaction().await.map_err(|e| failed("begin", e))?;
    for change in &transaction.changes {
        match change {
            RowChange::Customer(Change::Delete(_, cause))
            | RowChange::Account(Change::Delete(_, cause))
            | RowChange::Posting(Change::Delete(_, cause)) => delete(&sql, change, *cause).await?,
            _ => put(&sql, change).await?,
        }
    }
    advance_sequences(&sql, transaction).await?;
    sql.commit().await.map_err(|e| failed("commit", e))
}

async fn put(sql: &Sql<'_>, change: &RowChange) -> Result<()> {
    let is_new = change.op() == Op::Create;
    let pick = |insert, update| if is_new { insert } else { update };
    let rows = match change.latest() {
        RowRef::Customer(row) => {
            put_customer(sql, pick(INSERT_CUSTOMER, UPDATE_CUSTOMER), row).await?
        }
        RowRef::Account(row) => put_account(sql, pick(INSERT_ACCOUNT, UPDATE_ACCOUNT), row).await?,
        RowRef::Posting(row) => put_posting(sql, pick(INSERT_POSTING, UPDATE_POSTING), row).await?,
    };
    expect_one(rows, change)
}

async fn put_customer(sql: &Sql<'_>, statement: &str, row: &Customer) -> Result<u64> {
    let created = at(row.created_us);
    let parameters: [Parameter<'_>; 5] = [
        (&row.first_name, Type::VARCHAR),
        (&row.last_name, Type::VARCHAR),
        (&row.email, Type::VARCHAR),
        (&created, Type::TIMESTAMPTZ),
        (&row.id, Type::INT4),
    ];
    execute(sql, statement, &parameters).await
}

async fn put_account(sql: &Sql<'_>, statement: &str, row: &Account) -> Result<u64> {
    let created = at(row.created_us);
    let parameters: [Parameter<'_>; 6] = [
        (&row.customer_id, Type::INT4),
        (&row.account_type.as_ref(), Type::VARCHAR),
        (&row.balance_cents, Type::INT8),
        (&row.currency.as_ref(), Type::BPCHAR),
        (&created, Type::TIMESTAMPTZ),
        (&row.id, Type::INT4),
    ];
    execute(sql, statement, &parameters).await
}

async fn put_posting(sql: &Sql<'_>, statement: &str, row: &Posting) -> Result<u64> {
    let created = at(row.created_us);
    let parameters: [Parameter<'_>; 7] = [
        (&row.account_id, Type::INT4),
        (&row.txn_type.as_ref(), Type::VARCHAR),
        (&row.amount_cents, Type::INT8),
        (&row.related_account_id, Type::INT4),
        (&row.status.as_ref(), Type::VARCHAR),
        (&created, Type::TIMESTAMPTZ),
        (&row.id, Type::INT8),
    ];
    execute(sql, statement, &parameters).await
}

async fn delete(sql: &Sql<'_>, change: &RowChange, cause: Cause) -> Result<()> {
    if cause == Cause::Cascade {
        return Ok(());
    }
    let statement = match change.table() {
        Table::Customers => "delete from public.customers where id = $1",
        Table::Accounts => "delete from public.accounts where id = $1",
        Table::Transactions => "delete from public.transactions where id = $1",
    };
    let rows = execute(sql, statement, &[(&change.id(), Type::INT8)]).await?;
    expect_one(rows, change)
}

async fn execute(sql: &Sql<'_>, statement: &str, parameters: &[Parameter<'_>]) -> Result<u64> {
    let verb = statement.split(" (").next().unwrap_or_default();
    let verb = verb.split(" set ").next().unwrap_or_default();
    sql.execute_typed(statement, parameters).await.map_err(|e| failed(verb, e))
}

fn expect_one(rows: u64, change: &RowChange) -> Result<()> {
    if rows == 1 {
        return Ok(());
    }
    let table = change.table().qualified();
    let (op, id) = (change.op(), change.id());
    Err(Error::failed(format!("bank: {op:?} of {table} id {id} met {rows} rows instead of one"))
        .with_hint("someone else changed the bank's tables; start again to reread them"))
}

/// Explicit ids leave the sequences behind, where another writer's insert would then collide.
async fn advance_sequences(sql: &Sql<'_>, transaction: &Transaction) -> Result<()> {
    for table in Table::ALL {
        let created = transaction.changes.iter().filter(|c| c.op() == Op::Create);
        let highest = created.filter(|c| c.table() == table).map(RowChange::id).max();
        let Some(highest) = highest else { continue };
        let statement = match table {
            Table::Customers => {
                "select setval('public.customers_id_seq', \
                 greatest($1, (select last_value from public.customers_id_seq)))"
            }
            Table::Accounts => {
                "select setval('public.accounts_id_seq', \
                 greatest($1, (select last_value from public.accounts_id_seq)))"
            }
            Table::Transactions => {
                "select setval('public.transactions_id_seq', \
                 greatest($1, (select last_value from public.transactions_id_seq)))"
            }
        };
        execute(sql, statement, &[(&highest, Type::INT8)]).await?;
    }
    Ok(())
}

fn at(us: i64) -> SystemTime {
    let distance = Duration::from_micros(us.unsigned_abs());
    if us < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}
