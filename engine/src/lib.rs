//! Freshet's engine: a database's change stream in, exact Delta tables out.
//!
//! This page is the architecture. Follow one change through one folder per station, each entered
//! once, in the order of the line; [`pipeline`] is the only file that names them all.
//!
//! ```text
//! Kafka ─ source ─ envelope ─ epoch ─ lake ─ transform ─ checkpoint ─ publish ─ Snowflake
//!         records  typed      cut at  raw    dbt models  one object   net changes,
//!         at own   changes    source  and    in graph    decides,     one transaction
//!         offsets             commits current order      then applied beside a ledger
//! ```
//!
//! # The life of a change
//!
//! 1. A customer's e-mail is updated. Debezium writes an event into a Kafka partition, and BEGIN and
//!    END of its transaction into a topic of their own.
//! 2. [`source`] reads the record at an offset that we stored ourselves, on a thread of its own
//!    (`pipeline::reader`), a bounded way ahead of what follows.
//! 3. [`envelope`] parses the envelope at once, the row later: until the epoch is cut, a row image
//!    stays a slice of the record's bytes. What can't be parsed becomes a dead letter with its bytes.
//! 4. [`epoch`] holds it until its transaction is whole in every partition, then cuts: one offset per
//!    partition, such that no transaction is split and END order is kept. This runs on a thread of
//!    its own (`pipeline::cutting`), one epoch ahead; a transaction that outgrows memory waits on disk.
//! 5. `pipeline::step` takes the epoch. [`lake`] appends the event to `raw/` as it came; recognises
//!    what a connector sent again; decodes rows straight into Arrow; fills values that Debezium left
//!    out as unchanged; and marks the replaced row in a deletion vector. What leaves is the net change
//!    of the current rows, and each transaction's last image of each key.
//! 6. [`transform`] brings every model up to date, in graph order: staging, snapshots and marts are
//!    one station. Each follows the changes of what it reads (`freshet_sql::maintain`): the tables are
//!    read by key, as they were before the epoch and as they are after it, since what an epoch adds
//!    lies in files of its own (`lake::moment`). Models of one step, and the tests of what is up to date,
//!    run side by side ([`cores`], `transform::steps`); of models that are made anew and do not fit into
//!    memory, one at a time. A change that reaches too much is recomputed. A snapshot folds the images,
//!    so that no version is lost between two epochs. Each result is a `ChangeBatch`; the verdicts of data
//!    tests follow in the same way.
//! 7. New files and vectors are uploaded: invisible, since no log names them.
//! 8. [`checkpoint`] writes one object, `_freshet/epochs/N`, if it is absent: offsets, verdicts, and
//!    the exact bytes of every table's next log entry. From here on the epoch is done. The entries
//!    are put side by side; whatever a crash leaves out, the next start puts.
//!    Small files are merged beside the epochs, on a thread that gives way to them (`lake::merge`,
//!    `pipeline::compacting`), and put in between two; rows for which there is no room lie on the local
//!    disk (`lake::room`, `lake::hot`, `lake::cold`).
//! 9. Beside the epochs a prover recomputes one model after the other over pinned tables and compares
//!    (`transform::proof`, `pipeline::proving`); what differs holds pushes and is made anew.
//! 10. [`publish`] folds the epoch's changes of marts into what waits for each target, and pushes it
//!     when the policy says so: beside the loop, which never waits for it. The target's ledger alone says
//!     what was done. [`emulator`] stands in for Snowflake in tests, benchmarks and the demo.
//!
//! # Invariants
//!
//! - A station imports only stations to its left (a test reads the imports). [`error`], [`clock`],
//!   [`failpoint`], [`cores`] and [`memory`] stand left of all.
//! - rdkafka stays in [`source`], deltalake in [`lake`], `SessionContext` in `freshet_sql::plan`,
//!   snowflake-api and rusqlite in [`publish`]. Only
//!   [`clock`] reads the machine's clock.
//! - Nothing writes into a `_delta_log` but `checkpoint::apply`, and it writes decided bytes only. No
//!   operation of delta-rs that commits is ever called.
//! - After an error in an epoch, what is in memory is not trusted: the lake is loaded anew. So the
//!   tables in memory need no undo.
//! - Indexes by key belong to their file, are built when first asked for, and may be lost; so may the
//!   partials of large groups, and local copies of large files, which make a restart quick.
//! - Everything that waits or grows has a bound, named with its unit.
//! - Deliberately absent: a consumer group, a state store, a scheduler, a second copy of offsets.
//!
//! # Decided by measurement
//!
//! See [`measurements`] for what the design rests on, and what it cost here.

pub mod bank;
pub mod catalog;
pub mod checkpoint;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connector;
pub mod cores;
pub mod emulator;
pub mod envelope;
pub mod epoch;
pub mod error;
pub mod failpoint;
pub mod lake;
pub mod measurements;
pub mod memory;
pub mod pipeline;
pub mod publish;
pub mod source;
pub mod transform;
