//! One activity under way: drawn details, and the row changes they make.
//!
//! Stands under the teller. Each change is applied to the ledger as it is made, so that the next
//! one sees it. What can't be done (a withdrawal from an empty account) becomes a deposit. It must
//! never let a balance fall below zero.

use super::ledger::Ledger;
use super::people;
use super::rng::Rng;
use super::row::{Account, Customer, Posting, Word};
use super::transaction::{Cause, Change, RowChange};

/// A status changes among this many newest posting ids.
const REVIEWED_IDS: i64 = 2_000;
/// One money movement in this many goes to one of the oldest accounts, which so grow busy.
const BUSY_ONE_IN: u32 = 12;
const BUSY_ACCOUNTS: u64 = 4;

const COMPLETED: &str = "COMPLETED";
const PENDING: &str = "PENDING";

/// One activity under way.
pub struct Visit<'a> {
    ledger: &'a mut Ledger,
    rng: &'a mut Rng,
    at_us: i64,
    changes: Vec<RowChange>,
}

impl<'a> Visit<'a> {
    /// At the given time, microseconds since 1970 UTC.
    pub fn new(ledger: &'a mut Ledger, rng: &'a mut Rng, at_us: i64) -> Self {
        Self { ledger, rng, at_us, changes: Vec::new() }
    }

    /// The changes made, in order.
    pub fn into_changes(self) -> Vec<RowChange> {
        self.changes
    }

    fn book(&mut self, change: RowChange) {
        self.ledger.apply(&change);
        self.changes.push(change);
    }

    fn any_customer(&mut self) -> Option<Customer> {
        let last = self.ledger.next_ids().customer;
        let id = self.rng.between(1, i64::from(last)) as i32;
        self.ledger.customer_near(id).cloned()
    }

    fn any_account(&mut self) -> Option<Account> {
        let last = self.ledger.next_ids().account;
        let id = self.rng.between(1, i64::from(last)) as i32;
        self.ledger.account_near(id).cloned()
    }

    /// An account for money: now and then one of the oldest, so that some are busy.
    fn money_account(&mut self) -> Option<Account> {
        if !self.rng.one_in(BUSY_ONE_IN) {
            return self.any_account();
        }
        let nth = self.rng.below(BUSY_ACCOUNTS) as usize;
        let found = self.ledger.accounts().values().nth(nth).cloned();
        found.or_else(|| self.any_account())
    }

    /// Mostly small, sometimes a salary, seldom a sum that an auditor looks at.
    fn amount_cents(&mut self) -> i64 {
        match self.rng.below(100) {
            0..70 => self.rng.between(100, 50_000),
            70..98 => self.rng.between(50_000, 500_000),
            _ => self.rng.between(1_000_000, 5_000_000),
        }
    }

    /// A customer comes, with one or two accounts.
    pub fn new_customer(&mut self) {
        let id = self.ledger.next_ids().customer;
        let row = people::customer(self.rng, id, self.at_us);
        self.book(RowChange::Customer(Change::Create(row)));
        for _ in 0..self.rng.between(1, 2) {
            self.open_account(id);
        }
    }

    /// A customer opens one more account.
    pub fn new_account(&mut self) {
        if let Some(customer) = self.any_customer() {
            self.open_account(customer.id);
        }
    }

    fn open_account(&mut self, customer_id: i32) {
        let id = self.ledger.next_ids().account;
        let account_type = Word::Borrowed(self.rng.word(&["CHECKING", "SAVINGS"]));
        let balance_cents = self.amount_cents();
        let currency = Word::Borrowed("USD");
        let created_us = self.at_us;
        self.book(RowChange::Account(Change::Create(Account {
            id,
            customer_id,
            account_type,
            balance_cents,
            currency,
            created_us,
        })));
        self.post(id, "DEPOSIT", balance_cents, None);
    }

    /// Money comes in.
    pub fn deposit(&mut self) {
        if let Some(account) = self.money_account() {
            let amount = self.amount_cents();
            self.deposit_on(account, amount);
        }
    }

