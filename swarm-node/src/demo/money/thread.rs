//! The chain's own thread: it connects, prepares, settles and reports, while the demo's thread trains.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use contracts::B256;
use contracts::client::{ConnectError, RpcError};
use contracts::cursor::Cursor;
use contracts::writer::{IntentStore, MemoryStore, StoreError, Writer};
use tokio::sync::mpsc;

use super::account::{Account, MoneyReport, Place};
use super::cast::{Cast, Owner};
use super::economy::{EMBEDDED_TIME, Economy};
use super::prepare::{PrepareError, Stage, prepare, writer};
use super::run_file::{Run, RunError, RunOrigin, peer_store};
use crate::assembly::Watch;
use crate::chain::{Endpoint, Link, LinkError, patiently, trouble};
use crate::config::ChainConfig;
use crate::identity::{MemoryTable, SignOnce, Signer};
use crate::round::RoundResult;
use crate::settle::node::{Message, Node, Report, Setup};
use crate::settle::{EpochNumber, Kept, Phase};
use crate::store::{Chain, Epochs};

/// Between two attempts to reach a chain that does not answer.
const RETRY: Duration = Duration::from_secs(2);
/// Between two looks at how far settlement is.
const GLANCE: Duration = Duration::from_millis(50);
/// How long the last question, for the balances, may take; then the events that were seen must do.
const LAST_WORD: Duration = Duration::from_secs(10);
/// Reports that wait to be handled; nodes wait beyond that.
const REPORTS: usize = 1024;

/// What the demo's thread tells.
#[derive(Debug)]
enum Command {
    RoundOver(usize, u64, Option<Arc<RoundResult>>),
    Finish(std_mpsc::Sender<MoneyReport>),
}

/// What the chain's thread tells while it works.
#[derive(Debug)]
enum News {
    Warning(String),
    /// One more reward is paid: so many of those due.
    Paid(usize, usize),
}

/// The money of a demo, seen from the demo's thread.
pub struct Money {
    commands: mpsc::UnboundedSender<Command>,
    news: std_mpsc::Receiver<News>,
    thread: Option<JoinHandle<()>>,
    /// Rewards of all peers and epochs.
    rewards: u64,
    said: BTreeSet<String>,
}

impl Money {
    /// Begins to settle a swarm's rounds on the chain of the settings; what is needed to settle later is kept below `runs`,
    /// if the chain lasts.
    ///
    /// The channel to the thread has no bound of its own: it holds at most one message for each peer and round of the
    /// demo, whose results the demo keeps anyway.
    pub fn begin(chain: ChainConfig, economy: Economy, cast: Cast, runs: Option<PathBuf>) -> std::io::Result<Self> {
        Self::start(chain, economy, cast, Origin::Fresh { runs })
    }

    /// Goes on with what a demo has left in `folder`.
    pub fn resume(chain: ChainConfig, cast: Cast, run: Run, folder: PathBuf) -> std::io::Result<Self> {
        Self::start(chain, run.economy(), cast, Origin::Resumed { run, folder })
    }

