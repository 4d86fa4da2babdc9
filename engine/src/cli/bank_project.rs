//! The bank's dbt project, built into the binary, so that the demo needs no checkout.
//!
//! The files are those of `models/`; a test compares the two lists.

use std::collections::BTreeMap;

use freshet_sql::project::Project;

use crate::error::Result;
use crate::pipeline::project::target;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        /// Path within the project, and text.
        pub const FILES: &[(&str, &str)] = &[
            $(($path, include_str!(concat!("../../../models/", $path)))),*
        ];
    };
}

files![
    "dbt_project.yml",
    "marts/_dimensions.yml",
    "marts/_marts.yml",
    "marts/account_summary.sql",
    "marts/agg_daily_account_activity.sql",
    "marts/customer_segments.sql",
    "marts/customer_summary.sql",
    "marts/dim_accounts.sql",
    "marts/dim_accounts_current.sql",
    "marts/dim_customers.sql",
    "marts/dim_customers_current.sql",
    "marts/dim_date.sql",
    "marts/fact_transactions.sql",
    "marts/fraud_alerts.sql",
    "snapshots/_snapshots.yml",
    "snapshots/accounts_snapshot.sql",
    "snapshots/customers_snapshot.sql",
    "staging/_sources.yml",
    "staging/_staging.yml",
    "staging/stg_accounts.sql",
    "staging/stg_customers.sql",
    "staging/stg_transactions.sql",
    "tests/customer_balances_reconcile.sql",
    "tests/dim_accounts_versions_do_not_overlap.sql",
    "tests/dim_customers_versions_do_not_overlap.sql",
    "tests/generic/one_current_row.sql",
];

/// The project, checked.
pub fn load() -> Result<Project> {
    load_files(|_| true)
}

/// The project's sources alone: raw events and current rows, no model.
pub fn sources() -> Result<Project> {
    load_files(|path| path == "dbt_project.yml" || path.ends_with("_sources.yml"))
}

fn load_files(wanted: impl Fn(&str) -> bool) -> Result<Project> {
    let files: BTreeMap<String, String> = FILES
        .iter()
        .filter(|(path, _)| wanted(path))
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    Ok(Project::load(&files, &BTreeMap::new(), &|_| None, &target())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn collect(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, root, found);
            } else if path.extension().is_some_and(|e| e == "sql" || e == "yml") {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_file_of_the_project_is_built_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
        let mut found = Vec::new();
        for folder in ["staging", "snapshots", "marts", "tests"] {
            collect(&root.join(folder), &root, &mut found);
        }
        found.push("dbt_project.yml".to_owned());
        found.sort();
        let mut listed: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        listed.sort_unstable();
        assert_eq!(listed, found);
    }

    #[test]
    fn it_loads() {
        assert!(load().unwrap().models.len() >= 14);
        assert_eq!((sources().unwrap().models.len(), sources().unwrap().sources.len()), (0, 3));
    }
}
