//! `swarm-node demo`: a whole swarm on this machine.

use clap::Args;
use swarm_settle::chain::Endpoint;
use swarm_settle::wallet::WalletConfig;

use super::console::Console;
use super::failure::Failure;
use super::options::{Options, help};
use super::output::Answer;
use super::signals::stop_on_signals;
use super::wallet::{NO_WALLET, unlock};
use crate::config::{Config, path};
use crate::demo::{self, DemoError, Funder, Mode, RewardReport};
use crate::job::{Model, certified};

/// Runs a whole swarm on this machine and shows what it learned.
///
/// Four peers, each a process of its own, find each other over the network of this machine and
/// start from one base model. Each practises one family of tasks; they share answers, criticise and
/// decide, and train on what they exchange. Beside them learn peers alone: some that generate as
/// much, and generalists that generate four times as much. Scores are settled as rewards on a
/// chain, by default on a dev chain inside this process. Ends with held-out scores, percent of
/// questions that were never trained on, and with what each peer earned. Takes five to six minutes
/// on two cores, half of it with --simulate, and less without controls (--set demo.controls=0).
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Demo {
    /// Runs on virtual time in this process: the same settings and seed give the same digests.
    #[arg(long)]
    simulate: bool,
    #[arg(long, value_name = "S", help = help("demo.seed"))]
    seed: Option<String>,
    #[arg(long, value_name = "N", help = help("demo.peers"))]
    peers: Option<String>,
    #[arg(long, value_name = "N", help = help("demo.rounds"))]
    rounds: Option<String>,
    #[arg(long, value_name = "FILE", help = help("demo.base"))]
    base: Option<String>,
    #[arg(long, value_name = "WHERE", help = help("chain.endpoint"))]
    chain: Option<String>,
}

const EXAMPLES: &str = "Examples:\n  swarm-node demo\n  swarm-node demo --simulate --seed 2 \
--json\n  swarm-node demo --rounds 10 \
--set demo.questions=8\n  swarm-node demo --threads 1 --isa avx2\n  swarm-node demo --chain \
http://127.0.0.1:8545   \
(a wallet pays: SWARM_NODE_WALLET_SECRET or --set wallet.file=...)";

impl Demo {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let flags = [
            ("--seed", "demo.seed", &self.seed),
            ("--peers", "demo.peers", &self.peers),
            ("--rounds", "demo.rounds", &self.rounds),
            ("--base", "demo.base", &self.base),
            ("--chain", "chain.endpoint", &self.chain),
        ];
        let config = options
            .settings(&flags, environment.clone())?
            .config::<Config>()?;
        let endpoint = Endpoint::of(&config.chain)?;
        let funder = funder(&endpoint, &config.wallet, &environment);
        certified(&config.engine, 1)?;
        let console = Console::new();
        let base = Model::load(path(&config.demo.base), &console).map_err(Failure::work)?;
        let stop = stop_on_signals()?;
        let mode = match self.simulate || config.demo.rounds == 0 {
            true => Mode::Simulated,
            false => Mode::Processes,
        };
        let report = match demo::run(&config, base, &funder, mode, &console, &stop) {
            Err(DemoError::Stopped { signal, rewards }) => {
                return Err(Failure::Stopped {
                    signal,
                    state: pending(&rewards),
                });
            }
            ended => ended.map_err(Failure::work)?,
        };
        let json = serde_json::to_string(&report.summary()).map_err(Failure::work)?;
        let kept = report
            .rewards
            .folder
            .as_ref()
            .map(|folder| format!("its rewards are in {}", folder.display()));
        Answer {
            text: demo::render(&report),
            json,
            kept: kept.unwrap_or_default(),
        }
        .print(options.json)?;
        match stop.signal() {
            _ if report.rewards.is_settled() || endpoint == Endpoint::None => Ok(()),
            Some(signal) => Err(Failure::Stopped {
                signal,
                state: pending(&report.rewards),
            }),
            None => Err(unsettled(&report.rewards)),
        }
    }
}

/// Who pays. A wallet that cannot be used is no reason not to learn.
fn funder(endpoint: &Endpoint, wallet: &WalletConfig, environment: &[(String, String)]) -> Funder {
    match endpoint {
        Endpoint::Embedded => Funder::Dev,
        Endpoint::None => Funder::Nobody("no chain is set".into()),
        Endpoint::Url(_) => match unlock(wallet, environment) {
            Ok(Some(wallet)) => Funder::Secret(wallet.secret),
            Ok(None) => Funder::Nobody(NO_WALLET.into()),
            Err(error) => Funder::Nobody(error.to_string()),
        },
    }
}

/// Not everything that was asked for has happened.
pub(super) fn unsettled(rewards: &RewardReport) -> Failure {
    let reason = rewards
        .trouble
        .as_deref()
        .unwrap_or("the balances differ from what was earned");
    let later = rewards.later().map(|later| format!("; later: {later}"));
    Failure::Work(anyhow::anyhow!(
        "not all rewards are settled: {reason}{}",
        later.unwrap_or_default()
    ))
}

/// What a run that was stopped leaves, and how to go on.
pub(super) fn pending(rewards: &RewardReport) -> String {
    match rewards.later() {
        Some(later) => format!("what is pending of its rewards is kept; later: {later}"),
        None => {
            "nothing is pending on a chain; the same command plays the same rounds from the start"
                .into()
        }
    }
}
