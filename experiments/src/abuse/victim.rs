//! The swarm that is attacked: processes of nodes, one of which is the victim.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use swarm_identity::key_file::KeyFile;
use swarm_identity::{PeerId, Secret};
use swarm_net::Multiaddr;
use swarm_node::api::ApiFile;
use swarm_node::cluster::Cluster;
use swarm_node::job;
use swarm_node::lab::{self, Scenario};
use swarm_node::node::status::Status;
use swarm_round::SwarmConfig;

/// Members whose processes run; the victim is the first.
const RUNNING: usize = 4;
/// The member whose key the equivocator has.
const EQUIVOCATOR: usize = RUNNING;
/// Longest time for anything that is waited for.
const PATIENCE: Duration = Duration::from_secs(180);

/// The swarm.
pub struct Victim {
    cluster: Cluster,
    folder: PathBuf,
    program: PathBuf,
}

/// What attackers know of the victim.
#[derive(Clone)]
pub struct Target {
    /// The swarm.
    pub config: Arc<SwarmConfig>,
    /// Who the victim is.
    pub peer: PeerId,
    /// Where it listens, by TCP and by QUIC.
    pub tcp: Multiaddr,
    pub quic: Multiaddr,
    /// Its local API.
    pub api: SocketAddr,
    /// A member's secret.
    pub member: Secret,
    /// The node's program, and a folder for a new node.
    pub program: PathBuf,
    pub folder: PathBuf,
}

impl Victim {
    /// Starts the processes.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(program: PathBuf, folder: &Path, window_ms: u32) -> Result<Self> {
        let scenario = format!(
            "name = \"abuse\"\nnodes = {}\nrounds = 1\nwindow_ms = {window_ms}\nbegin_ms = 20000\n\
             practice = 1\n",
            RUNNING + 1
        );
        let scenario: Scenario = toml::from_str(&scenario)?;
        let model = const_hex::encode(job::base()?.digest());
        let mut cluster = lab::cluster(&scenario, program.clone(), folder, model)?;
        for node in 0..RUNNING {
            cluster.start(node)?;
        }
        Ok(Self {
            cluster,
            folder: folder.to_owned(),
            program,
        })
    }

    /// Waits until the victim has decided so many rounds.
    ///
    /// # Errors
    /// It takes too long, or a process ended.
    pub fn wait_for_rounds(&mut self, rounds: u64) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.check()?;
            if self.status().is_ok_and(|status| status.decided >= rounds) {
                return Ok(());
            }
            sleep(Duration::from_millis(500));
        }
        bail!(
            "the swarm did not decide {rounds} rounds in time; see {}",
            self.folder.display()
        )
    }

    /// Fails if a process ended by itself.
    ///
    /// # Errors
    /// One did.
    pub fn check(&mut self) -> Result<()> {
        match self.cluster.fallen() {
            None => Ok(()),
            Some((node, how)) => {
                let log = fs::read_to_string(self.cluster.log(node)).unwrap_or_default();
                bail!("node {node} ended ({how}): {log}")
            }
        }
    }

    /// What the victim says of itself.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self) -> Result<Status> {
        Ok(self.cluster.status(0)?)
    }

    fn home(&self, node: usize) -> PathBuf {
        self.folder.join(format!("node-{node}"))
    }

    /// Where the victim's local API is.
    ///
    /// # Errors
    /// It does not run.
    pub fn api(&self) -> Result<ApiFile> {
        Ok(ApiFile::read(&self.home(0).join("api.json"))?)
    }

    /// Where the victim's API says that it is.
    pub fn api_file(&self) -> PathBuf {
        self.home(0).join("api.json")
    }

    /// The swarm's configuration.
    ///
    /// # Errors
    /// Its file is none.
    pub fn config(&self) -> Result<SwarmConfig> {
        Ok(self.cluster.swarm().config()?)
    }

    /// What attackers know.
    ///
    /// # Errors
    /// The victim does not answer.
    pub fn target(&self) -> Result<Target> {
        let listening = self.status()?.listening;
        let at = |part: &str| -> Result<Multiaddr> {
            let found = listening.iter().find(|address| address.contains(part));
            let found = found.with_context(|| format!("no {part} among {listening:?}"))?;
            Ok(found.parse()?)
        };
        let key = KeyFile::open(&self.home(EQUIVOCATOR).join("node.key"), Secret::random)?;
        Ok(Target {
            config: Arc::new(self.config()?),
            peer: self.cluster.peers()[0],
            tcp: at("/tcp/")?,
            quic: at("/quic-v1")?,
            api: self.api()?.address,
            member: key.secret().clone(),
            program: self.program.clone(),
            folder: self.folder.clone(),
        })
    }

    /// Where the victim's log lies.
    pub fn log(&self) -> PathBuf {
        self.cluster.log(0)
    }

    /// Bytes of the victim's log.
    ///
    /// # Errors
    /// The system refuses.
    pub fn log_length(&self) -> Result<usize> {
        Ok(fs::metadata(self.log())?.len() as usize)
    }

    /// Peers banned and contradictions proven since the log had so many bytes.
    ///
    /// # Errors
    /// The system refuses.
    pub fn said_since(&self, bytes: usize) -> Result<(usize, usize)> {
        let log = fs::read_to_string(self.log())?;
        let new = log.get(bytes..).context("the log is shorter than it was")?;
        let banned: BTreeSet<_> = new.lines().filter(|line| line.contains(BANNED)).collect();
        let proven = new.lines().filter(|line| line.contains(CONTRADICTION));
        Ok((banned.len(), proven.count()))
    }
}

/// What the log says of a ban.
pub const BANNED: &str = " is banned: ";
/// What it says of a contradiction.
const CONTRADICTION: &str = "contradict each other";
