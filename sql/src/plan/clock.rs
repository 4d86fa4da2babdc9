//! The epoch's time as SQL sees it: `current_timestamp`, `now()` and `current_date`.
//!
//! DataFusion folds its own `now()` into a constant while planning; a model is planned once and run
//! at every epoch, so these stay calls. They must never read the machine's clock.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const DAY_US: i64 = 86_400_000_000;
const NAMES: [(&str, &[&str], Kind); 3] = [
    ("now", &["current_timestamp", "getdate", "sysdate"], Kind::Instant),
    ("localtimestamp", &[], Kind::Local),
    ("current_date", &["today"], Kind::Day),
];

thread_local! {
    /// The time of what this thread runs, where that is not the epoch's.
    static ELSEWHEN: Cell<Option<i64>> = const { Cell::new(None) };
}

/// The time that all three functions answer.
#[derive(Debug, Clone, Default)]
pub struct EpochClock(Arc<AtomicI64>);

impl EpochClock {
    /// Microseconds since 1970 UTC.
    pub fn set(&self, epoch_us: i64) {
        self.0.store(epoch_us, Ordering::Relaxed);
    }

    /// Microseconds since 1970 UTC.
    pub fn get(&self) -> i64 {
        ELSEWHEN.get().unwrap_or_else(|| self.0.load(Ordering::Relaxed))
    }

    /// Runs something at another time: for this thread alone, since models run side by side.
    pub fn at<T>(&self, epoch_us: i64, then: impl FnOnce() -> T) -> T {
        let before = ELSEWHEN.replace(Some(epoch_us));
        let made = then();
        ELSEWHEN.set(before);
        made
    }

    /// Puts the three functions in place of DataFusion's own.
    pub fn register(&self, context: &SessionContext) {
        for (name, aliases, kind) in NAMES {
            context.register_udf(ScalarUDF::new_from_impl(EpochTime {
                name,
                aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
                kind,
                // Stable ones are folded by the optimizer, as if a plan were run only once.
                signature: Signature::nullary(Volatility::Volatile),
                clock: HashedClock(self.clone()),
            }));
        }
    }
}

/// Whether an expression asks for the epoch's time.
pub fn reads_time(expr: &Expr) -> bool {
    expr.exists(|e| {
        Ok(matches!(e, Expr::ScalarFunction(call)
            if NAMES.iter().any(|(name, _, _)| *name == call.func.name())))
    })
    .unwrap_or(false)
}

use datafusion::common::tree_node::TreeNode;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Instant,
    Local,
    Day,
}

/// A clock that compares and hashes as nothing: all calls in a session share one.
#[derive(Debug, Clone)]
struct HashedClock(EpochClock);

impl PartialEq for HashedClock {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for HashedClock {}
impl std::hash::Hash for HashedClock {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EpochTime {
    name: &'static str,
    aliases: Vec<String>,
    kind: Kind,
    signature: Signature,
    clock: HashedClock,
}

impl ScalarUDFImpl for EpochTime {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Kind::Local => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::Day => DataType::Date32,
        })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let us = self.clock.0.get();
        Ok(ColumnarValue::Scalar(match self.kind {
            Kind::Instant => ScalarValue::TimestampMicrosecond(Some(us), Some("+00:00".into())),
            Kind::Local => ScalarValue::TimestampMicrosecond(Some(us), None),
            Kind::Day => ScalarValue::Date32(i32::try_from(us.div_euclid(DAY_US)).ok()),
        }))
    }
}
