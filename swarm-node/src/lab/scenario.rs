//! A scenario: nodes, rounds, faults, and what must come of it.
//!
//! ```toml
//! name = "what it shows"
//! nodes = 3                    # members, from 0
//! rounds = 4
//! window_ms = 1500
//! events = [{ round = 1, kill = [2] }, { round = 2, start = [2] }]
//! ```
//! Without more, all nodes are on this machine's loopback. Any of the following puts each into a
//! network namespace of its own, with an emulated network between them:
//!
//! ```toml
//! relay = [0]                  # public nodes that relay for others
//!
//! [links]                      # between each node and the middle of the network, both ways
//! delay_ms = 25                # one way: two nodes are twice that apart
//! mbit = 100                   # megabits a second; 0 for any number
//! loss_percent = 0.5           # of the packets on one link in one direction
//! queue_kib = 256              # what waits for the line; more is dropped
//! seed = 1                     # which packets are lost
//! except = [{ nodes = [2], delay_ms = 100, mbit = 10, loss_percent = 1 }]
//!
//! [[nat]]                      # a router, and who is behind it; all others have public addresses
//! nodes = [1]
//! kind = "cone"                # or "symmetric": another mapping for each destination
//!
//! [[partition]]                # these nodes and the others do not hear each other
//! nodes = [2]
//! round = 1                    # from this round
//! seconds = 60
//!
//! [expect]
//! direct = [[1, 2]]            # connected without a relay at the end, as both say
//! relayed = [[0, 1]]           # connected by a relay only
//! reachability = [{ node = 1, says = "through one relay" }]   # what `status` says, in part
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_task::FamilyId;
use thiserror::Error;

use crate::emulated::link::LinkSettings;
use crate::emulated::nat::NatKind;

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

/// What the link of a node is like, in either direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Links {
    /// Milliseconds that a packet takes one way.
    pub delay_ms: u64,
    /// Megabits a second; 0 for any number.
    pub mbit: u64,
    /// Percent of the packets that are lost.
    pub loss_percent: f32,
    /// Kibibytes that wait for the line.
    pub queue_kib: usize,
    /// Decides which packets are lost.
    pub seed: u64,
    /// Nodes whose links are others.
    pub except: Vec<OtherLink>,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            delay_ms: 0,
            mbit: 0,
            loss_percent: 0.0,
            queue_kib: 256,
            seed: 0,
            except: Vec::new(),
        }
    }
}

/// Nodes whose links differ from the others'; what is left out is as with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherLink {
    /// The nodes.
    pub nodes: Vec<usize>,
    /// See [`Links`].
    pub delay_ms: Option<u64>,
    /// See [`Links`].
    pub mbit: Option<u64>,
    /// See [`Links`].
    pub loss_percent: Option<f32>,
}

/// A router, and who is behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// The nodes behind it.
    pub nodes: Vec<usize>,
    /// How it translates.
    pub kind: NatKind,
}

/// Nodes that do not hear the others for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// The nodes; they hear each other.
    pub nodes: Vec<usize>,
    /// The round at whose beginning it begins.
    pub round: u64,
    /// How long it lasts.
    pub seconds: u64,
}

/// What a node must say of its reachability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reachable {
    /// The node.
    pub node: usize,
    /// A part of what its status says.
    pub says: String,
}

/// What must come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// Every round is decided at every node that runs at the end, with the same digest.
    pub all_decided: bool,
    /// Every node that runs at the end has earned points.
    pub all_score: bool,
    /// Longest time from a round's windows until half of the nodes have it decided, in
    /// milliseconds; 0 for any.
    pub decision_ms: u64,
    /// Nodes that are connected without a relay at the end, as both say.
    pub direct: Vec<[usize; 2]>,
    /// Nodes that are connected at the end, by a relay only.
    pub relayed: Vec<[usize; 2]>,
    /// What nodes say at the end of how others reach them.
    pub reachability: Vec<Reachable>,
}

