//! Puts a node together from its folder, its swarm and its settings, and runs it.
//!
//! ```text
//! home ─┬─ node.key ───▶ identity ──────────────┬─▶ network
//!       ├─ node.redb ──▶ sign-once, archive, journal ─▶ core (replayed) ─┐
//!       ├─ swarm.toml ─▶ judge, game ───────────┘                       ├─▶ run
//!       └─ model/ ─────▶ learner at its newest checkpoint ─▶ worker ────┘
//! ```

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use contracts::deploy::Deployment;
use contracts::writer::Writer;
use swarm_identity::digest::hex;
use swarm_identity::key_file::{KeyFile, KeyFileError};
use swarm_identity::{Secret, Signer};
use swarm_learn::LearnConfig;
use swarm_learn::checkpoint::CheckpointError;
use swarm_learn::judge::TaskJudge;
use swarm_learn::run_folder::RunFolder;
use swarm_learn::sapo::Mix;
use swarm_net::Multiaddr;
use swarm_round::Hello;
use swarm_round::agreement::RoundRecord;
use swarm_round::clock::Clock;
use swarm_round::journal::Record;
use swarm_round::membership::Roster;
use swarm_round::state::{Core, CoreSetup, Output, ReplayError, Replayed};
use swarm_round::{SwarmConfig, SwarmConfigError};
use swarm_settle::chain::{ChainConfig, Endpoint, signer};
use swarm_settle::node::NodeEvent as SettlingEvent;
use swarm_settle::settlement::settler::Policy;
use swarm_settle::tokens::TOKEN;
use swarm_store::{Journal, OpenError, Store, StoreError};
use swarm_task::Library;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use super::announcing::{self, AnnouncingParts};
use super::archive::Archive;
use super::board::Board;
use super::config::{NetConfig, NodeConfig};
use super::disk::{Disk, DiskParts};
use super::home::{Home, HomeError};
use super::learner::{LearnerError, ModelLearner};
use super::parts::{NodeParts, Request};
use super::run::{Ended, Sources, run};
use super::schedule::{Schedule, ScheduleError};
use super::settling::{self, Results, Settling, SettlingError, SettlingParts};
use super::swarm_file::{SwarmFile, SwarmFileError};
use super::time::wall_clock;
use super::votes::Votes;
use super::worker::{Done, Worker};
use crate::api::{ApiError, Server};
use crate::config::EngineConfig;
use crate::job::{
    EngineError, FactoryError, Model, ModelFactory, Progress, SourceError, Stop, certified,
};

/// What the owner asked that waits to be answered.
const REQUESTS: usize = 64;

