//! The bank against a real PostgreSQL: `FRESHET_TEST_POSTGRES` holds its connection string.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use tokio_postgres::{Client, NoTls};

use super::super::teller::Bank;
use super::{read, schema, write};
use crate::error::Error;

const NOW_US: i64 = 1_795_000_000_000_123;

async fn connect() -> Client {
    let server = std::env::var("FRESHET_TEST_POSTGRES").expect("FRESHET_TEST_POSTGRES");
    let (client, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
#[ignore = "needs a real PostgreSQL with an empty database in FRESHET_TEST_POSTGRES"]
async fn the_database_holds_what_the_ledger_holds() {
    let mut client = connect().await;
    schema::create_tables(&client).await.unwrap();
    schema::create_tables(&client).await.unwrap();
    let mut bank = Bank::resume(21, read::load_ledger(&mut client).await.unwrap());
    for transaction in bank.open(50, NOW_US) {
        write::apply(&mut client, &transaction).await.unwrap();
    }
    let start = std::time::Instant::now();
    for i in 0..2_000 {
        let transaction = bank.next(NOW_US + i);
        write::apply(&mut client, &transaction).await.unwrap();
    }
    println!("{:.0} transactions/s", 2_000.0 / start.elapsed().as_secs_f64());
    let read = read::load_ledger(&mut client).await.unwrap();
    assert_eq!(&read, bank.ledger());

    // Another writer's insert gets an id of its own, and a bank that goes on knows it.
    let insert = "insert into customers (first_name, last_name, email) values ('a', 'b', 'c@d')";
    client.execute(insert, &[]).await.unwrap();
    let mut resumed = Bank::resume(22, read::load_ledger(&mut client).await.unwrap());
    assert_eq!(resumed.ledger().customers().len(), bank.ledger().customers().len() + 1);
    for i in 0..200 {
        let transaction = resumed.next(NOW_US + i);
        write::apply(&mut client, &transaction).await.unwrap();
    }
    assert_eq!(&read::load_ledger(&mut client).await.unwrap(), resumed.ledger());

    // A bank that doesn't know the tables is refused, and nothing of its transaction stays.
    let stranger = Bank::new(1).open(1, NOW_US).remove(0);
    let refused = write::apply(&mut client, &stranger).await.unwrap_err();
    assert!(matches!(refused, Error::Failed { .. }), "{refused}");
    println!("{refused}");
    assert_eq!(&read::load_ledger(&mut client).await.unwrap(), resumed.ledger());
}
