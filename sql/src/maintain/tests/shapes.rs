//! Random windows, subqueries and whole-table constructs: the other half of the generator.

use super::query::{KEYS, Kind, Maker, Query};

impl Maker<'_, '_> {
    pub(super) fn window(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let Some((by, _)) = self.pick(&inner, &KEYS) else { return inner };
        const ORDERS: [Kind; 4] = [Kind::Int, Kind::Time, Kind::Money, Kind::Day];
        let total = if self.tape.chance(40) { self.total_order(&inner, &ORDERS) } else { None };
        // DuckDB orders nulls last unless told, and ties fall anyhow.
        let is_total = total.as_ref().is_some_and(|(_, same)| *same);
        let order = total.map(|(order, _)| order);
        let order = order.or_else(|| Some(self.pick(&inner, &ORDERS)?.0));
        let order = order.map_or_else(String::new, |order| format!(" order by {order}"));
        let alias = self.name("w");
        let name = self.name("n");
        let (call, kind, same) = match self.tape.choose(7) {
            0 => ("count(*)".to_owned(), Kind::Int, true),
            1 if !order.is_empty() => ("row_number()".to_owned(), Kind::Int, false),
            2 if !order.is_empty() => ("rank()".to_owned(), Kind::Int, false),
            3 if !order.is_empty() => match self.pick(&inner, &[Kind::Int, Kind::Money]) {
                Some((c, k)) => {
                    let (f, by) = *self.tape.one_of(&[("lag", ""), ("lead", ""), ("lead", ", 2")]);
                    (format!("{f}({c}{by})"), k, false)
                }
                None => ("count(*)".to_owned(), Kind::Int, true),
            },
            4 => match self.pick(&inner, &[Kind::Money]) {
                Some((c, _)) => (
                    format!("cast(sum({c}) over (partition by {by}{order}) as decimal(18, 2))"),
                    Kind::Money,
                    true,
                ),
                None => ("count(*)".to_owned(), Kind::Int, true),
            },
            5 => match self.pick(&inner, &[Kind::Int, Kind::Money, Kind::Real]) {
                Some((c, k)) if !order.is_empty() && self.tape.chance(40) => {
                    let frame = "rows between 1 preceding and 2 following";
                    let f = if matches!(k, Kind::Real) { "sum" } else { "max" };
                    (format!("{f}({c}) over (partition by {by}{order} {frame})"), k, false)
                }
                Some((c, k)) => (format!("max({c})"), k, true),
                None => ("count(*)".to_owned(), Kind::Int, true),
            },
            _ => ("count(*)".to_owned(), Kind::Int, true),
        };
        let call = if call.contains(" over ") {
            call
        } else {
            format!("{call} over (partition by {by}{order})")
        };
        let sql = format!("select *, {call} as {name} from ({}) as {alias}", inner.sql);
        let means_one = is_total && kind != Kind::Real || order.is_empty() && same;
        inner.with((name, kind), sql, means_one)
    }

    /// An order and a bounded range over it.
    pub(super) fn range(&mut self, inner: &Query) -> Option<(String, &'static str)> {
        let (column, kind) = self.pick(inner, &[Kind::Time, Kind::Int])?;
        let frames: &[&str] = match kind {
            Kind::Time => &[
                "interval '12 hours' preceding and current row",
                "interval '1 day' preceding and interval '12 hours' following",
                "current row and interval '1 day' following",
            ],
            _ => &["1 preceding and current row", "2 preceding and 1 following"],
        };
        let order = if self.tape.chance(30) { " desc" } else { "" };
        Some((format!("{column}{order}"), *self.tape.one_of(frames)))
    }

    pub(super) fn top_per_key(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let Some((by, _)) = self.pick(&inner, &[Kind::Int, Kind::Text]) else { return inner };
        let Some((order, same)) = self.total_order(&inner, &[Kind::Int, Kind::Money, Kind::Time])
        else {
            return inner;
        };
        let most = 1 + self.tape.choose(2);
        let (alias, outer) = (self.name("t"), self.name("t"));
        let list: Vec<&str> = inner.columns.iter().map(|(c, _)| c.as_str()).collect();
        let sql = format!(
            "select {} from (select *, row_number() over (partition by {by} order by {order}) as \
             place from ({}) as {alias}) as {outer} where place <= {most}",
            list.join(", "),
            inner.sql
        );
        Query { sql, columns: inner.columns, portable: inner.portable && same }
    }

    pub(super) fn exists(&mut self, depth: u32) -> Query {
        let (left, right, on, names) = self.pair(depth);
        let Some(on) = on else { return left };
        let not = if self.tape.chance(50) { "not " } else { "" };
        let list: Vec<String> =
            left.columns.iter().map(|(c, _)| format!("{}.{c}", names[0])).collect();
        let sql = format!(
            "select {} from ({}) as {} where {not}exists (select 1 from ({}) as {} where {on})",
            list.join(", "),
            left.sql,
            names[0],
            right.sql,
            names[1]
        );
        Query { sql, columns: left.columns, portable: left.portable && right.portable }
    }

