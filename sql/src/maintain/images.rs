//! A snapshot's query over every transaction's last image of a key.
//!
//! History needs the events, not the net change: a key that changed in three transactions of one
//! epoch has three versions. Where the query is row by row of one source table (projections,
//! filters, and windows or groups that lie within the source's key), it is run over the images
//! instead of the current rows, with the image's number `_seq` carried through and added to every
//! partition and group key. Where it is not, [`per_image`] says why, and the snapshot has one
//! version per epoch at most.

use std::collections::HashMap;

use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Window, cast, col,
};

use crate::error::Result;
use crate::lineage::timing;

/// The column that numbers images: Int64, ascending in source order within a table.
pub const SEQ: &str = "_seq";

/// A query over images: its rows carry [`SEQ`] as their last column.
#[derive(Debug, Clone)]
pub struct PerImage {
    /// The query's own columns, then `_seq`.
    pub query: LogicalPlan,
    /// `_seq` and the unique key's columns for every image, also for those the query drops.
    pub keys: LogicalPlan,
    /// The relation whose images are read.
    pub source: String,
}

/// The plan that scans a source's images, and the source's key columns; `None` for what is no source.
pub type ImageScan<'a> = dyn Fn(&str) -> Option<(LogicalPlan, Vec<String>)> + 'a;

/// Why a query can't be run image by image.
pub type Reason = String;

/// Rewrites `plan` to run over images, or says why it can't.
///
/// `image_scan` gives the plan that scans a source's images, and the source's key columns.
pub fn per_image(
    plan: &LogicalPlan,
    unique_key: &[String],
    image_scan: &ImageScan<'_>,
) -> Result<std::result::Result<PerImage, Reason>> {
    if timing(plan)?.by_time {
        return Ok(Err("its rows depend on the epoch's time".to_owned()));
    }
    let mut walk = Walk { image_scan, source: None };
    let rewritten = match walk.rewrite(plan)? {
        Ok(rewritten) => rewritten,
        Err(reason) => return Ok(Err(reason)),
    };
    let Some((source, scan, key)) = walk.source else {
        return Ok(Err("it reads no source table".to_owned()));
    };
    let mut keys = vec![col(SEQ)];
    let mut origins = Vec::new();
    for name in unique_key {
        let found = rewritten.origins.iter().find(|(output, _)| output.name == *name);
        let Some((_, origin)) = found else {
            return Ok(Err(format!("its unique key `{name}` is not a plain column of the source")));
        };
        origins.push(origin.column.clone());
        keys.push(origin.expr.clone().alias(name));
    }
    if key.is_empty() || origins.len() != key.len() || !key.iter().all(|k| origins.contains(k)) {
        return Ok(Err("its unique key is not the source's primary key".to_owned()));
    }
    let mut columns: Vec<Expr> = plan.schema().iter().map(Expr::from).collect();
    columns.push(Expr::Column(seq_of(&rewritten.plan)?));
    let query = LogicalPlanBuilder::from(rewritten.plan).project(columns)?.build()?;
    let keys = LogicalPlanBuilder::from(scan).project(keys)?.build()?;
    Ok(Ok(PerImage { query, keys, source }))
}

/// Where an output column comes from, when it is a plain or cast column of the source.
#[derive(Debug, Clone)]
struct Origin {
    column: String,
    expr: Expr,
}

struct Rewritten {
    plan: LogicalPlan,
    origins: HashMap<Column, Origin>,
}

struct Walk<'a> {
    image_scan: &'a ImageScan<'a>,
    source: Option<(String, LogicalPlan, Vec<String>)>,
}

type Step = Result<std::result::Result<Rewritten, Reason>>;

