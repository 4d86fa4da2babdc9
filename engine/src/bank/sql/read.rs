//! An existing bank, read out of PostgreSQL, so that the generator can go on with it.
//!
//! One repeatable-read transaction, so that the rows fit together. It must never repair what it
//! reads: a bank that isn't one is refused.

use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use super::super::ledger::{Ledger, NextIds};
use super::super::row::{Account, Customer, Posting, Word};
use super::super::transaction::{Change, RowChange};
use super::failed;
use crate::error::Result;

const CUSTOMERS: &str = "select id, first_name, last_name, email, \
    coalesce((extract(epoch from created_at) * 1000000)::int8, 0) from public.customers";
const ACCOUNTS: &str = "select id, customer_id, account_type, (balance * 100)::int8, \
    rtrim(currency), coalesce((extract(epoch from created_at) * 1000000)::int8, 0) \
    from public.accounts";
const POSTINGS: &str = "select id, account_id, txn_type, (amount * 100)::int8, \
    related_account_id, status, \
    coalesce((extract(epoch from created_at) * 1000000)::int8, 0) from public.transactions";
const NEXT_IDS: &str = "select \
    (select last_value + is_called::int from public.customers_id_seq)::int4, \
    (select last_value + is_called::int from public.accounts_id_seq)::int4, \
    (select last_value + is_called::int from public.transactions_id_seq)::int8";

/// The bank's current rows and next ids.
///
/// # Errors
/// `Unavailable` without a server; `Failed` where a table or column is missing or of another type.
pub async fn load_ledger(client: &mut Client) -> Result<Ledger> {
    let begin = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let sql = begin.read_only(true).start().await.map_err(|e| failed("begin reading", e))?;
    let mut ledger = Ledger::default();
    for row in rows(&sql, CUSTOMERS).await? {
        let customer = customer(&row).map_err(|e| failed("reading public.customers", e))?;
        ledger.apply(&RowChange::Customer(Change::Create(customer)));
    }
    for row in rows(&sql, ACCOUNTS).await? {
        let account = account(&row).map_err(|e| failed("reading public.accounts", e))?;
        ledger.apply(&RowChange::Account(Change::Create(account)));
    }
    for row in rows(&sql, POSTINGS).await? {
        let posting = posting(&row).map_err(|e| failed("reading public.transactions", e))?;
        ledger.apply(&RowChange::Posting(Change::Create(posting)));
    }
    for row in rows(&sql, NEXT_IDS).await? {
        ledger.skip_to(next_ids(&row).map_err(|e| failed("reading the sequences", e))?);
    }
    sql.commit().await.map_err(|e| failed("end reading", e))?;
    Ok(ledger)
}

async fn rows(sql: &Transaction<'_>, statement: &str) -> Result<Vec<Row>> {
    sql.query(statement, &[]).await.map_err(|e| failed("reading the tables", e))
}

type Cells<T> = std::result::Result<T, tokio_postgres::Error>;

fn customer(row: &Row) -> Cells<Customer> {
    Ok(Customer {
        id: row.try_get(0)?,
        first_name: row.try_get(1)?,
        last_name: row.try_get(2)?,
        email: row.try_get(3)?,
        created_us: row.try_get(4)?,
    })
}

fn account(row: &Row) -> Cells<Account> {
    Ok(Account {
        id: row.try_get(0)?,
        customer_id: row.try_get(1)?,
        account_type: word(row.try_get(2)?),
        balance_cents: row.try_get(3)?,
        currency: word(row.try_get(4)?),
        created_us: row.try_get(5)?,
    })
}

fn posting(row: &Row) -> Cells<Posting> {
    Ok(Posting {
        id: row.try_get(0)?,
        account_id: row.try_get(1)?,
        txn_type: word(row.try_get(2)?),
        amount_cents: row.try_get(3)?,
        related_account_id: row.try_get(4)?,
        status: word(row.try_get(5)?),
        created_us: row.try_get(6)?,
    })
}

fn next_ids(row: &Row) -> Cells<NextIds> {
    Ok(NextIds { customer: row.try_get(0)?, account: row.try_get(1)?, posting: row.try_get(2)? })
}

/// The bank's own words are not stored anew for each row.
fn word(text: String) -> Word {
    let known =
        ["DEPOSIT", "WITHDRAWAL", "TRANSFER", "COMPLETED", "PENDING", "CHECKING", "SAVINGS", "USD"];
    known.into_iter().find(|k| *k == text).map_or(Word::Owned(text), Word::Borrowed)
}
