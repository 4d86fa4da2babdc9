//! Ephemeral models: put into the SQL of those that read them, as CTEs under dbt's names.
//!
//! The reader's own `with` is kept and continued. Places of the inlined text stay those of the
//! ephemeral model's file.

use crate::jinja::source::SourceMap;
use crate::project::fingerprint::first_letter;

/// An ephemeral model, compiled but with its own ephemeral parents not yet put in.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    pub name: String,
    pub sql: String,
    pub map: SourceMap,
    /// The ephemeral models it reads.
    pub reads: Vec<String>,
}

/// The name under which readers see an ephemeral model.
pub fn cte_name(model: &str) -> String {
    format!("__dbt__cte__{model}")
}

/// All ephemeral models behind those that are `read`, every one after what it reads itself.
/// `known` is in build order.
pub fn behind<'a>(read: &[String], known: &'a [Ephemeral]) -> Vec<&'a Ephemeral> {
    let mut needed: Vec<&str> = read.iter().map(String::as_str).collect();
    let mut found: Vec<&Ephemeral> = Vec::new();
    for ephemeral in known.iter().rev() {
        if needed.contains(&ephemeral.name.as_str()) {
            needed.extend(ephemeral.reads.iter().map(String::as_str));
            found.push(ephemeral);
        }
    }
    found.reverse();
    found
}

/// The SQL and its map with the CTEs in front.
pub fn with_ctes(sql: String, map: SourceMap, ctes: &[&Ephemeral]) -> (String, SourceMap) {
    if ctes.is_empty() {
        return (sql, map);
    }
    let (at, continues) = insertion(&sql);
    let mut text = if continues { " ".to_owned() } else { "with ".to_owned() };
    let mut places = SourceMap::default();
    for (position, cte) in ctes.iter().enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        text.push_str(&crate::jinja::relation::quoted(&cte_name(&cte.name)));
        // The line ends keep a trailing `--` comment from eating the parenthesis.
        text.push_str(" as (\n");
        places.extend_shifted(&cte.map, text.len());
        text.push_str(&cte.sql);
        text.push_str("\n)");
    }
    text.push_str(if continues { "," } else { "\n" });
    let map = map.with_insert(at, text.len(), &places);
    let mut whole = sql;
    whole.insert_str(at, &text);
    (whole, map)
}

/// Where CTEs go in: after `with` or `with recursive` if the SQL begins so, else before its first
/// word.
fn insertion(sql: &str) -> (usize, bool) {
    let start = first_letter(sql);
    let Some(after) = word_end(sql, start, "with") else {
        return (start, false);
    };
    let next = after + first_letter(&sql[after..]);
    (word_end(sql, next, "recursive").unwrap_or(after), true)
}

fn word_end(sql: &str, start: usize, word: &str) -> Option<usize> {
    let end = start + word.len();
    let found = sql.get(start..end)?.eq_ignore_ascii_case(word);
    let whole = !sql[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (found && whole).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ephemeral(name: &str, reads: &[&str]) -> Ephemeral {
        Ephemeral {
            name: name.to_owned(),
            sql: format!("select '{name}' as x"),
            map: SourceMap::default(),
            reads: reads.iter().map(|read| (*read).to_owned()).collect(),
        }
    }

    #[test]
    fn ctes_continue_the_models_own_with() {
        let a = ephemeral("a", &[]);
        let (sql, _) =
            with_ctes("-- x\nWITH b as (select 1) select 2".into(), SourceMap::default(), &[&a]);
        assert_eq!(
            sql,
            "-- x\nWITH __dbt__cte__a as (\nselect 'a' as x\n), b as (select 1) select 2"
        );
        let (sql, _) = with_ctes("select 2".into(), SourceMap::default(), &[&a]);
        assert_eq!(sql, "with __dbt__cte__a as (\nselect 'a' as x\n)\nselect 2");
    }

    #[test]
    fn parents_come_first_and_once() {
        let known = [ephemeral("a", &[]), ephemeral("b", &["a"]), ephemeral("c", &["a", "b"])];
        let names: Vec<_> =
            behind(&["c".to_owned()], &known).iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
