//! The bank's tables in memory, with the books.
//!
//! Stands under the teller: every row change passes through `apply`, which keeps the indexes, the
//! next ids and the sum of all balances. It takes about 150 bytes a posting and forgets none that
//! lives, so that its end can be compared with a database or a lake. It must never decide what
//! happens next.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::row::{Account, Customer, Posting, RowRef, Table};
use super::transaction::{Cause, Change, RowChange};

/// The ids that the next new rows get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextIds {
    /// Of `customers`.
    pub customer: i32,
    /// Of `accounts`.
    pub account: i32,
    /// Of `transactions`.
    pub posting: i64,
}

/// The current rows of the three tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    customers: BTreeMap<i32, Customer>,
    accounts: BTreeMap<i32, Account>,
    postings: BTreeMap<i64, Posting>,
    accounts_of: BTreeSet<(i32, i32)>,
    postings_of: BTreeSet<(i32, i64)>,
    books_cents: i64,
    next: NextIds,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            customers: BTreeMap::new(),
            accounts: BTreeMap::new(),
            postings: BTreeMap::new(),
            accounts_of: BTreeSet::new(),
            postings_of: BTreeSet::new(),
            books_cents: 0,
            next: NextIds { customer: 1, account: 1, posting: 1 },
        }
    }
}

impl Ledger {
    /// The current customers by key.
    pub fn customers(&self) -> &BTreeMap<i32, Customer> {
        &self.customers
    }

    /// The current accounts by key.
    pub fn accounts(&self) -> &BTreeMap<i32, Account> {
        &self.accounts
    }

    /// The current rows of `transactions` by key.
    pub fn postings(&self) -> &BTreeMap<i64, Posting> {
        &self.postings
    }

    /// All rows in the order of an initial read, from behind this one on.
    pub fn rows_after(&self, last: Option<(Table, i64)>) -> impl Iterator<Item = RowRef<'_>> {
        let after = |table: Table| match last {
            Some((of, id)) if of == table => Bound::Excluded(id),
            Some((of, _)) if of > table => Bound::Excluded(i64::MAX),
            _ => Bound::Unbounded,
        };
        let narrow = |bound: Bound<i64>| bound.map(|id| i32::try_from(id).unwrap_or(i32::MAX));
        let customers = (narrow(after(Table::Customers)), Bound::Unbounded);
        let accounts = (narrow(after(Table::Accounts)), Bound::Unbounded);
        let postings = (after(Table::Transactions), Bound::Unbounded);
        let customers = self.customers.range(customers).map(|(_, row)| RowRef::Customer(row));
        let accounts = self.accounts.range(accounts).map(|(_, row)| RowRef::Account(row));
        let postings = self.postings.range(postings).map(|(_, row)| RowRef::Posting(row));
        customers.chain(accounts).chain(postings)
    }

    /// The books: the sum of all balances, in cents.
    pub fn books_cents(&self) -> i64 {
        self.books_cents
    }

    /// The ids that the next new rows get.
    pub fn next_ids(&self) -> NextIds {
        self.next
    }

    /// Raises the next ids, for a database whose sequences are ahead of its rows.
    pub fn skip_to(&mut self, ids: NextIds) {
        self.next.customer = self.next.customer.max(ids.customer);
        self.next.account = self.next.account.max(ids.account);
        self.next.posting = self.next.posting.max(ids.posting);
    }

    /// Makes one change, which must fit the current rows; deletes go parent first.
    pub fn apply(&mut self, change: &RowChange) {
        match change {
            RowChange::Customer(change) => self.apply_customer(change),
            RowChange::Account(change) => self.apply_account(change),
            RowChange::Posting(change) => self.apply_posting(change),
        }
    }

    fn apply_customer(&mut self, change: &Change<Customer>) {
        match change {
            Change::Create(row) | Change::Update { after: row, .. } => {
                self.next.customer = self.next.customer.max(row.id + 1);
                self.customers.insert(row.id, row.clone());
            }
            Change::Delete(row, _) => {
                self.customers.remove(&row.id);
            }
        }
    }

    fn apply_account(&mut self, change: &Change<Account>) {
        match change {
            Change::Create(row) | Change::Update { after: row, .. } => {
                self.next.account = self.next.account.max(row.id + 1);
                self.books_cents += row.balance_cents;
                self.accounts_of.insert((row.customer_id, row.id));
                if let Some(before) = self.accounts.insert(row.id, row.clone()) {
                    self.books_cents -= before.balance_cents;
                }
            }
            Change::Delete(row, _) => {
                self.accounts_of.remove(&(row.customer_id, row.id));
                if let Some(before) = self.accounts.remove(&row.id) {
                    self.books_cents -= before.balance_cents;
                }
            }
        }
    }

    fn apply_posting(&mut self, change: &Change<Posting>) {
        match change {
            Change::Create(row) | Change::Update { after: row, .. } => {
                self.next.posting = self.next.posting.max(row.id + 1);
                self.postings_of.insert((row.account_id, row.id));
                self.postings.insert(row.id, row.clone());
            }
            Change::Delete(row, _) => {
                self.postings_of.remove(&(row.account_id, row.id));
                self.postings.remove(&row.id);
            }
        }
    }

    /// The customer with this key or the next one up, else the first; `None` in an empty bank.
    pub fn customer_near(&self, id: i32) -> Option<&Customer> {
        let found = self.customers.range(id..).next().or_else(|| self.customers.iter().next());
        found.map(|(_, row)| row)
    }

    /// The account with this key or the next one up, else the first; `None` where there is none.
    pub fn account_near(&self, id: i32) -> Option<&Account> {
        let found = self.accounts.range(id..).next().or_else(|| self.accounts.iter().next());
        found.map(|(_, row)| row)
    }

    /// The posting with this key or the next one up; `None` past the last.
    pub fn posting_from(&self, id: i64) -> Option<&Posting> {
        self.postings.range(id..).next().map(|(_, row)| row)
    }

    /// The deletes that `on delete cascade` adds to a customer's: accounts first, then postings.
    pub fn cascade_of_customer(&self, id: i32) -> Vec<RowChange> {
        let owned = || self.accounts_of.range((id, i32::MIN)..=(id, i32::MAX)).map(|(_, a)| *a);
        let accounts = owned().filter_map(|account| self.accounts.get(&account));
        let deletes =
            accounts.map(|a| RowChange::Account(Change::Delete(a.clone(), Cause::Cascade)));
        deletes.chain(owned().flat_map(|account| self.cascade_of_account(account))).collect()
    }

    /// The deletes that `on delete cascade` adds to an account's: its postings.
    pub fn cascade_of_account(&self, id: i32) -> Vec<RowChange> {
        let posted = self.postings_of.range((id, i64::MIN)..=(id, i64::MAX));
        let rows = posted.filter_map(|(_, posting)| self.postings.get(posting));
        rows.map(|p| RowChange::Posting(Change::Delete(p.clone(), Cause::Cascade))).collect()
    }
}
