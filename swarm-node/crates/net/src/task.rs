//! The event loop: it owns the swarm, takes commands, and hands what happens to the pure tables.
//!
//! Nothing in it waits: a full queue of the daemon drops records and requests and is counted, so a
//! slow daemon never stops pings or forwarding.

mod commands;
mod reach;
mod requests;
mod run_questions;
mod sources;
mod swarm_events;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::IdentTopic;
use libp2p::request_response::{InboundRequestId, OutboundRequestId};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, Swarm, TransportError, core, swarm};
use swarm_identity::{PeerId, Secret};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::bans::KeptBan;
use crate::behaviour::{self, Behaviour as Parts};
use crate::bulk::blob::Blobs;
use crate::bulk::server::Server;
use crate::channel::reception::Reception;
use crate::channel::registry::Registry;
use crate::config::{Config, Protocols};
use crate::dial::{Call, Dialler, TargetId};
use crate::event::{Event, Events, Reachability};
use crate::gossip::{GossipSettings, Outbox};
use crate::handle::{Answer, COMMANDS, Command, Handle, Snapshot, WeakReports};
use crate::limits::{Behaviour, Limits, MAX_CACHED_PEERS};
use crate::names::Names;
use crate::peers::Peers;
use crate::reachability::Tracker;
use crate::request::PendingAnswer;
use crate::runs::{OwnRun, Runs};
use crate::score::{Ban, Scores};
use crate::source::{Source, Sources};
use crate::stats::Stats;
use crate::{bans, cache, peer_id, run_name, transport};

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two writes of the file of known addresses.
const SAVE_EVERY: u64 = 60;
/// Ticks between two looks for further peers.
const DISCOVER_EVERY: u64 = 120;
/// The same before the first of these: nodes that start at one time know nobody when they are asked
/// first, and those behind routers can be found only once a relay has a place for them.
const DISCOVER_EVERY_AT_FIRST: u64 = 8;
/// Searches for further peers that are under way at once. Each costs time with every message that
/// comes, and whoever makes up names could start one with each of them.
const SEARCHES: usize = 2;
/// Events other than records and requests that wait for the daemon.
const BACKLOG: usize = 4096;
/// Channels that were opened and that nobody has looked at yet; looking takes no time.
const INCOMING_CHANNELS: usize = 64;

