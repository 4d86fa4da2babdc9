//! The bank's tables, as the contract has them.
//!
//! No `updated_at`, no trigger, no replica identity: a deleted row's event holds only its key. It
//! must never alter a table that is there.

use tokio_postgres::Client;

use super::failed;
use crate::error::Result;

/// The statements that create what is missing.
pub const TABLES: &str = "
create table if not exists public.customers (
    id serial primary key,
    first_name varchar(100) not null,
    last_name varchar(100) not null,
    email varchar(255) unique not null,
    created_at timestamptz default now()
);
create table if not exists public.accounts (
    id serial primary key,
    customer_id int not null references public.customers (id) on delete cascade,
    account_type varchar(50) not null,
    balance numeric(18, 2) not null default 0 check (balance >= 0),
    currency char(3) not null default 'USD',
    created_at timestamptz default now()
);
create table if not exists public.transactions (
    id bigserial primary key,
    account_id int not null references public.accounts (id) on delete cascade,
    txn_type varchar(50) not null,
    amount numeric(18, 2) not null check (amount > 0),
    related_account_id int,
    status varchar(20) not null default 'COMPLETED',
    created_at timestamptz default now()
);
";

/// What the contract lacks and cascades need at size: without them each deleted account reads all
/// of `transactions`.
pub const INDEXES: &str = "
create index if not exists accounts_customer_id on public.accounts (customer_id);
create index if not exists transactions_account_id on public.transactions (account_id);
";

/// Creates the tables and indexes that are missing.
///
/// # Errors
/// `Unavailable` without a server, `Failed` with what the server refused.
pub async fn create_tables(client: &Client) -> Result<()> {
    // "already exists, skipping" is no news.
    let quiet = "set client_min_messages = warning;";
    let statements = format!("{quiet}{TABLES}{INDEXES}reset client_min_messages;");
    client.batch_execute(&statements).await.map_err(|e| failed("creating the tables", e))
}
