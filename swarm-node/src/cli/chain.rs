//! `swarm-node chain`: puts contracts on a chain, looks at them, runs a dev chain.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use contracts::Address;
use contracts::deploy::{Chain, Deployment, Parameters, deploy};
use contracts::devchain::{DevChain, Opened, Options as DevOptions, dev_accounts};
use contracts::swarm::Swarm;
use contracts::writer::Writer;

use super::failure::Failure;
use super::options::Options;
use super::wallet::{NO_WALLET, unlock};
use crate::chain::{Endpoint, Link, account_writer, signer, trouble, wall_clock};
use crate::config::Config;
use crate::demo::token_text;

/// Units of the token in a token.
const TOKEN: u128 = 1_000_000_000_000_000_000;
/// Points that the reward is given for.
const MILLION: u128 = 1_000_000;
const DAY: u64 = 86_400;

/// Deploys a swarm's contracts, shows them, and runs a dev chain.
#[derive(Debug, Args)]
pub(super) struct ChainCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Deploy(Deploy),
    Status(Status),
    Dev(Dev),
}

/// Deploys the contracts of a private swarm and writes a deployment file.
///
/// Nothing in the contracts can be changed later, and nobody owns them. The wallet of the settings pays.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  SWARM_NODE_WALLET_SECRET=0x... swarm-node chain deploy --chain http://127.0.0.1:8545 my-swarm.toml"
)]
struct Deploy {
    /// The deployment file to write.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// URL of the chain's RPC server.
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
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

/// Shows a chain, the wallet's account on it, and a deployment.
#[derive(Debug, Args)]
struct Status {
    /// A deployment file.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// URL of the chain's RPC server; default: the deployment's.
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
}

/// Runs the dev chain and serves it by JSON-RPC on this machine, until it is stopped.
///
/// It is an EVM for trying things out: blocks come with transactions, and its accounts' keys are public.
#[derive(Debug, Args)]
struct Dev {
    /// Folder of the chain's journal; the same folder goes on where it was.
    #[arg(long, value_name = "DIR", default_value = "runs/devchain")]
    dir: PathBuf,
    /// TCP port on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 8545)]
    port: u16,
}

impl ChainCommand {
    pub(super) fn run(&self, options: &Options, environment: Vec<(String, String)>) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::work)?;
        match &self.action {
            Action::Deploy(deploy) => {
                let config = config(options, &deploy.chain, &environment)?;
                runtime.block_on(deploy.run(&config, &environment, options.json))
            }
            Action::Status(status) => {
                let deployment = status.file.as_deref().map(Deployment::read).transpose().map_err(Failure::work)?;
                let known = deployment.as_ref().and_then(|deployment| deployment.chain.rpc.clone());
                let mut config = config(options, &status.chain.clone().or(known), &environment)?;
                if let Some(deployment) = &deployment {
                    config.chain.id = deployment.chain.id;
                }
                runtime.block_on(status.run(&config, deployment.as_ref(), &environment, options.json))
            }
            Action::Dev(dev) => dev.run(),
        }
    }
}

fn config(options: &Options, chain: &Option<String>, environment: &[(String, String)]) -> Result<Config, Failure> {
    Ok(options.settings(&[("--chain", "chain.endpoint", chain)], environment.to_vec())?.config()?)
}

/// Connects to a chain that outlives this process.
async fn connect(config: &Config) -> Result<Link, Failure> {
    match Endpoint::of(&config.chain)? {
        Endpoint::Url(_) => {
            let link = Link::connect(&config.chain, wall_clock()).await.map_err(Failure::work)?;
            link.ok_or_else(no_chain)
        }
        Endpoint::Embedded | Endpoint::None => Err(no_chain()),
    }
}

fn no_chain() -> Failure {
    Failure::Usage(anyhow::anyhow!(
        "this needs a chain that lasts: give --chain URL, for example of `swarm-node chain dev`"
    ))
}

