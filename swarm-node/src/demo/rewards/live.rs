//! The rewards of peers that are processes: contracts for them, and what they were paid.
//!
//! ```text
//! embedded chain, served on loopback ─┐
//! chain of the settings ──────────────┴─▶ deploy, stake, bind ─▶ deployment.toml of each node
//!                                              balances, statuses ─▶ report
//! ```
//! An embedded chain runs by the wall clock here, as the processes do.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::{Duration, Instant};

use contracts::deploy::{Chain, Contracts, Deployment, VERSION};
use swarm_devchain::{DevChain, Options, Server};
use swarm_settings::variable;
use swarm_settle::chain::{ChainConfig, Endpoint, EndpointText, patiently};
use swarm_settle::tokens::token_text;
use swarm_settle::wallet::source::SECRET_VARIABLE;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::super::error::DemoError;
use super::accounting::{PeerBalance, RewardReport, RewardTerms, SettledOn};
use super::deploy::DemoKeys;
use super::message::{SettlementCommand, SettlementUpdate};
use super::nodes::{is_over, place};
use super::run_folder::{DemoDeployment, SettlementPlan, Start};
use super::worker::SettlementWorker;
use crate::cluster::Cluster;
use crate::job::{Progress, STOP_POLL, Stop};
use crate::node::settling::{save, settlement_name};
use crate::node::status::Rewards;

/// How long the chain may take to tell a balance for the report.
const BALANCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at the nodes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two looks of everybody at the embedded chain, in milliseconds: it is on this machine.
const EMBEDDED_POLL_MS: u64 = 100;

/// The settlement of peers that are processes.
pub struct LiveRewards {
    plan: SettlementPlan,
    deployment: DemoDeployment,
    file: Deployment,
    runtime: Runtime,
    is_embedded: bool,
    /// Serves the embedded chain for as long as it lives.
    _server: Option<Server>,
}

