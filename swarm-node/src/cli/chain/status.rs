//! `swarm-node chain status`.

use std::path::PathBuf;

use clap::Args;
use contracts::Address;
use contracts::deploy::{Deployment, Parameters};
use contracts::swarm::{Pending, Phase, Swarm};
use swarm_settle::chain::Link;
use swarm_settle::tokens::token_text;

use crate::cli::connection::connect;
use crate::cli::failure::Failure;
use crate::cli::output::print_rows;
use crate::cli::wallet::unlock;
use crate::config::Config;

/// Shows a chain, the wallet's account on it, and a deployment: what is pending there, who must do
/// what until when, and what the account has earned.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// A deployment file.
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// URL of the chain's RPC server; default: the deployment's.
    #[arg(long, value_name = "URL")]
    pub(super) chain: Option<String>,
}

/// One line: what it is, and its value.
type Row = (&'static str, String);

impl Status {
    pub(super) async fn run(
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
        let wallet = unlock(&config.wallet, environment).map_err(Failure::work)?;
        let account = wallet.map(|wallet| Address::from(wallet.address.0));
        if let Some(account) = account {
            let balance = link.client.balance(account).await.map_err(Failure::work)?;
            rows.push(("wallet", account.to_string()));
            rows.push((
                "balance",
                format!("{} ether", token_text(balance.saturating_to())),
            ));
        }
        if let Some(deployment) = deployment {
            deployment
                .check(&link.client)
                .await
                .map_err(Failure::work)?;
            let looked = Look::new(deployment, &link).await?;
            rows.extend(looked.contracts().await?);
            rows.extend(looked.outcome().await?);
            if let Some(account) = account {
                rows.extend(looked.account(account).await?);
            }
        }
        print_rows(&rows, json, String::new())
    }
}

/// A deployment at a time.
struct Look<'a> {
    deployment: &'a Deployment,
    swarm: Swarm,
    now: u64,
}

impl<'a> Look<'a> {
    async fn new(deployment: &'a Deployment, link: &Link) -> Result<Self, Failure> {
        let now = link.now().await.map_err(Failure::work)?;
        // The file may have been edited by hand.
        deployment.parameters.check(now).map_err(Failure::work)?;
        Ok(Self {
            deployment,
            swarm: Swarm::new(link.client.clone(), (&deployment.contracts).into()),
            now,
        })
    }

    fn parameters(&self) -> &Parameters {
        &self.deployment.parameters
    }

    async fn contracts(&self) -> Result<Vec<Row>, Failure> {
        let contracts = &self.deployment.contracts;
        let pool = self.swarm.pool().await.map_err(Failure::work)?;
        Ok(vec![
            ("token", contracts.token.to_string()),
            ("members", contracts.members.to_string()),
            ("rewards", contracts.rewards.to_string()),
            ("slasher", contracts.slasher.to_string()),
            ("round", self.round()),
            ("pool", format!("{} tokens", token_text(pool.free()))),
        ])
    }

    fn round(&self) -> String {
        let genesis = self.parameters().genesis;
        match self.now.checked_sub(genesis) {
            Some(passed) => (passed / self.parameters().round_length).to_string(),
            None => format!("begins in {} s", genesis - self.now),
        }
    }

    /// The first epoch that is not final, what is pending, and what comes next.
    async fn outcome(&self) -> Result<Vec<Row>, Failure> {
        let next = self.swarm.next_epoch().await.map_err(Failure::work)?;
        let pending = self.swarm.pending().await.map_err(Failure::work)?;
        let mut rows = vec![("next epoch", next.to_string())];
        match pending {
            None => rows.push(("next", self.before_a_proposal(next))),
            Some(pending) => rows.extend(self.pending(next, &pending)),
        }
        Ok(rows)
    }

    fn before_a_proposal(&self, next: u64) -> String {
        let parameters = self.parameters();
        let elapsed = next
            .saturating_add(1)
            .saturating_mul(parameters.epoch_length());
        let end = parameters.genesis.saturating_add(elapsed);
        match end.checked_sub(self.now) {
            Some(left) if left > 0 => format!("epoch {next} ends in {left} s"),
            _ => format!(
                "an outcome from epoch {next} on can be brought; each until {} after its last epoch",
                seconds(parameters.proposal_window)
            ),
        }
    }

    fn pending(&self, next: u64, pending: &Pending) -> Vec<Row> {
        let mut rows = vec![
            (
                "pending",
                format!(
                    "epochs {next} to {}, outcome {}",
                    pending.epoch, pending.hash
                ),
            ),
            (
                "proposer",
                format!(
                    "{} with {} tokens at stake",
                    pending.proposer,
                    token_text(pending.bond)
                ),
            ),
        ];
        if let Some(dispute) = &pending.dispute {
            rows.push((
                "objector",
                format!(
                    "{} with {} tokens at stake",
                    dispute.objector,
                    token_text(dispute.bond)
                ),
            ));
            rows.push((
                "court",
                format!(
                    "{} of 2, {} seats for the proposal and {} against it, of {} that decide",
                    dispute.draw,
                    dispute.seats_for,
                    dispute.seats_against,
                    contracts::court::QUORUM
                ),
            ));
        }
        rows.push(("next", self.next_step(pending)));
        rows
    }

    fn next_step(&self, pending: &Pending) -> String {
        let left = pending.deadline.map_or_else(String::new, |deadline| {
            format!(" (for {})", seconds(deadline.saturating_sub(self.now)))
        });
        let step = match pending.phase {
            Phase::Open => "anybody may object",
            Phase::Unopposed => "nobody objected: anybody makes it final",
            Phase::Drawing => "the court is to be drawn, by anybody",
            Phase::Court => "the court judges",
            Phase::Undecided => "two courts did not decide: anybody ends it",
        };
        format!("{step}{left}")
    }

    async fn account(&self, account: Address) -> Result<Vec<Row>, Failure> {
        let staked = self
            .swarm
            .deposit_of(account)
            .await
            .map_err(Failure::work)?;
        let nodes = self.swarm.nodes_of(account).await.map_err(Failure::work)?;
        let taken = self.swarm.taken_by(account).await.map_err(Failure::work)?;
        let owed = self.swarm.owed_to(account).await.map_err(Failure::work)?;
        let tokens = |units: u128| format!("{} tokens", token_text(units));
        Ok(vec![
            ("stake", tokens(staked.saturating_to())),
            ("nodes", nodes.to_string()),
            ("taken", tokens(taken)),
            ("to collect", tokens(owed)),
        ])
    }
}

/// A time in the largest unit that leaves two digits or fewer.
fn seconds(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds} s"),
        100..6_000 => format!("{} min", seconds / 60),
        6_000..360_000 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
