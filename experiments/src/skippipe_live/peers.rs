//! The processes, each in a namespace with a line of its own.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use swarm_node::emulated::link::LinkSettings;
use swarm_node::emulated::network::{HostSettings, Network};
use swarm_node::hosts::Hosts;
use swarm_settings::PREFIX;

/// Peers.
pub(super) const COUNT: usize = 6;
/// Lines of homes: delay in milliseconds one way, megabits a second up and down. Between two peers
/// lie both of their lines: 10 to 60 ms, and the slower rate.
pub(super) const LINES: [(u64, u64); COUNT] =
    [(5, 50), (10, 20), (20, 10), (15, 25), (25, 16), (30, 40)];
/// Bytes that wait for a line.
const QUEUE: usize = 512 << 10;

/// The processes. Dropped, it kills those that run.
pub(super) struct Peers {
    hosts: Hosts,
    program: PathBuf,
    folder: PathBuf,
    running: Vec<Option<Child>>,
}

impl Peers {
    /// Hosts, and a job that nobody has started yet.
    pub(super) fn new(program: &Path, folder: &Path, job: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("job.toml"), job)?;
        let host = |peer: usize| {
            let (delay, rate) = LINES[peer];
            HostSettings {
                address: address(peer),
                nat: None,
                link: LinkSettings {
                    delay: Duration::from_millis(delay),
                    rate: Some(rate * 1_000_000),
                    loss: 0.0,
                    queue: QUEUE,
                },
            }
        };
        let hosts: Vec<HostSettings> = (0..COUNT).map(host).collect();
        let network = Network::new(&hosts, Vec::new(), 1);
        Ok(Self {
            hosts: Hosts::emulated(hosts, network)?,
            program: program.to_owned(),
            folder: folder.to_owned(),
            running: (0..COUNT).map(|_| None).collect(),
        })
    }

    /// Starts a peer: the first starts the job, the others join it.
    pub(super) fn start(&mut self, peer: usize) -> Result<()> {
        let log = log_of(&self.folder, peer);
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                command.env_remove(name);
            }
        }
        command.arg("pipeline");
        match peer {
            0 => command.arg("start").arg(self.folder.join("job.toml")),
            _ => command.arg("join").arg(listen(0)),
        };
        command
            .arg("--out")
            .arg(folder_of(&self.folder, peer))
            .args(["--listen", &listen(peer), "--set", "engine.threads=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = self.hosts.run(peer, move || command.spawn());
        self.running[peer] = Some(child.context("a peer does not start")?);
        Ok(())
    }

    /// Kills a peer (SIGKILL).
    pub(super) fn kill(&mut self, peer: usize) {
        if let Some(mut child) = self.running[peer].take() {
            // One that has ended by itself is gone, too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until a peer's log has a text.
    pub(super) fn wait_for(&mut self, peer: usize, text: &str, patience: Duration) -> Result<()> {
        let path = log_of(&self.folder, peer);
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if fs::read_to_string(&path)?.contains(text) {
                return Ok(());
            }
            self.look()?;
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!(
            "no `{text}` in {}:\n{}",
            path.display(),
            fs::read_to_string(&path)?
        )
    }

    /// Whether all have ended, and well.
    pub(super) fn are_done(&mut self) -> Result<bool> {
        self.look()?;
        Ok(self.running.iter().all(Option::is_none))
    }

    /// Takes in processes that have ended; one that failed is an error.
    fn look(&mut self) -> Result<()> {
        for (peer, child) in self.running.iter_mut().enumerate() {
            let Some(status) = child.as_mut().map(Child::try_wait).transpose()?.flatten() else {
                continue;
            };
            let log = fs::read_to_string(log_of(&self.folder, peer))?;
            ensure!(status.success(), "peer {peer} ended ({status}):\n{log}");
            *child = None;
        }
        Ok(())
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        (0..COUNT).for_each(|peer| self.kill(peer));
    }
}

fn address(peer: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, peer as u8 + 1)
}

fn listen(peer: usize) -> String {
    format!("/ip4/{}/udp/4001/quic-v1", address(peer))
}

fn folder_of(folder: &Path, peer: usize) -> PathBuf {
    folder.join(format!("peer-{peer}"))
}

/// Where a peer's log lies.
pub(super) fn log_of(folder: &Path, peer: usize) -> PathBuf {
    folder.join(format!("peer-{peer}.log"))
}

/// The lines, for people.
pub(super) fn lines() -> String {
    let line = |(peer, (delay, rate)): (usize, &(u64, u64))| {
        format!("peer {peer}: {delay} ms, {rate} Mbit/s")
    };
    let lines: Vec<String> = LINES.iter().enumerate().map(line).collect();
    format!("lines        {}", lines.join("; "))
}

/// What `pipeline replay` says of the first peer's folder.
pub(super) fn replay(program: &Path, folder: &Path) -> Result<String> {
    let output = Command::new(program)
        .args(["pipeline", "replay"])
        .arg(folder_of(folder, 0))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the transcript is not what was computed ({}): {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said.trim().to_owned())
}
