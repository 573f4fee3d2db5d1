//! The settlement thread: it connects, deploys and settles while the demo's thread trains.
//!
//! ```text
//! connect ──▶ deploy, or find what was deployed ──▶ settle until done or out of time ──▶ report
//!    └─ a chain that is away is waited for; rounds wait in the backlog
//! ```

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use contracts::B256;
use contracts::client::{ConnectError, RpcError};
use contracts::writer::{StoreError, Submitted};
use swarm_settle::chain::{Link, LinkError, account_writer, patiently, public_url, trouble};
use tokio::sync::mpsc;

use super::accounting::{EMBEDDED_TIME, RewardReport};
use super::deploy::{PrepareError, SwarmContracts, prepare};
use super::message::{SettlementCommand, SettlementUpdate};
use super::nodes::{NodesError, PeerNodes};
use super::run_folder::{
    DemoDeployment, RunError, RunFile, RunOrigin, SettlementPlan, Start, require_place,
};

/// Between two attempts to reach a chain that does not answer.
const RETRY: Duration = Duration::from_secs(2);
/// Between two looks at how far settlement is.
const GLANCE: Duration = Duration::from_millis(50);

/// The settlement thread's task.
pub(super) struct SettlementWorker {
    pub(super) plan: SettlementPlan,
    pub(super) inbox: mpsc::UnboundedReceiver<SettlementCommand>,
    pub(super) updates: std_mpsc::Sender<SettlementUpdate>,
    /// What came before the contracts were ready.
    pub(super) backlog: VecDeque<SettlementCommand>,
    pub(super) finish: Option<(std_mpsc::Sender<RewardReport>, Instant)>,
    /// The end is wanted as soon as nothing is lost.
    pub(super) stopping: bool,
    /// Contracts are on their way to the chain: they are waited for, because their addresses are
    /// known only then.
    pub(super) preparing: bool,
}

/// Why there is no settlement at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkerError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error("{cause}; sent until then: {submitted}")]
    Unfinished {
        cause: Box<WorkerError>,
        submitted: Submitted,
    },
    #[error(
        "{cause}; to settle later, write this into the file run.toml of a folder for `swarm-node \
         settle`:\n{text}"
    )]
    NotKept { cause: RunError, text: String },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Nodes(#[from] NodesError),
    #[error(
        "{0} serves another chain with the same id than the one of this run; nothing of it can be \
         settled there"
    )]
    OtherChain(String),
    #[error(
        "{0} has no block 0, by which chains with one id are told apart; take a server that keeps \
         the whole chain"
    )]
    NoFirstBlock(String),
    #[error("the settings name no chain")]
    NoChain,
    #[error("{0}")]
    TimeOver(String),
}

impl From<StoreError> for WorkerError {
    fn from(error: StoreError) -> Self {
        Self::Prepare(error.into())
    }
}

impl SettlementWorker {
    /// Works until the demo has its report.
    pub(super) async fn run(mut self) {
        let report = match self.open().await {
            Ok(deployment) => match self.settle(&deployment).await {
                Ok(report) => report,
                Err(error) => RewardReport {
                    folder: deployment.folder.clone(),
                    ..self.refuse(&error)
                },
            },
            Err(error) => self.refuse(&error),
        };
        self.wait_for_the_end().await;
        if let Some((reply, _)) = self.finish {
            let _ = reply.send(report);
        }
    }

    fn warn(&self, text: String) {
        let _ = self.updates.send(SettlementUpdate::Warning(text));
    }

    fn refuse(&self, error: &WorkerError) -> RewardReport {
        let trouble = error.to_string();
        self.warn(format!("rewards are not settled: {trouble}"));
        RewardReport::nothing(trouble)
    }

    /// Connects and prepares, or finds what was prepared; a chain that is away is waited for.
    pub(super) async fn open(&mut self) -> Result<DemoDeployment, WorkerError> {
        let link = self.connect().await?;
        let first_block = self
            .attend(patiently(|| link.client.block(0)), || None)
            .await??;
        let first_block = first_block
            .ok_or_else(|| WorkerError::NoFirstBlock(link.client.endpoint().to_owned()))?
            .hash;
        match self.plan.start.clone() {
            Start::New { runs } => {
                let runs = runs.filter(|_| link.dev.is_none());
                // Before anything is paid for: where the contracts are must not be lost.
                runs.iter().try_for_each(|runs| require_place(runs))?;
                let contracts = self.prepare(&link).await?;
                let folder = runs
                    .map(|runs| self.keep_run(&runs, first_block, &contracts))
                    .transpose()?;
                Ok(DemoDeployment {
                    link,
                    contracts,
                    first_block,
                    folder,
                })
            }
            Start::Resumed { run, .. } if run.first_block != first_block => {
                Err(WorkerError::OtherChain(link.client.endpoint().to_owned()))
            }
            Start::Resumed { run, folder } => {
                link.client.require_code(run.rewards).await?;
                Ok(DemoDeployment {
                    contracts: run.contracts(&link),
                    link,
                    first_block,
                    folder: Some(folder),
                })
            }
        }
    }

