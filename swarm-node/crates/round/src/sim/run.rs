//! The event loop: virtual time, all peers, one thread.

mod links;
#[cfg(test)]
mod long_tests;
mod restarts;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use swarm_identity::digest::Digest32;
use swarm_identity::key::{KeyError, SignatureMemo};
use swarm_identity::{MemoryTable, NodeKey, Place, Signer};
use thiserror::Error;

use super::archive::Archive;
use super::clocks::PeerClock;
use super::compute::{Compute, ComputeTimes};
use super::driver::{Driver, Job};
use super::gossip::{Inbox, Mesh, Message};
use super::hostile::{Attacker, Outgoing, Strategy, Surroundings, strategy};
use super::journal::Journal;
use super::network::NetworkModel;
use super::queue::EventQueue;
use super::report::SimulationReport;
use super::spec::{Memory, PeerSpec, Role, Spec, Stop};
use crate::agreement::{DecidedRound, RoundRecord, Want};
use crate::allowance::Link;
use crate::clock::{Clock, Millis, Position, Round, Window};
use crate::config::{Membership, SwarmConfigError};
use crate::membership::hello::Hello;
use crate::membership::{Member, RegisterError, Roster};
use crate::payload::{Kind, Stage};
use crate::phase::Phase;
use crate::question::Judge;
use crate::state::{Core, CoreSetup, Input, Output};
use crate::work::{StageTask, Work};

