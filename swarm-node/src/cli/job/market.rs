//! The contracts of jobs as a command sees them: by their deployment file, from the wallet's
//! account.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use contracts::jobs::{self, Escrow, JobDeployment, JobState, JobView};
use contracts::writer::Submitted;
use contracts::{Address, Bytes, U256};
use swarm_settle::chain::Link;
use swarm_settle::tokens::token_text;
use swarm_store::Store;

use crate::cli::account::Account;
use crate::cli::connection::{connect, settings};
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, print_rows, when};
use crate::config::Config;

/// What a job is known by on a chain: a hash of its payer and its terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct JobId(pub(in crate::cli) U256);

impl FromStr for JobId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64);
        let job = digits.and_then(|digits| U256::from_str_radix(digits, 16).ok());
        job.map(Self).ok_or_else(|| {
            "a job is 0x and 64 hexadecimal digits, as `job launch` has printed".to_owned()
        })
    }
}

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#066x}", self.0)
    }
}

/// Where the contracts of jobs are.
#[derive(Debug, Args)]
pub(in crate::cli) struct MarketOptions {
    /// The deployment file of the contracts of jobs, as `job deploy` writes it.
    #[arg(long, value_name = "FILE")]
    contracts: PathBuf,
    /// URL of the chain's RPC server; default: the deployment's.
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
}

/// The contracts of jobs.
pub(in crate::cli) struct Market {
    pub(in crate::cli) config: Config,
    pub(in crate::cli) deployment: JobDeployment,
    pub(in crate::cli) escrow: Escrow,
}

