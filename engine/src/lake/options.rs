//! Where the lake lies and how its files are bounded.

use serde::Deserialize;

/// `[lake]` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// A folder, or `s3://bucket/prefix`.
    pub url: String,
    /// The S3 endpoint, for MinIO and the like; AWS's own where absent.
    pub s3_endpoint: Option<String>,
    /// The S3 region.
    #[serde(default = "default_region")]
    pub s3_region: String,
    /// Log entries of a table between two Delta checkpoints.
    #[serde(default = "default_checkpoint_commits")]
    pub checkpoint_commits: u64,
    /// Minutes for which files that no version needs any more are kept for running readers.
    #[serde(default = "default_retention_minutes")]
    pub retention_minutes: u64,
    /// Files of one size class that are merged into the next.
    #[serde(default = "default_merge_files")]
    pub merge_files: usize,
    /// Change identities remembered to recognise what a connector sends again.
    #[serde(default = "default_dedupe_events")]
    pub dedupe_events: usize,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

const fn default_checkpoint_commits() -> u64 {
    50
}

const fn default_retention_minutes() -> u64 {
    60
}

const fn default_merge_files() -> usize {
    8
}

const fn default_dedupe_events() -> usize {
    1_000_000
}

impl Options {
    /// The defaults at this place.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            s3_endpoint: None,
            s3_region: default_region(),
            checkpoint_commits: default_checkpoint_commits(),
            retention_minutes: default_retention_minutes(),
            merge_files: default_merge_files(),
            dedupe_events: default_dedupe_events(),
        }
    }
}

/// `[memory]` of the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Bytes that the process holds at most, about; 0 is half of what the machine or container has.
    pub bytes_max: u64,
    /// Where rows lie that do not fit.
    pub cold_dir: String,
    /// Of what tables may hold: bytes that the whole process may have, tables and all; 0 is no matter.
    #[serde(skip)]
    pub process_bytes_max: u64,
}

/// What tables are given at least.
pub(super) const TABLES_BYTES_MIN: usize = 16 << 20;

impl Memory {
    /// What tables may hold where so many bytes may wait between stations: a quarter of the rest is
    /// left for the work of an epoch.
    #[must_use]
    pub fn for_tables(&self, waiting: u64) -> Self {
        let rest = self.resolved().saturating_sub(waiting);
        let bytes_max = (rest / 4 * 3).max(TABLES_BYTES_MIN as u64);
        let process_bytes_max = self.process_bytes_max.max(self.resolved());
        Self { bytes_max, cold_dir: self.cold_dir.clone(), process_bytes_max }
    }

    /// The bound in bytes.
    pub fn resolved(&self) -> u64 {
        if self.bytes_max > 0 {
            self.bytes_max
        } else {
            available().map_or(u64::MAX, |all| all / 2)
        }
    }
}

/// Memory of the machine, or of the container where that is less, as Linux says.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10;
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse::<u64>().ok());
    Some(container.map_or(machine, |bytes| bytes.min(machine)))
}
