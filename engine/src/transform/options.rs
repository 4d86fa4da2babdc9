//! How much the continuous prover may take.

use serde::Deserialize;

/// `[proof]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProofOptions {
    /// Share of one core that recomputing models beside the epochs may take, in percent; 0 for none.
    pub share_percent: u32,
}

impl Default for ProofOptions {
    fn default() -> Self {
        Self { share_percent: 10 }
    }
}
