//! `swarm-node chain dev`.

use std::path::{Path, PathBuf};

use clap::Args;
use contracts::devchain::{DevChain, Opened, Options as DevOptions, dev_accounts};

use crate::cli::failure::Failure;

/// Runs the dev chain and serves it by JSON-RPC on this machine, until it is stopped.
///
/// It is an EVM for trying things out: blocks come with transactions, and its accounts' keys are public.
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
    pub(super) fn run(&self) -> Result<(), Failure> {
        let options = DevOptions { port: self.port, ..DevOptions::default() };
        match DevChain::open(&self.dir, options).map_err(Failure::work)? {
            Opened::Shared { url } => Err(Failure::Work(anyhow::anyhow!(
                "{} is served already, at {url}; use that, or name another folder with --dir",
                self.dir.display()
            ))),
            Opened::Owner(chain) => Err(serve(&chain, &self.dir)),
        }
    }
}

/// Says where the chain is and waits for the end of the process, or of its server.
fn serve(chain: &DevChain, folder: &Path) -> Failure {
    if let Some(torn) = chain.torn() {
        let kept = torn.kept.display();
        eprintln!(
            "warning: the last run was killed while writing; {} unreadable bytes were moved to {kept}",
            torn.bytes
        );
    }
    println!("dev chain {} at {}", chain.chain_id(), chain.url().unwrap_or("nowhere"));
    println!("journal in {}; end it with Ctrl-C, nothing is lost", folder.display());
    println!("accounts with public keys, 10,000 ether each:");
    for account in dev_accounts() {
        println!("  {}  {}", account.address, account.secret);
    }
    chain.wait();
    Failure::Work(anyhow::anyhow!(
        "the dev chain's server ended; nothing is lost: start it again with the same --dir, and please report this"
    ))
}
