//! A scenario: nodes, rounds, faults, and what must come of it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_task::FamilyId;
use thiserror::Error;

/// Largest scenario that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 18;
/// Most nodes: each is a process with a model.
pub const MAX_NODES: usize = 64;

/// Why a scenario cannot be played.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no scenario.
    #[error("{path}: {message}; compare with configs/lab", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A number is out of its limits.
    #[error("scenario: `{key}` is {value}; it must be {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value seen.
        value: u64,
        /// What would be right.
        allowed: String,
    },
}

/// What happens to nodes at the beginning of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The round, from 0.
    pub round: u64,
    /// Milliseconds after its beginning.
    #[serde(default)]
    pub after_ms: u64,
    /// Nodes that are killed.
    #[serde(default)]
    pub kill: Vec<usize>,
    /// Nodes that are started.
    #[serde(default)]
    pub start: Vec<usize>,
}

/// Nodes that are killed and started again, at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// Seed of the choice.
    pub seed: u64,
    /// Mean milliseconds between two kills.
    pub every_ms: u64,
    /// Milliseconds until a killed node is started again.
    pub down_ms: u64,
    /// Nodes that may be down at a time.
    pub most: usize,
}

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// Every round is decided at every node that runs at the end, with the same digest.
    pub all_decided: bool,
    /// Every node that runs at the end has earned points.
    pub all_score: bool,
    /// Longest time from a round's windows until half of the nodes have it decided, in
    /// milliseconds; 0 for any.
    pub decision_ms: u64,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            all_decided: true,
            all_score: true,
            decision_ms: 0,
        }
    }
}

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows.
    pub name: String,
    /// Members of the swarm.
    pub nodes: usize,
    /// Rounds that are played.
    pub rounds: u64,
    /// Milliseconds of each window; the settle window has twice as many.
    pub window_ms: u32,
    /// Milliseconds until round 0: all nodes must have started.
    #[serde(default = "default_begin_ms")]
    pub begin_ms: u64,
    /// Task families; node n practises the n-th, in turn.
    #[serde(default = "default_families")]
    pub families: Vec<FamilyId>,
    /// Practice questions of a round for each node.
    #[serde(default = "default_practice")]
    pub practice: u16,
    /// Rounds of an epoch.
    #[serde(default = "default_epoch")]
    pub epoch: u32,
    /// Nodes that are not started at the beginning.
    #[serde(default)]
    pub absent: Vec<usize>,
    /// What happens when.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Random kills.
    #[serde(default)]
    pub churn: Option<Churn>,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expected,
}

fn default_begin_ms() -> u64 {
    10_000
}

fn default_families() -> Vec<FamilyId> {
    ["max", "count", "sort", "reverse"]
        .iter()
        .filter_map(|name| FamilyId::ALL.iter().find(|family| family.name() == *name))
        .copied()
        .collect()
}

fn default_practice() -> u16 {
    2
}

fn default_epoch() -> u32 {
    20
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = text_file::read(path, MAX_FILE_BYTES).map_err(|source| ScenarioError::Read {
            path: path.to_owned(),
            source,
        })?;
        let scenario: Self = toml::from_str(&text).map_err(|error| ScenarioError::Malformed {
            path: path.to_owned(),
            message: error.to_string().trim().to_owned(),
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        within("nodes", self.nodes as u64, 1, MAX_NODES as u64)?;
        within("rounds", self.rounds, 1, 100_000)?;
        within("window_ms", self.window_ms.into(), 100, 3_600_000)?;
        within("families", self.families.len() as u64, 1, 64)?;
        let last = self.nodes as u64 - 1;
        let events = self.events.iter();
        let named = events.flat_map(|event| event.kill.iter().chain(&event.start));
        for node in named.chain(&self.absent) {
            within("a node", *node as u64, 0, last)?;
        }
        if let Some(churn) = &self.churn {
            within("churn.every_ms", churn.every_ms, 1, u64::MAX)?;
            within("churn.most", churn.most as u64, 1, last)?;
        }
        Ok(())
    }
}

fn within(key: &'static str, value: u64, min: u64, max: u64) -> Result<(), ScenarioError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ScenarioError::Value {
        key,
        value,
        allowed: format!("from {min} to {max}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Scenario, ScenarioError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenario.toml");
        std::fs::write(&path, text).unwrap();
        Scenario::load(&path)
    }

    const LEAST: &str = "name = 'least'\nnodes = 2\nrounds = 1\nwindow_ms = 500\n";

    #[test]
    fn what_is_left_out_has_a_default() {
        let scenario = load(LEAST).unwrap();
        assert_eq!(scenario.families.len(), 4);
        assert!(scenario.expect.all_decided);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            (
                format!("{LEAST}absent = [2]\n"),
                "`a node` is 2; it must be from 0 to 1",
            ),
            (LEAST.replace("nodes = 2", "nodes = 0"), "`nodes` is 0"),
            (format!("{LEAST}rouns = 1\n"), "rouns"),
            (
                format!("{LEAST}[churn]\nseed = 1\nevery_ms = 5\ndown_ms = 5\nmost = 2\n"),
                "churn.most",
            ),
        ];
        for (text, expected) in cases {
            let error = load(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn shipped_scenarios_can_be_played() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/lab");
        let files = std::fs::read_dir(folder).unwrap();
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
            count += 1;
        }
        assert!(count > 0);
    }
}
