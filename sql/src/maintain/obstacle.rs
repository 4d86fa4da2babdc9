//! What stands in the way of a change that costs what changed, and what would help.

/// A construct that has no local key: why a change can't be kept to the keys it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Construct {
    /// `limit`, `offset`, or `order by .. limit`.
    Limit,
    /// A window function without `partition by`.
    GlobalWindow,
    /// An aggregate without `group by`.
    GlobalAggregate,
    /// A join without an equality.
    CrossJoin,
    /// `rollup`, `cube`, `grouping sets`.
    GroupingSets,
    /// A key that is computed from several inputs or by an aggregate.
    DerivedKey,
    /// A recursive query.
    Recursion,
    /// Rows that come and go with the epoch's time.
    Time,
    /// Anything else.
    Other,
}

impl Construct {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "a limit over all rows",
            Self::GlobalWindow => "a window without partition by",
            Self::GlobalAggregate => "an aggregate without group by",
            Self::CrossJoin => "a join without an equality",
            Self::GroupingSets => "grouping sets",
            Self::DerivedKey => "a key that is computed from several rows or inputs",
            Self::Recursion => "a recursive query",
            Self::Time => "rows that depend on the epoch's time",
            Self::Other => "a construct without a local key",
        }
    }

    /// What would make the model cost what changed.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Limit => {
                "rank within a key instead: row_number() over (partition by key order by ..) and a \
                 filter on it"
            }
            Self::GlobalWindow => "partition the window by a key of the rows",
            Self::GlobalAggregate => "group by a key, or keep the single row in a model of its own",
            Self::CrossJoin => {
                "join on an equality of keys, with the rest of the condition beside it"
            }
            Self::GroupingSets => "one model for each grouping, joined by union all",
            Self::DerivedKey => {
                "compute the key in a model of its own, and join or group by its column"
            }
            Self::Recursion => "unroll it to a fixed depth, or keep it out of the epoch",
            Self::Time => {
                "compare a plain column with current_timestamp plus or minus a constant, as a \
                 condition of its own; compute ages and the like where they are read"
            }
            Self::Other => "split the model: keep the construct in a small one of its own",
        }
    }
}