impl Walk<'_> {
    fn rewrite(&mut self, plan: &LogicalPlan) -> Step {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(&scan.table_name),
            LogicalPlan::SubqueryAlias(node) => self.through(&node.input, |input| {
                let plan =
                    LogicalPlanBuilder::from(input.plan).alias(node.alias.clone())?.build()?;
                let renamed = input.origins.into_iter().map(|(column, origin)| {
                    (Column::new(Some(node.alias.clone()), column.name), origin)
                });
                Ok(Ok(Rewritten { plan, origins: renamed.collect() }))
            }),
            LogicalPlan::Projection(node) => self.through(&node.input, |input| {
                if node.expr.iter().any(has_subquery) {
                    return Ok(Err("it has a subquery".to_owned()));
                }
                let mut columns = node.expr.clone();
                columns.push(Expr::Column(seq_of(&input.plan)?));
                let origins = project_origins(&node.expr, &input.origins);
                let plan = LogicalPlanBuilder::from(input.plan).project(columns)?.build()?;
                Ok(Ok(Rewritten { plan, origins }))
            }),
            LogicalPlan::Filter(node) => self.through(&node.input, |input| {
                if has_subquery(&node.predicate) {
                    return Ok(Err("it has a subquery".to_owned()));
                }
                let plan =
                    LogicalPlanBuilder::from(input.plan).filter(node.predicate.clone())?.build()?;
                Ok(Ok(Rewritten { plan, origins: input.origins }))
            }),
            LogicalPlan::Window(node) => self.window(node),
            LogicalPlan::Aggregate(node) => self.aggregate(node),
            LogicalPlan::Sort(node) if node.fetch.is_none() => self.rewrite(&node.input),
            LogicalPlan::Distinct(Distinct::All(input)) => self.through(input, |input| {
                let plan = LogicalPlanBuilder::from(input.plan).distinct()?.build()?;
                Ok(Ok(Rewritten { plan, origins: input.origins }))
            }),
            other => Ok(Err(format!("it is not row by row of one source: {}", other.display()))),
        }
    }

    fn through(&mut self, input: &LogicalPlan, then: impl FnOnce(Rewritten) -> Step) -> Step {
        match self.rewrite(input)? {
            Ok(rewritten) => then(rewritten),
            Err(reason) => Ok(Err(reason)),
        }
    }

    fn scan(&mut self, table: &TableReference) -> Step {
        let Some((scan, key)) = (self.image_scan)(table.table()) else {
            return Ok(Err(format!("it reads `{}`, which is not a source table", table.table())));
        };
        if self.source.is_some() {
            return Ok(Err("it reads more than one source table".to_owned()));
        }
        self.source = Some((table.table().to_owned(), scan.clone(), key));
        let plan = LogicalPlanBuilder::from(scan).alias(table.clone())?.build()?;
        let origins = plan.schema().iter().map(|(qualifier, field)| {
            let origin = Origin { column: field.name().clone(), expr: col(ident(field.name())) };
            (Column::new(qualifier.cloned(), field.name()), origin)
        });
        let origins = origins.collect();
        Ok(Ok(Rewritten { plan, origins }))
    }

    /// Whether these columns contain the source's whole key, so that a group lies within one key.
    fn within_key<'a>(
        &self,
        by: impl Iterator<Item = &'a Expr>,
        origins: &HashMap<Column, Origin>,
    ) -> bool {
        let named: Vec<String> =
            by.filter_map(|e| origin_of(e, origins)).map(|o| o.column).collect();
        let key = self.source.as_ref().map(|(_, _, key)| key.as_slice()).unwrap_or_default();
        !key.is_empty() && key.iter().all(|k| named.contains(k))
    }

    fn window(&mut self, node: &Window) -> Step {
        let input = match self.rewrite(&node.input)? {
            Ok(input) => input,
            Err(reason) => return Ok(Err(reason)),
        };
        let seq = Expr::Column(seq_of(&input.plan)?);
        let mut windows = Vec::new();
        let mut columns: Vec<Expr> = input.plan.schema().iter().map(Expr::from).collect();
        for expr in &node.window_expr {
            let Expr::WindowFunction(call) = expr else {
                return Ok(Err("it has a window expression that can't be followed".to_owned()));
            };
            if !self.within_key(call.params.partition_by.iter(), &input.origins) {
                return Ok(Err("it has a window that spans several keys".to_owned()));
            }
            let mut call: WindowFunction = call.as_ref().clone();
            call.params.partition_by.push(seq.clone());
            let call = Expr::WindowFunction(Box::new(call));
            let name = call.schema_name().to_string();
            columns.push(col(ident(&name)).alias(expr.schema_name().to_string()));
            windows.push(call);
        }
        let plan =
            LogicalPlanBuilder::from(input.plan).window(windows)?.project(columns)?.build()?;
        Ok(Ok(Rewritten { plan, origins: input.origins }))
    }

    fn aggregate(&mut self, node: &Aggregate) -> Step {
        let input = match self.rewrite(&node.input)? {
            Ok(input) => input,
            Err(reason) => return Ok(Err(reason)),
        };
        if !self.within_key(node.group_expr.iter(), &input.origins) {
            return Ok(Err("it groups rows of several keys".to_owned()));
        }
        let mut groups = node.group_expr.clone();
        groups.push(Expr::Column(seq_of(&input.plan)?));
        let origins = project_origins(&node.group_expr, &input.origins);
        let plan = LogicalPlanBuilder::from(input.plan)
            .aggregate(groups, node.aggr_expr.clone())?
            .build()?;
        Ok(Ok(Rewritten { plan, origins }))
    }
}

fn ident(name: &str) -> Column {
    Column::new_unqualified(name)
}

fn seq_of(plan: &LogicalPlan) -> Result<Column> {
    let (qualifier, field) = plan.schema().qualified_field_with_unqualified_name(SEQ)?;
    Ok(Column::new(qualifier.cloned(), field.name()))
}

fn has_subquery(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    expr.exists(|e| {
        Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)))
    })
    .unwrap_or(true)
}

fn project_origins(exprs: &[Expr], input: &HashMap<Column, Origin>) -> HashMap<Column, Origin> {
    exprs
        .iter()
        .filter_map(|e| {
            let (qualifier, name) = e.qualified_name();
            Some((Column::new(qualifier, name), origin_of(e, input)?))
        })
        .collect()
}

/// Follows aliases and casts that keep distinct keys distinct.
fn origin_of(expr: &Expr, input: &HashMap<Column, Origin>) -> Option<Origin> {
    match expr {
        Expr::Column(column) => input.get(column).cloned(),
        Expr::Alias(alias) => origin_of(&alias.expr, input),
        Expr::Cast(node) => {
            let origin = origin_of(&node.expr, input)?;
            let kind = node.field.data_type().clone();
            injective(&kind).then(|| Origin { expr: cast(origin.expr, kind), ..origin })
        }
        _ => None,
    }
}

fn injective(kind: &arrow::datatypes::DataType) -> bool {
    use arrow::datatypes::DataType;
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Int64)
}
