//! What a push is, decided from facts alone: the target's ledger, what waits, and the policy.
//!
//! Pure. It must never plan to overwrite a table with rows that the ledger does not know, unless
//! told to.

use std::collections::BTreeSet;

use super::contract::{Column, Contract};
use super::moves::Standing;
use super::options::Policy;
use super::warehouse::Shape;
use crate::error::{Error, Result};

/// Steps that make the target what the contracts say, in order.
///
/// # Errors
/// `Invalid` with the statement that would do it, for a step that the policy does not allow.
pub fn shapes(
    contracts: &[Contract],
    standing: &Standing,
    policy: &Policy,
    statement: &dyn Fn(&Shape) -> String,
) -> Result<Vec<Shape>> {
    let mut steps = Vec::new();
    for contract in contracts {
        let Some(facts) = standing.tables.get(&contract.table) else {
            steps.push(Shape::CreateTable(Box::new(contract.clone())));
            continue;
        };
        let table = &contract.table;
        for column in &contract.columns {
            match facts.columns.iter().find(|(name, _)| *name == column.name) {
                None => steps.push(Shape::AddColumn(table.clone(), column.clone())),
                Some((_, Some(kind))) if kind.holds(column.kind) => {}
                Some((_, found)) => {
                    let step = Shape::ChangeType(table.clone(), column.clone());
                    let what = other_type(table, column, *found);
                    allow(
                        policy.allow_type_changes,
                        "allow_type_changes",
                        &what,
                        &step,
                        statement,
                    )?;
                    steps.push(step);
                }
            }
        }
        for (name, _) in &facts.columns {
            if !contract.columns.iter().any(|c| c.name == *name) {
                let step = Shape::DropColumn(table.clone(), name.clone());
                let what = format!("{table} has a column {name}, which the model does not have");
                let allowed = policy.allow_dropped_columns;
                allow(allowed, "allow_dropped_columns", &what, &step, statement)?;
                steps.push(step);
            }
        }
    }
    Ok(steps)
}

fn other_type(table: &str, column: &Column, found: Option<super::contract::ColumnType>) -> String {
    let found = found.map_or("another type".to_owned(), |kind| format!("{kind:?}"));
    format!("column {} of {table} is {found}, and the model's is {:?}", column.name, column.kind)
}

fn allow(
    allowed: bool,
    key: &str,
    what: &str,
    step: &Shape,
    statement: &dyn Fn(&Shape) -> String,
) -> Result<()> {
    if allowed {
        return Ok(());
    }
    Err(Error::invalid(format!("{what}; nothing was pushed")).with_hint(format!(
        "run `{}` yourself, or allow it by {key} = true in [publish.<target>.policy]",
        statement(step)
    )))
}

/// Refuses to go on where tables hold rows that the ledger does not know, and that nobody said to
/// take over: marts, and RAW's tables by their ledger names.
pub fn refuse_foreign(
    contracts: &[Contract],
    raw: &[String],
    standing: &Standing,
    adopted: &BTreeSet<String>,
) -> Result<()> {
    let strange = |table: &&String| {
        !standing.ledger.contains_key(*table)
            && !adopted.contains(*table)
            && standing.tables.get(*table).is_some_and(|t| t.rows > 0)
    };
    let tables = contracts.iter().map(|c| &c.table).chain(raw);
    let strange: Vec<&str> = tables.filter(strange).map(String::as_str).collect();
    if strange.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{}: there are rows that freshet did not write; nothing was pushed",
        strange.join(", ")
    ))
    .with_hint(format!(
        "`freshet publish import` takes a snapshot's history over first; then \
         `freshet publish push --overwrite {}` replaces the rows (to RAW it appends)",
        strange.join(",")
    )))
}

