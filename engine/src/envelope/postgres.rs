//! PostgreSQL's type words: `numeric(18,2)`, `timestamptz`, `text[]`, to the kind of a column.
//!
//! Times get the unit that Debezium's adaptive precision sends. A word that is not known is refused
//! with near ones: a type is never guessed.

use super::schema::{ColumnKind, Ticks};
use crate::error::{Error, Result};

/// All words known, as they stand after `canonical`; kept in the order of `plain`.
const WORDS: &[&str] = &[
    "boolean",
    "bool",
    "smallint",
    "int2",
    "smallserial",
    "serial2",
    "integer",
    "int",
    "int4",
    "serial",
    "serial4",
    "bigint",
    "int8",
    "bigserial",
    "serial8",
    "oid",
    "xid",
    "real",
    "float4",
    "double precision",
    "float8",
    "float",
    "numeric",
    "decimal",
    "dec",
    "money",
    "text",
    "varchar",
    "character varying",
    "char",
    "character",
    "bpchar",
    "\"char\"",
    "name",
    "citext",
    "uuid",
    "json",
    "jsonb",
    "xml",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "ltree",
    "hstore",
    "tsvector",
    "tsquery",
    "pg_lsn",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "point",
    "geometry",
    "geography",
    "vector",
    "halfvec",
    "sparsevec",
    "bytea",
    "bit",
    "bit varying",
    "varbit",
    "date",
    "time",
    "time without time zone",
    "timetz",
    "time with time zone",
    "timestamp",
    "timestamp without time zone",
    "timestamptz",
    "timestamp with time zone",
    "interval",
];

impl ColumnKind {
    /// The kind of a type as the catalog writes it (`format_type`), synonyms included.
    ///
    /// Fails with [`Error::Invalid`], naming the word and near ones.
    pub fn from_postgres(words: &str) -> Result<Self> {
        let lower = words.trim().to_lowercase();
        if lower.ends_with(']') || lower.ends_with(" array") || lower.starts_with('_') {
            return Ok(Self::Text);
        }
        let (base, arguments) = canonical(&lower).ok_or_else(|| unknown(words, &lower))?;
        let first = arguments.first().copied();
        let ticks = match first {
            Some(0..=3) => Ticks::Millis,
            _ => Ticks::Micros,
        };
        Ok(match base.as_str() {
            "numeric" | "decimal" | "dec" => match first {
                None => Self::Numeric { scale: None },
                Some(precision) => Self::decimal(precision, arguments.get(1).copied().unwrap_or(0)),
            },
            "float" if first.is_some_and(|bits| bits <= 24) => Self::Float32,
            "bit" if first.is_none_or(|bits| bits == 1) => Self::Bool,
            "time" | "time without time zone" => Self::Time(ticks),
            "timestamp" | "timestamp without time zone" => Self::Timestamp(ticks),
            word => plain(word).ok_or_else(|| unknown(words, &base))?,
        })
    }
}

/// The kinds that a word alone decides.
fn plain(word: &str) -> Option<ColumnKind> {
    Some(match word {
        "boolean" | "bool" => ColumnKind::Bool,
        "smallint" | "int2" | "smallserial" | "serial2" => ColumnKind::Int16,
        "integer" | "int" | "int4" | "serial" | "serial4" => ColumnKind::Int32,
        "bigint" | "int8" | "bigserial" | "serial8" | "oid" | "xid" => ColumnKind::Int64,
        "real" | "float4" => ColumnKind::Float32,
        "double precision" | "float8" | "float" => ColumnKind::Float64,
        "money" => ColumnKind::decimal(19, 2),
        "bytea" | "bit" | "bit varying" | "varbit" => ColumnKind::Bytes,
        "date" => ColumnKind::Date,
        "timetz" | "time with time zone" => ColumnKind::TimeTz,
        "timestamptz" | "timestamp with time zone" => ColumnKind::TimestampTz,
        word if word == "interval" || word.starts_with("interval ") => ColumnKind::Interval,
        word if WORDS.contains(&word) => ColumnKind::Text,
        _ => return None,
    })
}

/// The words without arguments, schema and doubled blanks; and the arguments. PostGIS's and other
/// arguments that are no numbers are dropped.
fn canonical(lower: &str) -> Option<(String, Vec<i32>)> {
    let (before, arguments, after) = match lower.split_once('(') {
        None => (lower, "", ""),
        Some((before, rest)) => {
            let (arguments, after) = rest.split_once(')')?;
            (before, arguments, after)
        }
    };
    let words: Vec<_> = before.split_whitespace().chain(after.split_whitespace()).collect();
    let base = words.join(" ");
    let base = match base.rsplit_once('.') {
        Some((_, word)) => word.to_owned(),
        None => base,
    };
    let arguments = arguments.split(',').filter_map(|a| a.trim().parse().ok()).collect();
    Some((base, arguments))
}

fn unknown(words: &str, base: &str) -> Error {
    let distance = |word: &&&str| strsim::damerau_levenshtein(base, word);
    let mut near: Vec<_> = WORDS.iter().filter(|word| distance(word) <= 3).collect();
    near.sort_by_key(distance);
    near.truncate(3);
    let near: Vec<_> = near.iter().map(|word| format!("`{word}`")).collect();
    let hint = match near.is_empty() {
        true => "an enum, a domain or a composite is declared by what is sent for it: `text` for \
                 an enum, the base type for a domain"
            .to_owned(),
        false => format!("did you mean {}?", near.join(" or ")),
    };
    Error::invalid(format!("PostgreSQL type `{}` is not known", words.trim())).with_hint(hint)
}
