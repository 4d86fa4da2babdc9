//! Which columns of a query are audit columns: those that say when a row was written, not what it
//! says.
//!
//! `current_timestamp` in a select list makes one, and so does what derives from nothing else and
//! whatever reads a stored one. They take no part in equality, digests and change detection; deciding
//! rows by one is refused, since a row would come and go with the moment at which it happened to be
//! written. A value of both the time and the row (an age, a count of the last days) is a value: it
//! changes by time alone, so it must never be called an audit column.

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

use crate::error::{Error, Result};
use crate::plan::clock::reads_time;

/// What lineage found out about a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Names of the output columns that are audit columns.
    pub audit: Vec<String>,
    /// Whether rows depend on the epoch's time: such a model can change without any input.
    pub by_time: bool,
}

/// What a column's values derive from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Rows, or rows and the time.
    Rows,
    /// The epoch's time alone.
    Time,
    /// A stored audit column.
    Audit,
}

/// Reads a query's lineage; `audit_of` names the audit columns of a scanned relation.
pub fn lineage(plan: &LogicalPlan, audit_of: &dyn Fn(&str) -> Vec<String>) -> Result<Lineage> {
    let mut walk = Walk { audit_of, refuses: true, by_time: false, unfollowed: false };
    let flags = walk.flags(plan)?;
    let names = plan.schema().fields().iter().zip(&flags);
    let audit = names.filter(|(_, from)| **from != Origin::Rows).map(|(f, _)| f.name().clone());
    Ok(Lineage { audit: audit.collect(), by_time: walk.by_time })
}

/// How the rows of a query depend on the epoch's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Rows come, go or change by time alone.
    pub by_time: bool,
    /// They do so where no bound in time says which: in a value, a key, a subquery.
    pub unfollowed: bool,
}

/// Reads how a query depends on the time; every stored column counts as the row's own.
pub fn timing(plan: &LogicalPlan) -> Result<Timing> {
    let audit_of = |_: &str| Vec::new();
    let mut walk = Walk { audit_of: &audit_of, refuses: false, by_time: false, unfollowed: false };
    walk.flags(plan)?;
    Ok(Timing { by_time: walk.by_time, unfollowed: walk.unfollowed })
}

/// Whether any expression of a plan asks for the epoch's time.
pub fn reads_time_anywhere(plan: &LogicalPlan) -> bool {
    plan.exists(|node| Ok(node.expressions().iter().any(reads_time))).unwrap_or(true)
}

struct Walk<'a> {
    audit_of: &'a dyn Fn(&str) -> Vec<String>,
    /// Whether rows that are decided by an audit column are an error.
    refuses: bool,
    by_time: bool,
    unfollowed: bool,
}