/// Refuses a target that another lake pushes to, or that is ahead of this one.
pub fn refuse_strangers(standing: &Standing, lake: &str, epoch: u64) -> Result<()> {
    if standing.lake.as_ref().is_some_and(|l| l != lake) {
        return Err(Error::invalid("another lake pushes to this target; nothing was pushed")
            .with_hint(
                "`freshet publish reset` takes it over: the next push writes every mart whole",
            ));
    }
    if standing.pushed().is_some_and(|pushed| pushed > epoch) {
        return Err(Error::corrupt(format!(
            "the target holds epoch {}, and the lake's last is {epoch}: was the lake restored?",
            standing.pushed().unwrap_or(0)
        ))
        .with_hint("`freshet publish reset` writes every mart whole from this lake"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::contract::ColumnType;
    use crate::publish::moves::{LedgerRow, TableFacts};
    use arrow::datatypes::Schema;
    use std::sync::Arc;

    fn column(name: &str, kind: ColumnType) -> Column {
        Column { name: name.to_owned(), kind, comment: String::new(), audit: false }
    }

    fn contract() -> Contract {
        Contract {
            model: "m".to_owned(),
            path: "marts/m".to_owned(),
            table: "M".to_owned(),
            columns: vec![column("K", ColumnType::Text), column("V", ColumnType::Number(18, 2))],
            key: vec![0],
            comment: String::new(),
            schema: Arc::new(Schema::empty()),
        }
    }

    fn standing(columns: Vec<(&str, ColumnType)>, rows: u64) -> Standing {
        let columns = columns.into_iter().map(|(n, k)| (n.to_owned(), Some(k))).collect();
        let mut standing = Standing::default();
        standing.tables.insert("M".to_owned(), TableFacts { columns, rows });
        standing
    }

    fn plan(standing: &Standing, policy: &Policy) -> Result<Vec<Shape>> {
        shapes(&[contract()], standing, policy, &|_| "ALTER ..".to_owned())
    }

    #[test]
    fn a_new_column_is_added_and_a_missing_table_made() {
        let steps = plan(&standing(vec![("K", ColumnType::Text)], 0), &Policy::default()).unwrap();
        assert!(matches!(&steps[..], [Shape::AddColumn(t, c)] if t == "M" && c.name == "V"));
        let steps = plan(&Standing::default(), &Policy::default()).unwrap();
        assert!(matches!(&steps[..], [Shape::CreateTable(_)]));
    }

    #[test]
    fn another_type_and_a_dropped_column_are_refused_with_their_statement() {
        let float = standing(vec![("K", ColumnType::Text), ("V", ColumnType::Float)], 0);
        let error = plan(&float, &Policy::default()).unwrap_err().to_string();
        assert!(error.contains("ALTER ..") && error.contains("allow_type_changes"), "{error}");
        let allowed = Policy { allow_type_changes: true, ..Policy::default() };
        assert_eq!(plan(&float, &allowed).unwrap().len(), 1);
        let mut more = standing(vec![("K", ColumnType::Text), ("V", ColumnType::Number(38, 4))], 0);
        assert!(plan(&more, &Policy::default()).unwrap().is_empty());
        let facts = more.tables.get_mut("M").unwrap();
        facts.columns.push(("OLD".to_owned(), Some(ColumnType::Date)));
        let error = plan(&more, &Policy::default()).unwrap_err().to_string();
        assert!(error.contains("OLD") && error.contains("allow_dropped_columns"), "{error}");
    }

    #[test]
    fn rows_that_are_not_ours_are_refused_until_taken_over() {
        let mut facts = standing(Vec::new(), 5);
        let nobody = BTreeSet::new();
        assert!(refuse_foreign(&[contract()], &[], &facts, &nobody).is_err());
        let adopted = BTreeSet::from(["M".to_owned()]);
        assert!(refuse_foreign(&[contract()], &[], &facts, &adopted).is_ok());
        facts.ledger.insert("M".to_owned(), LedgerRow::default());
        assert!(refuse_foreign(&[contract()], &[], &facts, &nobody).is_ok());
    }

    #[test]
    fn another_lake_and_a_lake_behind_are_refused() {
        let mut facts = Standing { lake: Some("a".to_owned()), ..Standing::default() };
        assert!(
            refuse_strangers(&facts, "a", 3).is_ok() && refuse_strangers(&facts, "b", 3).is_err()
        );
        facts.ledger.insert("M".to_owned(), LedgerRow { epoch: 4, ..LedgerRow::default() });
        assert!(refuse_strangers(&facts, "a", 3).is_err());
    }
}
