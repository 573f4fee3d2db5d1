//! `swarm-node chain deploy`.

use std::path::PathBuf;

use clap::Args;
use contracts::Address;
use contracts::deploy::{Chain, Deployment, Parameters, deploy};

use super::{connect, watched};
use crate::chain::{account_writer, public_url, signer, wall_clock};
use crate::cli::failure::Failure;
use crate::cli::wallet::{NO_WALLET, unlock};
use crate::config::Config;
use crate::demo::{TOKEN, UNITS_PER_POINT};

const DAY: u64 = 86_400;

/// Deploys the contracts of a private swarm and writes a deployment file.
///
/// Nothing in the contracts can be changed later, and nobody owns them. The wallet of the settings pays.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  SWARM_NODE_WALLET_SECRET=0x... swarm-node chain deploy --chain http://127.0.0.1:8545 my-swarm.toml"
)]
pub(super) struct Deploy {
    /// The deployment file to write.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// URL of the chain's RPC server.
    #[arg(long, value_name = "URL")]
    pub(super) chain: Option<String>,
    /// What people call the swarm's chain.
    #[arg(long, default_value = "private")]
    name: String,
    /// ERC-20 token of stakes and rewards; without it a test token is deployed that anyone may mint.
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
    /// When round 0 begins, in seconds since 1970; default: five minutes from now.
    #[arg(long, value_name = "TIME")]
    genesis: Option<u64>,
    /// Seconds of a round.
    #[arg(long, default_value_t = 600)]
    round_seconds: u64,
    /// Rounds that are settled together.
    #[arg(long, default_value_t = 24)]
    rounds_per_epoch: u64,
    /// Tokens for a million points, one full reward for right answers.
    #[arg(long, default_value_t = 1)]
    reward: u64,
    /// Most tokens that an epoch may pay.
    #[arg(long, default_value_t = 10_000)]
    epoch_cap: u64,
    /// Days between asking for a stake back and getting it.
    #[arg(long, default_value_t = 7)]
    exit_days: u64,
    /// Days in which rewards can be claimed.
    #[arg(long, default_value_t = 30)]
    claim_days: u64,
    /// The one contract that may lock and slash stakes; without it nobody may.
    #[arg(long, value_name = "ADDRESS")]
    slasher: Option<Address>,
}

impl Deploy {
    pub(super) async fn run(
        &self,
        config: &Config,
        environment: &[(String, String)],
        json: bool,
    ) -> Result<(), Failure> {
        let parameters = self.parameters(wall_clock())?;
        if self.file.exists() {
            let file = self.file.display();
            return Err(Failure::Usage(anyhow::anyhow!(
                "{file} exists; name another file, so that no deployment is lost"
            )));
        }
        let wallet = unlock(&config.wallet, environment).map_err(Failure::work)?;
        let wallet = wallet.ok_or_else(|| Failure::Usage(anyhow::anyhow!(NO_WALLET)))?;
        let link = connect(config).await?;
        let writer =
            account_writer(&link, signer(&wallet.secret.to_bytes()).map_err(Failure::work)?).map_err(Failure::work)?;
        eprintln!("deploying from {} on chain {}", wallet.address, link.client.chain_id());
        let now = link.now().await.map_err(Failure::work)?;
        let deploying = deploy(&writer, &parameters, self.token, now);
        let contracts = watched(&writer, deploying, config.chain.wait_s).await?.map_err(Failure::work)?;
        let chain = Chain {
            name: self.name.clone(),
            id: link.client.chain_id(),
            rpc: public_url(&config.chain),
            confirmations: link.confirmations,
            poll_ms: config.chain.poll_ms,
        };
        let deployment = Deployment { chain, parameters, contracts };
        deployment.write(&self.file).map_err(Failure::work)?;
        if deployment.chain.rpc.is_none() {
            let file = self.file.display();
            eprintln!(
                "the chain's URL may carry a key and is not in {file}: give --chain URL to chain status and chain join"
            );
        }
        self.tell(&deployment, json)
    }

    fn tell(&self, deployment: &Deployment, json: bool) -> Result<(), Failure> {
        let contracts = &deployment.contracts;
        if json {
            println!("{}", serde_json::to_string(deployment).map_err(Failure::work)?);
        } else {
            println!("token        {}\nstake        {}", contracts.token, contracts.stake);
            println!("coordinator  {}\nfirst block  {}", contracts.coordinator, contracts.block);
            println!("wrote {}", self.file.display());
        }
        Ok(())
    }

    fn parameters(&self, now: u64) -> Result<Parameters, Failure> {
        let parameters = Parameters {
            genesis: self.genesis.unwrap_or(now + 300),
            round_length: self.round_seconds,
            rounds_per_epoch: self.rounds_per_epoch,
            exit_delay: self.exit_days.saturating_mul(DAY),
            claim_window: self.claim_days.saturating_mul(DAY),
            units_per_point: u128::from(self.reward) * UNITS_PER_POINT,
            epoch_cap: u128::from(self.epoch_cap) * TOKEN,
            slasher: self.slasher.unwrap_or_default(),
        };
        parameters.check(now).map_err(|error| Failure::Usage(error.into()))?;
        Ok(parameters)
    }
}