impl Walk<'_> {
    /// What each output column derives from.
    fn flags(&mut self, plan: &LogicalPlan) -> Result<Vec<Origin>> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let audit = (self.audit_of)(scan.table_name.table());
                let fields = scan.projected_schema.fields();
                let of =
                    |name: &String| if audit.contains(name) { Origin::Audit } else { Origin::Rows };
                Ok(fields.iter().map(|f| of(f.name())).collect())
            }
            LogicalPlan::Projection(node) => {
                let input = self.flags(&node.input)?;
                node.expr.iter().map(|e| self.value(e, node.input.schema(), &input)).collect()
            }
            LogicalPlan::Window(node) => self.window(node),
            LogicalPlan::Aggregate(node) => {
                let input = self.flags(&node.input)?;
                for group in &node.group_expr {
                    self.decides_unbounded(group, node.input.schema(), &input, "group by")?;
                }
                let mut flags =
                    vec![Origin::Rows; node.schema.fields().len() - node.aggr_expr.len()];
                for value in &node.aggr_expr {
                    flags.push(self.value(value, node.input.schema(), &input)?);
                }
                Ok(flags)
            }
            LogicalPlan::Filter(node) => {
                let input = self.flags(&node.input)?;
                self.decides(&node.predicate, node.input.schema(), &input, "a filter")?;
                Ok(input)
            }
            LogicalPlan::Join(node) => self.join(node),
            LogicalPlan::Sort(node) => {
                let input = self.flags(&node.input)?;
                if node.fetch.is_some() {
                    for key in &node.expr {
                        let schema = node.input.schema();
                        self.decides_unbounded(&key.expr, schema, &input, "order by .. limit")?;
                    }
                }
                Ok(input)
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let flags = self.flags(input)?;
                self.none(&flags, input.schema(), "distinct")?;
                Ok(flags)
            }
            LogicalPlan::Union(node) => self.union(node),
            LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Subquery(_) => match plan.inputs().first() {
                Some(input) => self.flags(input),
                None => Ok(Vec::new()),
            },
            other => {
                if other.expressions().iter().any(reads_time) {
                    self.by_value();
                }
                for input in other.inputs() {
                    let flags = self.flags(input)?;
                    self.none(&flags, input.schema(), "this construct")?;
                }
                Ok(vec![Origin::Rows; other.schema().fields().len()])
            }
        }
    }

    fn window(&mut self, node: &datafusion::logical_expr::Window) -> Result<Vec<Origin>> {
        let schema = node.input.schema();
        let mut flags = self.flags(&node.input)?;
        let input = flags.clone();
        for expr in &node.window_expr {
            if let Expr::WindowFunction(call) = strip_alias(expr) {
                for by in &call.params.partition_by {
                    self.decides_unbounded(by, schema, &input, "partition by")?;
                }
                for by in &call.params.order_by {
                    self.decides_unbounded(&by.expr, schema, &input, "a window's order by")?;
                }
            }
            flags.push(self.value(expr, schema, &input)?);
        }
        Ok(flags)
    }

    fn join(&mut self, node: &datafusion::logical_expr::Join) -> Result<Vec<Origin>> {
        let left = self.flags(&node.left)?;
        let right = self.flags(&node.right)?;
        for (l, r) in &node.on {
            self.decides_unbounded(l, node.left.schema(), &left, "a join")?;
            self.decides_unbounded(r, node.right.schema(), &right, "a join")?;
        }
        let both: Vec<Origin> = left.iter().chain(&right).copied().collect();
        if let Some(filter) = &node.filter {
            let schema = node.left.schema().join(node.right.schema())?;
            self.decides(filter, &schema, &both, "a join")?;
        }
        let width = node.schema.fields().len();
        Ok(if width == both.len() {
            both
        } else if width == right.len() && width != left.len() {
            right
        } else {
            let mut flags = left;
            flags.resize(width, Origin::Rows);
            flags
        })
    }

    fn union(&mut self, node: &datafusion::logical_expr::Union) -> Result<Vec<Origin>> {
        let mut all = vec![Origin::Rows; node.schema.fields().len()];
        for input in &node.inputs {
            for (known, from) in all.iter_mut().zip(self.flags(input)?) {
                if *known == Origin::Rows || from == Origin::Audit {
                    *known = from;
                }
            }
        }
        Ok(all)
    }

    /// What a selected value derives from.
    fn value(&mut self, expr: &Expr, schema: &DFSchema, input: &[Origin]) -> Result<Origin> {
        self.subqueries(expr)?;
        let read = read_by(expr);
        let mut from = Vec::new();
        for part in &read.parts {
            let columns = part.column_refs().into_iter();
            from.extend(columns.filter_map(|c| origin(c, schema, input)));
            if reads_time(part) {
                from.push(Origin::Time);
            }
        }
        if from.contains(&Origin::Audit) {
            return Ok(Origin::Audit);
        }
        if !from.contains(&Origin::Time) {
            return Ok(Origin::Rows);
        }
        if from.contains(&Origin::Rows) || read.adds_up {
            self.by_value();
            return Ok(Origin::Rows);
        }
        Ok(Origin::Time)
    }

    /// Something depends on the time where no bound tells what changes with it.
    fn by_value(&mut self) {
        self.by_time = true;
        self.unfollowed = true;
    }

    /// The same as [`Walk::decides`] where the time is no bound that rows are found by.
    fn decides_unbounded(
        &mut self,
        expr: &Expr,
        schema: &DFSchema,
        input: &[Origin],
        by: &str,
    ) -> Result<()> {
        self.unfollowed |= reads_time(expr);
        self.decides(expr, schema, input, by)
    }

    /// Refuses an expression that decides which rows there are by an audit column.
    fn decides(
        &mut self,
        expr: &Expr,
        schema: &DFSchema,
        input: &[Origin],
        by: &str,
    ) -> Result<()> {
        self.subqueries(expr)?;
        self.by_time |= reads_time(expr);
        let columns = expr.column_refs().into_iter();
        let mut audit =
            columns.filter(|c| origin(c, schema, input).is_some_and(|from| from != Origin::Rows));
        match audit.next() {
            Some(column) if self.refuses => Err(refusal(&column.name, by)),
            Some(_) => {
                self.by_value();
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn none(&mut self, flags: &[Origin], schema: &DFSchema, by: &str) -> Result<()> {
        match flags.iter().position(|from| *from != Origin::Rows) {
            Some(i) if self.refuses => Err(refusal(schema.field(i).name(), by)),
            Some(_) => {
                self.by_value();
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn subqueries(&mut self, expr: &Expr) -> Result<()> {
        let mut inner = Vec::new();
        expr.apply(|e| {
            match e {
                Expr::ScalarSubquery(q) => inner.push(q.subquery.clone()),
                Expr::Exists(q) => inner.push(q.subquery.subquery.clone()),
                Expr::InSubquery(q) => inner.push(q.subquery.subquery.clone()),
                _ => {}
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        })?;
        for plan in inner {
            self.unfollowed |= reads_time_anywhere(&plan);
            let flags = self.flags(&plan)?;
            self.none(&flags, plan.schema(), "a subquery")?;
        }
        Ok(())
    }
}

fn strip_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => strip_alias(&alias.expr),
        other => other,
    }
}

fn origin(column: &Column, schema: &DFSchema, input: &[Origin]) -> Option<Origin> {
    schema.maybe_index_of_column(column).and_then(|i| input.get(i).copied())
}

/// What an expression's value is made of.
struct Read<'e> {
    parts: Vec<&'e Expr>,
    /// It depends on how many rows there are, whatever they hold.
    adds_up: bool,
}

/// Which rows a window sees is no part of its value, and what a plain column holds none of its count.
fn read_by(expr: &Expr) -> Read<'_> {
    /// Aggregates that give one of the values that they see.
    const PICK: [&str; 4] = ["min", "max", "first_value", "last_value"];
    let (name, args, filter, order, distinct) = match strip_alias(expr) {
        Expr::AggregateFunction(call) => {
            let params = &call.params;
            let filter = params.filter.as_deref();
            (call.func.name(), &params.args, filter, &params.order_by[..], params.distinct)
        }
        Expr::WindowFunction(call) => {
            let params = &call.params;
            (call.fun.name(), &params.args, params.filter.as_deref(), &[][..], params.distinct)
        }
        other => return Read { parts: vec![other], adds_up: false },
    };
    let is_plain = |e: &Expr| matches!(e, Expr::Column(_) | Expr::Literal(..));
    let counts = name == "count" && !distinct && args.iter().all(is_plain);
    let args = args.iter().filter(|_| !counts);
    let parts = args.chain(filter).chain(order.iter().map(|sort| &sort.expr));
    Read { parts: parts.collect(), adds_up: !PICK.contains(&name) }
}

fn refusal(column: &str, by: &str) -> Error {
    Error::invalid_nowhere(format!(
        "`{column}` is an audit column (it says when the row was written), and {by} reads it"
    ))
    .hinted(Some(
        "decide rows by a time of the source (such as `_commit_at`), or write current_timestamp \
         itself where the epoch's time is meant"
            .to_owned(),
    ))
}
