//! Random models: every operator that maintenance knows, nested in each other.

use super::tape::Tape;

/// A column's kind, as the generator combines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Text,
    Money,
    Time,
    Real,
    Day,
    Flag,
}

/// Kinds that compare for equality.
pub(super) const KEYS: [Kind; 5] = [Kind::Int, Kind::Text, Kind::Time, Kind::Day, Kind::Flag];

/// A relation's columns.
pub type Columns = Vec<(String, Kind)>;

/// A query as text, with what it gives.
#[derive(Debug, Clone)]
pub struct Query {
    pub sql: String,
    pub columns: Columns,
    /// Whether DuckDB means the same by it.
    pub portable: bool,
}

impl Query {
    /// Another query: the same columns and one more.
    pub(super) fn with(mut self, column: (String, Kind), sql: String, portable: bool) -> Self {
        self.columns.push(column);
        Self { sql, columns: self.columns, portable: self.portable && portable }
    }
}

/// What a generated query may read.
pub struct Scope<'a> {
    pub relations: &'a [(String, Columns, bool)],
}

pub(super) struct Maker<'a, 't> {
    scope: &'a Scope<'a>,
    pub(super) tape: &'t mut Tape,
    names: u32,
}

/// A random query over the relations in scope; its own names are numbered from `names`.
pub fn model(scope: &Scope<'_>, tape: &mut Tape, names: u32) -> Query {
    let depth = 1 + tape.choose(3);
    let mut maker = Maker { scope, tape, names };
    // These stand on a relation itself, where few nested ones do.
    match maker.tape.choose(10) {
        8 => maker.timed(),
        9 => maker.ranged(),
        _ => maker.query(depth),
    }
}

impl Maker<'_, '_> {
    pub(super) fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    pub(super) fn query(&mut self, depth: u32) -> Query {
        if depth == 0 {
            return self.scan();
        }
        match self.tape.choose(26) {
            0 => self.scan(),
            1 => self.filter(depth),
            2 => self.project(depth),
            3 | 4 => self.grouped(depth),
            5 | 6 => self.join(depth),
            7 => self.outer_join(depth),
            8 => self.union(depth),
            9 => self.distinct(depth),
            10 => self.window(depth),
            11 => self.top_per_key(depth),
            12 => self.exists(depth),
            13 => self.membership(depth),
            14 => self.set_operation(depth),
            15 => self.scalar(depth),
            16 => self.global(depth),
            17 => self.unnest(depth),
            18 => self.timed(),
            19 => self.crossed(depth),
            20 => self.stepped(depth),
            21 => self.recursive(),
            22 => self.whole_window(depth),
            23 => self.rolled_up(depth),
            24 => self.correlated(depth),
            _ => self.ranged(),
        }
    }

    pub(super) fn scan(&mut self) -> Query {
        let (name, columns, portable) = self.tape.one_of(self.scope.relations).clone();
        let list: Vec<&str> = columns.iter().map(|(n, _)| n.as_str()).collect();
        Query { sql: format!("select {} from {name}", list.join(", ")), columns, portable }
    }

    pub(super) fn pick(&mut self, query: &Query, kinds: &[Kind]) -> Option<(String, Kind)> {
        let fit: Vec<&(String, Kind)> =
            query.columns.iter().filter(|(_, k)| kinds.contains(k)).collect();
        if fit.is_empty() { None } else { Some((*self.tape.one_of(&fit)).clone()) }
    }

    /// A key: some columns that compare for equality.
    pub(super) fn key(&mut self, query: &Query, most: u32) -> Vec<(String, Kind)> {
        let wanted = 1 + self.tape.choose(most);
        let mut key: Vec<(String, Kind)> = Vec::new();
        for _ in 0..wanted {
            if let Some(found) = self.pick(query, &KEYS)
                && !key.contains(&found)
            {
                key.push(found);
            }
        }
        key
    }

    pub(super) fn condition(&mut self, query: &Query, alias: &str) -> String {
        let Some((column, kind)) = self.pick(query, &[&KEYS[..], &[Kind::Money]].concat()) else {
            return "1 = 1".to_owned();
        };
        let column = format!("{alias}.{column}");
        match (kind, self.tape.choose(5)) {
            (_, 3) => format!("{column} is not null"),
            (_, 4) => format!("{column} is null"),
            (Kind::Int, 0) => format!("{column} > {}", self.tape.choose(6)),
            (Kind::Int, _) => format!("{column} in (1, 2, {})", self.tape.choose(8)),
            (Kind::Text, 0) => format!("{column} = '{}'", self.tape.one_of(&["a", "b", "c"])),
            (Kind::Text, _) => format!("coalesce({column}, 'z') < 'c'"),
            (Kind::Money, _) => format!("{column} >= {}.50", self.tape.choose(50)),
            (Kind::Time, _) => {
                format!("{column} < timestamp '2024-01-0{} 00:00:00'", 1 + self.tape.choose(9))
            }
            (Kind::Day, _) => format!("{column} >= date '2024-01-0{}'", 1 + self.tape.choose(5)),
            (Kind::Flag, 0) => column,
            (Kind::Flag, _) => format!("not {column}"),
            (Kind::Real, _) => format!("{column} > 1.5"),
        }
    }