impl Deploy {
    async fn run(&self, config: &Config, environment: &[(String, String)], json: bool) -> Result<(), Failure> {
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
            rpc: Some(config.chain.endpoint.clone()),
            confirmations: link.confirmations,
            poll_ms: config.chain.poll_ms,
        };
        let deployment = Deployment { chain, parameters, contracts };
        deployment.write(&self.file).map_err(Failure::work)?;
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
            units_per_point: u128::from(self.reward) * (TOKEN / MILLION),
            epoch_cap: u128::from(self.epoch_cap) * TOKEN,
            slasher: self.slasher.unwrap_or_default(),
        };
        parameters.check(now).map_err(|error| Failure::Usage(error.into()))?;
        Ok(parameters)
    }
}

/// Waits for something that a writer does, and says what it waits for.
async fn watched<T>(writer: &Writer, work: impl Future<Output = T>, patience_s: u64) -> Result<T, Failure> {
    let end = tokio::time::sleep(Duration::from_secs(patience_s));
    tokio::pin!(work, end);
    let mut said = String::new();
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = &mut end => {
                let why = if said.is_empty() { "the chain includes nothing".to_owned() } else { said };
                return Err(Failure::Work(anyhow::anyhow!(
                    "gave up after {patience_s} s: {why}; wait longer with --set chain.wait_s=SECONDS"
                )));
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                if let Some(trouble) = trouble(writer).filter(|trouble| *trouble != said) {
                    eprintln!("waiting: {trouble}");
                    said = trouble;
                }
            }
        }
    }
}

impl Status {
    async fn run(
        &self,
        config: &Config,
        deployment: Option<&Deployment>,
        environment: &[(String, String)],
        json: bool,
    ) -> Result<(), Failure> {
        let link = connect(config).await?;
        let head = link.client.head().await.map_err(Failure::work)?;
        let mut rows = vec![
            ("chain", link.client.chain_id().to_string()),
            ("endpoint", link.client.endpoint().to_owned()),
            ("block", head.number.to_string()),
            ("time", head.timestamp.to_string()),
        ];
        if let Some(wallet) = unlock(&config.wallet, environment).map_err(Failure::work)? {
            let balance = link.client.balance(wallet.address.0.into()).await.map_err(Failure::work)?;
            rows.push(("wallet", wallet.address.to_string()));
            rows.push(("balance", format!("{} ether", token_text(balance.saturating_to()))));
        }
        if let Some(deployment) = deployment {
            deployment.check(&link.client).await.map_err(Failure::work)?;
            rows.extend(contracts(deployment, &link).await?);
        }
        print_rows(&rows, json)
    }
}

async fn contracts(deployment: &Deployment, link: &Link) -> Result<Vec<(&'static str, String)>, Failure> {
    let swarm = Swarm::new(link.client.clone(), (&deployment.contracts).into());
    let pool = swarm.pool().await.map_err(Failure::work)?;
    let parameters = &deployment.parameters;
    let now = link.now().await.map_err(Failure::work)?;
    let round = now.checked_sub(parameters.genesis).map(|passed| passed / parameters.round_length);
    let round = round.map_or_else(|| format!("begins in {} s", parameters.genesis - now), |round| round.to_string());
    Ok(vec![
        ("token", deployment.contracts.token.to_string()),
        ("stake", deployment.contracts.stake.to_string()),
        ("coordinator", deployment.contracts.coordinator.to_string()),
        ("round", round),
        ("pool", format!("{} tokens", token_text(pool.saturating_to()))),
    ])
}

fn print_rows(rows: &[(&'static str, String)], json: bool) -> Result<(), Failure> {
    if json {
        let object: serde_json::Map<_, _> =
            rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
        println!("{}", serde_json::Value::Object(object));
    } else {
        rows.iter().for_each(|(name, value)| println!("{name:<12} {value}"));
    }
    Ok(())
}

impl Dev {
    fn run(&self) -> Result<(), Failure> {
        let options = DevOptions { port: self.port, ..DevOptions::default() };
        match DevChain::open(&self.dir, options).map_err(Failure::work)? {
            Opened::Shared { url } => Err(Failure::Work(anyhow::anyhow!(
                "{} is served already, at {url}; use that, or name another folder with --dir",
                self.dir.display()
            ))),
            Opened::Owner(chain) => serve(&chain, &self.dir),
        }
    }
}

/// Says where the chain is and waits for the end of the process.
fn serve(chain: &DevChain, folder: &Path) -> Result<(), Failure> {
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
    loop {
        std::thread::park();
    }
}
