//! Which columns of a query are audit columns: those that say when a row was written, not what it
//! says.
//!
//! `current_timestamp` in a select list makes one, and so does whatever reads one. They take no part
//! in equality, digests and change detection; deciding rows by one is refused, since a row would
//! come and go with the moment at which it happened to be written.

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

/// Reads a query's lineage; `audit_of` names the audit columns of a scanned relation.
pub fn lineage(plan: &LogicalPlan, audit_of: &dyn Fn(&str) -> Vec<String>) -> Result<Lineage> {
    let mut walk = Walk { audit_of, by_time: false };
    let flags = walk.flags(plan)?;
    let names = plan.schema().fields().iter().zip(&flags);
    let audit = names.filter(|(_, audit)| **audit).map(|(f, _)| f.name().clone()).collect();
    Ok(Lineage { audit, by_time: walk.by_time })
}

/// Whether any expression of a plan asks for the epoch's time.
pub fn reads_time_anywhere(plan: &LogicalPlan) -> bool {
    plan.exists(|node| Ok(node.expressions().iter().any(reads_time))).unwrap_or(true)
}

struct Walk<'a> {
    audit_of: &'a dyn Fn(&str) -> Vec<String>,
    by_time: bool,
}

impl Walk<'_> {
    /// One flag per output column: whether it is an audit column.
    fn flags(&mut self, plan: &LogicalPlan) -> Result<Vec<bool>> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let audit = (self.audit_of)(scan.table_name.table());
                let fields = scan.projected_schema.fields();
                Ok(fields.iter().map(|f| audit.contains(f.name())).collect())
            }
            LogicalPlan::Projection(node) => {
                let input = self.flags(&node.input)?;
                node.expr.iter().map(|e| self.value(e, node.input.schema(), &input)).collect()
            }
            LogicalPlan::Window(node) => self.window(node),
            LogicalPlan::Aggregate(node) => {
                let input = self.flags(&node.input)?;
                for group in &node.group_expr {
                    self.decides(group, node.input.schema(), &input, "group by")?;
                }
                let mut flags = vec![false; node.schema.fields().len() - node.aggr_expr.len()];
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
                        self.decides(&key.expr, node.input.schema(), &input, "order by .. limit")?;
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
                for input in other.inputs() {
                    let flags = self.flags(input)?;
                    self.none(&flags, input.schema(), "this construct")?;
                }
                Ok(vec![false; other.schema().fields().len()])
            }
        }
    }

    fn window(&mut self, node: &datafusion::logical_expr::Window) -> Result<Vec<bool>> {
        let schema = node.input.schema();
        let mut flags = self.flags(&node.input)?;
        let input = flags.clone();
        for expr in &node.window_expr {
            if let Expr::WindowFunction(call) = strip_alias(expr) {
                for by in &call.params.partition_by {
                    self.decides(by, schema, &input, "partition by")?;
                }
                for by in &call.params.order_by {
                    self.decides(&by.expr, schema, &input, "a window's order by")?;
                }
            }
            flags.push(self.value(expr, schema, &input)?);
        }
        Ok(flags)
    }

    fn join(&mut self, node: &datafusion::logical_expr::Join) -> Result<Vec<bool>> {
        let left = self.flags(&node.left)?;
        let right = self.flags(&node.right)?;
        for (l, r) in &node.on {
            self.decides(l, node.left.schema(), &left, "a join")?;
            self.decides(r, node.right.schema(), &right, "a join")?;
        }
        let both: Vec<bool> = left.iter().chain(&right).copied().collect();
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
            flags.resize(width, false);
            flags
        })
    }

    fn union(&mut self, node: &datafusion::logical_expr::Union) -> Result<Vec<bool>> {
        let mut any = vec![false; node.schema.fields().len()];
        for input in &node.inputs {
            for (flag, audit) in any.iter_mut().zip(self.flags(input)?) {
                *flag |= audit;
            }
        }
        Ok(any)
    }

    /// Whether a selected value is an audit value.
    fn value(&mut self, expr: &Expr, schema: &DFSchema, input: &[bool]) -> Result<bool> {
        self.subqueries(expr)?;
        Ok(reads_time(expr) || reads_audit(expr, schema, input).is_some())
    }

    /// Refuses an expression that decides which rows there are by an audit column.
    fn decides(&mut self, expr: &Expr, schema: &DFSchema, input: &[bool], by: &str) -> Result<()> {
        self.subqueries(expr)?;
        self.by_time |= reads_time(expr);
        match reads_audit(expr, schema, input) {
            Some(column) => Err(refusal(&column.name, by)),
            None => Ok(()),
        }
    }

    fn none(&self, flags: &[bool], schema: &DFSchema, by: &str) -> Result<()> {
        match flags.iter().position(|f| *f) {
            Some(i) => Err(refusal(schema.field(i).name(), by)),
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

fn reads_audit(expr: &Expr, schema: &DFSchema, input: &[bool]) -> Option<Column> {
    expr.column_refs()
        .into_iter()
        .find(|c| {
            schema.maybe_index_of_column(c).is_some_and(|i| input.get(i).copied().unwrap_or(false))
        })
        .cloned()
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