impl Default for Expected {
    fn default() -> Self {
        Self {
            all_decided: true,
            all_score: true,
            decision_ms: 0,
            direct: Vec::new(),
            relayed: Vec::new(),
            reachability: Vec::new(),
        }
    }
}

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Links of an emulated network.
    #[serde(default)]
    pub links: Option<Links>,
    /// Routers of an emulated network.
    #[serde(default)]
    pub nat: Vec<Router>,
    /// Partitions of an emulated network.
    #[serde(default)]
    pub partition: Vec<Partition>,
    /// Nodes that relay for others, in an emulated network.
    #[serde(default)]
    pub relay: Vec<usize>,
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

    /// True if the nodes are not on loopback, but on a network that is emulated.
    pub fn is_emulated(&self) -> bool {
        let is_plain = self.nat.is_empty() && self.partition.is_empty() && self.relay.is_empty();
        self.links.is_some() || !is_plain
    }

    /// The link of a node on an emulated network.
    pub fn link(&self, node: usize) -> LinkSettings {
        let links = self.links.clone().unwrap_or_default();
        let other = links
            .except
            .iter()
            .find(|other| other.nodes.contains(&node));
        let delay = other
            .and_then(|other| other.delay_ms)
            .unwrap_or(links.delay_ms);
        let mbit = other.and_then(|other| other.mbit).unwrap_or(links.mbit);
        let loss = other
            .and_then(|other| other.loss_percent)
            .unwrap_or(links.loss_percent);
        LinkSettings {
            delay: Duration::from_millis(delay),
            rate: (mbit > 0).then_some(mbit * 1_000_000),
            loss: loss / 100.0,
            queue: links.queue_kib << 10,
        }
    }

    /// Decides which packets are lost on an emulated network.
    pub fn link_seed(&self) -> u64 {
        self.links.as_ref().map_or(0, |links| links.seed)
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
        self.check_network()
    }

    fn check_network(&self) -> Result<(), ScenarioError> {
        let routers = self.nat.iter().flat_map(|router| &router.nodes);
        let parted = self.partition.iter().flat_map(|partition| &partition.nodes);
        let links = self.links.iter().flat_map(|links| &links.except);
        let pairs = self
            .expect
            .direct
            .iter()
            .chain(&self.expect.relayed)
            .flatten();
        let named = routers
            .clone()
            .chain(parted)
            .chain(links.flat_map(|other| &other.nodes))
            .chain(pairs)
            .chain(self.expect.reachability.iter().map(|it| &it.node));
        for node in named {
            within("a node", *node as u64, 0, self.nodes as u64 - 1)?;
        }
        let behind = |node: &usize| routers.clone().filter(|known| *known == node).count() as u64;
        for node in 0..self.nodes {
            within("routers before a node", behind(&node), 0, 1)?;
            let link = self.link(node);
            within("links.delay_ms", link.delay.as_millis() as u64, 0, 60_000)?;
            within("links.mbit", link.rate.unwrap_or(0) / 1_000_000, 0, 100_000)?;
            within("links.loss_percent", (link.loss * 100.0) as u64, 0, 99)?;
            within("links.queue_kib", link.queue as u64 >> 10, 2, 1 << 20)?;
        }
        for node in &self.relay {
            within("relay", *node as u64, 0, self.nodes as u64 - 1)?;
            within("routers before a relay", behind(node), 0, 0)?;
        }
        for partition in &self.partition {
            within("partition.seconds", partition.seconds, 1, 86_400)?;
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
            (
                format!("{LEAST}[links]\nmbits = 5\n"),
                "unknown field `mbits`",
            ),
            (
                format!("{LEAST}[links]\nloss_percent = 101\n"),
                "`links.loss_percent` is 101",
            ),
            (
                format!("{LEAST}[[nat]]\nnodes = [2]\nkind = 'cone'\n"),
                "`a node` is 2",
            ),
            (
                format!("{LEAST}[[nat]]\nnodes = [0]\nkind = 'full'\n"),
                "`cone` or `symmetric`",
            ),
            (
                format!("{LEAST}[[nat]]\nnodes = [0, 0]\nkind = 'cone'\n"),
                "`routers before a node` is 2",
            ),
            (
                format!("{LEAST}relay = [0]\n[[nat]]\nnodes = [0]\nkind = 'cone'\n"),
                "`routers before a relay` is 1",
            ),
            (
                format!("{LEAST}[expect]\ndirect = [[0, 2]]\n"),
                "`a node` is 2",
            ),
        ];
        for (text, expected) in cases {
            let error = load(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_network_is_emulated_only_if_it_is_described() {
        assert!(!load(LEAST).unwrap().is_emulated());
        for network in [
            "[links]",
            "relay = [0]",
            "[[nat]]\nnodes = [1]\nkind = 'symmetric'",
        ] {
            let scenario = load(&format!("{LEAST}{network}\n")).unwrap();
            assert!(scenario.is_emulated(), "{network}");
        }
    }

    #[test]
    fn links_are_those_of_all_but_for_what_differs() {
        let links = "[links]\ndelay_ms = 50\nmbit = 100\nloss_percent = 0.5\n";
        let except = "except = [{ nodes = [1], mbit = 0, loss_percent = 0 }]\n";
        let scenario = load(&format!("{LEAST}{links}{except}")).unwrap();
        let [first, other] = [0, 1].map(|node| scenario.link(node));
        assert_eq!(first.rate, Some(100_000_000));
        assert_eq!((first.loss, first.queue), (0.005, 256 << 10));
        assert_eq!(first.delay, Duration::from_millis(50));
        assert_eq!(
            (other.delay, other.rate, other.loss),
            (first.delay, None, 0.0)
        );
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
