//! What the demo checks in the end, asked of the lake as any reader would ask it.

use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use serde_json::json;

use super::bank::Told;
use crate::checkpoint::decision::Decision;
use crate::cli::generate::money;
use crate::cli::query::ask;
use crate::error::{Error, Result};
use crate::lake::store::Store;

/// One check: what must hold, and whether it does.
struct Check {
    what: String,
    holds: bool,
}

/// All checks.
pub struct Findings {
    checks: Vec<Check>,
}

const ONE_CURRENT: &str = "select count(*) from (select customer_id from dim_customers \
    where is_current group by customer_id having count(*) <> 1)";
const OVERLAPS: &str = "select count(*) from dim_accounts a join dim_accounts b \
    on a.account_id = b.account_id and a.effective_from < b.effective_from \
    and (a.effective_to is null or a.effective_to > b.effective_from)";
const BALANCES: &str =
    "select cast(coalesce(sum(balance), 0) * 100 as bigint) from dim_accounts where is_current";

impl Findings {
    /// Asks the lake, and compares with what the bank says of itself.
    pub async fn of(store: &Store, decision: &Decision, told: &Told) -> Result<Self> {
        let number = async |query: &str| number(store, decision, query).await;
        let books = told.books.last().copied().unwrap_or_default();
        let balances = number(BALANCES).await?;
        let mut checks = Vec::new();
        let mut add = |what: String, holds: bool| checks.push(Check { what, holds });
        add(format!("balances sum to the bank's books: {}", money(books)), balances == books);
        for (table, living) in [
            ("dim_customers_current", told.customers),
            ("dim_accounts_current", told.accounts),
            ("fact_transactions", told.postings),
        ] {
            let rows = number(&format!("select count(*) from {table}")).await?;
            let what = format!("{table} has the {living} rows that live in the bank");
            add(what, u64::try_from(rows) == Ok(living));
        }
        add("one current version per living customer".to_owned(), number(ONE_CURRENT).await? == 0);
        add("no two versions of an account overlap".to_owned(), number(OVERLAPS).await? == 0);
        let dead = decision.totals.dead_letters;
        add(format!("every record was understood ({dead} dead letters)"), dead == 0);
        let failed = decision.failed_tests().count();
        let tests = decision.tests.len();
        add(format!("{tests} data tests ran in the last epoch, {failed} failed"), failed == 0);
        let again = decision.totals.redelivered;
        let restarts = told.restarts;
        add(
            format!("{again} repeated deliveries ({restarts} connector restarts) changed nothing"),
            true,
        );
        add("the broker dropped nothing unread".to_owned(), told.lost == 0);
        Ok(Self { checks })
    }

    /// Adds what was found elsewhere.
    pub fn extend(&mut self, found: Vec<(String, bool)>) {
        self.checks.extend(found.into_iter().map(|(what, holds)| Check { what, holds }));
    }

    /// Whether all hold.
    pub fn hold(&self) -> bool {
        self.checks.iter().all(|c| c.holds)
    }

    /// For scripts.
    pub fn as_json(&self) -> serde_json::Value {
        self.checks.iter().map(|c| json!({"what": c.what, "holds": c.holds})).collect()
    }

    /// Previews of the marts, the checks, and what to try next.
    pub async fn print(&self, store: &Store, decision: &Decision, folder: &Path) -> Result<()> {
        for (title, query) in [
            (
                "dim_customers: every version",
                "select customer_id, first_name, last_name, email, \
              effective_from, effective_to, is_current from dim_customers where customer_id in \
              (select customer_id from dim_customers group by customer_id order by count(*) desc, \
              customer_id limit 1) order by effective_from",
            ),
            (
                "fact_transactions: the latest",
                "select transaction_id, account_id, customer_id, \
              amount, transaction_type, status, transaction_time from fact_transactions \
              order by transaction_time desc, transaction_id desc limit 5",
            ),
            (
                "customer_segments",
                "select segment, count(*) as customers, sum(total_balance) as \
              balance from customer_segments group by segment order by segment",
            ),
        ] {
            match ask(store, decision, query).await {
                Ok((_, rows)) => println!("{title}\n{}\n", pretty_format_batches(&rows)?),
                Err(error) => println!("{title}: {error}\n"),
            }
        }
        println!("what was checked");
        for check in &self.checks {
            println!("  {} {}", if check.holds { "ok  " } else { "FAIL" }, check.what);
        }
        let lake = folder.display();
        println!("\nwhere it lies: {lake}");
        println!(
            "  raw/ every event, source/ current rows, staging/ snapshots/ marts/ models: all"
        );
        println!("  plain Delta tables; _freshet/ the epochs' decisions and the marts' change log");
        println!("\nwhat to try next");
        println!("  freshet status --lake {lake}");
        println!("  freshet sql --lake {lake} \"select * from fraud_alerts limit 10\"");
        println!(
            "  freshet sql --lake {lake} --epoch {} \"select count(*) from fact_transactions\"",
            (decision.epoch / 2).max(1)
        );
        Ok(())
    }
}

async fn number(store: &Store, decision: &Decision, query: &str) -> Result<i64> {
    let (_, rows) = ask(store, decision, query).await?;
    let first = rows.first().filter(|b| b.num_rows() > 0);
    let value = first.and_then(|b| b.column(0).as_primitive_opt::<Int64Type>()).map(|c| c.value(0));
    value.ok_or_else(|| Error::bug("a check gave no number"))
}
