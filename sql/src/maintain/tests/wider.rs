//! Random queries of the rarer kinds: without an equality, a relation or a partition.

use super::query::{Kind, Maker, Query};

impl Maker<'_, '_> {
    /// An order that leaves only equal rows in any order, if there is one to begin with; and whether it
    /// is the same to another engine.
    pub(super) fn total_order(&mut self, inner: &Query, kinds: &[Kind]) -> Option<(String, bool)> {
        let (first, _) = self.pick(inner, kinds)?;
        let falls = if self.tape.chance(40) { " desc" } else { "" };
        let rest = inner.columns.iter().filter(|(name, _)| *name != first);
        let rest = rest.map(|(name, _)| format!(", {name} nulls last"));
        // Engines differ in how they order the two zeros.
        let same = inner.columns.iter().all(|(_, kind)| *kind != Kind::Real);
        Some((format!("{first}{falls} nulls last{}", rest.collect::<String>()), same))
    }

    /// Every row with every row, or with those that compare somehow.
    pub(super) fn crossed(&mut self, depth: u32) -> Query {
        let left = self.query(depth - 1);
        let right = self.scan();
        let names = [self.name("l"), self.name("r")];
        let compared = self.pick(&left, &[Kind::Int, Kind::Money, Kind::Day]);
        let with = compared.and_then(|(l, kind)| Some((l, self.pick(&right, &[kind])?.0)));
        let how = match with {
            Some((l, r)) if self.tape.chance(75) => {
                let than = *self.tape.one_of(&["<", ">=", "<>"]);
                let kind = *self.tape.one_of(&["inner", "left", "inner"]);
                (kind, format!(" on {}.{l} {than} {}.{r}", names[0], names[1]))
            }
            _ => ("cross", String::new()),
        };
        let (mut list, mut columns) = (Vec::new(), Vec::new());
        for (query, alias) in [(&left, &names[0]), (&right, &names[1])] {
            for (column, kind) in query.columns.iter().take(3) {
                let name = self.name("j");
                list.push(format!("{alias}.{column} as {name}"));
                columns.push((name, *kind));
            }
        }
        let sql = format!(
            "select {} from ({}) as {} {} join ({}) as {}{}",
            list.join(", "),
            left.sql,
            names[0],
            how.0,
            right.sql,
            names[1],
            how.1
        );
        Query { sql, columns, portable: left.portable && right.portable }
    }

    /// Each row once for each row of no relation.
    pub(super) fn stepped(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let (alias, steps, name) = (self.name("l"), self.name("s"), self.name("n"));
        let rows = if self.tape.chance(50) {
            let last = 1 + self.tape.choose(3);
            format!("generate_series(1, {last}) as {steps}({name})")
        } else {
            let own = self.name("y");
            format!(
                "(with recursive {own} as (select cast(1 as bigint) as {name} union all select \
                 {name} + 1 from {own} where {name} < 3) select {name} from {own}) as {steps}"
            )
        };
        let list: Vec<String> =
            inner.columns.iter().map(|(column, _)| format!("{alias}.{column}")).collect();
        let sql = format!(
            "select {}, {steps}.{name} from ({}) as {alias} cross join {rows}",
            list.join(", "),
            inner.sql
        );
        inner.with((name, Kind::Int), sql, true)
    }

    /// A recursion over a relation's rows, a few steps deep.
    pub(super) fn recursive(&mut self) -> Query {
        let inner = self.scan();
        let Some((column, _)) = self.pick(&inner, &[Kind::Int]) else { return inner };
        let (own, alias) = (self.name("y"), self.name("l"));
        let (value, depth) = (self.name("v"), self.name("n"));
        let sql = format!(
            "with recursive {own} as (select {alias}.{column} as {value}, cast(0 as bigint) as {depth} \
             from ({}) as {alias} union all select {value} + 1, {depth} + 1 from {own} where {value} < \
             4 and {depth} < 3) select {value}, {depth} from {own}",
            inner.sql
        );
        let columns = vec![(value, Kind::Int), (depth, Kind::Int)];
        Query {
            sql: format!("select * from ({sql}) as {}", self.name("z")),
            columns,
            portable: inner.portable,
        }
    }

    /// A window over all rows.
    pub(super) fn whole_window(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let Some((order, same)) = self.total_order(&inner, &[Kind::Int, Kind::Time, Kind::Day])
        else {
            return inner;
        };
        let (alias, name) = (self.name("w"), self.name("n"));
        let real = self.pick(&inner, &[Kind::Real]).filter(|_| self.tape.chance(50));
        if let Some((real, _)) = real {
            // Ties, and sums that depend on how they fall.
            let first = order.split(' ').next().unwrap_or_default();
            let call = *self.tape.one_of(&["sum", "first_value"]);
            let sql = format!(
                "select *, {call}({real}) over (order by {first}) as {name} from ({}) as {alias}",
                inner.sql
            );
            return inner.with((name, Kind::Real), sql, false);
        }
        let call = *self.tape.one_of(&["row_number()", "dense_rank()", "count(*)"]);
        let sql = format!(
            "select *, cast({call} over (order by {order}) as bigint) as {name} from ({}) as {alias}",
            inner.sql
        );
        inner.with((name, Kind::Int), sql, same)
    }

    /// Several groupings at once.
    pub(super) fn rolled_up(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let key = self.key(&inner, 2);
        if key.is_empty() {
            return inner;
        }
        let alias = self.name("g");
        let by: Vec<&str> = key.iter().map(|(column, _)| column.as_str()).collect();
        let (calls, made, portable) = self.aggregates(&inner);
        let sql = format!(
            "select {}, {} from ({}) as {alias} group by rollup ({})",
            by.join(", "),
            calls.join(", "),
            inner.sql,
            by.join(", ")
        );
        let mut columns = key.clone();
        columns.extend(made);
        Query { sql, columns, portable: portable && inner.portable }
    }

    /// A value of other rows for each row.
    pub(super) fn correlated(&mut self, depth: u32) -> Query {
        let (left, right, on, names) = self.pair(depth);
        let (Some(on), Some((value, _))) = (on, self.pick(&right, &[Kind::Int])) else {
            return left;
        };
        let name = self.name("n");
        let call = *self.tape.one_of(&["count", "max", "min"]);
        let list: Vec<String> =
            left.columns.iter().map(|(column, _)| format!("{}.{column}", names[0])).collect();
        let sql = format!(
            "select {}, (select {call}({}.{value}) from ({}) as {} where {on}) as {name} from ({}) as {}",
            list.join(", "),
            names[1],
            right.sql,
            names[1],
            left.sql,
            names[0]
        );
        left.with((name, Kind::Int), sql, right.portable)
    }
}
