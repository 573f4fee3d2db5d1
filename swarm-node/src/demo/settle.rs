//! The rewards of a demo, settled after its process has ended.

use std::path::{Path, PathBuf};

use swarm_identity::Secret;
use swarm_identity::key::KeyError;
use swarm_round::sim::simulated_key;
use swarm_settle::chain::ChainConfig;
use swarm_settle::chain::Endpoint;
use thiserror::Error;

use super::rewards::{DemoKeys, RewardReport, RewardSettlement, RunError, RunFile};
use crate::config::MAX_PEERS;
use crate::job::{Progress, Stop};

/// Why a run cannot be settled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettleError {
    /// The folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A derived key.
    #[error("{0}; the run's seed is damaged")]
    Key(#[from] KeyError),
    /// More peers than a demo has.
    #[error("run.toml names {0} peers; a demo has at most {MAX_PEERS}")]
    Peers(usize),
    /// Somebody else's run.
    #[error("this run was paid by {paid}, and the wallet is {wallet}; take the wallet that paid")]
    Wallet {
        /// The account of the run.
        paid: String,
        /// The account of the wallet.
        wallet: String,
    },
    /// The run does not say where its chain is.
    #[error(
        "run.toml in {0} does not say where its chain is, as the URL may carry a key; give it \
         again with --chain URL or SWARM_NODE_CHAIN_ENDPOINT"
    )]
    NoUrl(PathBuf),
    /// The thread that settles.
    #[error("the thread that settles rewards did not start: {0}")]
    Thread(#[from] std::io::Error),
}

/// Settles what the demo in `folder` has left, on the chain that it used: at the URL in
/// `elsewhere`, else at the one that the run has kept, else at the one of the settings. A request
/// to stop leaves the rest pending.
///
/// # Errors
/// [`SettleError`]. What goes wrong with the chain is no error but part of the report.
pub fn settle(
    folder: &Path,
    chain: &ChainConfig,
    elsewhere: Option<&str>,
    wallet: &Secret,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<RewardReport, SettleError> {
    let run = RunFile::read(folder)?;
    if run.peers > MAX_PEERS {
        return Err(SettleError::Peers(run.peers));
    }
    let nodes = (0..run.peers)
        .map(|peer| simulated_key(run.seed, peer))
        .collect::<Result<_, _>>()?;
    let keys = DemoKeys::new(&wallet.to_bytes(), run.seed, nodes)?;
    let (paid, wallet) = (run.funder, keys.funder.address());
    if paid != wallet {
        return Err(SettleError::Wallet {
            paid: paid.to_string(),
            wallet: wallet.to_string(),
        });
    }
    let endpoint = match elsewhere.or(run.endpoint.as_deref()) {
        Some(url) => url.into(),
        None if matches!(Endpoint::of(chain), Ok(Endpoint::Url(_))) => chain.endpoint.clone(),
        None => return Err(SettleError::NoUrl(folder.to_owned())),
    };
    let chain = ChainConfig {
        endpoint,
        id: run.chain,
        ..chain.clone()
    };
    Ok(RewardSettlement::resume(chain, keys, run, folder.to_owned())?.finish(progress, stop, true))
}
