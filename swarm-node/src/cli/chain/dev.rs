//! `swarm-node chain dev`.

use std::path::{Path, PathBuf};

use clap::Args;
use swarm_devchain::{DevChain, Opened, Options as DevOptions, dev_accounts};

use crate::cli::failure::Failure;
use crate::cli::output::{self, Answer};
use crate::cli::signals::stop_on_signals;
use crate::job::STOP_POLL;

/// Runs the dev chain and serves it by JSON-RPC on this machine, until it is stopped.
///
/// It is an EVM for trying things out: blocks come with transactions, and its accounts' keys are
/// public.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// Folder of the chain's journal; the same folder goes on where it was.
    #[arg(long, value_name = "DIR", default_value = "runs/devchain")]
    dir: PathBuf,
    /// TCP port on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 8545)]
    port: u16,
}

impl Dev {
    pub(super) fn run(&self, json: bool) -> Result<(), Failure> {
        let options = DevOptions {
            port: self.port,
            ..DevOptions::default()
        };
        match DevChain::open(&self.dir, options).map_err(Failure::work)? {
            Opened::Shared { url } => Err(Failure::Work(anyhow::anyhow!(
                "{} is served already, at {url}; use that, or name another folder with --dir",
                self.dir.display()
            ))),
            Opened::Owner(chain) => serve(&chain, &self.dir, json),
        }
    }
}

/// Says where the chain is and serves it until a signal asks for the end, or its server ends by a
/// fault of its own.
fn serve(chain: &DevChain, folder: &Path, json: bool) -> Result<(), Failure> {
    if let Some(torn) = chain.torn() {
        let kept = torn.kept.display();
        output::warning(&format!(
            "the last run was killed while writing; {} unreadable bytes were moved to {kept}",
            torn.bytes
        ));
    }
    let id = chain.chain_id();
    let url = chain.url().ok_or_else(|| {
        Failure::Work(anyhow::anyhow!(
            "the dev chain has no server; please report this"
        ))
    })?;
    let mut text = format!("dev chain {id} at {url}\n");
    text.push_str(&format!(
        "journal in {}; end it with Ctrl-C, nothing is lost\n",
        folder.display()
    ));
    text.push_str("accounts of 10,000 ether each; everybody knows their private keys:\n");
    for account in dev_accounts() {
        text.push_str(&format!("  {}  {}\n", account.address, account.secret));
    }
    let mut accounts = Vec::new();
    for account in dev_accounts() {
        accounts.push(serde_json::json!({
            "address": account.address.to_string(),
            "secret": account.secret.to_string(),
        }));
    }
    let object = serde_json::json!({ "chain": id, "url": url, "accounts": accounts });
    let stop = stop_on_signals()?;
    Answer {
        text,
        json: object.to_string(),
        kept: String::new(),
    }
    .print(json)?;
    while !stop.is_requested() {
        if !chain.is_served() {
            return Err(Failure::Work(anyhow::anyhow!(
                "the dev chain's server ended; nothing is lost: start it again with the same \
                 --dir, and please report this"
            )));
        }
        std::thread::sleep(STOP_POLL);
    }
    // A server is ended by a signal: that is no failure.
    Ok(())
}