impl LiveRewards {
    /// Puts the contracts on the chain of the settings, or says why not. What is needed to settle
    /// later is kept below `runs`, if the chain lasts.
    pub fn open(
        mut chain: ChainConfig,
        terms: RewardTerms,
        keys: DemoKeys,
        runs: Option<PathBuf>,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Self, String> {
        let refuse = |reason: String| {
            progress.warn(&format!("rewards are not settled: {reason}"));
            reason
        };
        let is_embedded = Endpoint::of(&chain) == Ok(Endpoint::Embedded);
        let server = match is_embedded {
            true => Some(
                DevChain::in_memory(Options::default())
                    .serve(0)
                    .map_err(|error| refuse(error.to_string()))?,
            ),
            false => None,
        };
        if let Some(server) = &server {
            chain.endpoint = EndpointText::from(server.url());
            chain.poll_ms = EMBEDDED_POLL_MS;
        }
        let plan = SettlementPlan {
            chain,
            terms,
            keys,
            start: Start::New {
                runs: runs.filter(|_| !is_embedded),
            },
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("settlement")
            .enable_all()
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        let deployment = deploy(&runtime, plan.clone(), progress, stop).map_err(refuse)?;
        Ok(Self {
            file: deployment_file(&plan, &deployment),
            plan,
            deployment,
            runtime,
            is_embedded,
            _server: server,
        })
    }

    /// Start of round 0, in milliseconds since 1970, and what the swarm's file says of the
    /// contracts.
    pub fn swarm(&self) -> (u64, String) {
        let genesis = self.file.parameters.genesis;
        (genesis.saturating_mul(1_000), settlement_name(&self.file))
    }

    /// Where everything lies that is needed to settle later.
    pub fn folder(&self) -> Option<&Path> {
        self.deployment.folder.as_deref()
    }

    /// Writes the file of the contracts for a node.
    ///
    /// # Errors
    /// The system refuses.
    pub fn deliver(&self, path: &Path) -> Result<(), DemoError> {
        save(&self.file, path).map_err(|source| DemoError::File {
            path: path.into(),
            source,
        })
    }

    /// The variables of a peer's process: its owner's account, and the chain, whose URL may carry a
    /// key.
    pub fn environment(&self, peer: usize) -> Vec<(String, String)> {
        let secret = self.plan.keys.owners[peer].signer.to_bytes();
        let endpoint = self.plan.chain.endpoint.as_str().to_owned();
        vec![
            (SECRET_VARIABLE.into(), secret.to_string()),
            (variable("chain.endpoint"), endpoint),
        ]
    }

    /// Waits until the nodes have settled everything and were paid, or for as long as the settings
    /// say, and reads the balances.
    pub fn finish(&self, cluster: &Cluster, progress: &dyn Progress, stop: &Stop) -> RewardReport {
        let peers = self.plan.terms.peers;
        let due = peers as u64 * self.plan.terms.epochs();
        progress.begin("settling", due);
        let end = Instant::now() + Duration::from_secs(self.plan.chain.wait_s) + self.epoch_ends();
        let mut shown = 0;
        let mut rewards: Vec<Option<Rewards>> = vec![None; peers];
        loop {
            for (peer, known) in rewards.iter_mut().enumerate() {
                if let Ok(status) = cluster.status(peer) {
                    *known = status.rewards;
                }
            }
            let paid = rewards.iter().flatten().map(|it| self.paid(it)).sum();
            (shown..paid).for_each(|paid| progress.step(&format!("{} of {due} rewards", paid + 1)));
            shown = shown.max(paid);
            if shown >= due || stop.is_requested() || Instant::now() > end {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        progress.end("");
        self.report(&rewards)
    }

    /// How long the last epoch goes on.
    fn epoch_ends(&self) -> Duration {
        let schedule = &self.deployment.contracts.schedule;
        let last = self.plan.terms.epochs().saturating_sub(1);
        let now = swarm_settle::chain::wall_clock();
        Duration::from_secs(schedule.end(last).saturating_sub(now))
    }

    /// Epochs of a peer that are final and paid for.
    fn paid(&self, rewards: &Rewards) -> u64 {
        match rewards.earned == rewards.paid {
            true => self.over(rewards),
            false => 0,
        }
    }

    /// Epochs of the demo in which nothing is to be waited for.
    fn over(&self, rewards: &Rewards) -> u64 {
        let epochs = rewards.epochs.iter();
        let mine = epochs.filter(|at| at.epoch < self.plan.terms.epochs());
        let over = mine.filter(|at| is_over(at.phase));
        over.count() as u64
    }

    fn report(&self, rewards: &[Option<Rewards>]) -> RewardReport {
        let swarm = &self.deployment.contracts.swarm;
        let mut unknown = None;
        let accounts = self.plan.keys.owners.iter().zip(rewards).enumerate();
        let accounts = accounts.map(|(peer, (owner, rewards))| {
            let balance = patiently(|| swarm.tokens_of(owner.address()));
            let asked = self
                .runtime
                .block_on(async { tokio::time::timeout(BALANCE_TIMEOUT, balance).await });
            let claimed = asked.ok().and_then(Result::ok);
            if claimed.is_none() {
                unknown.get_or_insert(peer);
            }
            let epochs = rewards.iter().flat_map(|rewards| &rewards.epochs);
            PeerBalance {
                points: epochs.map(|at| at.points).sum(),
                claimed: claimed.map_or(0, |units| units.saturating_to()),
            }
        });
        let accounts: Vec<PeerBalance> = accounts.collect();
        let unknown = unknown.map(|peer| {
            let peer = peer + 1;
            format!("the chain did not say what peer {peer} was paid, which counts as nothing")
        });
        let first = rewards.first().and_then(Option::as_ref);
        let over = first.map_or(0, |rewards| self.over(rewards)) as usize;
        RewardReport {
            place: Some(self.place()),
            trouble: unknown.or_else(|| trouble(&accounts, rewards)),
            accounts,
            epochs: [over, self.plan.terms.epochs() as usize],
            folder: self.deployment.folder.clone(),
            needs_url: !self.is_embedded && self.file.chain.rpc.is_none(),
        }
    }

    fn place(&self) -> SettledOn {
        let place = place(&self.plan.chain, &self.deployment, &self.plan.keys);
        match self.is_embedded {
            true => SettledOn {
                endpoint: "embedded".into(),
                ..place
            },
            false => place,
        }
    }
}

/// Why something is pending, for people.
fn trouble(accounts: &[PeerBalance], rewards: &[Option<Rewards>]) -> Option<String> {
    let unpaid = accounts.iter().position(|account| account.pending() > 0)?;
    let said = rewards.get(unpaid).and_then(Option::as_ref);
    let phase = said.and_then(|rewards| {
        let at = rewards.epochs.iter().find(|at| !is_over(at.phase))?;
        Some(format!(", epoch {} is {}", at.epoch, at.phase.name()))
    });
    Some(format!(
        "peer {} was not paid {} tokens{}",
        unpaid + 1,
        token_text(accounts[unpaid].pending()),
        phase.unwrap_or_default()
    ))
}

/// Deploys, shows meanwhile what is waited for, and gives up on a request to stop or when the time
/// of the settings is over.
fn deploy(
    runtime: &Runtime,
    plan: SettlementPlan,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<DemoDeployment, String> {
    let (commands, inbox) = mpsc::unbounded_channel();
    let (tell, updates) = std_mpsc::channel();
    let (reply, _report) = std_mpsc::channel();
    let end = Instant::now() + Duration::from_secs(plan.chain.wait_s);
    let mut worker = SettlementWorker {
        plan,
        inbox,
        updates: tell,
        backlog: VecDeque::new(),
        finish: Some((reply, end)),
        stopping: false,
        preparing: false,
    };
    progress.begin("contracts", 1);
    let deploying = runtime.spawn(async move { worker.open().await });
    let mut told = false;
    while !deploying.is_finished() {
        if stop.is_requested() && !told {
            told = commands.send(SettlementCommand::Stop).is_ok();
        }
        while let Ok(update) = updates.try_recv() {
            if let SettlementUpdate::Warning(text) = update {
                progress.warn(&text);
            }
        }
        thread::sleep(STOP_POLL);
    }
    let deployed = runtime.block_on(deploying);
    progress.end("");
    match deployed {
        Ok(deployed) => deployed.map_err(|error| error.to_string()),
        Err(_) => Err("the task that deploys panicked; please report this".into()),
    }
}

fn deployment_file(plan: &SettlementPlan, deployment: &DemoDeployment) -> Deployment {
    let DemoDeployment {
        link, contracts, ..
    } = deployment;
    let addresses = contracts.swarm.addresses();
    Deployment {
        version: VERSION,
        chain: Chain {
            name: "demo".into(),
            id: link.client.chain_id(),
            rpc: swarm_settle::chain::public_url(&plan.chain),
            confirmations: link.confirmations,
            poll_ms: plan.chain.poll_ms,
        },
        parameters: plan.terms.parameters(contracts.schedule.genesis),
        contracts: Contracts {
            token: addresses.token,
            members: addresses.members,
            rewards: addresses.rewards,
            slasher: addresses.slasher,
            block: contracts.block,
        },
    }
}
