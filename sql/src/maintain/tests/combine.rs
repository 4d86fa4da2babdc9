//! Random joins, unions, set operations and distinct rows.

use super::query::{Columns, KEYS, Kind, Maker, Query};

impl Maker<'_, '_> {
    /// Two queries with an equality between them, if they have columns of one kind.
    pub(super) fn pair(&mut self, depth: u32) -> (Query, Query, Option<String>, [String; 2]) {
        let left = self.query(depth - 1);
        let right_depth = self.tape.choose(depth);
        let right = self.query(right_depth);
        let names = [self.name("l"), self.name("r")];
        let mut equal = Vec::new();
        for _ in 0..1 + self.tape.choose(2) {
            if let Some((l, kind)) = self.pick(&left, &KEYS)
                && let Some((r, _)) = self.pick(&right, &[kind])
            {
                equal.push(format!("{}.{l} = {}.{r}", names[0], names[1]));
            }
        }
        let on = (!equal.is_empty()).then(|| equal.join(" and "));
        (left, right, on, names)
    }

    pub(super) fn joined(&mut self, depth: u32, kind: &str) -> Query {
        let (left, right, on, names) = self.pair(depth);
        let Some(mut on) = on else { return left };
        if self.tape.chance(25) && !kind.starts_with("full") {
            let beside = self.condition(&right, &names[1]);
            on = format!("{on} and {beside}");
        }
        if self.tape.chance(40) && !kind.starts_with("full") {
            on += &self.interval(&left, &right, &names);
        }
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        for (query, alias) in [(&left, &names[0]), (&right, &names[1])] {
            for (column, kind) in &query.columns {
                if columns.len() >= 3 && self.tape.chance(50) {
                    continue;
                }
                let name = self.name("j");
                // What a padded row has there is not null then.
                let value = match kind {
                    Kind::Int if self.tape.chance(15) => format!("coalesce({alias}.{column}, 0)"),
                    Kind::Text if self.tape.chance(25) => {
                        format!("coalesce({alias}.{column}, 'a')")
                    }
                    _ => format!("{alias}.{column}"),
                };
                list.push(format!("{value} as {name}"));
                columns.push((name, *kind));
            }
        }
        let sql = format!(
            "select {} from ({}) as {} {kind} ({}) as {} on {on}",
            list.join(", "),
            left.sql,
            names[0],
            right.sql,
            names[1]
        );
        Query { sql, columns, portable: left.portable && right.portable }
    }

    /// A value of one side between values of the other, or from one on; as facts ask of a history.
    fn interval(&mut self, left: &Query, right: &Query, names: &[String; 2]) -> String {
        let sides = [(left, &names[0]), (right, &names[1])];
        let turned = usize::from(self.tape.chance(50));
        let ((one, a), (other, b)) = (sides[turned], sides[1 - turned]);
        let kind = *self.tape.one_of(&[Kind::Int, Kind::Int, Kind::Time]);
        let Some((at, _)) = self.pick(one, &[kind]) else { return String::new() };
        // The last is the one that is null most often, as the end of a version.
        let to = other.columns.iter().rfind(|(_, k)| *k == kind).map(|(name, _)| name.clone());
        let Some(to) = to else { return String::new() };
        let mut made = String::new();
        if let Some((from, _)) = self.pick(other, &[kind]).filter(|(from, _)| *from != to) {
            made = format!(" and {a}.{at} >= {b}.{from}");
        }
        if made.is_empty() || self.tape.chance(80) {
            made += &match self.tape.choose(3) {
                0 => format!(" and {a}.{at} < {b}.{to}"),
                1 => format!(" and ({a}.{at} <= {b}.{to} or {b}.{to} is null)"),
                _ => format!(" and ({b}.{to} is null or {b}.{to} > {a}.{at})"),
            };
        }
        made
    }

    pub(super) fn join(&mut self, depth: u32) -> Query {
        self.joined(depth, "inner join")
    }

    pub(super) fn outer_join(&mut self, depth: u32) -> Query {
        let kind = *self.tape.one_of(&["left join", "right join", "full join", "left join"]);
        self.joined(depth, kind)
    }

    /// The same columns of both, by kind.
    pub(super) fn aligned(
        &mut self,
        left: &Query,
        right: &Query,
    ) -> Option<(Vec<String>, Vec<String>, Columns)> {
        let (mut l, mut r, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for (column, kind) in &left.columns {
            let fit: Vec<&(String, Kind)> =
                right.columns.iter().filter(|(_, k)| k == kind).collect();
            if fit.is_empty() || *kind == Kind::Real {
                continue;
            }
            let other = self.tape.one_of(&fit).0.clone();
            let name = self.name("u");
            l.push(format!("{column} as {name}"));
            r.push(format!("{other} as {name}"));
            columns.push((name, *kind));
        }
        (!l.is_empty()).then_some((l, r, columns))
    }

    pub(super) fn combined(&mut self, depth: u32, word: &str) -> Query {
        let left = self.query(depth - 1);
        let right = self.query(depth - 1);
        let Some((l, r, columns)) = self.aligned(&left, &right) else { return left };
        let (a, b) = (self.name("s"), self.name("s"));
        let sql = format!(
            "select {} from ({}) as {a} {word} select {} from ({}) as {b}",
            l.join(", "),
            left.sql,
            r.join(", "),
            right.sql
        );
        Query { sql, columns, portable: left.portable && right.portable }
    }

    pub(super) fn union(&mut self, depth: u32) -> Query {
        self.combined(depth, "union all")
    }

    pub(super) fn set_operation(&mut self, depth: u32) -> Query {
        let word = *self.tape.one_of(&["union", "intersect", "except"]);
        self.combined(depth, word)
    }

    pub(super) fn distinct(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let key = self.key(&inner, 3);
        if key.is_empty() {
            return inner;
        }
        let alias = self.name("d");
        let list: Vec<&str> = key.iter().map(|(c, _)| c.as_str()).collect();
        let sql = format!("select distinct {} from ({}) as {alias}", list.join(", "), inner.sql);
        Query { sql, columns: key, portable: inner.portable }
    }
}
