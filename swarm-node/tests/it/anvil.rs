//! A real chain beside the tests: anvil, from `contracts/node_modules`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Secret of anvil's first account; everybody knows it.
pub const SECRET: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// How long anvil may take to answer after its start.
const START: Duration = Duration::from_secs(20);

/// A running anvil, which ends with the value.
pub struct Anvil {
    child: Child,
    port: u16,
    arguments: Vec<String>,
}

/// The program, where `npm ci` in `contracts/` has put it.
fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil")
}

/// True if anvil is there; says so otherwise.
pub fn is_installed() -> bool {
    let installed = program().exists();
    if !installed {
        println!("skipped: anvil is absent; `npm ci` in contracts/ installs it");
    }
    installed
}

/// A port that was free a moment ago, and that no other test is given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let free = || TcpListener::bind("127.0.0.1:0")?.local_addr();
    loop {
        let port = free().expect("a free port").port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

impl Anvil {
    /// Starts a chain with these extra arguments and waits until it answers.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(free_port(), arguments)
    }

    /// Starts a chain on this port.
    pub fn start_at(port: u16, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let anvil = Self {
            child: spawn(port, &arguments),
            port,
            arguments,
        };
        anvil.wait();
        anvil
    }

    fn wait(&self) {
        let begun = Instant::now();
        while self.ask("eth_chainId", json!([])).is_none() {
            assert!(begun.elapsed() < START, "anvil does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The result of a request, if there is one.
    pub fn ask(&self, method: &str, parameters: Value) -> Option<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let answer = crate::http::post(self.port, &request.to_string())?;
        serde_json::from_str::<Value>(&answer)
            .ok()?
            .get("result")
            .cloned()
    }

    /// Ends the chain as an operator would; with `--state` it writes down what it knows.
    pub fn stop(&mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.arguments);
        self.wait();
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, arguments: &[String]) -> Child {
    let mut command = Command::new(program());
    command
        .args([
            "--host",
            "127.0.0.1",
            "--silent",
            "--port",
            &port.to_string(),
        ])
        .args(arguments);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("anvil starts")
}