/// Why the network does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetError {
    /// None of the addresses can be listened at.
    #[error("cannot listen at any address ({}); name free ports of this machine", .0.join("; "))]
    Listen(Vec<String>),
    /// Gossip cannot be set up.
    #[error(transparent)]
    Gossip(#[from] GossipSettings),
    /// The transport cannot be set up.
    #[error("the transport cannot be set up: {0}; report this as a fault of the program")]
    Transport(#[from] io::Error),
}

/// Starts the network on the current tokio runtime.
///
/// # Errors
/// Every [`NetError`]. Parts that do not work here are told by [`Event::Unavailable`] instead.
///
/// # Panics
/// Outside a tokio runtime with time and I/O enabled.
pub async fn start(
    mut config: Config,
    secret: &Secret,
    blobs: Arc<dyn Blobs>,
) -> Result<(Handle, Events), NetError> {
    let key = peer_id::key_pair(secret);
    let protocols = Protocols::new(&config.swarm);
    let built = transport::build(&key, &config.limits)?;
    let (opened, incoming) = mpsc::channel(config.limits.uploads);
    let (channel_opened, channels) = mpsc::channel(INCOMING_CHANNELS);
    let opened = (opened, channel_opened);
    let run = run_name::begin(secret);
    let (parts, mut failed) =
        behaviour::build(&config, &protocols, &key, built.relay, opened, run)?;
    let settings = swarm::Config::with_tokio_executor()
        .with_substream_upgrade_protocol_override(core::upgrade::Version::V1Lazy)
        .with_idle_connection_timeout(config.limits.idle);
    let me = key.public().to_peer_id();
    let mut swarm = Swarm::new(built.connections, parts, me, settings);
    failed.extend(listen(&mut swarm, &config)?);
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let (events, taken) = mpsc::channel(config.limits.events);
    let (snapshot, seen) = watch::channel(Snapshot::default());
    let reports = WeakReports(commands.downgrade());
    tokio::spawn(Server::new(blobs, config.limits.clone(), reports.clone()).run(incoming));
    let jobs = Arc::new(Registry::default());
    tokio::spawn(Reception::new(jobs.clone(), reports).run(channels));
    let limits = Arc::new(config.limits.clone());
    let name = swarm_identity::NodeKey::from(secret).peer();
    let (flag, file) = (
        std::mem::take(&mut config.bootstrap),
        std::mem::take(&mut config.swarm_file),
    );
    let own_run = OwnRun::new(run, key, Instant::now());
    let mut task = Task::new(config, protocols, swarm, own_run, (events, snapshot));
    for (what, reason) in failed {
        task.emit(Event::Unavailable { what, reason });
    }
    task.begin(flag, file);
    tokio::spawn(task.run(receiver));
    let handle = Handle {
        me: name,
        commands,
        snapshot: seen,
        limits,
        jobs,
    };
    Ok((handle, Events(taken)))
}

/// Listens wherever it is possible; what is not possible is told.
fn listen(swarm: &mut Swarm<Parts>, config: &Config) -> Result<Vec<behaviour::Failed>, NetError> {
    let mut failed = Vec::new();
    for address in &config.listen {
        if let Err(error) = swarm.listen_on(address.clone()) {
            let reason = match error {
                TransportError::Other(error) => error.to_string(),
                unsupported => unsupported.to_string(),
            };
            failed.push((format!("listening at {address}"), reason));
        }
    }
    if failed.len() == config.listen.len() && !failed.is_empty() {
        let reasons = failed.into_iter().map(|(_, reason)| reason).collect();
        return Err(NetError::Listen(reasons));
    }
    for address in &config.external {
        swarm.add_external_address(address.clone());
    }
    Ok(failed)
}

/// The network while it runs.
struct Task {
    swarm: Swarm<Parts>,
    protocols: Protocols,
    topic: IdentTopic,
    limits: Limits,
    peers: Peers,
    own_run: OwnRun,
    runs: Runs,
    /// Questions to peers whether two of their runs live.
    asked_runs: HashSet<OutboundRequestId>,
    scores: Scores,
    dialler: Dialler,
    names: Names,
    lookups: FuturesUnordered<sources::Lookup>,
    resolver: Option<SocketAddr>,
    /// Those that are in use.
    sources: Sources,
    calls: HashMap<ConnectionId, TargetId>,
    outbox: Outbox,
    /// Requests of this node.
    asked: HashMap<OutboundRequestId, Answer>,
    /// Requests of others that the daemon has, by whom.
    asking: HashMap<InboundRequestId, libp2p::PeerId>,
    answers: FuturesUnordered<PendingAnswer>,
    events: mpsc::Sender<Event>,
    backlog: VecDeque<Event>,
    snapshot: watch::Sender<Snapshot>,
    stats: Stats,
    reach: Tracker,
    reach_told: Option<Reachability>,
    relays: HashMap<ListenerId, libp2p::PeerId>,
    cache: Option<PathBuf>,
    saved: Vec<Multiaddr>,
    bans: Option<PathBuf>,
    /// True if the file of bans is to be written.
    bans_changed: bool,
    ticks: u64,
    /// A search for further peers waits for others to end.
    search_waits: bool,
}

impl Task {
    fn new(
        config: Config,
        protocols: Protocols,
        swarm: Swarm<Parts>,
        own_run: OwnRun,
        (events, snapshot): (mpsc::Sender<Event>, watch::Sender<Snapshot>),
    ) -> Self {
        let tail: Vec<u8> = swarm.local_peer_id().to_bytes();
        let seed = tail.iter().rev().take(8);
        let seed = seed.fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        let mut sources = Sources::default();
        sources.insert(Source::Peers);
        if swarm.behaviour().mdns.is_enabled() {
            sources.insert(Source::Mdns);
        }
        let mut task = Self {
            topic: IdentTopic::new(&protocols.records),
            protocols,
            peers: Peers::new(config.limits.clone()),
            own_run,
            runs: Runs::default(),
            asked_runs: HashSet::new(),
            scores: Scores::default(),
            dialler: Dialler::new(seed),
            names: Names::new(seed),
            lookups: FuturesUnordered::new(),
            resolver: config.resolver,
            sources,
            calls: HashMap::new(),
            outbox: Outbox::new(config.limits.outbox),
            asked: HashMap::new(),
            asking: HashMap::new(),
            answers: FuturesUnordered::new(),
            events,
            backlog: VecDeque::new(),
            snapshot,
            stats: Stats::default(),
            reach: Tracker::default(),
            reach_told: Some(Reachability::Unknown),
            relays: HashMap::new(),
            cache: config.peer_cache,
            saved: Vec::new(),
            bans: config.bans,
            bans_changed: false,
            ticks: 0,
            search_waits: false,
            limits: config.limits,
            swarm,
        };
        // The operator knows better, and is not told that nobody knows.
        for address in config.external {
            task.reach.confirmed(address);
        }
        task
    }

    /// Reads the files of bans and of known addresses and makes the first calls.
    fn begin(&mut self, flag: Vec<Multiaddr>, file: Vec<Multiaddr>) {
        self.resume_bans(Instant::now());
        self.begin_sources(flag, file);
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let done = loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                command = commands.recv() => match command {
                    Some(Command::Shutdown(done)) => break Some(done),
                    Some(command) => self.on_command(command),
                    None => break None,
                },
                Some((id, channel, answer)) = self.answers.next() => {
                    self.on_answer(id, channel, answer);
                }
                Some((name, found)) = self.lookups.next() => self.on_looked_up(&name, found),
                _ = ticks.tick() => self.tick(),
            }
            self.flush();
        };
        self.end(done).await;
    }

    /// Saves what is worth keeping and closes all connections.
    async fn end(mut self, done: Option<oneshot::Sender<()>>) {
        for saving in [self.save(), self.save_bans()].into_iter().flatten() {
            let _ = saving.await;
        }
        drop(self);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.ticks += 1;
        self.release(now);
        self.call(now);
        self.look_up(now);
        self.send_outbox();
        self.tell_reach();
        self.seek_relays();
        self.save_bans();
        if self.ticks.is_multiple_of(SAVE_EVERY) {
            self.save();
            self.swarm.behaviour_mut().gate.tidy(now);
            let peers = &self.peers;
            self.runs.tidy(|peer| peers.contains(peer), now);
        }
        let every = match self.ticks < DISCOVER_EVERY {
            true => DISCOVER_EVERY_AT_FIRST,
            false => DISCOVER_EVERY,
        };
        let is_due = self.search_waits || self.ticks.is_multiple_of(every);
        if is_due && self.peers.called() < self.limits.wanted_peers {
            self.discover();
        }
        self.rescore(now);
        self.publish_snapshot();
    }

    /// Asks the known peers for others, soon if enough are being asked.
    fn discover(&mut self) {
        let kademlia = &mut self.swarm.behaviour_mut().kademlia;
        self.search_waits = kademlia.iter_queries().count() >= SEARCHES;
        if !self.search_waits {
            // Without a peer there is nobody to ask, and the dialler is looking for one.
            let _ = kademlia.bootstrap();
        }
    }

    /// Makes the calls that are due.
    fn call(&mut self, now: Instant) {
        let room = self.limits.wanted_peers.saturating_sub(self.peers.called());
        let (peers, scores) = (&self.peers, &self.scores);
        let there = |peer: &libp2p::PeerId| {
            let banned = peer_id::from_libp2p(peer).is_ok_and(|name| scores.is_banned(&name));
            peers.contains(peer) || banned
        };
        for call in self.dialler.due(now, there, room) {
            self.dial(call, now);
        }
    }

    fn dial(&mut self, call: Call, now: Instant) {
        use swarm::dial_opts::{DialOpts, PeerCondition};
        let options = match (call.peer, call.addresses.first()) {
            (Some(peer), _) => DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(call.addresses)
                .build(),
            (None, Some(first)) => DialOpts::unknown_peer_id().address(first.clone()).build(),
            (None, None) => return self.dialler.failed(call.target, now),
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.calls.insert(id, call.target);
            }
            Err(DialError::DialPeerConditionFalse(_)) => self.dialler.deferred(call.target, now),
            Err(_) => {
                self.stats.dials_failed += 1;
                self.dialler.failed(call.target, now);
            }
        }
    }

    /// Writes the file of known addresses if they changed.
    fn save(&mut self) -> Option<tokio::task::JoinHandle<()>> {
        let path = self.cache.clone()?;
        let known = self.dialler.known(MAX_CACHED_PEERS);
        if known == self.saved || known.is_empty() {
            return None;
        }
        self.saved.clone_from(&known);
        // A write that fails is tried again with the next change; the file is advice.
        let write = move || _ = cache::save(&path, &known);
        Some(tokio::task::spawn_blocking(write))
    }

    /// Lets the bans of earlier runs go on.
    fn resume_bans(&mut self, now: Instant) {
        match self.bans.as_deref().map(bans::load) {
            Some(Ok(kept)) => {
                let wall = SystemTime::now();
                for ban in kept {
                    if let (Some(left), Ok(id)) = (ban.left(wall), peer_id::to_libp2p(ban.peer)) {
                        self.scores.resume(ban.peer, left, ban.bans, now);
                        self.stats.banned += 1;
                        self.swarm.behaviour_mut().banned.block_peer(id);
                    }
                }
            }
            Some(Err(error)) => self.emit(Event::Unavailable {
                what: "the file of bans".into(),
                reason: error.to_string(),
            }),
            None => {}
        }
    }

    /// Writes the file of bans if they changed.
    fn save_bans(&mut self) -> Option<tokio::task::JoinHandle<()>> {
        let path = self.bans.clone().filter(|_| self.bans_changed)?;
        self.bans_changed = false;
        let (now, wall) = (Instant::now(), bans::seconds(SystemTime::now()));
        let banned = self.scores.banned(now);
        let kept = banned.map(|(peer, left, bans)| KeptBan {
            peer,
            until: wall.saturating_add(left.as_secs()),
            bans,
        });
        let kept: Vec<_> = kept.collect();
        // A write that fails is tried again with the next change.
        let write = move || _ = bans::save(&path, &kept);
        Some(tokio::task::spawn_blocking(write))
    }

    /// Adds what a behaviour is worth to a peer's score, and bans it if that is too little.
    fn score(&mut self, peer: PeerId, behaviour: Behaviour) {
        self.stats.pieces_wrong += u64::from(behaviour == Behaviour::WrongPiece);
        if let Some(ban) = self.scores.report(peer, behaviour, Instant::now()) {
            self.ban(ban);
        }
    }

    fn ban(&mut self, ban: Ban) {
        let Ok(id) = peer_id::to_libp2p(ban.peer) else {
            return;
        };
        self.stats.bans += 1;
        self.stats.banned += 1;
        self.bans_changed = true;
        let parts = self.swarm.behaviour_mut();
        parts.banned.block_peer(id);
        parts.kademlia.remove_peer(&id);
        self.dialler.forget(&id);
        self.emit(Event::Banned {
            peer: ban.peer,
            reason: ban.reason,
            lasts: ban.lasts,
        });
    }

    fn release(&mut self, now: Instant) {
        for name in self.scores.release(now) {
            if let Ok(id) = peer_id::to_libp2p(name) {
                self.stats.banned -= 1;
                self.bans_changed = true;
                self.swarm.behaviour_mut().banned.unblock_peer(id);
            }
        }
    }

    /// Tells gossipsub the scores, so that it prunes and ignores by them.
    fn rescore(&mut self, now: Instant) {
        for (id, peer) in self.peers.iter() {
            let score = self.scores.score(&peer.name, now);
            let gossip = &mut self.swarm.behaviour_mut().gossip;
            gossip.set_application_score(id, score);
        }
    }

    fn publish_snapshot(&mut self) {
        let now = Instant::now();
        self.stats.peers = self.peers.len() as u64;
        self.stats.relayed_peers = self.peers.relayed() as u64;
        self.stats.outbox = self.outbox.len() as u64;
        self.snapshot.send_replace(Snapshot {
            peers: self.peers.infos(|peer| self.scores.score(peer, now)),
            stats: self.stats,
            unanswered: self
                .dialler
                .unanswered()
                .chain(self.names.unanswered())
                .cloned()
                .collect(),
            sources: Source::ALL
                .into_iter()
                .filter(|source| self.sources.contains(*source))
                .map(|source| self.dialler.given(source))
                .collect(),
            reachable_at: self.reach.direct().to_vec(),
        });
    }

    /// Queues an event that must not be lost while others are dropped.
    fn emit(&mut self, event: Event) {
        if self.backlog.len() >= BACKLOG {
            self.backlog.pop_front();
            self.stats.events_dropped += 1;
        }
        self.backlog.push_back(event);
        self.flush();
    }

    /// Hands the daemon a record or request, unless it is behind.
    fn offer(&mut self, event: Event) -> bool {
        let offered = self.backlog.is_empty() && self.events.try_send(event).is_ok();
        self.stats.events_dropped += u64::from(!offered);
        offered
    }

    fn flush(&mut self) {
        while !self.backlog.is_empty() {
            let Ok(place) = self.events.try_reserve() else {
                return;
            };
            if let Some(event) = self.backlog.pop_front() {
                place.send(event);
            }
        }
    }
}
