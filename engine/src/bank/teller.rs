//! The bank itself: a ledger, a stream of chance, and a mix of activities.
//!
//! Stands between the mix and the two outputs; `visit` carries the activities out. What needs rows
//! that aren't there becomes what makes them. It must never read a clock.

use super::activity::{Activity, Mix};
use super::ledger::Ledger;
use super::people;
use super::rng::Rng;
use super::transaction::Transaction;
use super::visit::Visit;

const DAY_US: i64 = 86_400_000_000;
/// How far back an opened bank's history reaches.
const OPENING_DAYS: i64 = 365;

/// A bank that lives by its seed.
#[derive(Debug, Clone)]
pub struct Bank {
    ledger: Ledger,
    rng: Rng,
    mix: Mix,
}

impl Bank {
    /// A bank without customers.
    pub fn new(seed: u64) -> Self {
        Self::resume(seed, Ledger::default())
    }

    /// A bank that goes on from the given tables.
    pub fn resume(seed: u64, ledger: Ledger) -> Self {
        Self { ledger, rng: Rng::new(seed), mix: Mix::default() }
    }

    /// The same bank with another mix of activities.
    #[must_use]
    pub fn with_mix(mut self, mix: Mix) -> Self {
        self.mix = mix;
        self
    }

    /// The tables as they are now.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The books: the sum of all balances, in cents.
    pub fn books_cents(&self) -> i64 {
        self.ledger.books_cents()
    }

    /// The year before `now_us`: each customer's arrival and up to three movements of money.
    pub fn open(&mut self, customers: u32, now_us: i64) -> Vec<Transaction> {
        let span_us = OPENING_DAYS * DAY_US;
        let step_us = span_us / i64::from(customers.max(1));
        let mut transactions = Vec::new();
        for i in 0..i64::from(customers) {
            let at_us = now_us - span_us + i * step_us;
            transactions.push(self.carry_out(Activity::NewCustomer, at_us));
            for part in 1..=self.rng.between(0, 3) {
                let money = [Activity::Deposit, Activity::Withdrawal, Activity::Transfer];
                let which = self.rng.below(money.len() as u64) as usize;
                let activity = money.get(which).copied().unwrap_or(Activity::Deposit);
                transactions.push(self.carry_out(activity, at_us + part * step_us / 5));
            }
        }
        transactions
    }

    /// The next transaction, at the given time in microseconds since 1970 UTC.
    pub fn next(&mut self, now_us: i64) -> Transaction {
        let activity = self.mix.draw(&mut self.rng);
        self.carry_out(activity, now_us)
    }

    fn carry_out(&mut self, wanted: Activity, at_us: i64) -> Transaction {
        let activity = self.possible(wanted);
        let mut visit = Visit::new(&mut self.ledger, &mut self.rng, at_us);
        match activity {
            Activity::NewCustomer => visit.new_customer(),
            Activity::NewAccount => visit.new_account(),
            Activity::Deposit => visit.deposit(),
            Activity::Withdrawal => visit.withdrawal(),
            Activity::Transfer => visit.transfer(),
            Activity::StatusChange => visit.status_change(),
            Activity::EmailChange => visit.customer_change(people::with_new_email),
            Activity::NameChange => visit.customer_change(people::with_new_name),
            Activity::ClosedAccount => visit.close_account(),
            Activity::DeletedCustomer => visit.delete_customer(),
        }
        let changes = visit.into_changes();
        Transaction { activity, at_us, changes, books_cents: self.ledger.books_cents() }
    }

    /// What needs rows that aren't there becomes what makes them.
    fn possible(&self, wanted: Activity) -> Activity {
        let customers = self.ledger.customers().len();
        let accounts = self.ledger.accounts().len();
        let postings = self.ledger.postings().len();
        let (needed, instead) = match wanted {
            Activity::NewCustomer => return wanted,
            Activity::NewAccount | Activity::EmailChange | Activity::NameChange => {
                (customers >= 1, Activity::NewCustomer)
            }
            Activity::DeletedCustomer => (customers >= 2, Activity::NewCustomer),
            Activity::Deposit | Activity::Withdrawal => (accounts >= 1, Activity::NewAccount),
            Activity::Transfer | Activity::ClosedAccount => (accounts >= 2, Activity::NewAccount),
            Activity::StatusChange => (postings >= 1, Activity::NewAccount),
        };
        if needed {
            wanted
        } else if instead == Activity::NewAccount && customers == 0 {
            Activity::NewCustomer
        } else {
            instead
        }
    }
}