/// The usual port of DNS servers.
const DNS_PORT: u16 = 53;

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Its folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// Its key is gone, and what it signed is still there.
    #[error(
        "{key} is gone, and the folder is of a node that has run: put the key back from its backup; \
         for a new node give another folder with --home DIR",
        key = .0.display()
    )]
    Lost(PathBuf),
    /// Its store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its store, once it is open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its swarm.
    #[error(transparent)]
    Swarm(#[from] SwarmFileError),
    /// Its swarm's limits.
    #[error("the swarm's file: {0}")]
    Config(#[from] SwarmConfigError),
    /// The file of its contracts.
    #[error(transparent)]
    Deployment(#[from] contracts::deploy::FileError),
    /// Its contracts are not the swarm's.
    #[error(transparent)]
    Settling(#[from] SettlingError),
    /// The owner's account.
    #[error("the wallet cannot sign: {0}")]
    Wallet(swarm_identity::key::KeyError),
    /// A family to work on.
    #[error("node.families: {0} is no family of the swarm; it has {1}")]
    Families(String, String),
    /// When the model works.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The base model.
    #[error(transparent)]
    Model(#[from] SourceError),
    /// The base model is another one.
    #[error(
        "the swarm trains the model {wanted}, and {given} was given; give the weights that the \
         swarm starts from with --set node.base=PATH"
    )]
    OtherModel {
        /// The digest in the swarm's file.
        wanted: String,
        /// The digest of the base.
        given: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The peer.
    #[error(transparent)]
    Factory(#[from] FactoryError),
    /// What it learned before.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What it learned before, as a peer.
    #[error(transparent)]
    Learner(#[from] LearnerError),
    /// An address.
    #[error(
        "`{key}`: `{text}` is no address: {reason}; write it like /ip4/192.0.2.7/udp/4001/quic-v1"
    )]
    Address {
        /// The setting.
        key: &'static str,
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The address of a DNS server.
    #[error("net.resolver is `{0}`; write an address like 192.0.2.53 or 192.0.2.53:53")]
    Resolver(String),
    /// The network.
    #[error(transparent)]
    Network(#[from] swarm_net::NetError),
    /// The local API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The address of the local API.
    #[error("node.api is `{0}`; write an address and a port, for example 127.0.0.1:0")]
    ApiAddress(String),
    /// A thread.
    #[error("a thread does not start: {0}; lower engine.threads or end other programs")]
    Thread(io::Error),
}

impl JoinError {
    /// True if the owner's settings or files are to blame, not the work.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Home(HomeError::Nowhere)
                | Self::Lost(_)
                | Self::Swarm(_)
                | Self::Config(_)
                | Self::Deployment(_)
                | Self::Settling(_)
                | Self::Families(..)
                | Self::Schedule(_)
                | Self::Address { .. }
                | Self::ApiAddress(_)
                | Self::Resolver(_)
                | Self::OtherModel { .. }
        )
    }
}

/// The settings that a node is made of.
#[derive(Clone, Copy, Debug)]
pub struct NodeSettings<'a> {
    /// The node.
    pub node: &'a NodeConfig,
    /// Its network.
    pub net: &'a NetConfig,
    /// How it learns.
    pub learn: &'a LearnConfig,
    /// How programs are executed.
    pub engine: &'a EngineConfig,
    /// The chain on which rewards are settled.
    pub chain: &'a ChainConfig,
    /// The owner's account; without it nothing is earned there.
    pub wallet: Option<&'a Secret>,
}

/// A node that is about to run: its key and its store are locked.
pub struct Joining<'a> {
    home: Home,
    settings: NodeSettings<'a>,
    key: KeyFile,
    store: Store,
    swarm: SwarmFile,
    config: Arc<SwarmConfig>,
    deployment: Option<Deployment>,
}

impl<'a> Joining<'a> {
    /// Opens what is in the node's folder; a key that is missing is made.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn open(home: Home, settings: NodeSettings<'a>) -> Result<Self, JoinError> {
        home.create()?;
        let swarm = SwarmFile::load(&home.swarm())?;
        if home.store().exists() && !home.key().exists() {
            return Err(JoinError::Lost(home.key()));
        }
        let key = KeyFile::open(&home.key(), Secret::random)?;
        let store = Store::open(&home.store())?;
        let config = swarm.config()?;
        let file = home.deployment();
        let deployment = file.exists().then(|| Deployment::read(&file)).transpose()?;
        if let Some(deployment) = &deployment {
            settling::check(deployment, &config)?;
        }
        Ok(Self {
            config: Arc::new(config),
            deployment,
            home,
            settings,
            key,
            store,
            swarm,
        })
    }

    /// The node's folder.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The node's identity.
    pub fn key(&self) -> &KeyFile {
        &self.key
    }

    /// The swarm.
    pub fn swarm(&self) -> &SwarmFile {
        &self.swarm
    }

    /// What keeps the node from being paid for its work, in words; none in a swarm that settles
    /// nowhere.
    pub fn unpaid(&self) -> Option<&'static str> {
        let settings = &self.settings;
        match (&self.deployment, settings.wallet) {
            _ if self.config.settlement.is_empty() => None,
            _ if Endpoint::of(settings.chain) == Ok(Endpoint::None) => {
                Some("no chain is set (chain.endpoint = none)")
            }
            (None, _) => Some(
                "the contracts' file is missing: give it once with `swarm-node up --deployment FILE`",
            ),
            (_, None) => Some(
                "there is no wallet: name one with --set wallet.file=FILE, or set \
                 SWARM_NODE_WALLET_SECRET",
            ),
            _ => None,
        }
    }

    /// Runs the node until it is drained or stopped.
    ///
    /// # Errors
    /// What is missing or refused at its start; see [`JoinError`].
    pub async fn run(
        self,
        board: Board,
        progress: &dyn Progress,
        stop: Stop,
    ) -> Result<Ended, JoinError> {
        let peer = self.key.key().peer();
        let NodeConfig {
            hours,
            on_battery,
            max_load,
            ..
        } = self.settings.node;
        let schedule = Schedule::new(hours, *on_battery, *max_load)?;
        let judge = Arc::new(TaskJudge::new(Library::new(), self.swarm.tasks.by_topic()));
        let swarm = self.config.swarm_id();
        let archive = Archive::new(self.store.archive(swarm));
        let (worker, done) = self.worker(&judge, progress)?;
        let journal = self.store.journal(swarm);
        let (core, outstanding) = self.core(judge, &archive, &journal)?;
        let results = Results::new(self.store.results(swarm));
        let (shown, writer) = watch::channel(None);
        let (settling, settled) = self.settling(&results, shown)?;
        let (disk, written) = Disk::start(DiskParts {
            results,
            swarm,
            signer: Signer::new(self.key.key().clone(), self.store.sign_once()),
            archive: archive.clone(),
            journal,
            evidence: self.home.evidence(),
            keep_rounds: self.settings.node.keep_rounds,
        })
        .map_err(JoinError::Thread)?;
        let network = self.network(swarm)?;
        let given = network.bootstrap.len() + network.swarm_file.len();
        let (network, events) =
            swarm_net::start(network, self.key.secret(), Arc::new(archive.clone())).await?;
        self.look_on_the_chain(&network, &board, writer);
        let (ask, owner) = mpsc::channel::<Request>(REQUESTS);
        let _server = self.server(ask, board.clone()).await?;
        let parts = NodeParts {
            core,
            config: self.config.clone(),
            peer,
            network,
            disk,
            worker,
            schedule,
            given,
            archive,
            board,
            outstanding,
            votes: self.swarm.domain()?.map(Votes::new),
            settling,
        };
        let sources = Sources {
            network: events,
            disk: written,
            worker: done,
            settling: settled,
            owner,
            stop,
        };
        Ok(run(parts, sources).await)
    }
}

