//! Snowflake's text to what DataFusion reads: names in capitals, whole, and quoted.
//!
//! Pure. Words that are no keywords become quoted names in capitals; a table's name becomes one flat
//! quoted name; types become DataFusion's.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DataType, ExactNumberInfo, Expr, Ident, ObjectName, ObjectNamePart, Statement, TimezoneInfo,
    VisitMut, VisitorMut,
};
use sqlparser::dialect::{GenericDialect, SnowflakeDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::answer::{Refused, compilation};

/// Where names that are not whole belong.
#[derive(Debug, Clone)]
pub struct Place {
    /// The database.
    pub database: String,
    /// The schema.
    pub schema: String,
}

/// Parses one statement.
pub fn parse(sql: &str) -> std::result::Result<Statement, Refused> {
    let text = quoted_words(sql)?;
    let mut statements = Parser::parse_sql(&GenericDialect {}, &text).map_err(compilation)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(compilation("expected one statement")),
    }
}

/// The same text with every name in capitals and quoted, and escapes in literals undone.
fn quoted_words(sql: &str) -> std::result::Result<String, Refused> {
    let tokens = Tokenizer::new(&SnowflakeDialect {}, sql).tokenize().map_err(compilation)?;
    let mut text = String::with_capacity(sql.len() + 64);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(word)
                if word.quote_style.is_none() && word.keyword == Keyword::NoKeyword =>
            {
                let rest = tokens[at + 1..].iter().find(|t| !matches!(t, Token::Whitespace(_)));
                let is_call = matches!(rest, Some(Token::LParen));
                // A type's name is a call by its looks: NUMBER(18,2).
                if is_call || super::types::declared(&word.value).is_some() {
                    text.push_str(&word.value);
                } else {
                    text.push_str(&format!("\"{}\"", word.value.to_uppercase()));
                }
            }
            Token::SingleQuotedString(value) => {
                text.push_str(&format!("'{}'", value.replace('\'', "''")));
            }
            other => text.push_str(&other.to_string()),
        }
    }
    Ok(text)
}

/// A name, whole: `DB.SCHEMA.NAME`.
pub fn whole(name: &ObjectName, place: &Place) -> String {
    let parts: Vec<String> = name.0.iter().map(part).collect();
    match parts.as_slice() {
        [name] => format!("{}.{}.{name}", place.database, place.schema),
        [schema, name] => format!("{}.{schema}.{name}", place.database),
        _ => parts.join("."),
    }
}

/// One part of a name: in capitals unless it is quoted.
pub fn part(part: &ObjectNamePart) -> String {
    part.as_ident().map(ident).unwrap_or_default()
}

/// A name: in capitals unless it is quoted.
pub fn ident(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_uppercase() }
}

/// The last part of a name.
pub fn last(name: &ObjectName) -> String {
    name.0.last().map(part).unwrap_or_default()
}

/// A flat, quoted name.
pub fn flat(name: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote('"', name))])
}

/// Makes names whole and flat, types DataFusion's; the tables named.
pub fn flatten(
    statement: &mut Statement,
    place: &Place,
    known: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut flattener = Flattener { place, known, found: Vec::new() };
    let _ = statement.visit(&mut flattener);
    flattener.found
}

struct Flattener<'f> {
    place: &'f Place,
    known: &'f dyn Fn(&str) -> bool,
    found: Vec<String>,
}

impl VisitorMut for Flattener<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        let name = whole(relation, self.place);
        // A name of one part may be a common table expression.
        if relation.0.len() > 1 || (self.known)(&name) {
            *relation = flat(&name);
            self.found.push(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { data_type, .. } = expr {
            *data_type = understood(data_type);
        }
        ControlFlow::Continue(())
    }
}

/// A type as DataFusion knows it.
fn understood(kind: &DataType) -> DataType {
    match super::types::declared(&kind.to_string()) {
        Some(("NUMBER", Some((digits, scale)), _)) => DataType::Decimal(
            ExactNumberInfo::PrecisionAndScale(u64::from(digits), i64::from(scale)),
        ),
        Some(("TEXT" | "VARIANT", ..)) => DataType::Varchar(None),
        Some(("FLOAT", ..)) => DataType::Double(ExactNumberInfo::None),
        Some(("TIMESTAMP_NTZ", ..)) => DataType::Timestamp(None, TimezoneInfo::None),
        Some(("TIMESTAMP_TZ" | "TIMESTAMP_LTZ", ..)) => {
            DataType::Timestamp(None, TimezoneInfo::WithTimeZone)
        }
        _ => kind.clone(),
    }
}
