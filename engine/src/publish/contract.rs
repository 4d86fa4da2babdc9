//! What a target table is: its name, columns, types, key and comments.
//!
//! Pure. It must never invent a name: tables and columns are the models', in capitals, as dbt on
//! Snowflake would have made them.

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use freshet_sql::project::Project;
use freshet_sql::project::model::Model;

use super::options::Policy;
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::transform::planned::PlannedModel;

/// A column's type in a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text of any length.
    Text,
    /// True or false.
    Boolean,
    /// Digits in all, and behind the point.
    Number(u8, u8),
    /// Binary floating point of 64 bits.
    Float,
    /// A day.
    Date,
    /// A time of day.
    Time,
    /// A time without a zone.
    Timestamp,
    /// An instant.
    Instant,
    /// Bytes.
    Binary,
    /// Any JSON value.
    Variant,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// In capitals.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// From the model's yml; may be empty.
    pub comment: String,
    /// Says when the row was written: no part of hashes.
    pub audit: bool,
}

/// One target table, and the mart that it is made from.
#[derive(Debug, Clone)]
pub struct Contract {
    /// The model.
    pub model: String,
    /// The lake's table.
    pub path: String,
    /// In capitals.
    pub table: String,
    /// In the mart's order.
    pub columns: Vec<Column>,
    /// Positions of the columns that changes are applied by; empty where the model names none.
    pub key: Vec<usize>,
    /// The model's description.
    pub comment: String,
    /// The mart's columns as the lake stores them.
    pub schema: SchemaRef,
}

impl Contract {
    /// Positions of the columns that hashes cover: no audit columns, whose values say nothing of
    /// the data, and no floats, whose text no two engines agree on.
    pub fn hashed(&self) -> Vec<usize> {
        let covered = |c: &Column| !c.audit && c.kind != ColumnType::Float;
        (0..self.columns.len()).filter(|i| covered(&self.columns[*i])).collect()
    }
}

/// The contracts of what a policy publishes, in graph order.
///
/// # Errors
/// `Invalid` for a model that is not there, two models under one name, or a column of a type that
/// no target has.
pub fn contracts(
    project: &Project,
    planned: &[PlannedModel],
    policy: &Policy,
) -> Result<Vec<Contract>> {
    let marts = || planned.iter().filter(|m| m.layer == layout::MARTS);
    for name in policy.models.iter().chain(policy.names.keys()) {
        if !marts().any(|m| m.name == *name) {
            let near = freshet_sql::error::closest(name, marts().map(|m| m.name.as_str()));
            let error = Error::invalid(format!("[publish]: there is no mart \"{name}\""));
            return Err(match near {
                Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
                None => error,
            });
        }
    }
    let wanted = |m: &&PlannedModel| policy.models.is_empty() || policy.models.contains(&m.name);
    let mut found: Vec<Contract> = Vec::new();
    for model in marts().filter(wanted) {
        let described = project.models.iter().find(|m| m.name == model.name);
        let made = contract(model, described, policy)?;
        if let Some(other) = found.iter().find(|c| c.table == made.table) {
            return Err(Error::invalid(format!(
                "[publish]: \"{}\" and \"{}\" both go to the table {}",
                other.model, made.model, made.table
            ))
            .with_hint("give one of them another name in [publish.<target>.policy] names"));
        }
        found.push(made);
    }
    Ok(found)
}

fn contract(model: &PlannedModel, described: Option<&Model>, policy: &Policy) -> Result<Contract> {
    let alias = described.and_then(|m| m.config.get("alias")).and_then(|a| a.as_str());
    let table = policy.names.get(&model.name).map(String::as_str).or(alias).unwrap_or(&model.name);
    let schema = &model.spec.schema;
    let mut columns = Vec::new();
    for field in schema.fields() {
        let kind = column_type(field.data_type()).ok_or_else(|| {
            Error::invalid(format!(
                "{}: column `{}` of \"{}\" is {}, which can't be published",
                model.location,
                field.name(),
                model.name,
                field.data_type()
            ))
            .with_hint("cast it to text, a number, a date or a timestamp in the model")
        })?;
        let doc = described
            .and_then(|m| m.columns.iter().find(|c| c.name.eq_ignore_ascii_case(field.name())));
        columns.push(Column {
            name: field.name().to_uppercase(),
            kind,
            comment: doc.map(|d| one_line(&d.description)).unwrap_or_default(),
            audit: model.lineage.audit.contains(field.name()),
        });
    }
    let named = described.map(|m| m.unique_key.as_slice()).unwrap_or_default();
    let mut key = Vec::new();
    for name in named {
        key.push(schema.index_of(name).map_err(|_| {
            Error::invalid(format!(
                "{}: \"{}\" has no column `{name}`, which its unique_key names",
                model.location, model.name
            ))
        })?);
    }
    Ok(Contract {
        model: model.name.clone(),
        path: model.spec.path.clone(),
        table: table.to_uppercase(),
        columns,
        key,
        comment: described.map(|m| one_line(&m.description)).unwrap_or_default(),
        schema: schema.clone(),
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The type that holds every value of an Arrow type; `None` where no target has one.
pub fn column_type(kind: &DataType) -> Option<ColumnType> {
    Some(match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::Text,
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int8 | DataType::UInt8 => ColumnType::Number(3, 0),
        DataType::Int16 | DataType::UInt16 => ColumnType::Number(5, 0),
        DataType::Int32 | DataType::UInt32 => ColumnType::Number(10, 0),
        DataType::Int64 => ColumnType::Number(19, 0),
        DataType::UInt64 => ColumnType::Number(20, 0),
        DataType::Decimal128(digits, scale) if *scale >= 0 => {
            ColumnType::Number(*digits, scale.unsigned_abs())
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Float,
        DataType::Date32 => ColumnType::Date,
        DataType::Time64(_) => ColumnType::Time,
        DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ColumnType::Instant,
        DataType::Binary | DataType::LargeBinary => ColumnType::Binary,
        _ => return None,
    })
}

impl ColumnType {
    /// Whether a column of this type holds every value of `other`.
    pub fn holds(self, other: Self) -> bool {
        match (self, other) {
            (Self::Number(digits, scale), Self::Number(wanted, wanted_scale)) => {
                scale >= wanted_scale && digits - scale.min(digits) >= wanted - wanted_scale
            }
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_number_holds_a_narrower_one_and_money_is_not_held_by_a_float() {
        let money = ColumnType::Number(18, 2);
        assert!(ColumnType::Number(38, 2).holds(money) && money.holds(money));
        assert!(ColumnType::Number(38, 10).holds(money));
        assert!(!ColumnType::Number(38, 0).holds(money));
        assert!(!ColumnType::Number(18, 4).holds(money));
        assert!(!ColumnType::Float.holds(money));
    }
}
