//! `swarm-node chain deploy`.

use std::path::{Path, PathBuf};

use clap::Args;
use contracts::Address;
use contracts::deploy::{Chain, Contracts, Deployment, Parameters, VERSION, deploy};
use contracts::writer::Submitted;
use swarm_files::whole::{Access, Reserved};
use swarm_settle::chain::{Link, account_writer, public_url, signer, wall_clock};
use swarm_settle::tokens::TOKEN;

use crate::cli::connection::{connect, watched, with_submitted};
use crate::cli::failure::Failure;
use crate::cli::output::{self, Answer};
use crate::cli::signals::stop_on_signals;
use crate::cli::wallet::{NO_WALLET, unlock};
use crate::config::Config;
use crate::demo::UNITS_PER_POINT;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Room for a deployment file, which has about a kilobyte.
const FILE_BYTES: usize = 4096;

/// Deploys the contracts of a private swarm and writes a deployment file.
///
/// Nothing in the contracts can be changed later, and nobody owns them. The wallet of the settings
/// pays.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  SWARM_NODE_WALLET_SECRET=0x... swarm-node chain deploy --chain \
http://127.0.0.1:8545 my-swarm.toml"
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
    /// ERC-20 token of stakes and rewards; without it a test token is deployed that anyone may
    /// mint.
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
    /// Tokens that all owners together must have at stake when an epoch begins.
    #[arg(long, default_value_t = 100)]
    minimum_stake: u64,
    /// Tokens that the pool pays to whoever brings an epoch's outcome.
    #[arg(long, default_value_t = 1)]
    submitter_fee: u64,
    /// Tokens that who proposes an outcome puts at stake, and who objects to one; default: a
    /// hundredth of --epoch-cap, or what pays for the gas of a dispute if that is more.
    #[arg(long, value_name = "TOKENS")]
    bond: Option<u64>,
    /// What a unit of gas costs at its dearest, in the smallest units of the token: raises the
    /// default of --bond.
    #[arg(long, value_name = "UNITS", default_value_t = 0)]
    gas_units: u64,
    /// Hours after an epoch in which its outcome can be brought.
    #[arg(long, default_value_t = 48)]
    proposal_hours: u64,
    /// Hours after a proposal in which anybody may object.
    #[arg(long, default_value_t = 24)]
    objection_hours: u64,
    /// Hours that each of a dispute's two courts has.
    #[arg(long, default_value_t = 12)]
    court_hours: u64,
    /// Blocks from an objection to the block whose hash draws the court.
    #[arg(long, default_value_t = 8)]
    seed_delay: u64,
    /// Percent of its stake that a liar loses.
    #[arg(long, default_value_t = 10)]
    slash_percent: u16,
    /// Days between asking for a stake back and getting it.
    #[arg(long, default_value_t = 7)]
    exit_days: u64,
    /// Another contract that may lock and slash stakes, such as one for disputes; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    slasher: Vec<Address>,
}

/// The deployment before anything is deployed.
fn draft(config: &Config, link: &Link, name: &str, parameters: &Parameters) -> Deployment {
    let chain = Chain {
        name: name.to_owned(),
        id: link.client.chain_id(),
        rpc: public_url(&config.chain),
        confirmations: link.confirmations,
        poll_ms: config.chain.poll_ms,
    };
    let nowhere = Address::ZERO;
    let contracts = Contracts {
        token: nowhere,
        members: nowhere,
        rewards: nowhere,
        slasher: nowhere,
        block: 0,
    };
    Deployment {
        version: VERSION,
        chain,
        parameters: parameters.clone(),
        contracts,
    }
}

