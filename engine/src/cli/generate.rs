//! `freshet generate`: the bank lives in a real PostgreSQL.

use std::process::ExitCode;
use std::time::Duration;

use super::args::Generate;
use super::line::stop_signal;
use super::outside::postgres;
use crate::bank::sql::{read::load_ledger, schema::create_tables, write::apply};
use crate::bank::teller::Bank;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::error::{Error, Result};

/// Customers of a new bank.
const CUSTOMERS: u32 = 100;
const RATE: u64 = 10;

/// Makes the tables if they are not there, opens the bank if it is empty, and goes on with it.
pub async fn run(options: &Generate, config: impl Fn() -> Result<Config>) -> Result<ExitCode> {
    let database = postgres(options.postgres.as_deref(), config)?;
    let (mut client, connection) = database
        .connect(tokio_postgres::NoTls)
        .await
        .map_err(|e| Error::unavailable("cannot connect to PostgreSQL", e))?;
    let connection = tokio::spawn(connection);
    create_tables(&client).await?;
    let seed = options.seed.unwrap_or_else(|| SystemClock.now_us().unsigned_abs());
    let ledger = load_ledger(&mut client).await?;
    let mut bank = if ledger.customers().is_empty() {
        let mut bank = Bank::new(seed);
        for transaction in bank.open(CUSTOMERS, SystemClock.now_us()) {
            apply(&mut client, &transaction).await?;
        }
        bank
    } else {
        Bank::resume(seed, ledger)
    };
    println!("{} customers, books {}", bank.ledger().customers().len(), money(bank.books_cents()));
    if !options.once {
        live(&mut bank, &mut client, options).await?;
    }
    drop(client);
    connection.abort();
    Ok(ExitCode::SUCCESS)
}

async fn live(
    bank: &mut Bank,
    client: &mut tokio_postgres::Client,
    options: &Generate,
) -> Result<()> {
    let stop = stop_signal()?;
    let pause = Duration::from_micros(1_000_000 / options.rate.unwrap_or(RATE).max(1));
    let mut ticks = tokio::time::interval(pause);
    let end = options.seconds.map(|s| tokio::time::Instant::now() + Duration::from_secs(s));
    let mut count = 0u64;
    while !*stop.borrow() && end.is_none_or(|end| tokio::time::Instant::now() < end) {
        ticks.tick().await;
        let transaction = bank.next(SystemClock.now_us());
        apply(client, &transaction).await?;
        count += 1;
    }
    println!("{count} transactions, books {}", money(bank.books_cents()));
    Ok(())
}

/// Cents as a decimal, exact.
pub fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}
