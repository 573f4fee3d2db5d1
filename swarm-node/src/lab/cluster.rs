//! The processes of a scenario, each with its folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use swarm_identity::key_file::{KeyFile, KeyFileError};
use swarm_identity::{PeerId, Secret};
use swarm_round::{Agreement, Game, Windows};
use thiserror::Error;

use super::hosts::{Hosts, HostsError};
use super::net::network::Traffic;
use super::scenario::Scenario;
use crate::api::{Client, ClientError};
use crate::node::home::{Home, HomeError};
use crate::node::status::Status;
use crate::node::swarm_file::{MemberLine, MembershipFile, SwarmFile, SwarmFileError, Tasks};
use crate::node::time::wall_clock;

/// Completions of a group: few, so that many processes share few cores.
const GROUP: u8 = 4;
/// Longest completion, in tokens.
const TOKENS: usize = 16;

/// Why processes do not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The system refuses.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// Where they live.
    #[error(transparent)]
    Hosts(#[from] HostsError),
    /// A node's folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A node's key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The swarm.
    #[error(transparent)]
    Swarm(#[from] SwarmFileError),
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> ClusterError {
    let what = what.into();
    move |source| ClusterError::Io { what, source }
}

/// A node of a scenario.
struct Member {
    home: Home,
    peer: PeerId,
    /// Whether it relays for others.
    is_relay: bool,
    process: Option<Child>,
}

/// The processes. Dropped, it kills those that run.
pub struct Cluster {
    program: PathBuf,
    folder: PathBuf,
    swarm: SwarmFile,
    members: Vec<Member>,
    hosts: Hosts,
}

impl Cluster {
    /// Makes folders, keys and the swarm's file below `folder`; `model` is the digest of the
    /// weights that all begin with.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub fn new(
        program: PathBuf,
        folder: &Path,
        scenario: &Scenario,
        model: String,
    ) -> Result<Self, ClusterError> {
        let hosts = Hosts::new(scenario)?;
        let mut members = Vec::with_capacity(scenario.nodes);
        for node in 0..scenario.nodes {
            let path = folder.join(format!("node-{node}"));
            let home = Home::at(path);
            home.create()?;
            let key = KeyFile::open(&home.key(), Secret::random)?;
            let peer = key.key().peer();
            members.push(Member {
                home,
                peer,
                is_relay: scenario.relay.contains(&node),
                process: None,
            });
        }
        let peers: Vec<PeerId> = members.iter().map(|member| member.peer).collect();
        let swarm = swarm_file(scenario, &peers, model);
        swarm.check()?;
        for member in &members {
            let path = member.home.swarm();
            swarm
                .save(&path)
                .map_err(failed(path.display().to_string()))?;
        }
        Ok(Self {
            program,
            folder: folder.to_owned(),
            swarm,
            members,
            hosts,
        })
    }

    /// The swarm.
    pub fn swarm(&self) -> &SwarmFile {
        &self.swarm
    }

    /// The nodes' ids.
    pub fn peers(&self) -> Vec<PeerId> {
        self.members.iter().map(|member| member.peer).collect()
    }

    /// True if the node's process was started and not killed.
    pub fn is_up(&self, node: usize) -> bool {
        self.members[node].process.is_some()
    }

    /// Starts a node, unless it runs. It is told the address of one that runs.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(&mut self, node: usize) -> Result<(), ClusterError> {
        let peers = self.running(node).find_map(|up| self.hosts.address(up));
        let peers = peers.unwrap_or_default();
        let listen = self.hosts.listen(node);
        let log = self.folder.join(format!("node-{node}.log"));
        let member = &mut self.members[node];
        if member.process.is_some() {
            return Ok(());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(failed(log.display().to_string()))?;
        // The file of a killed process names a server that is gone.
        let _ = fs::remove_file(member.home.api());
        let mut command = Command::new(&self.program);
        command
            .args(["up", "--home"])
            .arg(member.home.root())
            .args(["--listen", &listen, "--peer", &peers])
            .args(["--set", "net.mdns=false", "--set", "net.upnp=false"])
            .args(["--set", &format!("net.relay={}", member.is_relay)])
            .args(["--set", "engine.threads=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = self
            .hosts
            .run(node, move || command.spawn())
            .map_err(failed(self.program.display().to_string()))?;
        member.process = Some(child);
        Ok(())
    }

    /// Nodes that run, but for one.
    fn running(&self, but: usize) -> impl Iterator<Item = usize> {
        (0..self.members.len()).filter(move |node| *node != but && self.is_up(*node))
    }

    /// A partition of the network begins; see [`Scenario::partition`].
    pub fn part(&self, partition: usize, nodes: &[usize]) {
        self.hosts.part(partition, nodes);
    }

    /// A partition of the network ends.
    pub fn heal(&self, partition: usize) {
        self.hosts.heal(partition);
    }

    /// What became of the packets of an emulated network.
    pub fn traffic(&self) -> Option<Traffic> {
        self.hosts.traffic()
    }

    /// Kills a node, if it runs, and waits until it is gone.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.members[node].process.take() {
            // A process that has ended by itself is gone, too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The node that ended although nobody killed it, with its exit code.
    pub fn fallen(&mut self) -> Option<(usize, String)> {
        for (node, member) in self.members.iter_mut().enumerate() {
            let ended = member
                .process
                .as_mut()
                .and_then(|child| child.try_wait().ok()?);
            if let Some(status) = ended {
                return Some((node, status.to_string()));
            }
        }
        None
    }

    /// Where a node's log lies.
    pub fn log(&self, node: usize) -> PathBuf {
        self.folder.join(format!("node-{node}.log"))
    }

    /// A node's status, if it answers.
    ///
    /// # Errors
    /// It does not.
    pub fn status(&self, node: usize) -> Result<Status, ClientError> {
        self.ask(node, |client| client.get("/api/status"))
    }

    /// The record of a round that is decided at a node.
    ///
    /// # Errors
    /// It is not decided there, or the node does not answer.
    pub fn record(&self, node: usize, round: u64) -> Result<Vec<u8>, ClientError> {
        self.ask(node, move |client| {
            client.get_bytes(&format!("/api/rounds/{round}"))
        })
    }

    /// Asks a node's local API, which only its own host reaches.
    fn ask<T: Send + 'static>(
        &self,
        node: usize,
        question: impl FnOnce(&Client) -> Result<T, ClientError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let file = self.members[node].home.api();
        self.hosts
            .run(node, move || question(&Client::open(&file)?))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|node| self.kill(node));
    }
}

fn swarm_file(scenario: &Scenario, peers: &[PeerId], model: String) -> SwarmFile {
    let families = &scenario.families;
    let crowd = peers.len().div_ceil(families.len()) * families.len();
    let member = |(node, peer): (usize, &PeerId)| MemberLine {
        peer: *peer,
        families: vec![families[node % families.len()]],
    };
    SwarmFile {
        name: scenario.name.clone(),
        genesis_ms: wall_clock() + scenario.begin_ms,
        model,
        settlement: String::new(),
        bootstrap: Vec::new(),
        tasks: Tasks {
            families: families.clone(),
            difficulty: 0,
        },
        windows: Windows {
            settle_ms: 2 * scenario.window_ms,
            ..Windows::uniform(scenario.window_ms)
        },
        game: Game {
            practice: scenario.practice.saturating_mul(crowd as u16),
            ..Game::of_all(peers.len(), families.len(), GROUP, TOKENS)
        },
        agreement: Agreement {
            rounds_per_epoch: scenario.epoch,
            ..Agreement::default()
        },
        membership: MembershipFile::Roster {
            members: peers.iter().enumerate().map(member).collect(),
        },
    }
}
