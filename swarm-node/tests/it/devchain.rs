//! `swarm-node chain dev` as a process of its own: a chain that lasts longer than the commands that
//! use it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swarm_devchain::dev_accounts;

use crate::node::command;

/// A running dev chain, which ends with the value.
pub struct DevChain {
    child: Child,
    port: u16,
}

impl DevChain {
    /// Serves the chain of a folder at any free port.
    pub fn start(folder: &Path) -> Self {
        let mut command = command(&["chain", "dev", "--json", "--port", "0", "--dir"], &[]);
        command.arg(folder);
        Self::spawn(command)
    }

    /// The same with a limit of open files.
    pub fn limited(folder: &Path, open_files: usize) -> Self {
        let script =
            format!("ulimit -n {open_files}; exec \"$0\" chain dev --json --port 0 --dir \"$1\"");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_swarm-node")])
            .arg(folder);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output is a pipe");
        BufReader::new(out)
            .read_line(&mut line)
            .expect("it says where it is");
        let said: Value = serde_json::from_str(&line).expect("one line of JSON");
        let url = said["url"].as_str().expect("a URL");
        let port = url
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port");
        Self { child, port }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its address and port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// The result of a request.
    pub fn ask(&self, method: &str, parameters: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let answer = crate::http::post(self.port, &request.to_string()).expect("an answer");
        serde_json::from_str::<Value>(&answer).expect("JSON")["result"].clone()
    }

    /// Waits until the first account has sent so many transactions.
    pub fn wait_for_transactions(&self, count: u64) {
        let begun = Instant::now();
        while self.account()[1] != format!("{count:#x}") {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{:?}",
                self.account()
            );
            thread::sleep(Duration::from_millis(20));
        }
        // Until a command that looks every 10 ms has seen it.
        thread::sleep(Duration::from_millis(500));
    }

    /// What the first account holds, and how many transactions it has sent.
    pub fn account(&self) -> [Value; 2] {
        let address = dev_accounts()[0].address.to_string();
        ["eth_getBalance", "eth_getTransactionCount"]
            .map(|method| self.ask(method, json!([address, "latest"])))
    }
}

impl Drop for DevChain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Secret of the first account; everybody knows it.
pub fn secret() -> String {
    dev_accounts()[0].secret.to_string()
}
