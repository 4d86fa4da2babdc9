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
