//! Finished marts on their way to a warehouse: changed rows only, all marts in one transaction.
//!
//! The last station. Epochs come in as they commit, and are folded into what waits (`net`); a
//! `policy` says when it goes; `plan` makes a push of it, as data (`moves`); a `warehouse` applies
//! it beside a ledger that says which epoch the target holds. Whatever is lost on the way, the next
//! attempt begins by reading that ledger: it alone decides what was done.
//!
//! # One push
//!
//! 1. Rows are staged as Parquet and loaded into temporary tables: no lock is held.
//! 2. In one transaction: the lock row is updated, then lock and ledger are read. Another
//!    generation's or epoch's ends it here.
//! 3. Each changed mart is merged by key (deletes, updates, inserts), or its touched keys are
//!    replaced, or all its rows. The target's own counts are compared with what the change says:
//!    a key that is not unique, or a row that is not there, undoes all of it.
//! 4. Ledger, lock and EPOCHS are written, and the transaction is committed.
//! 5. The moment it became visible is recorded, for readers that look at several statements as of
//!    one time.
//!
//! # Where it differs from the obvious
//!
//! - *A row count is the proof of a key.* Nobody tells whether a model's `unique_key` is unique, and an
//!   index of every key would cost what is stored. A merge by key returns how many rows it inserted,
//!   updated and deleted; only a key that is unique before and after gives the numbers of the change.
//! - *The change is proved before it is sent*: rows and hash of what the target holds, moved by the net
//!   change, must be rows and hash of the lake's table. A change log with a gap is found here, and the
//!   mart is sent whole.
//! - *Nothing commits by itself inside a push.* Another instance may end our transaction, as may the
//!   server; statements behind that would each take effect. So AUTOCOMMIT is off from BEGIN to COMMIT, and
//!   the transaction's number is compared before COMMIT.
//! - *Loads go into temporary tables*, before the transaction: the lock is held for the merges alone, and
//!   a killed process leaves nothing that another one could read. COPY straight into a mart could only
//!   append; MERGE straight from a stage would hold the lock while files are read.
//! - *snowflake-api pulls a second arrow (57) and object_store (0.12).* Batches cross over as bytes, so
//!   the two never meet; it is the price of the transport that was asked for.
//! - *SQLite, not DuckDB, is the local target*: it builds in seconds, and any tool opens its file. Money
//!   and times are exact texts there.
//!
//! # Invariants
//!
//! - A lake, an epoch and a generation are compared inside the transaction that moves them.
//! - Rows that the ledger does not know are never overwritten without being asked.
//! - The lake goes on without its target: what waits is bounded by what differs.
//! - No row value stands in a statement, a log line or an error; no secret anywhere.

pub mod assemble;
pub mod attempt;
pub mod canonical;
pub mod contract;
pub mod cursor;
pub mod import;
pub mod keyed;
pub mod lakeside;
pub mod local;
pub mod moves;
pub mod net;
pub mod options;
pub mod plan;
pub mod policy;
pub mod publisher;
pub mod raw;
pub mod snowflake;
pub mod target;
mod task;
pub mod verify;
pub mod warehouse;