    pub(super) fn membership(&mut self, depth: u32) -> Query {
        let left = self.query(depth - 1);
        let right = self.query(depth - 1);
        let Some((column, kind)) = self.pick(&left, &[Kind::Int, Kind::Text]) else { return left };
        let Some((other, _)) = self.pick(&right, &[kind]) else { return left };
        let not = if self.tape.chance(50) { "not " } else { "" };
        let (a, b) = (self.name("m"), self.name("m"));
        let sql = format!(
            "select * from ({}) as {a} where {a}.{column} {not}in (select {other} from ({}) as {b})",
            left.sql, right.sql
        );
        Query { sql, columns: left.columns, portable: left.portable && right.portable }
    }

    pub(super) fn scalar(&mut self, depth: u32) -> Query {
        let left = self.query(depth - 1);
        let right = self.query(depth - 1);
        let Some((column, kind)) = self.pick(&left, &[Kind::Int, Kind::Money]) else { return left };
        let Some((other, _)) = self.pick(&right, &[kind]) else { return left };
        let (a, b) = (self.name("q"), self.name("q"));
        let call = self.tape.one_of(&["max", "min", "count"]);
        let sql = format!(
            "select * from ({}) as {a} where {a}.{column} >= (select {call}({other}) from ({}) as {b})",
            left.sql, right.sql
        );
        Query { sql, columns: left.columns, portable: left.portable && right.portable }
    }

    pub(super) fn global(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        if self.tape.chance(30) {
            let Some((order, same)) = self.total_order(&inner, &[Kind::Int]) else { return inner };
            let alias = self.name("o");
            let (taken, is_total) = match self.tape.choose(5) {
                0 => (format!("order by {order} offset 1"), true),
                1 => (format!("order by {order} limit 2 offset 1"), true),
                2 => {
                    (format!("order by {} limit 3", order.split(' ').next().unwrap_or("1")), false)
                }
                3 => ("limit 3".to_owned(), false),
                _ => (format!("order by {order} limit 3"), true),
            };
            let sql = format!("select * from ({}) as {alias} {taken}", inner.sql);
            let portable = inner.portable && same && is_total;
            return Query { sql, columns: inner.columns, portable };
        }
        let alias = self.name("e");
        let (list, columns, portable) = self.aggregates(&inner);
        let sql = format!("select {} from ({}) as {alias}", list.join(", "), inner.sql);
        Query { sql, columns, portable: portable && inner.portable }
    }

    /// Rows of a relation by the epoch's time, or with a value by it.
    pub(super) fn timed(&mut self) -> Query {
        let inner = self.scan();
        let alias = self.name("i");
        let Some((column, _)) = self.pick(&inner, &[Kind::Time]) else { return inner };
        let now = "cast(current_timestamp as timestamp(6))";
        let bound = *self.tape.one_of(&["- interval '36 hours'", "+ interval '1 day'", ""]);
        let than = *self.tape.one_of(&["<", ">=", ">", "<="]);
        if self.tape.chance(20) {
            let name = self.name("n");
            let sql = format!(
                "select *, {column} {than} {now} {bound} as {name} from ({}) as {alias}",
                inner.sql
            );
            return inner.with((name, Kind::Flag), sql, false);
        }
        let mut condition = format!("{alias}.{column} {than} {now} {bound}");
        if self.tape.chance(30) {
            condition = format!("{condition} and {}", self.condition(&inner, &alias));
        }
        let sql = format!("select * from ({}) as {alias} where {condition}", inner.sql);
        Query { sql, portable: false, ..inner }
    }

    /// A window over a bounded range of a relation's rows, or over some rows beside each.
    pub(super) fn ranged(&mut self) -> Query {
        let inner = self.scan();
        let alias = self.name("w");
        let name = self.name("n");
        let Some((by, _)) = self.pick(&inner, &[Kind::Text, Kind::Int]) else { return inner };
        if self.tape.chance(40)
            && let Some((order, _)) = self.pick(&inner, &[Kind::Time, Kind::Int, Kind::Day])
            && let Some((c, kind)) = self.pick(&inner, &[Kind::Int, Kind::Money])
        {
            let (f, far) = *self.tape.one_of(&[("lag", ""), ("lead", ""), ("lag", ", 2")]);
            let falls = if self.tape.chance(30) { " desc" } else { "" };
            let sql = format!(
                "select *, {f}({c}{far}) over (partition by {by} order by {order}{falls}) as {name} \
                 from ({}) as {alias}",
                inner.sql
            );
            return inner.with((name, kind), sql, false);
        }
        let Some((by_time, frame)) = self.range(&inner) else { return inner };
        let most = self.pick(&inner, &[Kind::Int]).filter(|_| self.tape.chance(50));
        let call = most.map_or_else(|| "count(*)".to_owned(), |(c, _)| format!("max({c})"));
        let sql = format!(
            "select *, cast({call} over (partition by {by} order by {by_time} range between {frame}) \
             as bigint) as {name} from ({}) as {alias}",
            inner.sql
        );
        inner.with((name, Kind::Int), sql, false)
    }

    pub(super) fn unnest(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let Some((a, _)) = self.pick(&inner, &[Kind::Int]) else { return inner };
        let Some((b, _)) = self.pick(&inner, &[Kind::Int]) else { return inner };
        let (alias, name) = (self.name("x"), self.name("v"));
        let sql = format!(
            "select *, unnest(make_array({a}, {b})) as {name} from ({}) as {alias}",
            inner.sql
        );
        inner.with((name, Kind::Int), sql, true)
    }
}
