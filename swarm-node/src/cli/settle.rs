//! `swarm-node settle`: the rewards of a demo whose process has ended.

use std::path::PathBuf;

use clap::Args;
use swarm_settle::chain::Endpoint;

use super::console::Console;
use super::demo::{pending, unsettled};
use super::failure::Failure;
use super::options::Options;
use super::output::Answer;
use super::signals::stop_on_signals;
use super::wallet::{NO_WALLET, unlock};
use crate::config::Config;
use crate::demo::{self, RewardSummary, SettleError};

/// Settles what a demo on a lasting chain has left pending: makes outcomes final and claims
/// rewards.
///
/// A demo keeps what is needed below runs/demo and says so when something is pending: the chain was
/// away, the wallet was empty, or the process was ended. Settling again what is settled changes
/// nothing.
#[derive(Debug, Args)]
pub(super) struct Settle {
    /// The run's folder, runs/demo/0x...
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// URL of the chain's RPC server; default: the run's. Needed where the run has kept none, as it
    /// may carry a key.
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
}

impl Settle {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let flags = [("--chain", "chain.endpoint", &self.chain)];
        let config = options
            .settings(&flags, environment.clone())?
            .config::<Config>()?;
        if self.chain.is_some() {
            // A mistyped URL is wrong usage, not a chain that is away.
            Endpoint::of(&config.chain)?;
        }
        let wallet = unlock(&config.wallet, &environment).map_err(Failure::work)?;
        let wallet = wallet.ok_or_else(|| Failure::Usage(anyhow::anyhow!(NO_WALLET)))?;
        let stop = stop_on_signals()?;
        let elsewhere = self.chain.as_deref();
        let report = demo::settle(
            &self.folder,
            &config.chain,
            elsewhere,
            &wallet.secret,
            &Console::new(),
            &stop,
        );
        let report = report.map_err(|error| match error {
            SettleError::NoUrl(_) => Failure::Usage(error.into()),
            _ => Failure::work(error),
        })?;
        let json = serde_json::to_string(&RewardSummary::from(&report)).map_err(Failure::work)?;
        let kept = format!("it is on the chain, and in {}", self.folder.display());
        Answer {
            text: demo::render_rewards(&report),
            json,
            kept,
        }
        .print(options.json)?;
        match stop.signal() {
            _ if report.is_settled() => Ok(()),
            Some(signal) => Err(Failure::Stopped {
                signal,
                state: pending(&report),
            }),
            None => Err(unsettled(&report)),
        }
    }
}