    fn deposit_on(&mut self, account: Account, amount_cents: i64) {
        let id = account.id;
        self.move_balance(account, amount_cents);
        self.post(id, "DEPOSIT", amount_cents, None);
    }

    /// Money goes out, as far as there is any.
    pub fn withdrawal(&mut self) {
        let Some(account) = self.money_account() else { return };
        let amount = self.amount_cents().min(account.balance_cents);
        if amount == 0 {
            let amount = self.amount_cents();
            return self.deposit_on(account, amount);
        }
        let id = account.id;
        self.move_balance(account, -amount);
        self.post(id, "WITHDRAWAL", amount, None);
    }

    /// Money moves: two balances, two postings.
    pub fn transfer(&mut self) {
        let Some(from) = self.money_account() else { return };
        let Some(mut to) = self.any_account() else { return };
        if to.id == from.id {
            let Some(other) = self.ledger.account_near(from.id + 1) else { return };
            to = other.clone();
        }
        let amount = self.amount_cents().min(from.balance_cents);
        if amount == 0 || to.id == from.id {
            let amount = self.amount_cents();
            return self.deposit_on(from, amount);
        }
        let (from_id, to_id) = (from.id, to.id);
        self.move_balance(from, -amount);
        self.move_balance(to, amount);
        self.post(from_id, "TRANSFER", amount, Some(to_id));
        self.post(to_id, "TRANSFER", amount, Some(from_id));
    }

    fn move_balance(&mut self, before: Account, by_cents: i64) {
        let balance_cents = before.balance_cents + by_cents;
        let after = Account { balance_cents, ..before.clone() };
        self.book(RowChange::Account(Change::Update { before, after }));
    }

    fn post(&mut self, account_id: i32, kind: &'static str, amount_cents: i64, to: Option<i32>) {
        let status = if self.rng.one_in(10) { PENDING } else { COMPLETED };
        let row = Posting {
            id: self.ledger.next_ids().posting,
            account_id,
            txn_type: Word::Borrowed(kind),
            amount_cents,
            related_account_id: to,
            status: Word::Borrowed(status),
            created_us: self.at_us,
        };
        self.book(RowChange::Posting(Change::Create(row)));
    }

    /// A posting is held for review, or released.
    pub fn status_change(&mut self) {
        let next = self.ledger.next_ids().posting;
        let low = (next - REVIEWED_IDS).max(1);
        let id = self.rng.between(low, next - 1);
        let ledger = &self.ledger;
        let found = ledger.posting_from(id).or_else(|| ledger.posting_from(1)).cloned();
        let Some(before) = found else { return };
        let status = if before.status == PENDING { COMPLETED } else { PENDING };
        let after = Posting { status: Word::Borrowed(status), ..before.clone() };
        self.book(RowChange::Posting(Change::Update { before, after }));
    }

    /// A customer changes in one way.
    pub fn customer_change(&mut self, change: fn(&mut Rng, &Customer) -> Customer) {
        let Some(before) = self.any_customer() else { return };
        let after = change(self.rng, &before);
        self.book(RowChange::Customer(Change::Update { before, after }));
    }

    /// The balance is paid out, the account goes, its postings with it.
    pub fn close_account(&mut self) {
        let Some(mut account) = self.any_account() else { return };
        let id = account.id;
        if account.balance_cents > 0 {
            let amount = account.balance_cents;
            self.move_balance(account.clone(), -amount);
            self.post(id, "WITHDRAWAL", amount, None);
            account.balance_cents = 0;
        }
        self.book(RowChange::Account(Change::Delete(account, Cause::Statement)));
        for change in self.ledger.cascade_of_account(id) {
            self.book(change);
        }
    }

    /// A customer goes, and accounts and postings with them.
    pub fn delete_customer(&mut self) {
        let Some(customer) = self.any_customer() else { return };
        let cascade = self.ledger.cascade_of_customer(customer.id);
        self.book(RowChange::Customer(Change::Delete(customer, Cause::Statement)));
        for change in cascade {
            self.book(change);
        }
    }
}
