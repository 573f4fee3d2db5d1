//! `swarm-node job deploy`.

use std::path::PathBuf;

use clap::Args;
use contracts::bindings::TestToken;
use contracts::jobs::{JobContracts, JobDeployment, JobParameters, VERSION, deploy};
use contracts::writer::{Intent, IntentId, Submitted};
use contracts::{Address, deploy as deployment};
use swarm_settle::chain::public_url;
use swarm_settle::tokens::TOKEN;

use super::market::runtime;
use crate::cli::account::Account;
use crate::cli::chain::deployment_place;
use crate::cli::connection::{settings, watched, with_submitted};
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, Answer};
use crate::cli::signals::stop_on_signals;
use crate::config::Config;

const HOUR: u64 = 3_600;

/// Deploys the contracts of jobs, their money and their disputes, and writes a deployment file.
///
/// Nothing in the contracts can be changed later, and nobody owns them. The wallet of the settings
/// pays.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  SWARM_NODE_WALLET_SECRET=0x... swarm-node job deploy --chain \
http://127.0.0.1:8545 jobs.toml"
)]
pub(super) struct Deploy {
    /// The deployment file to write.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// URL of the chain's RPC server.
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
    /// What people call the chain.
    #[arg(long, default_value = "private")]
    name: String,
    /// ERC-20 token of rewards and bonds; without it a test token is deployed that anyone may mint.
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
    /// Seconds from the acceptance of a job to its worker's sealed claim.
    #[arg(long, value_name = "SECONDS", default_value_t = 24 * HOUR)]
    work_window: u64,
    /// Seconds after that in which verifiers can seal what they found.
    #[arg(long, value_name = "SECONDS", default_value_t = HOUR)]
    seal_window: u64,
    /// Seconds after that in which the worker must commit to what it sealed.
    #[arg(long, value_name = "SECONDS", default_value_t = 4 * HOUR)]
    reveal_window: u64,
    /// Seconds after that in which disputes can begin; at least as long as --work-window.
    #[arg(long, value_name = "SECONDS", default_value_t = 48 * HOUR)]
    challenge_window: u64,
    /// Seconds that each side of a dispute has for all of its moves.
    #[arg(long, value_name = "SECONDS", default_value_t = (12 * HOUR) as u32)]
    clock: u32,
    /// Tokens that a worker puts at stake at least; twice what a challenger does, at least.
    #[arg(long, value_name = "TOKENS", default_value_t = 20)]
    worker_bond: u64,
    /// Tokens that a challenger puts at stake at least. It pays a right worker for its moves: at
    /// least 1.25 times the gas of the longest dispute at its dearest.
    #[arg(long, value_name = "TOKENS", default_value_t = 5)]
    challenger_bond: u64,
    /// Percent of a job's reward that its worker puts at stake at least.
    #[arg(long, value_name = "PERCENT", default_value_t = 100)]
    bond_percent: u32,
}

impl Deploy {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        let config = settings(options, &self.chain, None, environment)?;
        runtime()?.block_on(self.deploy(&config, environment, options.json))
    }

    fn parameters(&self) -> JobParameters {
        JobParameters {
            work_window: self.work_window,
            seal_window: self.seal_window,
            reveal_window: self.reveal_window,
            challenge_window: self.challenge_window,
            clock: self.clock,
            least_worker_bond: u128::from(self.worker_bond) * TOKEN,
            least_challenger_bond: u128::from(self.challenger_bond) * TOKEN,
            bond_share: self.bond_percent.saturating_mul(100),
        }
    }

    async fn deploy(
        &self,
        config: &Config,
        environment: &[(String, String)],
        json: bool,
    ) -> Result<(), Failure> {
        let parameters = self.parameters();
        let wrong = |error: contracts::deploy::ParameterError| {
            Failure::Usage(anyhow::anyhow!(
                "{error}; see `swarm-node job deploy --help`"
            ))
        };
        parameters.check().map_err(wrong)?;
        // Before anything is paid for: where the contracts are must not be lost.
        let place = deployment_place(&self.file)?;
        let account = Account::open(config, environment, None).await?;
        let (owner, client) = (account.owner, &account.link.client);
        output::note(&format!(
            "deploying from {owner} on chain {}",
            client.chain_id()
        ));
        let stop = stop_on_signals()?;
        let mut submitted = Submitted::default();
        let deploying = self.contracts(&account, &mut submitted);
        let deployed = watched(&account.writer, deploying, config.chain.wait_s, &stop).await;
        let remedy = "a token that is there can be used again with --token ADDRESS";
        let contracts = deployed
            .and_then(|deployed| deployed)
            .map_err(|failure| with_submitted(failure, &submitted, remedy))?;
        let deployment = JobDeployment {
            jobs: VERSION,
            chain: deployment::Chain {
                name: self.name.clone(),
                id: client.chain_id(),
                rpc: public_url(&config.chain),
                confirmations: account.link.confirmations,
                poll_ms: config.chain.poll_ms,
            },
            parameters,
            contracts,
        };
        let text = deployment.to_text().map_err(Failure::work)?;
        let file = self.file.display();
        place.create(text.as_bytes()).map_err(|error| {
            Failure::Work(anyhow::anyhow!(
                "the contracts are deployed, but {file} cannot be written: {error}; write this \
                 into a file:\n{text}"
            ))
        })?;
        let text = format!(
            "token        {}\nreferee      {}\nrules        {}\ngame         {}\nescrow       \
             {}\nfirst block  {}\nwrote {file}",
            contracts.token,
            contracts.referee,
            contracts.rules,
            contracts.game,
            contracts.escrow,
            contracts.block
        );
        let json_text = serde_json::to_string(&deployment).map_err(Failure::work)?;
        let kept = format!("the deployment is in {file}");
        Answer {
            text,
            json: json_text,
            kept,
        }
        .print(json)
    }

    async fn contracts(
        &self,
        account: &Account,
        submitted: &mut Submitted,
    ) -> Result<JobContracts, Failure> {
        let (client, writer) = (&account.link.client, &account.writer);
        let token = match self.token {
            Some(token) => token,
            None => {
                let id = IntentId::new("job/token").map_err(Failure::work)?;
                let create = Intent::create(id, TestToken::BYTECODE.clone());
                let ticket = writer.submit(create).await.map_err(Failure::work)?;
                submitted.add("token", &ticket);
                let made = ticket.included().await.map_err(Failure::work)?;
                made.contract.ok_or_else(|| {
                    Failure::Work(anyhow::anyhow!(
                        "the chain shows no contract for the token's transaction; try again"
                    ))
                })?
            }
        };
        client.require_code(token).await.map_err(Failure::work)?;
        let parameters = self.parameters();
        deploy(client, writer, &parameters, token, submitted)
            .await
            .map_err(Failure::work)
    }
}
