//! The settings as commands use them. Ranges and meanings stand in [`super::schema`], row by row.

use std::fmt;
use std::path::{Path, PathBuf};

use contracts::client::without_keys;
use serde::{Deserialize, Serialize};

use crate::task::FamilyId;

/// All settings.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How programs are executed.
    pub engine: EngineConfig,
    /// How peers learn, in `demo` and `train`.
    pub learn: LearnConfig,
    /// The command `demo`.
    pub demo: DemoConfig,
    /// The command `train`.
    pub train: TrainConfig,
    /// The command `eval`.
    pub eval: EvalConfig,
    /// The chain on which rewards are settled.
    pub chain: ChainConfig,
    /// The account that pays for transactions.
    pub wallet: WalletConfig,
}

/// Section `engine`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "each field is documented by its row of the schema"
)]
pub struct EngineConfig {
    pub threads: usize,
    pub path: String,
}

impl EngineConfig {
    /// Worker threads, at least one.
    pub fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if self.threads == 0 {
            cores()
        } else {
            self.threads
        }
    }
}

/// Section `learn`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "each field is documented by its row of the schema"
)]
pub struct LearnConfig {
    pub group: u8,
    pub learning_rate: f32,
    pub warmup: u64,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
    pub max_norm: f32,
    pub max_new: usize,
    pub stage_samples: u32,
    pub foreseen_reward: f32,
    pub guard_window: usize,
    pub guard_drop: f32,
    pub row_length: usize,
    pub rows: usize,
}

/// Section `demo`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "each field is documented by its row of the schema"
)]
pub struct DemoConfig {
    pub seed: u64,
    pub peers: usize,
    pub rounds: u64,
    pub families: Vec<FamilyId>,
    pub difficulty: u8,
    pub base: String,
    pub questions: u16,
    pub common: u16,
    pub own: usize,
    pub external: usize,
    pub peer_percent: usize,
    pub controls: usize,
    pub generalist: u16,
    pub heldout: usize,
    pub samples: u32,
    pub council: u16,
    pub measure_every: u64,
    pub run: String,
    pub epoch: u64,
}

/// Section `train`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "each field is documented by its row of the schema"
)]
pub struct TrainConfig {
    pub model: String,
    pub out: PathBuf,
    pub seed: u64,
    pub steps: u64,
    pub families: Vec<FamilyId>,
    pub difficulty: u8,
    pub questions: u16,
    pub groups: usize,
    pub checkpoint_every: u64,
    pub keep: usize,
    pub measure_every: u64,
    pub heldout: usize,
    pub gsm8k: String,
}

/// Section `eval`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "each field is documented by its row of the schema"
)]
pub struct EvalConfig {
    pub model: String,
    pub seed: u64,
    pub families: Vec<FamilyId>,
    pub difficulty: u8,
    pub questions: usize,
    pub samples: u32,
    pub max_new: usize,
    pub gsm8k: String,
}

/// Section `chain`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "each field is documented by its row of the schema"
)]
pub struct ChainConfig {
    pub endpoint: EndpointText,
    pub id: u64,
    pub confirmations: i64,
    pub poll_ms: u64,
    pub wait_s: u64,
    pub max_fee_gwei: f64,
}

/// Where a chain is, as it was given. It may be a URL with a key, so that it shows itself without.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct EndpointText(String);

impl EndpointText {
    /// All of it, for nothing but to connect.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EndpointText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for EndpointText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointText({})", without_keys(&self.0))
    }
}

/// Section `wallet`. Secrets are no settings: they come from the environment, a file, or the
/// terminal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "each field is documented by its row of the schema"
)]
pub struct WalletConfig {
    pub file: String,
    pub password_file: String,
}

/// A path setting; empty means none.
pub fn path(setting: &str) -> Option<&Path> {
    (!setting.is_empty()).then_some(Path::new(setting))
}
