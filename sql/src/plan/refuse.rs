//! What a maintained model may not say, refused by name with what to write instead.
//!
//! A function whose answer differs from call to call would break law 1: the same epoch recomputed
//! would give another table. Samples, and comparisons with all rows of a subquery, DataFusion reads over or
//! answers wrong: none of it may pass in silence.

use std::ops::ControlFlow;

use datafusion::execution::context::SessionContext;
use datafusion::sql::parser::Statement;
use sqlparser::ast::{Expr, Spanned, TableFactor, Visit, Visitor};
use sqlparser::tokenizer::Span;

use super::failure::PlanFailure;

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

/// What in a statement DataFusion would answer otherwise than it says, where it stands.
pub fn misread(statement: &Statement) -> Option<PlanFailure> {
    let Statement::Statement(statement) = statement else { return None };
    match statement.visit(&mut Reader) {
        ControlFlow::Break(found) => Some(found),
        ControlFlow::Continue(()) => None,
    }
}

struct Reader;

impl Visitor for Reader {
    type Break = PlanFailure;

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<PlanFailure> {
        let sampled = match table {
            TableFactor::Table { name, sample: Some(_), .. } => name.span(),
            TableFactor::Derived { subquery, sample: Some(_), .. } => subquery.span(),
            _ => return ControlFlow::Continue(()),
        };
        let help = "it would be another one at each run; take a part of the keys instead, as in \
                    `where md5(id) < '1'`";
        ControlFlow::Break(failure(sampled, "a sample can't be taken", help))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<PlanFailure> {
        match expr {
            Expr::AllOp { left, right, .. } if matches!(right.as_ref(), Expr::Subquery(_)) => {
                let what = "a comparison with all rows of a subquery can't be made";
                let help =
                    "compare with its max or min, or write `not exists (..)` with the opposite";
                ControlFlow::Break(failure(left.span(), what, help))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn failure(at: Span, message: &str, hint: &str) -> PlanFailure {
    let at = Some((at.start.line, at.start.column));
    PlanFailure { message: message.to_owned(), at, hint: Some(hint.to_owned()) }
}
