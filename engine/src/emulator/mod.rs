//! Snowflake, emulated as far as its drivers see it: for tests, benchmarks and a look at one's desk.
//!
//! Logins by key pair, token or password; sessions, renewal and expiry; statements with an
//! asynchronous result; PUT to a stage that lies on an S3 of its own, encrypted or not; errors by
//! code. Statements run in DataFusion over tables in memory, READ COMMITTED: each sees what was
//! committed when it began and what its own transaction wrote. A table that a transaction writes is
//! locked until it ends. DDL commits. A failed statement leaves the transaction open. A request id
//! that comes again gets its first answer again.
//!
//! It knows the SQL that a push uses and plain queries, no more. It must never listen anywhere but
//! on loopback.

mod answer;
mod copy;
mod ddl;
pub mod faults;
mod files;
mod functions;
mod http;
mod login;
mod merge;
mod query;
mod rewrite;
mod sessions;
mod show;
mod statements;
mod tables;
mod types;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use arrow::array::RecordBatch;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use faults::Faults;
use sessions::Sessions;
use tables::Tables;

/// What is emulated, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The public key that key-pair logins must be signed for, PEM; none lets any well-formed
    /// token in.
    pub public_key: Option<String>,
    /// The password or token that others must know; none lets any in.
    pub secret: Option<String>,
    /// Milliseconds that a statement waits for a lock.
    pub lock_timeout_ms: u64,
    /// Keeps staged files under this folder as they came, for a look from outside.
    pub keep_files: Option<std::path::PathBuf>,
}

/// Everything in it.
struct World {
    options: Options,
    tables: Tables,
    sessions: Sessions,
    files: files::Files,
}

struct Shared {
    world: Mutex<World>,
    /// Told whenever a transaction ends.
    released: Notify,
    faults: Faults,
    address: SocketAddr,
}

/// Committed tables at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot(Tables);

/// A running emulator; it ends when it is dropped.
pub struct Emulator {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Emulator {
    /// Starts it on a port of loopback; 0 lets the system choose.
    pub async fn start(port: u16, options: Options) -> Result<Self> {
        let cannot = |e| Error::unavailable(format!("cannot listen on 127.0.0.1:{port}"), e);
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let world = World {
            tables: Tables::default(),
            sessions: Sessions::default(),
            files: files::Files::new(options.keep_files.clone()),
            options,
        };
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            released: Notify::new(),
            faults: Faults::default(),
            address,
        });
        let routes = http::routes(shared.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the emulator ended");
            }
        });
        Ok(Self { shared, server })
    }

    /// Its address, as `[publish.snowflake] url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// What goes wrong, and when.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Runs SQL as an onlooker of its own session: one statement, committed data.
    ///
    /// # Errors
    /// `Failed` with the emulator's code and words.
    pub async fn ask(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let answer = statements::run(&self.shared, None, sql).await;
        answer
            .map(|done| done.batches)
            .map_err(|refused| Error::failed(format!("{}: {}", refused.code, refused.message)))
    }

    /// What is committed now, to go back to.
    pub async fn snapshot(&self) -> Snapshot {
        Snapshot(self.shared.world.lock().await.tables.at_rest())
    }

    /// Goes back: sessions end, and tables are what they were.
    pub async fn restore(&self, snapshot: &Snapshot) {
        self.end_sessions().await;
        self.shared.world.lock().await.tables = snapshot.0.at_rest();
    }

    /// Ends every session, as a server that restarts does; open transactions are undone.
    pub async fn end_sessions(&self) {
        let mut world = self.shared.world.lock().await;
        let ended = world.sessions.end_all();
        for session in ended {
            world.tables.end_session(session);
        }
        drop(world);
        self.shared.released.notify_waiters();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}
