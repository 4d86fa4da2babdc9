//! The rules by which physical plans are made: DataFusion's, and our own beside them.
//!
//! It must never take a rule of DataFusion's out without saying why.

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

/// A rule of the physical optimizer.
type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// DataFusion's without the one that answers `count(..) filter (where ..)` from row counts, and our own
/// of dates.
pub(super) fn own_rules() -> Vec<Rule> {
    let rules = PhysicalOptimizer::new().rules.into_iter();
    let days: Rule = Arc::new(super::dates::DaysByDivision);
    rules.filter(|rule| rule.name() != "aggregate_statistics").chain([days]).collect()
}

/// The same with windows by whole columns.
pub(super) fn state(config: SessionConfig) -> SessionState {
    let windows: Rule = Arc::new(super::windows::ColumnarWindows);
    let rules = std::iter::once(windows).chain(own_rules());
    SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_physical_optimizer_rules(rules.collect())
        .build()
}
