//! Functions a maintained model may not call, refused by name with what to write instead.
//!
//! So are samples, which DataFusion reads over: it would answer with all rows. A function whose answer differs from call to call would break law 1: the same epoch recomputed
//! would give another table.

use std::ops::ControlFlow;

use datafusion::execution::context::SessionContext;
use datafusion::sql::parser::Statement;
use sqlparser::ast::{Spanned, TableFactor, Visit, Visitor};

/// Taken out of every session: a model that calls one gets "invalid function".
const UNSTABLE: [&str; 4] = ["random", "uuid", "uuidv7", "current_time"];

/// Removes the unstable functions.
pub fn register(context: &SessionContext) {
    for name in UNSTABLE {
        context.deregister_udf(name);
    }
}

/// The refused function that `message` names, if any, and what to write instead.
pub fn refused(message: &str) -> Option<(&'static str, String)> {
    let lower = message.to_lowercase();
    let name =
        UNSTABLE.iter().find(|name| lower.contains(&format!("invalid function '{name}'")))?;
    let hint = format!(
        "`{name}()` gives another answer at each call, so a model could not be maintained \
         exactly; derive the value from the row (md5 of its key) or use current_timestamp, \
         which is the epoch's time"
    );
    Some((name, hint))
}

/// Line and column of a table that the statement samples.
pub fn sampled(statement: &Statement) -> Option<(u64, u64)> {
    let Statement::Statement(statement) = statement else { return None };
    match statement.visit(&mut Samples) {
        ControlFlow::Break(at) => Some(at),
        ControlFlow::Continue(()) => None,
    }
}

struct Samples;

impl Visitor for Samples {
    type Break = (u64, u64);

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        match table {
            TableFactor::Table { name, sample: Some(_), .. } => {
                let start = name.span().start;
                ControlFlow::Break((start.line, start.column))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
