//! What the bank does: books, parents, transfers, cascades.

use std::collections::BTreeMap;

use super::super::debezium::options::RenderOptions;
use super::super::debezium::renderer::Renderer;
use super::super::faults::Wire;
use super::super::ledger::Ledger;
use super::super::row::Table;
use super::super::teller::Bank;
use super::super::transaction::{Op, RowChange, Transaction};
use super::{NOW_US, PARTITIONS, busy, lived};

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed| {
        let (_, transactions) = lived(seed, 50, 500);
        let mut wire = Wire::new(Renderer::new(RenderOptions::default()), busy(), PARTITIONS, seed);
        let sent = transactions.into_iter().flat_map(|t| {
            let at_us = t.at_us;
            wire.send(t, at_us)
        });
        sent.collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn the_books_are_the_sum_of_balances_after_every_transaction() {
    let mut bank = Bank::new(1);
    let mut replayed = Ledger::default();
    let mut seen = BTreeMap::new();
    let opening = bank.open(40, NOW_US);
    let mut check = |transaction: &Transaction, bank: Option<&Bank>| {
        transaction.changes.iter().for_each(|change| replayed.apply(change));
        *seen.entry(format!("{:?}", transaction.activity)).or_insert(0) += 1;
        let sum: i64 = replayed.accounts().values().map(|a| a.balance_cents).sum();
        assert_eq!(sum, transaction.books_cents);
        assert!(replayed.accounts().values().all(|a| a.balance_cents >= 0));
        if let Some(bank) = bank {
            assert_eq!(sum, bank.books_cents());
            assert_eq!(&replayed, bank.ledger());
        }
    };
    opening.iter().for_each(|transaction| check(transaction, None));
    for i in 0..5_000 {
        let transaction = bank.next(NOW_US + i);
        assert!(!transaction.changes.is_empty());
        check(&transaction, (i % 100 == 0).then_some(&bank));
    }
    assert_eq!(seen.len(), 10, "every activity occurred: {seen:?}");
    assert!(seen.values().all(|count| *count >= 30), "{seen:?}");
}

#[test]
fn every_row_has_its_parent() {
    let (bank, _) = lived(3, 100, 3_000);
    let ledger = bank.ledger();
    assert!(ledger.accounts().values().all(|a| ledger.customers().contains_key(&a.customer_id)));
    assert!(ledger.postings().values().all(|p| ledger.accounts().contains_key(&p.account_id)));
    assert!(ledger.postings().values().all(|p| p.amount_cents > 0));
    let mut emails: Vec<_> = ledger.customers().values().map(|c| &c.email).collect();
    emails.sort();
    emails.dedup();
    assert_eq!(emails.len(), ledger.customers().len());
}

#[test]
fn a_transfer_keeps_the_books_and_has_two_balances_and_two_postings() {
    let (_, transactions) = lived(5, 50, 2_000);
    let mut transfers = 0;
    for pair in transactions.windows(2) {
        let [before, transfer] = pair else { continue };
        if transfer.changes.len() != 4 || transfer.changes[1].op() != Op::Update {
            continue;
        }
        let ops: Vec<_> = transfer.changes.iter().map(|c| (c.table(), c.op())).collect();
        let (balance, posting) = ((Table::Accounts, Op::Update), (Table::Transactions, Op::Create));
        assert_eq!(ops, [balance, balance, posting, posting]);
        assert_eq!(before.books_cents, transfer.books_cents);
        transfers += 1;
    }
    assert!(transfers > 100, "{transfers}");
}

#[test]
fn a_deleted_parent_takes_its_children_along() {
    let (_, transactions) = lived(9, 50, 3_000);
    let deletes = transactions.iter().filter(|t| {
        t.changes.first().is_some_and(|c| (c.table(), c.op()) == (Table::Customers, Op::Delete))
    });
    let longest = deletes.max_by_key(|t| t.changes.len()).unwrap();
    assert!(longest.changes.len() > 4);
    assert!(longest.changes.iter().all(|c| c.op() == Op::Delete));
    assert!(longest.changes.is_sorted_by_key(RowChange::table), "parents first");
}