// The parts.
impl Joining<'_> {
    /// The model's thread; an observer has none, and its results never come.
    fn worker(
        &self,
        judge: &Arc<TaskJudge>,
        progress: &dyn Progress,
    ) -> Result<(Option<Worker>, mpsc::UnboundedReceiver<Done>), JoinError> {
        if self.settings.node.role == "observer" {
            return Ok((None, mpsc::unbounded_channel().1));
        }
        let learner = self.learner(judge, progress)?;
        let (worker, done) = Worker::start(Box::new(learner)).map_err(JoinError::Thread)?;
        Ok((Some(worker), done))
    }

    /// The settling node, if there is a contract and an account to be paid.
    fn settling(
        &self,
        results: &Results,
        shown: watch::Sender<Option<Writer>>,
    ) -> Result<(Option<Settling>, mpsc::Receiver<SettlingEvent>), JoinError> {
        let (Some(deployment), Some(wallet), None) =
            (&self.deployment, self.settings.wallet, self.unpaid())
        else {
            return Ok((None, mpsc::channel(1).1));
        };
        let node = self.settings.node;
        let (settling, events) = Settling::start(SettlingParts {
            chain: self.settings.chain.clone(),
            deployment: deployment.clone(),
            wallet: signer(&wallet.to_bytes()).map_err(JoinError::Wallet)?,
            key: self.key.key().clone(),
            store: self.store.clone(),
            policy: Policy {
                claim_from: (node.claim_from * TOKEN as f64) as u128,
                bonds: node.bonds,
            },
            results: results.clone(),
            shown,
        });
        Ok((Some(settling), events))
    }

    /// Looks for peers among the announcements on the swarm's chain, if it has one.
    fn look_on_the_chain(
        &self,
        network: &swarm_net::Handle,
        board: &Board,
        writer: watch::Receiver<Option<Writer>>,
    ) {
        let (net, chain) = (self.settings.net, self.settings.chain);
        let Some(deployment) = self.deployment.clone().filter(|_| net.chain) else {
            return;
        };
        tokio::spawn(announcing::run(AnnouncingParts {
            chain: chain.clone(),
            deployment,
            peer: self.key.key().peer(),
            network: network.clone(),
            board: board.clone(),
            // Bounded by the setting.
            period: Some((net.announce_hours * 3600.0) as u64),
            store: self.store.clone(),
            writer,
        }));
    }

    fn learner(
        &self,
        judge: &Arc<TaskJudge>,
        progress: &dyn Progress,
    ) -> Result<ModelLearner, JoinError> {
        let NodeSettings {
            node,
            learn,
            engine: settings,
            ..
        } = self.settings;
        let base = Model::load(crate::config::path(&node.base), progress)?;
        let given = hex(&base.weights.digest());
        if given != self.swarm.model {
            let wanted = self.swarm.model.clone();
            return Err(JoinError::OtherModel { wanted, given });
        }
        let folder = RunFolder::open(self.home.model(), node.keep, base.files.clone())?;
        // The game says how many completions a group has, and how long they may be.
        let learn = LearnConfig {
            group: self.swarm.game.group,
            max_new: self.swarm.game.tokens.into(),
            ..learn.clone()
        };
        let mix = Mix {
            own: node.own,
            external: node.external,
            peer_percent: node.peer_percent,
            filter: true,
        };
        let identity = serde_json::json!({
            "swarm": hex(&self.config.swarm_id()),
            "learn": learn,
            "mix": mix,
            "start": given,
        });
        let (config, weights) = (learn.peer(mix), base.weights.clone());
        let factory = ModelFactory::new(base, learn, settings.memory_bytes())?;
        let engine = certified(settings, settings.workers())?;
        let peer = factory.peer(
            engine,
            self.key.key().peer(),
            judge.clone(),
            config,
            &weights,
        )?;
        let first = Clock::new(&self.config).first_whole_round(wall_clock());
        let (learner, damaged) = ModelLearner::resume(peer, folder, identity, first)?;
        damaged.iter().for_each(|text| progress.warn(text));
        Ok(learner)
    }

    /// The core where it stood when the node ended, and what it wanted then; without a journal it
    /// takes the archive's rounds over and votes in no round that was begun.
    fn core(
        &self,
        judge: Arc<TaskJudge>,
        archive: &Archive,
        journal: &Journal,
    ) -> Result<(Core, Vec<Output>), JoinError> {
        let key = self.key.key();
        let setup = CoreSetup {
            config: self.config.clone(),
            peer: key.peer(),
            salts: key.salt_key(),
            judge,
            memo: Arc::default(),
            roster: Roster::default(),
            hello: Some(self.hello()?),
        };
        let failed = RefCell::new(None);
        let kept = |round| {
            let record = archive.get(round).unwrap_or_else(|error| {
                failed.replace(Some(error));
                None
            });
            let record = RoundRecord::from_bytes(&record?);
            record
                .inspect_err(|error| tracing::warn!(round, %error, "a round's record is damaged"))
                .ok()
        };
        let records = journal.all()?;
        let records: Result<Vec<Record>, _> = records
            .iter()
            .map(|bytes| Record::from_bytes(bytes))
            .collect();
        match records {
            Ok(records) => {
                let replayed = Core::replay(setup.clone(), records, &kept);
                // A journal is not given up for an archive that could not be read.
                if let Some(error) = failed.into_inner() {
                    return Err(error.into());
                }
                match replayed {
                    Ok(Replayed { core, outstanding }) => return Ok((core, outstanding)),
                    Err(ReplayError::Headless) => {}
                    Err(error) => tracing::warn!(%error, "the journal is of no use"),
                }
            }
            Err(error) => tracing::warn!(%error, "the journal is damaged"),
        }
        journal.clear()?;
        let mut core = Core::new(setup, wall_clock())?;
        if self.has_never_signed()? {
            core = core.never_signed();
        }
        Ok((core, Vec::new()))
    }

    /// What the node says in an open swarm to become a member.
    fn hello(&self) -> Result<Hello, JoinError> {
        let families = &self.settings.node.families;
        let families = families
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let mut topics = 0;
        for name in families {
            let known = &self.swarm.tasks.families;
            let topic = known.iter().position(|family| family.name() == name);
            topics |= 1
                << topic.ok_or_else(|| {
                    let names: Vec<&str> = known.iter().map(|family| family.name()).collect();
                    JoinError::Families(name.to_owned(), names.join(", "))
                })?;
        }
        let topics = if topics == 0 { u64::MAX } else { topics };
        Ok(Hello { topics })
    }

    /// True if this key has certainly signed nothing: it may then help to decide rounds from before
    /// its start. Of a store that was lost nobody knows what was in it.
    fn has_never_signed(&self) -> Result<bool, JoinError> {
        let has_run = self.home.peers().exists();
        if self.store.is_new() && has_run {
            tracing::warn!(
                "the store is new, but this node ran before: it votes in no round that has begun"
            );
            return Ok(false);
        }
        Ok(self.store.sign_once().is_empty()?)
    }

    fn network(&self, swarm: [u8; 32]) -> Result<swarm_net::Config, JoinError> {
        let net = self.settings.net;
        let in_file = self.swarm.bootstrap.iter();
        let in_file = in_file.map(|text| address("bootstrap", text));
        let listen = addresses("net.listen", &net.listen)?;
        let mut config = swarm_net::Config::new(swarm);
        if !listen.is_empty() {
            config.listen = listen;
        }
        config.bootstrap = addresses("net.peers", &net.peers)?;
        config.swarm_file = in_file.collect::<Result<_, _>>()?;
        config.resolver = resolver(&net.resolver)?;
        config.external = addresses("net.external", &net.external)?;
        config.peer_cache = Some(self.home.peers());
        config.bans = Some(self.home.bans());
        config.limits.memory_share = net.memory_percent / 100.0;
        (config.mdns, config.upnp, config.relay_server) = (net.mdns, net.upnp, net.relay);
        Ok(config)
    }

    async fn server(&self, ask: mpsc::Sender<Request>, board: Board) -> Result<Server, JoinError> {
        let text = &self.settings.node.api;
        let address: SocketAddr = text
            .parse()
            .map_err(|_| JoinError::ApiAddress(text.clone()))?;
        Ok(Server::start(address, self.home.api(), ask, board).await?)
    }
}

/// The addresses in a setting, separated by commas.
fn addresses(key: &'static str, text: &str) -> Result<Vec<Multiaddr>, JoinError> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| address(key, part))
        .collect()
}

/// The DNS server of the settings, if they name one.
fn resolver(text: &str) -> Result<Option<SocketAddr>, JoinError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let whole = text.parse().ok();
    let alone = || Some(SocketAddr::new(text.parse().ok()?, DNS_PORT));
    let server = whole.or_else(alone);
    server
        .map(Some)
        .ok_or_else(|| JoinError::Resolver(text.to_owned()))
}

fn address(key: &'static str, text: &str) -> Result<Multiaddr, JoinError> {
    text.parse()
        .map_err(|error: swarm_net::MultiaddrError| JoinError::Address {
            key,
            text: text.to_owned(),
            reason: error.to_string(),
        })
}
