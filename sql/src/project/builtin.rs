//! The four tests that dbt brings: not_null, unique, accepted_values and relationships, as SQL.
//!
//! Plain SQL that every engine reads alike. Values come from yml and are quoted here, columns are
//! SQL as written.

use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::project::config::wrong;
use crate::project::datatest::TestKind;
use crate::project::declare::Declaration;

/// Their names.
pub const NAMES: &[&str] = &["accepted_values", "not_null", "relationships", "unique"];

/// Reads a declaration's arguments; `to` is the table of a relationship, found by the caller.
pub fn kind(declared: &Declaration, to: Option<String>) -> Result<TestKind> {
    let Some(column) = declared.column.clone() else {
        let message = format!("{} needs a column", declared.test);
        return Err(Error::invalid(declared.at.clone(), message)
            .hinted("declare it under a column, or give column_name".to_owned()));
    };
    match declared.test.as_str() {
        "not_null" => {
            allow(declared, &[])?;
            Ok(TestKind::NotNull { column })
        }
        "unique" => {
            allow(declared, &[])?;
            Ok(TestKind::Unique { column })
        }
        "accepted_values" => {
            allow(declared, &["values", "quote"])?;
            accepted_values(declared, column)
        }
        _ => {
            allow(declared, &["to", "field"])?;
            let field = required(declared, "field")?;
            let text = field.as_str().map(str::to_owned);
            let field =
                text.ok_or_else(|| wrong("field", &declared.arguments["field"], "a text"))?;
            let to = to.ok_or_else(|| missing(declared, "to"))?;
            Ok(TestKind::Relationships { column, to, field })
        }
    }
}

fn missing(declared: &Declaration, key: &str) -> Error {
    let message = format!("{} needs the argument \"{key}\"", declared.test);
    Error::invalid(declared.at.clone(), message)
}

fn required<'a>(declared: &'a Declaration, key: &str) -> Result<&'a Json> {
    let setting = declared.arguments.get(key).ok_or_else(|| missing(declared, key))?;
    Ok(&setting.value)
}

/// Refuses arguments that a test does not have.
pub fn allow(declared: &Declaration, known: &[&str]) -> Result<()> {
    for (key, setting) in &declared.arguments {
        if !known.contains(&key.as_str()) {
            let message = format!("{} has no argument \"{key}\"", declared.test);
            return Err(Error::invalid(setting.at.clone(), message)
                .hinted(did_you_mean(key, known.iter().copied())));
        }
    }
    Ok(())
}

fn accepted_values(declared: &Declaration, column: String) -> Result<TestKind> {
    let text = |item: &Json| match item {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    let given = required(declared, "values")?;
    let values: Option<Vec<String>> =
        given.as_array().and_then(|items| items.iter().map(text).collect());
    let wanted = || wrong("values", &declared.arguments["values"], "a list of values, not empty");
    let values = values.filter(|values| !values.is_empty()).ok_or_else(wanted)?;
    let quote = match declared.arguments.get("quote") {
        None => true,
        Some(setting) => {
            setting.value.as_bool().ok_or_else(|| wrong("quote", setting, "true or false"))?
        }
    };
    Ok(TestKind::AcceptedValues { column, values, quote })
}

/// The query of a test over `table`, a name or a subquery; `to` is the parent of a relationship.
/// `None` for the kinds whose SQL is the project's own.
pub fn sql(kind: &TestKind, table: &str, to: &str) -> Option<String> {
    Some(match kind {
        TestKind::NotNull { column } => {
            format!("select *\nfrom {table}\nwhere {column} is null")
        }
        TestKind::Unique { column } => format!(
            "select\n    {column} as unique_field,\n    count(*) as n_records\nfrom {table}\n\
             where {column} is not null\ngroup by {column}\nhaving count(*) > 1"
        ),
        TestKind::AcceptedValues { column, values, quote } => {
            let literal = |value: &String| match quote {
                true => format!("'{}'", value.replace('\'', "''")),
                false => value.clone(),
            };
            let list: Vec<String> = values.iter().map(literal).collect();
            format!(
                "select\n    {column} as value_field,\n    count(*) as n_records\nfrom {table}\n\
                 where {column} not in ({})\ngroup by {column}",
                list.join(", ")
            )
        }
        TestKind::Relationships { column, field, .. } => format!(
            "with child as (\n    select {column} as from_field\n    from {table}\n    \
             where {column} is not null\n),\n\nparent as (\n    select {field} as to_field\n    \
             from {to}\n)\n\nselect child.from_field\nfrom child\nleft join parent on \
             child.from_field = parent.to_field\nwhere parent.to_field is null"
        ),
        TestKind::Generic { .. } | TestKind::Singular => return None,
    })
}
