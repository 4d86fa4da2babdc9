//! What can happen in the bank, and how often.
//!
//! The teller draws from a mix; a benchmark or a test may bring its own. It must never know how
//! an activity is carried out.

use super::rng::Rng;

/// What a transaction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// A customer comes, with one or two accounts and their opening deposits.
    NewCustomer,
    /// A customer opens one more account.
    NewAccount,
    /// Money comes in.
    Deposit,
    /// Money goes out.
    Withdrawal,
    /// Money moves between two accounts: two balances, two postings, one transaction.
    Transfer,
    /// A posting is held for review, or released.
    StatusChange,
    /// A customer has a new address for mail.
    EmailChange,
    /// A customer has a new last name.
    NameChange,
    /// The balance is paid out, then the account goes, and its postings with it.
    ClosedAccount,
    /// A customer goes, and accounts and postings with them.
    DeletedCustomer,
}

/// Activities and their weights.
#[derive(Debug, Clone)]
pub struct Mix {
    weights: Vec<(Activity, u32)>,
    total: u64,
}

impl Mix {
    /// A mix of one's own. Weights of zero never occur; an empty mix gives deposits only.
    pub fn new(weights: Vec<(Activity, u32)>) -> Self {
        let total = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        Self { weights, total }
    }

    /// The next activity.
    pub fn draw(&self, rng: &mut Rng) -> Activity {
        let mut left = rng.below(self.total);
        for (activity, weight) in &self.weights {
            let weight = u64::from(*weight);
            if left < weight {
                return *activity;
            }
            left -= weight;
        }
        Activity::Deposit
    }
}

impl Default for Mix {
    /// An ordinary day: mostly money, a little of everything else, and slow growth.
    fn default() -> Self {
        Self::new(vec![
            (Activity::NewCustomer, 40),
            (Activity::NewAccount, 30),
            (Activity::Deposit, 300),
            (Activity::Withdrawal, 200),
            (Activity::Transfer, 260),
            (Activity::StatusChange, 80),
            (Activity::EmailChange, 30),
            (Activity::NameChange, 20),
            (Activity::ClosedAccount, 25),
            (Activity::DeletedCustomer, 15),
        ])
    }
}
