//! Peers of a job as processes on loopback.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::node::command;

const PATIENCE: Duration = Duration::from_secs(240);

/// A folder with the file of a job, and folders of its peers.
pub struct Scene {
    folder: tempfile::TempDir,
    command: &'static str,
}

/// A peer's process; killed when it is dropped.
pub struct PeerProcess(Child);

impl Drop for PeerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl PeerProcess {
    pub fn expect_success(mut self) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("a peer does not end");
    }
}

impl Scene {
    /// Of a command for jobs across peers.
    pub fn new(command: &'static str, spec: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("job.toml"), spec).unwrap();
        Self { folder, command }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn spawn(&self, arguments: &[&str], name: &str) -> PeerProcess {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let out = self.text(name);
        let mut command = command(&[self.command], &[]);
        command.args(arguments).args(["--out", &out, "--loopback"]);
        let child = command.stdout(Stdio::null()).stderr(log).spawn();
        PeerProcess(child.unwrap())
    }

    pub fn start(&self, name: &str) -> PeerProcess {
        self.start_with(name, &[])
    }

    pub fn start_with(&self, name: &str, options: &[&str]) -> PeerProcess {
        let job = self.text("job.toml");
        self.spawn(&[&["start", job.as_str()], options].concat(), name)
    }

    pub fn join(&self, address: &str, name: &str) -> PeerProcess {
        self.join_with(address, name, &[])
    }

    pub fn join_with(&self, address: &str, name: &str, options: &[&str]) -> PeerProcess {
        self.spawn(&[&["join", address], options].concat(), name)
    }

    /// Waits until a peer's log has a line with a text, and gives the line.
    pub fn wait_for(&self, name: &str, text: &str) -> String {
        let path = self.path(&format!("{name}.log"));
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("no `{text}` in {}", path.display());
    }

    pub fn address(&self, name: &str) -> String {
        let line = self.wait_for(name, "/quic-v1");
        let words = line.split(' ');
        words
            .into_iter()
            .find(|word| word.ends_with("/quic-v1"))
            .unwrap()
            .to_owned()
    }
}
