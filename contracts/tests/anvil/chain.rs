//! An anvil process on a free port of this machine, ended with the test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

    /// Kills it and starts it again on the same port.
    pub async fn restart(&mut self, arguments: &[&str]) {
        self.kill();
        self.child = spawn(self.port, arguments);
        self.client().await;
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
    pub async fn request(&self, method: &'static str, parameters: Value) {
        let client = self.client().await;
        let _: Value = client
            .provider()
            .client()
            .request(method, parameters)
            .await
            .unwrap();
    }

    /// Gives an account 1,000 ether.
    pub async fn fund(&self, account: Address) {
        self.request("anvil_setBalance", json!([account, "0x3635c9adc5dea00000"]))
            .await;
    }

    fn kill(&mut self) {
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
