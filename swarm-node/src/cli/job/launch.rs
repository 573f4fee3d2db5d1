//! `swarm-node job launch`.

use std::path::PathBuf;

use clap::Args;
use contracts::jobs::{self, JobParameters, JobSpec as Wanted};
use contracts::swarm::calls as tokens;
use contracts::{Address, B256, U256};
use swarm_settle::tokens::{TOKEN, token_text};
use verde::job::Job as Disputed;

use super::market::{JobId, Market, MarketOptions, runtime};
use crate::cli::account::{Account, Step};
use crate::cli::failure::Failure;
use crate::cli::options::Options;
use crate::cli::output::{self, print_rows, when};
use crate::cli::subject::StageOptions;
use crate::config::Config;
use crate::job::{Claimable, certified, disputed, length};

const HOUR: u64 = 3_600;
/// Basis points of the whole.
const WHOLE: u128 = 10_000;

/// Launches a job on a chain and pays its reward in; prints what the job is known by.
///
/// Give the job's file, and all that it names, to whoever is to do or to verify it. The wallet of
/// the settings pays.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  swarm-node job launch configs/nano/job.toml --contracts jobs.toml \
--reward 10 --mint\n  swarm-node job launch runs/third --step 7 --stage 1 --contracts jobs.toml \
--worker 0x… --reward 1"
)]
pub(super) struct Launch {
    /// The job, a TOML file; or the folder of a pipeline's peer, of which one step of one stage is
    /// the job.
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    #[command(flatten)]
    stage: StageOptions,
    #[command(flatten)]
    market: MarketOptions,
    /// Tokens that the worker gets.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    reward: u64,
    /// Tokens that the worker puts at stake [default: the least that the contracts take].
    #[arg(long, value_name = "TOKENS")]
    worker_bond: Option<u64>,
    /// Tokens that each challenger puts at stake [default: the least that the contracts take].
    #[arg(long, value_name = "TOKENS")]
    challenger_bond: Option<u64>,
    /// Who may do the job [default: anyone].
    #[arg(long, value_name = "ADDRESS")]
    worker: Option<Address>,
    /// Hours in which the job can be accepted.
    #[arg(long, value_name = "HOURS", default_value_t = 24,
          value_parser = clap::value_parser!(u64).range(1..=8_760))]
    accept_hours: u64,
    /// 32 bytes that tell the job from others like it.
    #[arg(long, value_name = "HEX", default_value_t = B256::ZERO)]
    salt: B256,
    /// Creates the tokens first; works with test tokens only.
    #[arg(long)]
    mint: bool,
    /// Shows what would be launched, and sends nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Launch {
    pub(super) fn run(
        &self,
        options: &Options,
        environment: &[(String, String)],
    ) -> Result<(), Failure> {
        let config = options.settings(&[], environment.to_vec())?;
        let config = config.config::<Config>()?;
        let engine = certified(&config.engine, config.engine.workers())?;
        let subject = self.stage.subject(&self.spec, &engine)?;
        let job = subject.claimable();
        runtime()?.block_on(async {
            let (market, account) = self.market.open(options, environment, None).await?;
            self.launch(job, &market, &account, options.json).await
        })
    }

    /// What is asked for.
    async fn wanted(
        &self,
        job: Claimable<'_>,
        market: &Market,
        account: &Account,
    ) -> Result<Wanted, Failure> {
        let planned = job.plan;
        let parameters = &market.deployment.parameters;
        let now = account.link.now().await.map_err(Failure::work)?;
        let reward = u128::from(self.reward) * TOKEN;
        let tokens = |count: Option<u64>, least: u128| {
            count.map_or(least, |count| u128::from(count) * TOKEN)
        };
        Ok(Wanted {
            initial: planned
                .schedule()
                .map_err(Failure::work)?
                .state_root(&planned.state)
                .map_err(Failure::work)?,
            length: length(job).map_err(Failure::work)?,
            reward,
            worker_bond: tokens(self.worker_bond, least_bond(parameters, reward)),
            challenger_bond: tokens(self.challenger_bond, parameters.least_challenger_bond),
            worker: self.worker,
            accept_by: now + self.accept_hours.saturating_mul(HOUR),
            salt: self.salt,
        })
    }

    /// What the contract would refuse after tokens were minted and approved.
    fn check(&self, market: &Market, wanted: &Wanted) -> Result<(), Failure> {
        let parameters = &market.deployment.parameters;
        let least = least_bond(parameters, wanted.reward);
        let counter = parameters.least_challenger_bond;
        let (bond, half) = (wanted.worker_bond, wanted.worker_bond / 2);
        let amount = |flag: &str, units, least, most| {
            Failure::Usage(anyhow::anyhow!(
                "{flag} is {} tokens; with these contracts and this reward it must be {} to {}",
                token_text(units),
                token_text(least),
                token_text(most)
            ))
        };
        if bond < least {
            return Err(amount("--worker-bond", bond, least, u128::MAX));
        }
        if !(counter..=half).contains(&wanted.challenger_bond) {
            let bond = wanted.challenger_bond;
            return Err(amount("--challenger-bond", bond, counter, half));
        }
        Ok(())
    }

    async fn launch(
        &self,
        job: Claimable<'_>,
        market: &Market,
        account: &Account,
        json: bool,
    ) -> Result<(), Failure> {
        let wanted = self.wanted(job, market, account).await?;
        self.check(market, &wanted)?;
        let disputed = disputed(job).map_err(Failure::work)?;
        let escrow = market.deployment.contracts.escrow;
        let (client, owner) = (market.escrow.client(), account.owner);
        let ask = contracts::client::Call::to(escrow, jobs::id_of(&disputed, owner, &wanted));
        let id = client.call(&ask).await.map_err(Failure::work)?;
        let id = U256::try_from_be_slice(&id).ok_or_else(|| {
            Failure::Work(anyhow::anyhow!(
                "the contract {escrow} names the job by {} bytes, not by 32; is it the escrow?",
                id.len()
            ))
        })?;
        let id = JobId(id);
        let steps = self.steps(&disputed, market, account, &wanted).await?;
        if !self.dry_run {
            // Should this process be killed, the reward must not be lost to a job that nobody can
            // name.
            output::note(&format!("launching job {id}"));
        }
        let sent = match self.dry_run {
            true => "nothing was sent".to_owned(),
            false => {
                let remedy = |_: &_| {
                    format!("`swarm-node job watch {id}` tells whether the job is launched")
                };
                let patience = market.config.chain.wait_s;
                let sent = account.send("launch", steps, patience, remedy).await?;
                format!("the job is launched: {sent}")
            }
        };
        let identity = job.identity;
        let rows = [
            ("job", id.to_string()),
            ("payer", owner.to_string()),
            ("plan", format!("0x{}", identity.plan)),
            ("initial", format!("0x{}", identity.initial)),
            ("steps", identity.steps.to_string()),
            ("stride", identity.stride.to_string()),
            ("reward", format!("{} tokens", token_text(wanted.reward))),
            (
                "worker bond",
                format!("{} tokens", token_text(wanted.worker_bond)),
            ),
            (
                "counter bond",
                format!("{} tokens", token_text(wanted.challenger_bond)),
            ),
            ("accept by", when(wanted.accept_by)),
            ("sent", sent.clone()),
            (
                "next",
                format!(
                    "swarm-node job work {}{} --job {id} …",
                    self.spec.display(),
                    self.stage.words()
                ),
            ),
        ];
        print_rows(&rows, json, sent)
    }

    async fn steps(
        &self,
        job: &Disputed,
        market: &Market,
        account: &Account,
        wanted: &Wanted,
    ) -> Result<Vec<Step>, Failure> {
        let contracts = &market.deployment.contracts;
        let reward = U256::from(wanted.reward);
        let held = market.escrow.tokens_of(account.owner).await;
        let held = held.map_err(Failure::work)?;
        let mut steps = Vec::new();
        if self.mint {
            steps.push(("mint", contracts.token, tokens::mint(account.owner, reward)));
        } else if held < reward {
            return Err(Failure::Work(anyhow::anyhow!(
                "{} holds {} tokens, and the reward is {}; send it more of token {}, pay less with \
                 --reward, or create test tokens with --mint",
                account.owner,
                token_text(held.saturating_to()),
                token_text(wanted.reward),
                contracts.token
            )));
        }
        let allowed = market.escrow.allowance(account.owner).await;
        if allowed.map_err(Failure::work)? < reward {
            let approve = tokens::approve(contracts.escrow, reward);
            steps.push(("approve", contracts.token, approve));
        }
        let launch = jobs::launch(job, wanted).ok_or_else(|| {
            Failure::Work(anyhow::anyhow!("the plan has no first part; it is no plan"))
        })?;
        steps.push(("launch", contracts.escrow, launch));
        Ok(steps)
    }
}

/// The least that a worker puts at stake for a reward.
fn least_bond(parameters: &JobParameters, reward: u128) -> u128 {
    let share = (reward * u128::from(parameters.bond_share)).div_ceil(WHOLE);
    parameters.least_worker_bond.max(share)
}
