//! The lease: one instance at a time decides epochs.
//!
//! On a local folder the operating system's lock is the lease: it ends with its holder. On object
//! storage it is an object that its holder renews by If-Match; an instance that stops renewing may
//! be replaced once the lease has run out, and what it decides after that is refused by generation.
//! The lease only saves two instances work: what keeps them apart is the decision's create-if-absent.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::options::Options;
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::store::{Created, Store};

/// Held while the instance may decide epochs; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    /// The holder's generation.
    pub generation: u64,
    lost: Arc<AtomicBool>,
    _lock: Option<File>,
    renewal: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Held {
    holder: String,
    generation: u64,
    expires_ms: u64,
}

/// Whether a lease found in the lake may be taken: a function of facts.
pub fn may_take(expires_ms: u64, now_ms: u64) -> bool {
    expires_ms <= now_ms
}

impl Lease {
    /// Takes the lease, or says who has it. `last_generation` is that of the latest decision.
    pub async fn take(store: &Store, options: &Options, last_generation: u64) -> Result<Self> {
        match store.folder() {
            Some(folder) => {
                let path = folder.join("_freshet/lease.lock");
                let lock = lock_file(&path)?;
                let lost = Arc::new(AtomicBool::new(false));
                let generation = last_generation + 1;
                Ok(Self { generation, lost, _lock: Some(lock), renewal: None })
            }
            None => Self::take_object(store, options, last_generation).await,
        }
    }

    async fn take_object(store: &Store, options: &Options, last_generation: u64) -> Result<Self> {
        let found = store.get_tagged(layout::LEASE).await?;
        let mut generation = last_generation;
        if let Some((body, _)) = &found {
            let held: Held = serde_json::from_slice(body)
                .map_err(|e| Error::corrupt(format!("\"{}\": {e}", layout::LEASE)))?;
            if !may_take(held.expires_ms, now_ms()) {
                return Err(Error::Fenced(format!(
                    "another instance ({}) holds this lake for {} more seconds",
                    held.holder,
                    (held.expires_ms - now_ms()) / 1000 + 1
                )));
            }
            generation = generation.max(held.generation);
        }
        generation += 1;
        let mut held = Held { holder: holder(), generation, expires_ms: 0 };
        held.expires_ms = now_ms() + options.lease_seconds * 1000;
        let body = encode(&held)?;
        let ours = match found {
            None => store.create(layout::LEASE, body).await? == Created::New,
            Some((_, tag)) => store.replace(layout::LEASE, body, tag).await?,
        };
        if !ours {
            return Err(Error::Fenced("another instance took this lake just now".to_owned()));
        }
        let lost = Arc::new(AtomicBool::new(false));
        let renewal = tokio::spawn(renew(store.clone(), held, options.lease_seconds, lost.clone()));
        Ok(Self { generation, lost, _lock: None, renewal: Some(renewal) })
    }

    /// Fails once another instance has replaced this one.
    pub fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(Error::Fenced("another instance took over this lake's lease".to_owned()));
        }
        Ok(())
    }

    /// Gives the lease back at once, so that the next instance need not wait for it to run out.
    pub async fn release(mut self, store: &Store) -> Result<()> {
        if let Some(renewal) = self.renewal.take() {
            renewal.abort();
            if let Some((body, tag)) = store.get_tagged(layout::LEASE).await?
                && let Ok(mut held) = serde_json::from_slice::<Held>(&body)
                && held.generation == self.generation
            {
                held.expires_ms = 0;
                store.replace(layout::LEASE, encode(&held)?, tag).await?;
            }
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
    }
}

async fn renew(store: Store, mut held: Held, lease_seconds: u64, lost: Arc<AtomicBool>) {
    let pause = Duration::from_millis((lease_seconds * 1000 / 3).max(200));
    loop {
        tokio::time::sleep(pause).await;
        let Ok(Some((body, tag))) = store.get_tagged(layout::LEASE).await else {
            tracing::warn!("the lease could not be read; trying again");
            continue;
        };
        let ours = serde_json::from_slice::<Held>(&body)
            .is_ok_and(|found| found.generation == held.generation && found.holder == held.holder);
        if !ours {
            lost.store(true, Ordering::Relaxed);
            return;
        }
        held.expires_ms = now_ms() + lease_seconds * 1000;
        let Ok(body) = encode(&held) else { return };
        match store.replace(layout::LEASE, body, tag).await {
            Ok(true) => {}
            Ok(false) => {
                lost.store(true, Ordering::Relaxed);
                return;
            }
            Err(error) => tracing::warn!(%error, "the lease could not be renewed; trying again"),
        }
    }
}

fn encode(held: &Held) -> Result<Bytes> {
    let text = serde_json::to_vec(held).map_err(|e| Error::bug(e.to_string()))?;
    Ok(Bytes::from(text))
}

fn lock_file(path: &std::path::Path) -> Result<File> {
    let failed = |e| Error::unavailable(format!("cannot make \"{}\"", path.display()), e);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let file =
        File::options().create(true).write(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Fenced(format!(
            "another instance runs on this lake (it holds the lock \"{}\")",
            path.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}

fn holder() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{}/{}/{}", host.trim(), std::process::id(), uuid::Uuid::new_v4())
}

fn now_ms() -> u64 {
    u64::try_from(SystemClock.now_us() / 1000).unwrap_or(0)
}
