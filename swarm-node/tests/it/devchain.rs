//! The dev chain under connections that never end, at small limits of open files.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::http;

/// How long the chain may take to start, and to answer in the middle of a flood.
const PATIENCE: Duration = Duration::from_secs(30);
const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

/// `chain dev` with a limit of open files; it ends with the value.
pub struct DevChain {
    child: Child,
    pub address: SocketAddr,
}

impl DevChain {
    pub fn start(folder: &Path, open_files: usize) -> Self {
        let script = format!("ulimit -n {open_files}; exec \"$0\" chain dev --port 0 --dir \"$1\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_swarm-node")]).arg(folder);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh starts");
        let begun = Instant::now();
        let address = loop {
            if let Ok(url) = std::fs::read_to_string(folder.join("endpoint")) {
                break url.strip_prefix("http://").unwrap().parse().unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "the dev chain does not start");
            thread::sleep(Duration::from_millis(20));
        };
        Self { child, address }
    }

    fn answers(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if http::post(self.address.port(), CHAIN_ID).is_some_and(|answer| answer.contains("0x7a6a")) {
                return true;
            }
        }
        false
    }

    /// Opens connections, says the same on each, and leaves them open.
    fn flooded(&self, count: usize, said: &[u8]) -> Vec<TcpStream> {
        let mut held = Vec::new();
        for _ in 0..count {
            // Once the system's queue is full, it takes seconds until it refuses: those that got in are enough.
            let Ok(mut stream) = TcpStream::connect_timeout(&self.address, Duration::from_millis(200)) else { break };
            let _ = stream.write_all(said);
            held.push(stream);
        }
        held
    }
}

impl Drop for DevChain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_dev_chain_answers_during_and_after_a_flood_of_unfinished_requests() {
    // With 256 files its own limit of connections holds; with 40 the system refuses before.
    let head = b"POST / HTTP/1.1\r\nX-".as_slice();
    let body = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    for (open_files, said) in [(256, head), (40, head), (40, body)] {
        let folder = tempfile::tempdir().unwrap();
        let chain = DevChain::start(folder.path(), open_files);
        assert!(chain.answers(), "before");
        let held = chain.flooded(300, said);
        assert!(held.len() > 100, "{} connections are no flood", held.len());
        assert!(chain.answers(), "during, {open_files} files");
        drop(held);
        assert!(chain.answers(), "after, {open_files} files");
    }
}