    fn start(chain: ChainConfig, economy: Economy, cast: Cast, origin: Origin) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (tell, news) = std_mpsc::channel();
        let rewards = economy.peers * economy.epochs();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let office = Office { chain, economy, cast, origin, inbox, tell, backlog: Vec::new(), finish: None };
        let thread =
            std::thread::Builder::new().name("settlement".into()).spawn(move || runtime.block_on(office.run()))?;
        Ok(Self { commands, news, thread: Some(thread), rewards, said: BTreeSet::new() })
    }

    /// Tells that a round is over for a peer, and shows what the chain has to say.
    pub fn round_over(&mut self, peer: usize, round: u64, result: Option<Arc<RoundResult>>, watch: &dyn Watch) {
        let _ = self.commands.send(Command::RoundOver(peer, round, result));
        while let Ok(news) = self.news.try_recv() {
            self.show(news, watch);
        }
    }

    /// Waits until everything is settled, or for as long as the settings say.
    pub fn finish(mut self, watch: &dyn Watch) -> MoneyReport {
        let (reply, answer) = std_mpsc::channel();
        let _ = self.commands.send(Command::Finish(reply));
        watch.begin("settling", self.rewards);
        while let Ok(news) = self.news.recv() {
            self.show(news, watch);
        }
        watch.end("");
        let report = answer.recv().unwrap_or_default();
        if let Some(thread) = self.thread.take() {
            // It has told everything; how it ended changes nothing.
            let _ = thread.join();
        }
        report
    }

    fn show(&mut self, news: News, watch: &dyn Watch) {
        match news {
            News::Warning(text) => {
                if self.said.insert(text.clone()) {
                    watch.warn(&text);
                }
            }
            News::Paid(paid, due) => watch.step(&format!("{paid} of {due} rewards paid")),
        }
    }
}

/// Everything the chain's thread has before it has a chain.
struct Office {
    chain: ChainConfig,
    economy: Economy,
    cast: Cast,
    origin: Origin,
    inbox: mpsc::UnboundedReceiver<Command>,
    tell: std_mpsc::Sender<News>,
    /// What came before the contracts were ready.
    backlog: Vec<Command>,
    finish: Option<(std_mpsc::Sender<MoneyReport>, Instant)>,
}

/// Where a settlement begins.
#[derive(Clone, Debug)]
enum Origin {
    /// With new contracts; what is needed later is kept below this folder.
    Fresh { runs: Option<PathBuf> },
    /// With what a demo has left.
    Resumed { run: Run, folder: PathBuf },
}

/// A chain with a swarm's contracts on it, and the folder of what is kept.
struct Ground {
    link: Link,
    stage: Stage,
    first_block: B256,
    folder: Option<PathBuf>,
}

/// Why there is no settlement at all.
#[derive(Debug, thiserror::Error)]
enum OfficeError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{0} serves another chain with the same id than the one of this run; nothing of it can be settled there")]
    OtherChain(String),
    #[error("the settings name no chain")]
    NoChain,
    #[error("{0}")]
    TimeOver(String),
}

impl From<StoreError> for OfficeError {
    fn from(error: StoreError) -> Self {
        Self::Prepare(error.into())
    }
}

impl Office {
    async fn run(mut self) {
        let report = match self.open().await {
            Ok(ground) => self.settle(ground).await.unwrap_or_else(|error| self.refuse(&error)),
            Err(error) => self.refuse(&error),
        };
        self.wait_for_the_end().await;
        if let Some((reply, _)) = self.finish {
            let _ = reply.send(report);
        }
    }

    fn warn(&self, text: String) {
        let _ = self.tell.send(News::Warning(text));
    }

    fn refuse(&self, error: &OfficeError) -> MoneyReport {
        let trouble = error.to_string();
        self.warn(format!("rewards are not settled: {trouble}"));
        MoneyReport { trouble: Some(trouble), ..MoneyReport::default() }
    }

    /// Connects and prepares, or finds what was prepared; a chain that is away is waited for.
    async fn open(&mut self) -> Result<Ground, OfficeError> {
        let link = self.connect().await?;
        let first_block = patiently(|| link.client.block(0)).await?.map(|block| block.hash).unwrap_or_default();
        match self.origin.clone() {
            Origin::Fresh { runs } => {
                let stage = self.prepare(&link).await?;
                let runs = runs.filter(|_| link.dev.is_none());
                let folder = runs.map(|runs| self.keep_run(&runs, first_block, &stage)).transpose()?;
                Ok(Ground { link, stage, first_block, folder })
            }
            Origin::Resumed { run, .. } if run.first_block != first_block.to_string() => {
                Err(OfficeError::OtherChain(link.client.endpoint().to_owned()))
            }
            Origin::Resumed { run, folder } => {
                link.client.require_code(run.coordinator).await?;
                Ok(Ground { stage: run.stage(&link), link, first_block, folder: Some(folder) })
            }
        }
    }

