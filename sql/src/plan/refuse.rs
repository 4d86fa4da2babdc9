//! Functions a maintained model may not call, refused by name with what to write instead.
//!
//! A function whose answer differs from call to call would break law 1: the same epoch recomputed
//! would give another table.

use datafusion::execution::context::SessionContext;

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