impl MarketOptions {
    fn read(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(Config, JobDeployment), Failure> {
        let deployment = JobDeployment::read(&self.contracts);
        let deployment = deployment.map_err(|error| Failure::Usage(error.into()))?;
        let config = settings(options, &self.chain, Some(&deployment.chain), environment)?;
        Ok((config, deployment))
    }

    /// The contracts, for questions alone.
    pub(in crate::cli) async fn look(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(Market, Link), Failure> {
        let (config, deployment) = self.read(options, environment)?;
        let link = connect(&config).await?;
        Ok((Market::new(config, deployment, &link).await?, link))
    }

    /// The contracts, and the wallet's account. With a store, transactions that are under way
    /// survive the process.
    pub(in crate::cli) async fn open(
        &self,
        options: &Options,
        environment: &[(String, String)],
        store: Option<&Store>,
    ) -> Result<(Market, Account), Failure> {
        let (config, deployment) = self.read(options, environment)?;
        let account = Account::open(&config, environment, store).await?;
        let market = Market::new(config, deployment, &account.link).await?;
        Ok((market, account))
    }
}

impl Market {
    async fn new(config: Config, deployment: JobDeployment, link: &Link) -> Result<Self, Failure> {
        let client = &link.client;
        deployment.check(client).await.map_err(Failure::work)?;
        let escrow = Escrow::new(client.clone(), deployment.contracts);
        Ok(Self {
            config,
            deployment,
            escrow,
        })
    }

    /// A job that must be there.
    pub(in crate::cli) async fn job(&self, job: JobId) -> Result<JobView, Failure> {
        let known = self.escrow.job(job.0).await.map_err(Failure::work)?;
        known.ok_or_else(|| {
            Failure::Usage(anyhow::anyhow!(
                "the contract {} knows no job {job}; see that job and contracts belong together",
                self.deployment.contracts.escrow
            ))
        })
    }

    /// Sends one transaction of a command to the escrow.
    async fn send(
        &self,
        account: &Account,
        name: &'static str,
        data: Bytes,
    ) -> Result<Submitted, Failure> {
        let step = (name, self.deployment.contracts.escrow, data);
        let remedy = |_: &_| "`swarm-node job watch` shows the job".to_owned();
        let patience = self.config.chain.wait_s;
        account.send("job", vec![step], patience, remedy).await
    }
}

impl Market {
    /// Sends the transaction with which a job is over, and tells how it has ended.
    async fn close(
        &self,
        account: &Account,
        job: JobId,
        (name, data): (&'static str, Bytes),
        json: bool,
    ) -> Result<(), Failure> {
        let sent = self.send(account, name, data).await?;
        let state = self.job(job).await?.state;
        let rows = [("job", job.to_string()), ("state", state.to_string())];
        output::note("now `swarm-node job collect` takes what is owed");
        print_rows(&rows, json, format!("the job is over: {sent}"))
    }
}

/// An address, or nobody.
pub(in crate::cli) fn who(address: Address) -> String {
    match address.is_zero() {
        true => "nobody yet".into(),
        false => address.to_string(),
    }
}

pub(in crate::cli) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(Failure::work)
}

/// Takes a job back that nobody has accepted; the reward can then be collected.
#[derive(Debug, Args)]
pub(in crate::cli) struct Cancel {
    /// The job.
    #[arg(value_name = "JOB")]
    job: JobId,
    #[command(flatten)]
    market: MarketOptions,
}

impl Cancel {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        runtime()?.block_on(async {
            let (market, account) = self.market.open(options, environment, None).await?;
            let view = market.job(self.job).await?;
            let job = self.job;
            if view.state != JobState::Open {
                return Err(Failure::Work(anyhow::anyhow!(
                    "job {job} is {}, and only one that nobody has accepted can be taken back; {}",
                    view.state,
                    match view.state.is_over() {
                        true => "`swarm-node job collect` takes what is owed",
                        false => "`swarm-node job end` ends it when its time is over",
                    }
                )));
            }
            if view.payer != account.owner {
                return Err(Failure::Work(anyhow::anyhow!(
                    "job {job} was launched by {}, not by {}; only its payer can take it back",
                    view.payer,
                    account.owner
                )));
            }
            let call = ("cancel", jobs::cancel(job.0));
            market.close(&account, job, call, options.json).await
        })
    }
}

/// Ends a job whose time is over, as anybody may: a late worker loses half of its bond, a claim
/// that nobody has refuted becomes final.
#[derive(Debug, Args)]
pub(in crate::cli) struct End {
    /// The job.
    #[arg(value_name = "JOB")]
    job: JobId,
    #[command(flatten)]
    market: MarketOptions,
}

impl End {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        runtime()?.block_on(async {
            let (market, account) = self.market.open(options, environment, None).await?;
            let view = market.job(self.job).await?;
            let now = account.link.now().await.map_err(Failure::work)?;
            let (job, state) = (self.job, view.state);
            if state.is_over() {
                return Err(Failure::Usage(anyhow::anyhow!(
                    "job {job} is {state} already; `swarm-node job collect` takes what is owed"
                )));
            }
            if now <= view.deadline {
                return Err(Failure::Usage(anyhow::anyhow!(
                    "job {job} is {state} until {}; it can be ended after that",
                    when(view.deadline)
                )));
            }
            let call = match state {
                JobState::Committed if view.games > 0 => {
                    return Err(Failure::Work(anyhow::anyhow!(
                        "{} games about job {job} are under way; `swarm-node dispute list` shows \
                         which, and `dispute end` ends one whose clock has run out",
                        view.games
                    )));
                }
                JobState::Committed => ("finalize", jobs::finalize(job.0)),
                _ => ("expire", jobs::expire(job.0)),
            };
            market.close(&account, job, call, options.json).await
        })
    }
}

/// Takes what the contracts of jobs owe the wallet's account: rewards, bonds and what comes back.
#[derive(Debug, Args)]
pub(in crate::cli) struct Collect {
    #[command(flatten)]
    market: MarketOptions,
}

impl Collect {
    pub(in crate::cli) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        runtime()?.block_on(async {
            let (market, account) = self.market.open(options, environment, None).await?;
            let owed = market.escrow.owed_to(account.owner).await;
            let owed = owed.map_err(Failure::work)?;
            let mut kept = "nothing was owed".to_owned();
            if owed > 0 {
                let sent = market.send(&account, "collect", jobs::withdraw()).await?;
                kept = format!("it is collected: {sent}");
            }
            let rows = [
                ("account", account.owner.to_string()),
                ("collected", format!("{} tokens", token_text(owed))),
            ];
            print_rows(&rows, options.json, kept)
        })
    }
}