    fn filter(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let alias = self.name("f");
        let mut condition = self.condition(&inner, &alias);
        if self.tape.chance(30) {
            let other = self.condition(&inner, &alias);
            let joiner = self.tape.one_of(&["and", "or"]);
            condition = format!("({condition}) {joiner} ({other})");
        }
        Query {
            sql: format!("select * from ({}) as {alias} where {condition}", inner.sql),
            ..inner
        }
    }

    fn project(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let alias = self.name("p");
        let mut list = Vec::new();
        let mut columns = Vec::new();
        for (column, kind) in &inner.columns {
            if self.tape.chance(25) && columns.len() + 1 < inner.columns.len() {
                continue;
            }
            let name = self.name("c");
            let value = match (kind, self.tape.choose(3)) {
                (Kind::Int, 1) => format!("cast({column} + 1 as bigint)"),
                (Kind::Int, 2) => format!("case when {column} > 2 then {column} end"),
                (Kind::Text, 1) => format!("upper({column})"),
                (Kind::Text, 2) => format!("coalesce({column}, 'none')"),
                (Kind::Money, 1) => format!("cast({column} * 2 as decimal(18, 2))"),
                _ => column.clone(),
            };
            list.push(format!("{value} as {name}"));
            columns.push((name, *kind));
        }
        if list.is_empty() {
            return inner;
        }
        let sql = format!("select {} from ({}) as {alias}", list.join(", "), inner.sql);
        Query { sql, columns, portable: inner.portable }
    }

    pub(super) fn aggregates(&mut self, inner: &Query) -> (Vec<String>, Columns, bool) {
        let (mut list, mut columns, mut portable) = (Vec::new(), Vec::new(), true);
        for _ in 0..1 + self.tape.choose(3) {
            let name = self.name("a");
            let choice = self.tape.choose(9);
            let any = [Kind::Int, Kind::Money, Kind::Text, Kind::Time, Kind::Day];
            let (value, kind) = match choice {
                0 => ("count(*)".to_owned(), Kind::Int),
                1 | 2 => match self.pick(inner, &[Kind::Money]) {
                    Some((c, _)) => (format!("cast(sum({c}) as decimal(18, 2))"), Kind::Money),
                    None => ("count(*)".to_owned(), Kind::Int),
                },
                3 | 4 => match self.pick(inner, &any) {
                    Some((c, k)) => {
                        let call = self.tape.one_of(&["min", "max"]);
                        (format!("{call}({c})"), k)
                    }
                    None => ("count(*)".to_owned(), Kind::Int),
                },
                5 => match self.pick(inner, &any) {
                    Some((c, _)) => (format!("count(distinct {c})"), Kind::Int),
                    None => ("count(*)".to_owned(), Kind::Int),
                },
                6 => match self.pick(inner, &[Kind::Int]) {
                    Some((c, _)) => (format!("cast(sum({c}) as bigint)"), Kind::Int),
                    None => ("count(*)".to_owned(), Kind::Int),
                },
                7 => match self.pick(inner, &[Kind::Money]) {
                    Some((c, _)) => {
                        portable = false;
                        (format!("cast(avg({c}) as decimal(18, 2))"), Kind::Money)
                    }
                    None => ("count(*)".to_owned(), Kind::Int),
                },
                _ => match self.pick(inner, &[Kind::Real]) {
                    Some((c, _)) => {
                        portable = false;
                        (format!("sum({c})"), Kind::Real)
                    }
                    None => match self.pick(inner, &any) {
                        Some((c, _)) => {
                            (format!("count({c}) filter (where {c} is not null)"), Kind::Int)
                        }
                        None => ("count(*)".to_owned(), Kind::Int),
                    },
                },
            };
            list.push(format!("{value} as {name}"));
            columns.push((name, kind));
        }
        (list, columns, portable)
    }

    fn grouped(&mut self, depth: u32) -> Query {
        let inner = self.query(depth - 1);
        let key = self.key(&inner, 2);
        if key.is_empty() {
            return inner;
        }
        let alias = self.name("g");
        let mut list = Vec::new();
        let mut columns = Vec::new();
        let mut by = Vec::new();
        for (column, kind) in key {
            let name = self.name("k");
            let value = match (kind, self.tape.choose(3)) {
                (Kind::Time, 1) => format!("cast(cast({column} as date) as timestamp(6))"),
                (Kind::Text, 1) => format!("lower({column})"),
                (Kind::Text, 2) => format!("coalesce({column}, 'none')"),
                _ => column,
            };
            list.push(format!("{value} as {name}"));
            by.push(value);
            columns.push((name, kind));
        }
        let (calls, made, portable) = self.aggregates(&inner);
        list.extend(calls);
        columns.extend(made);
        let having = match self.tape.choose(4) {
            1 => " having count(*) > 1".to_owned(),
            2 => " having max(1) = 1 and count(*) < 4".to_owned(),
            _ => String::new(),
        };
        let sql = format!(
            "select {} from ({}) as {alias} group by {}{having}",
            list.join(", "),
            inner.sql,
            by.join(", ")
        );
        Query { sql, columns, portable: portable && inner.portable }
    }
}