    fn keep_run(&self, runs: &Path, first_block: B256, stage: &Stage) -> Result<PathBuf, RunError> {
        let funder = self.cast.funder.address();
        let origin = RunOrigin { endpoint: &self.chain.endpoint, first_block, seed: self.cast.seed, funder };
        Run::new(&origin, &self.economy, stage).create(runs)
    }

    async fn prepare(&mut self, link: &Link) -> Result<Stage, OfficeError> {
        let funder = writer(link, self.cast.funder.clone())?;
        let (cast, economy) = (self.cast.clone(), self.economy);
        let preparing = prepare(link, &funder, &cast, &economy);
        tokio::pin!(preparing);
        loop {
            tokio::select! {
                stage = &mut preparing => return Ok(stage?),
                () = self.listen(GLANCE) => {
                    let trouble = trouble(&funder);
                    trouble.iter().for_each(|text| self.warn(text.clone()));
                    self.check_time(|| trouble.unwrap_or_else(|| "the contracts are not on the chain yet".into()))?;
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Link, OfficeError> {
        loop {
            match Link::connect(&self.chain, EMBEDDED_TIME).await {
                Ok(link) => return link.ok_or(OfficeError::NoChain),
                Err(error) if error.is_transient() => {
                    self.warn(format!("{error}; rounds go on, and rewards are settled when it answers"));
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

    fn keep(&mut self, command: Command) {
        match command {
            Command::Finish(reply) => {
                let patience = Duration::from_secs(self.chain.wait_s);
                self.finish = Some((reply, Instant::now() + patience));
            }
            other => self.backlog.push(other),
        }
    }

    fn check_time(&self, why: impl FnOnce() -> String) -> Result<(), OfficeError> {
        match &self.finish {
            Some((_, end)) if Instant::now() >= *end => Err(OfficeError::TimeOver(why())),
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

    async fn settle(&mut self, ground: Ground) -> Result<MoneyReport, OfficeError> {
        let mut desk = Desk::open(self, &ground)?;
        loop {
            desk.deliver(std::mem::take(&mut self.backlog), self.finish.is_some()).await;
            self.listen(GLANCE).await;
            desk.hear().await;
            desk.writers.iter().filter_map(trouble).for_each(|text| self.warn(text));
            if self.finish.is_some() && (desk.is_done() || self.check_time(String::new).is_err()) {
                return Ok(desk.report(self, &ground).await);
            }
        }
    }
}

/// The nodes at work.
struct Desk {
    link: Link,
    economy: Economy,
    schedule: crate::settle::Schedule,
    writers: Vec<Writer>,
    /// Epochs that each node must bring to an end.
    due: Vec<u64>,
    nodes: Vec<mpsc::Sender<Message>>,
    reports: Vec<mpsc::Receiver<Report>>,
    epochs: Vec<Vec<(EpochNumber, Phase, u64)>>,
    tell: std_mpsc::Sender<News>,
    paid: usize,
    closed: bool,
}

impl Desk {
    fn open(office: &Office, ground: &Ground) -> Result<Self, OfficeError> {
        let count = office.cast.nodes.len();
        let mut desk = Self {
            economy: office.economy,
            schedule: ground.stage.schedule,
            link: ground.link.clone(),
            writers: Vec::with_capacity(count),
            due: Vec::with_capacity(count),
            nodes: Vec::with_capacity(count),
            reports: Vec::with_capacity(count),
            epochs: vec![Vec::new(); count],
            tell: office.tell.clone(),
            paid: 0,
            closed: false,
        };
        (0..count).try_for_each(|peer| desk.seat(office, ground, peer))?;
        Ok(desk)
    }

    /// Starts the node of a peer.
    fn seat(&mut self, office: &Office, ground: &Ground, peer: usize) -> Result<(), OfficeError> {
        let (Some(key), Some(owner)) = (office.cast.nodes.get(peer), office.cast.owners.get(peer)) else {
            return Ok(());
        };
        let Drawer { intents, signed, kept } = Drawer::open(ground, owner, peer)?;
        let resumed = matches!(office.origin, Origin::Resumed { .. });
        let known = kept.as_ref().and_then(|kept| kept.all().ok()).map_or(0, |scan| scan.records.len() as u64);
        let writer = Writer::start(self.link.client.clone(), owner.signer.clone(), intents, self.link.writer())?;
        let setup = Setup {
            first_block: ground.first_block.0,
            signer: Signer::new(key.clone(), signed),
            members: office.cast.nodes.iter().map(|node| node.peer()).collect(),
            schedule: self.schedule,
            link: self.link.clone(),
            swarm: ground.stage.swarm.clone(),
            cursor: Cursor::new(ground.stage.swarm.addresses().coordinator, ground.stage.block),
            writer: writer.clone(),
            kept,
        };
        let (reports, heard) = mpsc::channel(REPORTS);
        let (node, own, inbox) = Node::new(setup, reports);
        tokio::spawn(node.run(inbox));
        self.nodes.push(own);
        self.reports.push(heard);
        self.writers.push(writer);
        self.due.push(if resumed { known } else { self.economy.epochs() });
        Ok(())
    }

    /// Hands on what the demo's thread said; after the last round, says so once.
    async fn deliver(&mut self, commands: Vec<Command>, last: bool) {
        for command in commands {
            let Command::RoundOver(peer, round, result) = command else { continue };
            self.link.advance_to(self.schedule.round_start(round + 1));
            if let Some(node) = self.nodes.get(peer) {
                let _ = node.send(Message::RoundOver(round, result)).await;
            }
        }
        if last && !self.closed {
            self.closed = true;
            self.link.advance_to(self.schedule.end(self.schedule.epoch_of(self.economy.rounds.saturating_sub(1))));
            for node in &self.nodes {
                let _ = node.send(Message::NoMoreRounds).await;
            }
        }
    }

    /// Carries attestations from node to node, and everything else to the demo's thread.
    async fn hear(&mut self) {
        for peer in 0..self.reports.len() {
            while let Some(report) = self.reports.get_mut(peer).and_then(|heard| heard.try_recv().ok()) {
                self.pass_on(peer, report).await;
            }
        }
        let paid = self.count(|phase| phase == Phase::Paid);
        if self.closed {
            let due = self.count(|phase| !matches!(phase, Phase::Empty | Phase::Unrewarded));
            (self.paid + 1..=paid).for_each(|paid| drop(self.tell.send(News::Paid(paid, due))));
            self.paid = paid;
        }
    }

    async fn pass_on(&mut self, peer: usize, report: Report) {
        match report {
            Report::Publish(attestation) => {
                let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != peer);
                for (_, node) in others {
                    let _ = node.send(Message::Attestation(attestation.clone())).await;
                }
            }
            Report::Warning(text) => {
                let _ = self.tell.send(News::Warning(format!("peer {}: {text}", peer + 1)));
            }
            Report::Epochs(epochs) => {
                if let Some(known) = self.epochs.get_mut(peer) {
                    *known = epochs;
                }
            }
        }
    }

    fn count(&self, phase: impl Fn(Phase) -> bool) -> usize {
        self.epochs.iter().flatten().filter(|(_, at, _)| phase(*at)).count()
    }

    /// True if every epoch of every node has come to its end, and no transaction is under way.
    fn is_done(&self) -> bool {
        let all = self.closed && self.epochs.iter().zip(&self.due).all(|(epochs, due)| epochs.len() as u64 >= *due);
        let idle = self.writers.iter().all(|writer| writer.status().live() == 0);
        all && idle && self.count(|phase| !phase.is_final()) == 0
    }

    async fn report(&self, office: &Office, ground: &Ground) -> MoneyReport {
        let swarm = &ground.stage.swarm;
        let mut accounts = Vec::new();
        for (epochs, owner) in self.epochs.iter().zip(&office.cast.owners) {
            let points = epochs.iter().map(|(_, _, points)| points).sum();
            let asked = tokio::time::timeout(LAST_WORD, patiently(|| swarm.tokens_of(owner.address()))).await;
            let claimed =
                asked.ok().and_then(Result::ok).map_or_else(|| paid_units(epochs), |units| units.saturating_to());
            accounts.push(Account { points, claimed });
        }
        let accepted = |phase: Phase| !matches!(phase, Phase::Open | Phase::Voting);
        let first = self.epochs.first().map_or(&[][..], Vec::as_slice);
        let epochs = [first.iter().filter(|(_, phase, _)| accepted(*phase)).count(), first.len()];
        let trouble = self.writers.iter().find_map(trouble).or_else(|| self.odd_phase());
        let place = Some(place(&office.chain, ground, &office.cast));
        MoneyReport { place, accounts, epochs, trouble, folder: ground.folder.clone() }
    }

    /// Why an epoch is not paid, if not for the chain.
    fn odd_phase(&self) -> Option<String> {
        let odd = |phase: Phase| match phase {
            Phase::Contradicted => Some("the chain accepted other scores than this swarm computed"),
            Phase::Expired => Some("the time to claim is over"),
            Phase::Unbound => Some("a node key is bound to no account"),
            Phase::Voting => Some("the scores are not accepted yet"),
            Phase::Claiming => Some("the claims are not paid yet"),
            _ => None,
        };
        let mut phases = self.epochs.iter().flatten().map(|(epoch, phase, _)| (epoch, odd(*phase)));
        phases.find_map(|(epoch, odd)| Some(format!("epoch {epoch}: {}", odd?)))
    }
}

/// Where a peer keeps what it must not forget.
struct Drawer {
    intents: Arc<dyn IntentStore>,
    signed: Arc<dyn SignOnce>,
    kept: Option<Epochs<Kept>>,
}

impl Drawer {
    /// On disk for a chain that lasts, in memory for one that ends with the process.
    fn open(ground: &Ground, owner: &Owner, peer: usize) -> Result<Self, RunError> {
        let Some(folder) = &ground.folder else {
            return Ok(Self {
                intents: Arc::new(MemoryStore::default()),
                signed: Arc::new(MemoryTable::default()),
                kept: None,
            });
        };
        let store = peer_store(folder, peer)?;
        let chain = Chain { id: ground.link.client.chain_id(), genesis: ground.first_block.0 };
        let contract = ground.stage.swarm.addresses().coordinator.into();
        Ok(Self {
            intents: Arc::new(store.intents(chain, owner.address().into())),
            signed: Arc::new(store.sign_once()),
            kept: Some(store.epochs(chain, contract)),
        })
    }
}

/// What the chain had paid when it was last seen.
fn paid_units(epochs: &[(EpochNumber, Phase, u64)]) -> u128 {
    let paid = epochs.iter().filter(|(_, phase, _)| *phase == Phase::Paid);
    Account { points: paid.map(|(_, _, points)| points).sum(), claimed: 0 }.earned()
}

fn place(chain: &ChainConfig, ground: &Ground, cast: &Cast) -> Place {
    let Ground { link, stage, .. } = ground;
    let addresses = stage.swarm.addresses();
    let endpoint = match Endpoint::of(chain) {
        Ok(Endpoint::Url(_)) => link.client.endpoint().to_owned(),
        _ => "embedded".to_owned(),
    };
    Place {
        endpoint,
        id: link.client.chain_id(),
        token: addresses.token.to_string(),
        stake: addresses.stake.to_string(),
        coordinator: addresses.coordinator.to_string(),
        owners: cast.owners.iter().map(|owner| owner.address().to_string()).collect(),
    }
}
