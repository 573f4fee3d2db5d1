//! Nodes of one swarm as processes of this program, each with its folder, for `demo` and `lab`.
//!
//! Each is told its settings by flags and its secrets by its environment, from which this process's
//! own settings are taken out. A node ends when this process does, however that ends: its standard
//! input is a pipe that closes then.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use swarm_identity::key_file::{KeyFile, KeyFileError};
use swarm_identity::{PeerId, Secret};
use swarm_round::DecidedRound;
use swarm_settings::PREFIX;
use thiserror::Error;

use crate::api::{Client, ClientError};
use crate::emulated::network::Traffic;
use crate::hosts::{Hosts, HostsError};
use crate::job::STOP_POLL;
use crate::node::control::{Control, Mode};
use crate::node::home::{Home, HomeError};
use crate::node::round_file::{self, RoundFileError};
use crate::node::status::Status;
use crate::node::swarm_file::{SwarmFile, SwarmFileError};

/// How long a node may take to end.
const GRACE: Duration = Duration::from_secs(10);

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

/// A node that is to be.
pub struct Seat {
    /// Its folder.
    pub home: Home,
    /// Its key, if the folder has none.
    pub secret: Secret,
    /// Settings, as `--set` takes them.
    pub settings: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

impl Seat {
    /// A node with a random key in a folder.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn random(root: PathBuf) -> Result<Self, ClusterError> {
        Ok(Self {
            home: Home::at(root),
            secret: Secret::random().map_err(failed("there is no randomness"))?,
            settings: Vec::new(),
            environment: Vec::new(),
        })
    }
}

/// A node.
struct ClusterMember {
    home: Home,
    peer: PeerId,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    process: Option<Child>,
}

/// The processes. Dropped, it kills those that run.
pub struct Cluster {
    program: PathBuf,
    swarm: SwarmFile,
    members: Vec<ClusterMember>,
    hosts: Hosts,
}

impl Cluster {
    /// Makes folders and keys, and puts the file of the swarm into each folder, which `swarm` makes
    /// of the nodes' ids. All are on this machine's loopback.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub fn new(
        program: PathBuf,
        seats: Vec<Seat>,
        swarm: impl FnOnce(&[PeerId]) -> SwarmFile,
    ) -> Result<Self, ClusterError> {
        let hosts = Hosts::loopback(seats.len())?;
        Self::on(hosts, program, seats, swarm)
    }

    /// The same on these hosts, one for each seat.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub fn on(
        hosts: Hosts,
        program: PathBuf,
        seats: Vec<Seat>,
        swarm: impl FnOnce(&[PeerId]) -> SwarmFile,
    ) -> Result<Self, ClusterError> {
        let members: Result<Vec<ClusterMember>, _> =
            seats.into_iter().map(ClusterMember::new).collect();
        let members = members?;
        let peers: Vec<PeerId> = members.iter().map(|member| member.peer).collect();
        let swarm = swarm(&peers);
        swarm.check()?;
        for member in &members {
            let path = member.home.swarm();
            swarm
                .save(&path)
                .map_err(failed(path.display().to_string()))?;
        }
        Ok(Self {
            program,
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
        let log = self.log(node);
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
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                command.env_remove(name);
            }
        }
        // A key that interrupts this process is not for its nodes: it ends them itself.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let settings = member.settings.iter().flat_map(|it| ["--set", it]);
        command
            .args(["up", "--until-stdin-closes", "--home"])
            .arg(member.home.root())
            .args(["--listen", &listen, "--peer", &peers])
            .args(["--set", "net.mdns=false", "--set", "net.upnp=false"])
            .args(settings)
            .envs(member.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
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

    /// From here on nothing passes between these nodes and all others; see [`Hosts::part`].
    pub fn part(&self, partition: usize, nodes: &[usize]) {
        self.hosts.part(partition, nodes);
    }

    /// A partition ends.
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
        self.members[node].home.root().join("log.txt")
    }

    /// A node's folder.
    pub fn home(&self, node: usize) -> &Home {
        &self.members[node].home
    }

    /// Tells a node what its owner wants.
    ///
    /// # Errors
    /// It does not answer.
    pub fn control(&self, node: usize, wish: Control) -> Result<Mode, ClientError> {
        self.ask(node, move |client| client.post("/api/control", &wish))
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

    /// Checks the rounds below `end` that are decided at a node, as many as there are, and gives
    /// them to `each` in their order.
    ///
    /// # Errors
    /// One of them proves nothing, there is none, or the node does not answer.
    pub fn verify(
        &self,
        node: usize,
        end: u64,
        each: impl FnMut(&DecidedRound),
    ) -> Result<(), RoundFileError> {
        let mut records = Vec::new();
        for round in 0..end {
            match self.record(node, round) {
                Ok(record) => records.push(record),
                // It is not decided there.
                Err(ClientError::Refused(_)) => break,
                Err(error) => return Err(io::Error::other(error).into()),
            }
        }
        let mut file = Vec::new();
        round_file::write(&mut file, &self.swarm.config()?.swarm_id(), records)?;
        round_file::verify(&file[..], &self.swarm, each)
    }

    /// Ends all nodes, with everything on disk; one that takes longer than ten seconds is
    /// killed.
    pub fn end(&mut self) {
        for member in &mut self.members {
            let input = member.process.as_mut().and_then(|child| child.stdin.take());
            drop(input);
        }
        let begun = Instant::now();
        for node in 0..self.members.len() {
            let member = &mut self.members[node];
            while let Some(child) = &mut member.process
                && matches!(child.try_wait(), Ok(None))
                && begun.elapsed() < GRACE
            {
                thread::sleep(STOP_POLL);
            }
            self.kill(node);
        }
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

impl ClusterMember {
    fn new(seat: Seat) -> Result<Self, ClusterError> {
        let Seat {
            home,
            secret,
            settings,
            environment,
        } = seat;
        home.create()?;
        let peer = KeyFile::open(&home.key(), || Ok(secret))?.key().peer();
        Ok(Self {
            home,
            peer,
            settings,
            environment,
            process: None,
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|node| self.kill(node));
    }
}
