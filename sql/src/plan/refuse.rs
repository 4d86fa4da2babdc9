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

/// What to write instead of a refused function, if `message` names one.
pub fn hint(message: &str) -> Option<String> {
    let lower = message.to_lowercase();
    UNSTABLE.iter().find(|name| lower.contains(&format!("'{name}'"))).map(|name| {
        format!(
            "`{name}()` gives another answer at each call, so a model could not be maintained \
             exactly; derive the value from the row (md5 of its key) or use current_timestamp, \
             which is the epoch's time"
        )
    })
}
