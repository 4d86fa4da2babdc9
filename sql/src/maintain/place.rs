//! Where in a model's text a construct stands that has no local key.
//!
//! It looks at words, not at meaning: the plan says what the construct is, the text where it may be.

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::obstacle::Construct;

/// Line and column, from 1, of the first place where the construct can stand in this SQL.
pub fn place(sql: &str, construct: Construct) -> Option<(u32, u32)> {
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().ok()?;
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect();
    let words: Vec<String> = tokens.iter().map(|t| t.token.to_string().to_lowercase()).collect();
    let at = find(&words, construct)?;
    let start = tokens.get(at)?.span.start;
    Some((u32::try_from(start.line).ok()?, u32::try_from(start.column).ok()?))
}

fn find(words: &[String], construct: Construct) -> Option<usize> {
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
        Construct::GlobalAggregate => any(&["sum", "count", "avg", "min", "max"]),
        Construct::CrossJoin => any(&["cross"])
            .or_else(|| unequal_join(words))
            .or_else(|| any(&["exists", "in", "join"])),
        Construct::GroupingSets => any(&["rollup", "cube", "grouping"]),
        Construct::Recursion => any(&["recursive"]),
        Construct::Time => any(&[
            "current_timestamp",
            "current_date",
            "localtimestamp",
            "now",
            "getdate",
            "sysdate",
            "today",
        ]),
        Construct::DerivedKey => any(&["group", "over", "join"]),
        Construct::Other => None,
    }
}

/// The first join whose condition has no equality.
fn unequal_join(words: &[String]) -> Option<usize> {
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
        assert_eq!(place(sql, Construct::GlobalWindow), Some((3, 10)));
        assert_eq!(place(sql, Construct::Limit), Some((5, 1)));
        assert_eq!(place(sql, Construct::Recursion), None);
        let named = "select rank() over w,\n  sum(x) over v\nfrom t\n\
                     window v as (partition by k), w as (order by x)";
        assert_eq!(place(named, Construct::GlobalWindow), Some((4, 31)));
        let joins = "select * from a join b on a.k = b.k\n  join c on c.x < a.x\n\
                     where a.k in (1, 2)";
        assert_eq!(place(joins, Construct::CrossJoin), Some((2, 3)));
    }
}
