//! What the process holds and held at most, as Linux says; elsewhere nothing.
//!
//! Resident memory counts pages of mapped files too, which the system drops when it needs the room;
//! anonymous memory is what it can't.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at anonymous memory: Linux keeps no peak of it.
const LOOK: Duration = Duration::from_millis(5);

/// Forgets the peak so far.
pub fn forget_peak() {
    // Refused in some containers: then the peak covers the fill too, which holds little.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The peak of resident memory, bytes.
pub fn peak_bytes() -> Option<u64> {
    field("VmHWM:")
}

/// Anonymous memory now, bytes.
pub fn anonymous_bytes() -> Option<u64> {
    field("RssAnon:")
}

/// Resident pages of mapped files now, bytes.
pub fn mapped_bytes() -> Option<u64> {
    field("RssFile:")
}

/// Looks at anonymous memory again and again, on a thread that ends with it.
pub struct Watch {
    peak: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins; a system that starts no thread has no peak.
    pub fn begin() -> Self {
        let (peak, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (highest, ended) = (peak.clone(), done.clone());
        let look = move || {
            while !ended.load(Ordering::Relaxed) {
                highest.fetch_max(anonymous_bytes().unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(LOOK);
            }
        };
        let thread = std::thread::Builder::new().name("memory".to_owned()).spawn(look).ok();
        Self { peak, done, thread }
    }

    /// The most so far, bytes.
    pub fn peak_bytes(&self) -> Option<u64> {
        Some(self.peak.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