impl Deploy {
    pub(super) async fn run(
        &self,
        config: &Config,
        environment: &[(String, String)],
        json: bool,
    ) -> Result<(), Failure> {
        let parameters = self.parameters(wall_clock())?;
        // Before anything is paid for: where the contracts are must not be lost.
        let place = deployment_place(&self.file)?;
        let wallet = unlock(&config.wallet, environment).map_err(Failure::work)?;
        let wallet = wallet.ok_or_else(|| Failure::Usage(anyhow::anyhow!(NO_WALLET)))?;
        let link = connect(config).await?;
        let writer = account_writer(
            &link,
            signer(&wallet.secret.to_bytes()).map_err(Failure::work)?,
        )
        .map_err(Failure::work)?;
        output::note(&format!(
            "deploying from {} on chain {}",
            wallet.address,
            link.client.chain_id()
        ));
        let now = link.now().await.map_err(Failure::work)?;
        let draft = draft(config, &link, &self.name, &parameters);
        // What TOML cannot hold, such as a chain's id of 64 bits, is refused here too.
        draft.to_text().map_err(Failure::work)?;
        let stop = stop_on_signals()?;
        let mut submitted = Submitted::default();
        let deploying = deploy(
            &link.client,
            &writer,
            &parameters,
            self.token,
            now,
            &mut submitted,
        );
        let deployed = watched(&writer, deploying, config.chain.wait_s, &stop).await;
        let contracts = deployed
            .and_then(|deployed| deployed.map_err(Failure::work))
            .map_err(|failure| {
                with_submitted(
                    failure,
                    &submitted,
                    "a token that is there can be used again with --token ADDRESS",
                )
            })?;
        let deployment = Deployment { contracts, ..draft };
        let text = deployment.to_text().map_err(Failure::work)?;
        place.create(text.as_bytes()).map_err(|error| {
            let file = self.file.display();
            Failure::Work(anyhow::anyhow!(
                "the contracts are deployed, but {file} cannot be written: {error}; write this \
                 into a file:\n{text}"
            ))
        })?;
        if deployment.chain.rpc.is_none() {
            let file = self.file.display();
            output::note(&format!(
                "the chain's URL may carry a key and is not in {file}: give --chain URL to chain \
                 status and chain join"
            ));
        }
        self.tell(&deployment, json)
    }

    fn tell(&self, deployment: &Deployment, json: bool) -> Result<(), Failure> {
        let contracts = &deployment.contracts;
        let file = self.file.display();
        let text = format!(
            "token        {}\nmembers      {}\nrewards      {}\nslasher      {}\nfirst block  {}\nwrote \
             {file}",
            contracts.token,
            contracts.members,
            contracts.rewards,
            contracts.slasher,
            contracts.block
        );
        let json_text = serde_json::to_string(deployment).map_err(Failure::work)?;
        Answer {
            text,
            json: json_text,
            kept: format!("the deployment is in {file}"),
        }
        .print(json)
    }

    fn parameters(&self, now: u64) -> Result<Parameters, Failure> {
        let epoch_cap = tokens(self.epoch_cap);
        let bond = self.bond.map_or_else(
            || Parameters::bond(epoch_cap, self.gas_units.into()),
            tokens,
        );
        let parameters = Parameters {
            genesis: self.genesis.unwrap_or(now + 300),
            round_length: self.round_seconds,
            rounds_per_epoch: self.rounds_per_epoch,
            exit_delay: self.exit_days.saturating_mul(DAY),
            units_per_point: u128::from(self.reward) * UNITS_PER_POINT,
            epoch_cap,
            minimum_stake: tokens(self.minimum_stake),
            submitter_fee: tokens(self.submitter_fee),
            proposal_bond: bond,
            objection_bond: bond,
            proposal_window: self.proposal_hours.saturating_mul(HOUR),
            objection_window: self.objection_hours.saturating_mul(HOUR),
            court_window: self.court_hours.saturating_mul(HOUR),
            seed_delay: self.seed_delay,
            slash_fraction: self.slash_percent.saturating_mul(100),
            slashers: self.slasher.clone(),
        };
        parameters
            .check(now)
            .map_err(|error| Failure::Usage(error.into()))?;
        Ok(parameters)
    }
}

/// The place of a deployment file, which must be free.
pub(in crate::cli) fn deployment_place(path: &Path) -> Result<Reserved, Failure> {
    let file = path.display();
    // A link that leads nowhere is something, too.
    if path.symlink_metadata().is_ok() {
        return Err(Failure::Usage(anyhow::anyhow!(
            "{file} exists; name another file, so that no deployment is lost"
        )));
    }
    Reserved::new(path, Access::Umask, FILE_BYTES).map_err(|error| {
        Failure::Usage(anyhow::anyhow!(
            "{file} cannot be written: {error}; nothing was deployed: name a file in a folder that \
             can be written"
        ))
    })
}

/// Whole tokens in units.
fn tokens(count: u64) -> u128 {
    u128::from(count) * TOKEN
}
