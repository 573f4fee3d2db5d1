//! An anvil process on a free port of this machine, ended with the test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use alloy::providers::Provider;
use contracts::client::{Client, RpcUrl};
use serde_json::{Value, json};

/// The chain id of anvil.
pub const CHAIN_ID: u64 = 31_337;
const ANVIL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
);

/// Half of the time between two blocks where a test sets `--block-time 1`.
const HALF_A_BLOCK: Duration = Duration::from_millis(500);

/// A running anvil.
pub struct Anvil {
    child: Child,
    port: u16,
    url: String,
}

impl Anvil {
    /// Starts anvil; `None` if there is none on this machine.
    pub async fn start(arguments: &[&str]) -> Option<Self> {
        if !Path::new(ANVIL).exists() {
            eprintln!("skipped: no anvil; `npm ci` in contracts/ installs it");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let anvil = Self {
            child: spawn(port, arguments),
            port,
            url: format!("http://127.0.0.1:{port}"),
        };
        anvil.client().await;
        Some(anvil)
    }

    /// Starts it again on the same port after [`Anvil::kill`], with a state that was taken before.
    pub async fn resume(&mut self, arguments: &[&str], state: Value) {
        self.child = spawn(self.port, arguments);
        self.request("anvil_loadState", json!([state])).await;
    }

    /// Its accounts, blocks and receipts at one block.
    ///
    /// It writes down accounts and blocks one after the other, so a state that is taken while a
    /// block is mined (as `--state-interval` does) holds transactions without receipts. This one is
    /// taken when the next block is just mined.
    pub async fn state(&self) -> Value {
        let client = self.client().await;
        loop {
            let head = client.head().await.unwrap();
            while client.head().await.unwrap().hash == head.hash {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let mined = Instant::now();
            let state = self.request("anvil_dumpState", json!([])).await;
            if mined.elapsed() < HALF_A_BLOCK {
                return state;
            }
        }
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection, once it answers.
    pub async fn client(&self) -> Client {
        for _ in 0..600 {
            if let Ok(client) = Client::connect(&RpcUrl::parse(&self.url).unwrap(), CHAIN_ID).await
            {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("anvil does not answer");
    }

    /// A request beyond the standard ones.
    pub async fn request(&self, method: &'static str, parameters: Value) -> Value {
        let client = self.client().await;
        let request = client.provider().client().request(method, parameters);
        request.await.unwrap()
    }

    /// Gives an account 1,000 ether.
    pub async fn fund(&self, account: Address) {
        self.request("anvil_setBalance", json!([account, "0x3635c9adc5dea00000"]))
            .await;
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, arguments: &[&str]) -> Child {
    let mut command = Command::new(ANVIL);
    command
        .args(["--silent", "--port", &port.to_string()])
        .args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