    fn keep_run(
        &self,
        runs: &Path,
        first_block: B256,
        contracts: &SwarmContracts,
    ) -> Result<PathBuf, WorkerError> {
        let funder = self.plan.keys.funder.address();
        let endpoint = public_url(&self.plan.chain);
        let origin = RunOrigin {
            endpoint,
            first_block,
            seed: self.plan.keys.seed,
            funder,
        };
        let run = RunFile::new(&origin, &self.plan.terms, contracts);
        let text = run.to_text()?;
        run.create(runs)
            .map_err(|cause| WorkerError::NotKept { cause, text })
    }

    async fn prepare(&mut self, link: &Link) -> Result<SwarmContracts, WorkerError> {
        let funder = account_writer(link, self.plan.keys.funder.clone())?;
        let (keys, terms) = (self.plan.keys.clone(), self.plan.terms);
        let mut submitted = Submitted::default();
        self.preparing = true;
        let preparing = prepare(link, &funder, &keys, &terms, &mut submitted);
        let contracts = self.attend(preparing, || trouble(&funder)).await;
        self.preparing = false;
        contracts
            .and_then(|contracts| Ok(contracts?))
            .map_err(|cause| {
                if submitted.sent().next().is_none() {
                    return cause;
                }
                WorkerError::Unfinished {
                    cause: cause.into(),
                    submitted,
                }
            })
    }

    /// Does something on the chain while messages come in, as long as there is time; `trouble` says
    /// what it waits for.
    async fn attend<T>(
        &mut self,
        work: impl Future<Output = T>,
        trouble: impl Fn() -> Option<String>,
    ) -> Result<T, WorkerError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = self.listen(GLANCE) => {
                    let trouble = trouble();
                    trouble.iter().for_each(|text| self.warn(text.clone()));
                    self.check_time(|| {
                        trouble.unwrap_or_else(|| "the contracts are not on the chain yet".into())
                    })?;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Link, WorkerError> {
        loop {
            match Link::connect(&self.plan.chain, EMBEDDED_TIME).await {
                Ok(link) => return link.ok_or(WorkerError::NoChain),
                Err(error) if error.is_transient() => {
                    self.warn(format!(
                        "{error}; rounds go on, and rewards are settled when it answers"
                    ));
                    self.check_time(|| error.to_string())?;
                }
                Err(error) => return Err(error.into()),
            }
            self.listen(RETRY).await;
        }
    }

    /// Takes messages for a while.
    async fn listen(&mut self, time: Duration) {
        let end = tokio::time::sleep(time);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                Some(command) = self.inbox.recv() => self.keep(command),
            }
        }
    }

    fn keep(&mut self, command: SettlementCommand) {
        match command {
            SettlementCommand::Finish(reply) => {
                let patience = Duration::from_secs(self.plan.chain.wait_s);
                self.finish = Some((reply, Instant::now() + patience));
            }
            SettlementCommand::Stop => self.stopping = true,
            other => self.backlog.push_back(other),
        }
    }

    fn check_time(&self, why: impl FnOnce() -> String) -> Result<(), WorkerError> {
        match &self.finish {
            Some(_) if self.stopping && !self.preparing => {
                Err(WorkerError::TimeOver("it was stopped".into()))
            }
            Some((_, end)) if Instant::now() >= *end => Err(WorkerError::TimeOver(why())),
            _ => Ok(()),
        }
    }

    async fn wait_for_the_end(&mut self) {
        while self.finish.is_none() {
            match self.inbox.recv().await {
                Some(command) => self.keep(command),
                None => return,
            }
        }
    }

    async fn settle(&mut self, deployment: &DemoDeployment) -> Result<RewardReport, WorkerError> {
        let mut nodes = PeerNodes::open(&self.plan, deployment, self.updates.clone())?;
        loop {
            nodes.deliver(&mut self.backlog, self.finish.is_some());
            self.listen(GLANCE).await;
            nodes.hear();
            nodes
                .writers
                .iter()
                .filter_map(trouble)
                .for_each(|text| self.warn(text));
            let over = match self.stopping {
                true => nodes.is_recorded(),
                false => nodes.is_done() || self.check_time(String::new).is_err(),
            };
            if self.finish.is_some() && over {
                return Ok(nodes.report(&self.plan, deployment).await);
            }
        }
    }
}