/// Why a specification cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// The swarm's configuration is out of its limits.
    #[error("the simulated swarm: {0}")]
    Config(#[from] SwarmConfigError),
    /// A derived secret is no key.
    #[error("a simulated peer's key: {0}; take another seed")]
    Key(#[from] KeyError),
    /// A crash of a peer that does not exist.
    #[error("peer {0} crashes, but there are only {1} peers")]
    Crash(usize, usize),
    /// A peer lives in a region that the network does not have, or its table of regions is no
    /// square.
    #[error("peer {0} lives in region {1}; give the network's table a row and a column for it")]
    Region(usize, u16),
    /// A peer cannot be registered.
    #[error("a simulated peer: {0}")]
    Register(#[from] RegisterError),
}

/// What happens to a peer.
enum EventKind {
    Tick,
    /// Its model finished.
    Work(Box<(Round, Work)>),
    /// It gets a message from a peer.
    Arrival(u32, Rc<Message>),
    /// It sends a message that it held back.
    Send(Box<Outgoing>),
    /// A peer asks it for something.
    Asked(u32, Box<Want>),
    /// It gets something that it asked for.
    Answer(Box<Input>),
    Crash,
    Restart(Memory),
}

struct Event {
    peer: usize,
    what: EventKind,
}

struct Peer {
    role: Role,
    clock: PeerClock,
    setup: CoreSetup,
    /// The key with its sign-once table, which outlives crashes like a file.
    signer: Signer<MemoryTable>,
    /// `None` while crashed.
    core: Option<Core>,
    /// What it has on disk; `None` if it writes nothing down.
    journal: Option<Journal>,
    /// How many steps it has taken.
    steps: u64,
    has_signed: bool,
    /// Its next tick.
    tick: Option<Millis>,
    inbox: Inbox,
    strategy: Option<Box<dyn Strategy>>,
    attacker: Attacker,
}

impl Peer {
    /// True if it hands on what its core accepts.
    fn forwards(&self) -> bool {
        let strategy = self.strategy.as_ref();
        strategy.is_none_or(|strategy| strategy.forwards())
    }

    /// Signs through the table, which brings the journal to disk with it.
    fn sign(&mut self, place: Place, digest: &Digest32) -> Input {
        if let Some(journal) = &mut self.journal {
            journal.sync();
        }
        self.has_signed = true;
        match self.signer.sign(&place, digest) {
            Ok(signature) => Input::Signed(place, signature),
            Err(_) => Input::Refused(place),
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "a table in memory has nothing to fail at"
    )]
    fn forget_before(&mut self, round: Round) {
        if let Some(journal) = &mut self.journal {
            journal.forget_before(round);
        }
        let swarm = self.setup.config.swarm_id();
        for kind in Kind::ALL {
            let forgotten = self.signer.forget_before(&swarm, kind as u8, round);
            forgotten.expect("invariant: a table in memory can be written");
        }
    }
}

/// A decided round as it comes from an archive.
fn adopt(decided: &DecidedRound) -> Input {
    Input::Adopt(Box::new(RoundRecord::from(decided)))
}

/// Rounds that a simulation waits for the last decisions.
const PATIENCE: u64 = 20;

/// A swarm on virtual time.
pub struct Simulation {
    spec: Spec,
    clock: Clock,
    network: NetworkModel,
    compute: ComputeTimes,
    mesh: Mesh,
    peers: Vec<Peer>,
    queue: EventQueue<Event>,
    jobs: Vec<Job>,
    archive: Archive,
    /// Decided rounds that peers have not learned from.
    learning: Vec<(usize, Arc<DecidedRound>)>,
    report: SimulationReport,
    /// Peers with a journal that will start again.
    returning: usize,
}

impl Simulation {
    /// Prepares a simulation: keys, roster, cores at time 0.
    ///
    /// # Errors
    /// A configuration out of its limits, too many peers, or a crash or a region that is not there.
    pub fn new(spec: Spec, judge: Arc<dyn Judge>) -> Result<Self, SimulationError> {
        let homes: Vec<_> = spec.peers.iter().map(|peer| peer.home).collect();
        if let Some(peer) = spec.network.homeless(&homes) {
            return Err(SimulationError::Region(peer, homes[peer].region));
        }
        let network = NetworkModel::new(spec.network.clone(), homes, spec.seed);
        let peers = build_peers(&spec, &network, judge)?;
        for crash in &spec.crashes {
            if crash.peer >= peers.len() {
                return Err(SimulationError::Crash(crash.peer, peers.len()));
            }
        }
        let report = SimulationReport {
            peers: peers.iter().map(|peer| peer.setup.peer).collect(),
            counters: vec![Default::default(); peers.len()],
            ..SimulationReport::default()
        };
        let mut simulation = Self {
            clock: Clock::new(&spec.swarm),
            network,
            compute: compute_times(&spec),
            mesh: Mesh::new(peers.len(), spec.network.mesh, spec.seed),
            peers,
            queue: EventQueue::new(),
            jobs: Vec::new(),
            archive: Archive::new(spec.peers.len(), spec.seed),
            learning: Vec::new(),
            report,
            returning: 0,
            spec,
        };
        simulation.schedule_first();
        Ok(simulation)
    }

    /// First events: every peer's first tick, and the crashes.
    fn schedule_first(&mut self) {
        for peer in 0..self.peers.len() {
            self.schedule_tick(peer);
        }
        for crash in self.spec.crashes.clone() {
            if let Stop::At(at) = crash.stop {
                let (peer, memory) = (crash.peer, crash.memory);
                self.schedule(at, peer, EventKind::Crash);
                let back = at.saturating_add(crash.down_ms);
                self.returning += usize::from(memory == Memory::Journal);
                self.schedule(back, peer, EventKind::Restart(memory));
            }
        }
    }

    /// Plays all rounds, or as many as the driver wants, and lets the driver work.
    pub fn run(mut self, driver: &mut dyn Driver) -> SimulationReport {
        while self.moment(driver).is_some() {}
        self.learn(driver);
        self.finish()
    }

    /// Plays the next moment at which anything happens, and tells when that was; `None` once there
    /// is nothing left to play.
    fn moment(&mut self, driver: &mut dyn Driver) -> Option<Millis> {
        let end = self.clock.start(Position {
            round: self.spec.rounds,
            window: Window::ShareSeal,
        });
        // Slow clocks see the last round end later.
        let slack = self
            .peers
            .iter()
            .map(|peer| peer.clock.deviation(end))
            .max()
            .unwrap_or(0);
        let last = end + slack + PATIENCE * self.clock.length();
        let now = self.queue.next_time().filter(|now| *now <= last)?;
        let is_done = now > end + slack && self.returning == 0 && self.is_agreed();
        if driver.is_over() || is_done {
            return None;
        }
        self.enter_mesh(now);
        while let Some(event) = self.queue.pop(now) {
            self.dispatch(event, now);
        }
        self.drive(now, now < end, driver);
        Some(now)
    }

    /// True if every honest peer that is up has every round.
    fn is_agreed(&self) -> bool {
        let up = self.honest_up();
        (0..self.spec.rounds).all(|round| {
            up.clone()
                .all(|peer| self.archive.get(peer, round).is_some())
        })
    }

    fn honest_up(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        let peers = self.peers.iter().enumerate();
        peers
            .filter(|(_, peer)| peer.role == Role::Honest && peer.core.is_some())
            .map(|(index, _)| index)
    }

    fn finish(mut self) -> SimulationReport {
        for index in 0..self.peers.len() {
            self.bank_counters(index);
        }
        let rounds = self.spec.rounds;
        self.report.rounds.retain(|round, _| *round < rounds);
        self.report
    }

    fn schedule(&mut self, at: Millis, peer: usize, what: EventKind) {
        self.queue.push(at, Event { peer, what });
    }

    /// Schedules a peer's next tick, unless one is due that early.
    fn schedule_tick(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let Some(core) = &peer.core else { return };
        let at = peer.clock.global(core.next_tick());
        if peer.tick.is_none_or(|tick| at < tick) {
            peer.tick = Some(at);
            self.schedule(at, index, EventKind::Tick);
        }
    }
}

fn compute_times(spec: &Spec) -> ComputeTimes {
    let common = Compute {
        ms: spec.compute_ms,
        jitter_ms: 0,
    };
    let peers = spec.peers.iter();
    let times = peers.map(|peer| peer.compute.unwrap_or(common)).collect();
    ComputeTimes::new(times, spec.seed)
}

fn build_peers(
    spec: &Spec,
    network: &NetworkModel,
    judge: Arc<dyn Judge>,
) -> Result<Vec<Peer>, SimulationError> {
    let keys: Vec<_> = (0..spec.peers.len())
        .map(|index| spec.key(index))
        .collect::<Result<_, _>>()?;
    let mut roster = Roster::default();
    let registers = spec.swarm.membership == Membership::Registered;
    for (peer, key) in spec.peers.iter().zip(&keys).filter(|_| registers) {
        roster.register(
            Member {
                peer: key.peer(),
                stake: peer.stake,
                topics: peer.topics,
            },
            0,
        )?;
    }
    let memo = Arc::new(SignatureMemo::default());
    let mut peers = Vec::with_capacity(keys.len());
    for (index, key) in keys.into_iter().enumerate() {
        let setup = CoreSetup {
            config: spec.swarm.clone(),
            peer: key.peer(),
            salts: key.salt_key(),
            judge: judge.clone(),
            memo: memo.clone(),
            roster: roster.clone(),
            hello: Some(Hello {
                topics: spec.peers[index].topics,
            }),
        };
        peers.push(build_peer(spec, network, index, key, setup)?);
    }
    Ok(peers)
}

fn build_peer(
    spec: &Spec,
    network: &NetworkModel,
    index: usize,
    key: NodeKey,
    setup: CoreSetup,
) -> Result<Peer, SimulationError> {
    let PeerSpec {
        role,
        skew_ms,
        drift_ppm,
        ..
    } = spec.peers[index];
    let core = Core::new(setup.clone(), 0)?;
    let median_ms = match role {
        Role::Honest => 0,
        _ => network.median_ms(index),
    };
    let surroundings = Surroundings {
        clock: core.clock().clone(),
        me: index,
        peers: spec.peers.len(),
        median_ms,
    };
    Ok(Peer {
        role,
        clock: PeerClock::new(spec.swarm.genesis_ms, skew_ms, drift_ppm),
        attacker: Attacker::new(key.clone(), *core.swarm(), spec.seed, surroundings),
        signer: Signer::new(key, MemoryTable::default()),
        core: Some(core),
        journal: restarts::writes(spec, index).then(Journal::default),
        steps: 0,
        has_signed: false,
        tick: None,
        inbox: Inbox::default(),
        strategy: strategy(role),
        setup,
    })
}

// Events.
impl Simulation {
    fn dispatch(&mut self, event: Event, now: Millis) {
        let Event { peer, what } = event;
        match what {
            EventKind::Tick => {
                // A later one than the next is stale.
                if self.peers[peer].tick == Some(now) {
                    self.peers[peer].tick = None;
                    self.input(peer, Input::Tick, now);
                }
            }
            EventKind::Work(work) => self.input(peer, Input::Work(work.0, work.1), now),
            EventKind::Arrival(via, message) => self.arrive(peer, via as usize, message, now),
            EventKind::Send(send) => self.publish(peer, *send, now),
            EventKind::Asked(from, want) => self.asked(peer, from as usize, *want, now),
            EventKind::Answer(input) => self.answered(peer, *input, now),
            EventKind::Crash => self.crash(peer),
            EventKind::Restart(memory) => self.restart(peer, memory, now),
        }
    }

    fn bank_counters(&mut self, index: usize) {
        if let Some(core) = &self.peers[index].core {
            self.report.counters[index].add(core.counters());
        }
    }

    fn input(&mut self, index: usize, input: Input, now: Millis) {
        self.take(index, input, false, now);
    }

    /// Lets a peer take an input; of a published message, what its core accepts is handed on.
    fn take(&mut self, index: usize, input: Input, is_published: bool, now: Millis) {
        let peer = &mut self.peers[index];
        let local = peer.clock.local(now);
        // A peer that is down hears nothing.
        let Some(core) = &peer.core else { return };
        let before = core.counters().accepted;
        peer.attacker.wake(local);
        let mut sends = Vec::new();
        if let (Some(strategy), Input::Envelope(_, bytes)) = (&mut peer.strategy, &input) {
            sends = strategy.hear(bytes, &mut peer.attacker);
        }
        let outputs = self.handle(index, input, now);
        let core = self.peers[index].core.as_ref();
        let accepted = core.map_or(0, |core| core.counters().accepted - before);
        self.forward_accepted(index, is_published, accepted, &outputs, now);
        self.act(index, outputs, now, &mut sends);
        self.publish_all(index, sends, now);
        self.schedule_tick(index);
    }

    fn output(&mut self, index: usize, output: Output, now: Millis, sends: &mut Vec<Outgoing>) {
        let peer = &mut self.peers[index];
        match output {
            Output::Sign { place, digest } => {
                let is_agreement = Kind::from_wire(place.kind).is_some_and(Kind::is_agreement);
                self.report.agreement.signatures += u64::from(is_agreement);
                let answer = peer.sign(place, &digest);
                self.tell(index, answer, now, sends);
            }
            Output::ForgetBefore(round) => peer.forget_before(round),
            Output::Broadcast(bytes) => match &mut peer.strategy {
                Some(strategy) => sends.extend(strategy.send(bytes, &mut peer.attacker)),
                None => self.publish(index, bytes.into(), now),
            },
            Output::Entered(phase) => {
                let round = peer.core.as_ref().and_then(Core::round);
                peer.attacker.enter(phase, round);
                if let (Some(strategy), Phase::In(window)) = (&mut peer.strategy, phase) {
                    sends.extend(strategy.enter(window, &mut peer.attacker));
                }
            }
            Output::Need(task) => self.jobs.push(Job { peer: index, task }),
            // It is archived already.
            Output::Decided(_) => {}
            Output::Ask(want) => self.ask(index, &want, now),
            Output::Send(link, bytes) => {
                let own = Link(peer.setup.peer);
                self.answer(index, link, Input::Envelope(own, bytes), now);
            }
            honest if peer.role == Role::Honest => self.record(index, honest),
            _ => {}
        }
    }

    fn record(&mut self, index: usize, output: Output) {
        match output {
            Output::Evidence(evidence) => {
                self.report
                    .evidence
                    .entry(evidence.peer)
                    .or_insert(*evidence);
            }
            Output::Missed(round, stage) => self.report.missed.push((index, round, stage)),
            Output::Withheld(place, why) => self.report.withheld.push((index, place, why)),
            _ => {}
        }
    }
}

// What peers think.
impl Simulation {
    /// Hands the work of this moment to the driver, stage by stage, then the results.
    fn drive(&mut self, now: Millis, works: bool, driver: &mut dyn Driver) {
        let jobs = std::mem::take(&mut self.jobs);
        let begins = jobs.iter().any(|job| job.task.stage == Stage::Share);
        if begins || self.learning.len() >= self.honest_up().count().max(1) {
            self.learn(driver);
        }
        if works {
            self.work(jobs, now, driver);
        }
    }

    fn work(&mut self, work: Vec<Job>, now: Millis, driver: &mut dyn Driver) {
        let mut stages: BTreeMap<Stage, Vec<Job>> = BTreeMap::new();
        for job in work {
            stages.entry(job.task.stage).or_default().push(job);
        }
        for (stage, jobs) in stages {
            let work: Vec<_> = match stage {
                Stage::Share => driver
                    .answers(&jobs)
                    .into_iter()
                    .map(Work::Answers)
                    .collect(),
                Stage::Critique => driver
                    .critiques(&jobs)
                    .into_iter()
                    .map(Work::Critiques)
                    .collect(),
                Stage::Decide => driver
                    .decisions(&jobs)
                    .into_iter()
                    .map(Work::Decisions)
                    .collect(),
            };
            jobs.iter()
                .zip(work)
                .for_each(|(job, work)| self.hand_in(job, work, now, driver));
        }
    }

    fn hand_in(&mut self, job: &Job, work: Work, now: Millis, driver: &dyn Driver) {
        let work = match &mut self.peers[job.peer].strategy {
            Some(strategy) => strategy.work(work, &job.task, &|question| driver.wrong(question)),
            None => Some(work),
        };
        if let Some(work) = work {
            let StageTask { round, stage, .. } = job.task;
            let done = now + self.compute.of(job.peer, round, stage);
            self.schedule(done, job.peer, EventKind::Work(Box::new((round, work))));
        }
    }

    fn learn(&mut self, driver: &mut dyn Driver) {
        let learning = std::mem::take(&mut self.learning);
        if !learning.is_empty() {
            driver.learn(&learning);
        }
    }
}

// Decisions, and what is asked for.
impl Simulation {
    fn decided(&mut self, index: usize, decided: &Arc<DecidedRound>, now: Millis) {
        let is_new = self.archive.get(index, decided.round()).is_none();
        self.archive.keep(index, decided);
        if self.peers[index].role == Role::Honest && is_new {
            let settle = Position {
                round: decided.round(),
                window: Window::Settle,
            };
            let delay = now.saturating_sub(self.clock.start(settle));
            let round = self.report.rounds.entry(decided.round()).or_default();
            round.note(index, decided, delay);
        }
        if is_new {
            self.learning.push((index, decided.clone()));
        }
    }

    fn ask(&mut self, index: usize, want: &Want, now: Millis) {
        for target in self.archive.targets(index) {
            let message = want.round ^ (self.report.agreement.fetched << 32);
            if let Some(at) = self.network.arrival(index, target, message, now) {
                let asked = EventKind::Asked(index as u32, Box::new(want.clone()));
                self.schedule(at, target, asked);
            }
        }
    }

    /// Hostile peers answer nobody.
    fn asked(&mut self, index: usize, from: usize, want: Want, now: Millis) {
        let peer = &self.peers[index];
        if peer.core.is_none() || peer.role != Role::Honest {
            return;
        }
        let link = Link(self.report.peers[from]);
        match self.archive.get(index, want.round).cloned() {
            Some(decided) => self.answer(index, link, adopt(&decided), now),
            None => self.input(index, Input::Asked(link, want), now),
        }
    }

    fn answer(&mut self, index: usize, to: Link, input: Input, now: Millis) {
        let Some(to) = self.report.peers.iter().position(|peer| *peer == to.0) else {
            return;
        };
        self.report.agreement.fetched += 1;
        let message = self.report.agreement.fetched;
        if let Some(at) = self.network.arrival(index, to, message, now) {
            self.schedule(at, to, EventKind::Answer(Box::new(input)));
        }
    }

    fn answered(&mut self, index: usize, input: Input, now: Millis) {
        match &input {
            Input::Adopt(record) if self.archive.get(index, record.round()).is_some() => {}
            _ => self.input(index, input, now),
        }
    }
}
