//! `swarm-node up`: runs the node.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use clap::Args;
use contracts::deploy::Deployment;
use signal_hook::consts::SIGTERM;

use super::home::HomeFlag;
use super::log;
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::options::{Options, help};
use crate::cli::output;
use crate::cli::signals::stop_on_signals;
use crate::cli::wallet::unlock;
use crate::job::{Stop, certified};
use crate::node::board::Board;
use crate::node::home::Home;
use crate::node::join::{JoinError, Joining, NodeSettings};
use crate::node::run::Ended;
use crate::node::settling;
use crate::node::status::span;
use crate::node::swarm_file::SwarmFile;
use crate::node::time::wall_clock;

/// Runs the node: makes it if it is not there, tests this machine's arithmetic, joins its swarm and
/// works.
///
/// The first time it needs the swarm's file; a peer's address helps where the file names none and
/// no peer is in the local network. SIGINT (Ctrl-C) and SIGTERM end it with everything kept;
/// `drain` finishes the round first.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct Up {
    #[command(flatten)]
    home: HomeFlag,
    /// File of the swarm to join; it is copied into the node's folder.
    #[arg(long, value_name = "FILE")]
    swarm: Option<PathBuf>,
    /// File of the contracts on which the swarm settles, as `chain deploy` wrote it; it is copied
    /// into the node's folder.
    #[arg(long, value_name = "FILE")]
    deployment: Option<PathBuf>,
    #[arg(long, value_name = "ADDRESS", help = help("net.peers"))]
    peer: Option<String>,
    #[arg(long, value_name = "ADDRESS", help = help("net.listen"))]
    listen: Option<String>,
    #[arg(long, value_name = "ROLE", help = help("node.role"))]
    role: Option<String>,
    /// Ends when standard input closes: with the program that started it.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

const EXAMPLES: &str = "Examples:\n  swarm-node up --swarm friends.toml --peer \
/ip4/192.0.2.7/udp/4001/quic-v1\n  swarm-node up --home /srv/node --listen \
/ip4/0.0.0.0/udp/4001/quic-v1,/ip4/0.0.0.0/tcp/4001\n  swarm-node up --role observer";

impl Up {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let flags = [
            ("--peer", "net.peers", &self.peer),
            ("--listen", "net.listen", &self.listen),
            ("--role", "node.role", &self.role),
        ];
        let (home, config) = self.home.settings(options, &flags, environment.clone())?;
        home.create().map_err(Failure::work)?;
        if let Some(file) = &self.swarm {
            adopt(file, &home)?;
        }
        if let Some(file) = &self.deployment {
            adopt_deployment(file, &home)?;
        }
        let wallet = match home.deployment().exists() {
            true => unlock(&config.wallet, &environment).map_err(Failure::work)?,
            false => None,
        };
        certified(&config.engine, 1)?;
        let settings = NodeSettings {
            node: &config.node,
            net: &config.net,
            learn: &config.learn,
            engine: &config.engine,
            chain: &config.chain,
            wallet: wallet.as_ref().map(|wallet| &wallet.secret),
        };
        let joining = Joining::open(home, settings).map_err(failure)?;
        introduce(&joining);
        log::begin(&config.node, joining.home())?;
        let stop = stop_on_signals()?;
        if self.until_stdin_closes {
            stop_with_stdin(stop.clone())?;
        }
        let ended = live(joining, stop)?;
        match ended {
            Ended::Drained => output::note("the node has ended; `swarm-node up` goes on"),
            Ended::Stopped => output::note("the node was stopped; `swarm-node up` goes on"),
            Ended::DiskFailed(text) => {
                return Err(Failure::Work(anyhow::anyhow!(
                    "{text}; free space in the node's folder and start it again: it goes on where \
                     it stood"
                )));
            }
            Ended::Copy => {
                return Err(Failure::Work(anyhow::anyhow!(
                    "another process, started before this one, signs with this node's key: run \
                     one of them only, or give this one a key of its own with --home DIR; if there is no \
                     other, the key is stolen"
                )));
            }
            Ended::NetworkGone => {
                let text = "the network ended by itself; start the node again";
                return Err(Failure::Work(anyhow::anyhow!(text)));
            }
        }
        Ok(())
    }
}

/// Asks for the end when standard input closes.
fn stop_with_stdin(stop: Stop) -> Result<(), Failure> {
    let wait = move || {
        // Whatever comes is of no interest, and an input that fails has closed, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.request(SIGTERM);
    };
    thread::Builder::new()
        .name("stdin".into())
        .spawn(wait)
        .map_err(Failure::work)?;
    Ok(())
}

fn live(joining: Joining<'_>, stop: Stop) -> Result<Ended, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("node")
        .enable_all()
        .build()
        .map_err(Failure::work)?;
    let board = Board::default();
    let ended = runtime.block_on(joining.run(board, &Console::new(), stop));
    ended.map_err(failure)
}

fn failure(error: JoinError) -> Failure {
    match error.is_usage() {
        true => Failure::Usage(error.into()),
        false => Failure::Work(error.into()),
    }
}

/// Takes the swarm's file into the node's folder. A node belongs to one swarm: what it signed and
/// learned is of that one.
fn adopt(file: &Path, home: &Home) -> Result<(), Failure> {
    let usage = |error: anyhow::Error| Failure::Usage(error);
    let swarm = SwarmFile::load(file).map_err(|error| usage(error.into()))?;
    let kept = home.swarm();
    if kept.exists() {
        let known = SwarmFile::load(&kept).map_err(|error| usage(error.into()))?;
        let id = |file: &SwarmFile| match file.config() {
            Ok(config) => Ok(config.swarm_id()),
            Err(error) => Err(usage(error.into())),
        };
        if id(&known)? != id(&swarm)? {
            return Err(usage(anyhow::anyhow!(
                "the node in {} belongs to the swarm {}; give another folder with --home DIR",
                home.root().display(),
                known.name
            )));
        }
    }
    swarm.save(&kept).map_err(Failure::work)
}

/// Takes the file of the swarm's contracts into the node's folder.
fn adopt_deployment(file: &Path, home: &Home) -> Result<(), Failure> {
    let deployment = Deployment::read(file).map_err(|error| Failure::Usage(error.into()))?;
    settling::save(&deployment, &home.deployment()).map_err(Failure::work)
}

/// Who the node is, whom it joins, and when it begins.
fn introduce(joining: &Joining<'_>) {
    let (key, swarm) = (joining.key(), joining.swarm());
    let new = if key.is_new() { ", new" } else { "" };
    output::note(&format!(
        "node {}{new}, in {}",
        key.key().peer().text(),
        joining.home().root().display()
    ));
    if key.is_new() {
        output::note(&key.backup_hint());
    }
    let now = wall_clock();
    let begins = match swarm.genesis_ms.checked_sub(now) {
        Some(wait) => format!("begins in {}", span(wait)),
        None => format!("began {} ago", span(now - swarm.genesis_ms)),
    };
    let round = span(swarm.windows.round_ms());
    output::note(&format!(
        "swarm {}, rounds of {round}, {begins}; tasks {}",
        swarm.name,
        swarm.tasks.canonical()
    ));
    if let Some(reason) = joining.unpaid() {
        output::warning(&format!("nothing is earned on the chain: {reason}"));
    }
}
