//! Where in a model's text a construct stands that has no local key.
//!
//! It looks at words, not at meaning: the plan says what the construct is, the text where it may be.

use std::collections::BTreeSet;

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::obstacle::Construct;

/// Line and column, from 1, of the place where the construct most likely stands in this SQL; `key` is by
/// what rows were to be found there, as a plan names it.
pub fn place(sql: &str, construct: Construct, key: &str) -> Option<(u32, u32)> {
    let tokens = tokens(sql)?;
    let words: Vec<String> = tokens.iter().map(|t| t.token.to_string().to_lowercase()).collect();
    start(tokens.get(find(&words, construct, key)?)?)
}

/// The same of the first place where a name stands.
pub fn name(sql: &str, name: &str) -> Option<(u32, u32)> {
    let is_it = |t: &&TokenWithSpan| matches!(&t.token, Token::Word(word) if word.value == name);
    start(tokens(sql)?.iter().find(is_it)?)
}

/// All but spaces and comments.
fn tokens(sql: &str) -> Option<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    Some(tokens.into_iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect())
}

fn start(token: &TokenWithSpan) -> Option<(u32, u32)> {
    let start = token.span.start;
    Some((u32::try_from(start.line).ok()?, u32::try_from(start.column).ok()?))
}

fn find(words: &[String], construct: Construct, key: &str) -> Option<usize> {
    let any = |names: &[&str]| words.iter().position(|w| names.contains(&w.as_str()));
    match construct {
        Construct::Limit => any(&["limit", "offset", "fetch", "top"]),
        Construct::GlobalWindow => {
            let open = |at: &usize| words.get(at + 1).is_some_and(|w| w == "(");
            let whole = |at: &usize| words.get(at + 2).is_none_or(|w| w != "partition");
            let over = words.iter().enumerate().filter(|(_, w)| *w == "over");
            let inline = over.map(|(at, _)| at).filter(open).find(whole);
            inline.or_else(|| {
                // `window w as (order by ..)`: the name.
                let windows = words.iter().position(|w| w == "window")?;
                let named = (windows + 1..words.len()).filter(|at| words[*at] == "as");
                named.filter(open).find(whole).map(|at| at - 1)
            })
        }
        Construct::GlobalAggregate => any(&AGGREGATES),
        Construct::CrossJoin => any(&["cross"])
            .or_else(|| unequal_join(words))
            .or_else(|| any(&["exists", "in", "join"])),
        Construct::GroupingSets => any(&["rollup", "cube", "grouping"]),
        Construct::Recursion => any(&["recursive"]),
        Construct::Time => {
            let times = || (0..words.len()).filter(|at| TIMES.contains(&words[*at].as_str()));
            times().find(|at| is_compared(words, *at)).or_else(|| times().next())
        }
        Construct::DerivedKey => by_key(words, key),
        Construct::Other => None,
    }
}

/// The usual aggregates.
const AGGREGATES: [&str; 14] = [
    "sum",
    "count",
    "avg",
    "min",
    "max",
    "median",
    "array_agg",
    "string_agg",
    "listagg",
    "stddev",
    "variance",
    "bool_and",
    "bool_or",
    "approx_distinct",
];

/// The epoch's time, in every dialect's words.
const TIMES: [&str; 7] =
    ["current_timestamp", "current_date", "localtimestamp", "now", "getdate", "sysdate", "today"];

/// What ends a clause.
const ENDS: [&str; 12] = [
    "join",
    "where",
    "group",
    "having",
    "order",
    "union",
    "intersect",
    "except",
    "limit",
    "window",
    "qualify",
    ";",
];

/// Whether a time is more than a column by itself, which is an audit column: whether anything is computed
/// with it or compared with it, between the commas and words around it.
fn is_compared(words: &[String], at: usize) -> bool {
    const BOUNDS: [&str; 10] =
        [",", "select", "from", "where", "and", "or", "on", "when", "then", "having"];
    const OPERATORS: [&str; 9] = ["<", ">", "<=", ">=", "=", "<>", "+", "-", "between"];
    let is = |list: &[&str], word: &String| list.contains(&word.as_str());
    let before = words[..at].iter().rev().take_while(|w| !is(&BOUNDS, w));
    let after = words[at + 1..].iter().take_while(|w| !is(&BOUNDS, w));
    before.chain(after).any(|w| is(&OPERATORS, w))
}

/// The grouping, window or join that has the most of a key's words.
fn by_key(words: &[String], key: &str) -> Option<usize> {
    let key = key.to_lowercase();
    let wanted: BTreeSet<&str> =
        key.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let found = |at: &usize| {
        let clause = words[at + 1..].iter().map(String::as_str);
        let clause = clause.take_while(|w| !ENDS.contains(w) && *w != "over");
        let clause: BTreeSet<&str> = clause.collect();
        clause.intersection(&wanted).count()
    };
    let clauses =
        (0..words.len()).filter(|at| ["group", "over", "join"].contains(&words[*at].as_str()));
    // Of equal ones the last is kept: so from the right.
    clauses.rev().max_by_key(found)
}

/// The first join whose condition has no equality.
fn unequal_join(words: &[String]) -> Option<usize> {
    let joins = (0..words.len()).filter(|at| words[*at] == "join");
    joins.into_iter().find(|at| {
        let rest = &words[at + 1..];
        let end = rest.iter().position(|w| ENDS.contains(&w.as_str())).unwrap_or(rest.len());
        let condition = rest[..end].iter().skip_while(|w| *w != "on");
        let mut condition = condition.peekable();
        condition.peek().is_some() && !condition.any(|w| w == "=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constructs_are_found_where_they_stand() {
        let sql = "select *,\n  row_number() over (partition by k order by i),\n  \
                   rank() over (order by i)\nfrom t\nlimit 3";
        assert_eq!(place(sql, Construct::GlobalWindow, ""), Some((3, 10)));
        assert_eq!(place(sql, Construct::Limit, ""), Some((5, 1)));
        assert_eq!(place(sql, Construct::Recursion, ""), None);
        let named = "select rank() over w,\n  sum(x) over v\nfrom t\n\
                     window v as (partition by k), w as (order by x)";
        assert_eq!(place(named, Construct::GlobalWindow, ""), Some((4, 31)));
        let joins = "select * from a join b on a.k = b.k\n  join c on c.x < a.x\n\
                     where a.k in (1, 2)";
        assert_eq!(place(joins, Construct::CrossJoin, ""), Some((2, 3)));
        let ages = "select cast(current_timestamp as timestamp(6)) as load_timestamp, id\nfrom t\n\
                    where at > current_timestamp - interval '1 day'";
        assert_eq!(place(ages, Construct::Time, ""), Some((3, 12)));
        assert_eq!(place("select now() as at from t", Construct::Time, ""), Some((1, 8)));
        let keys = "select * from a join b on a.id = b.id\njoin c on c.total = b.n\ngroup by a.x";
        assert_eq!(place(keys, Construct::DerivedKey, "b.n"), Some((2, 1)));
        assert_eq!(place(keys, Construct::DerivedKey, "a.x"), Some((3, 1)));
        assert_eq!(place(keys, Construct::DerivedKey, ""), Some((1, 17)));
        let named = "-- stg_a\nselect * from stg_abc join stg_a on 'stg_a' <> x";
        assert_eq!((name(named, "stg_a"), name(named, "b")), (Some((2, 28)), None));
        let steps = "with recursive s as (select 1 as n)\nselect n from s";
        assert_eq!(place(steps, Construct::Recursion, ""), Some((1, 6)));
    }
}
