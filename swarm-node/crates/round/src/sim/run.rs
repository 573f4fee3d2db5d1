//! The event loop: virtual time, all peers, one thread.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use swarm_identity::digest::Digest32;
use swarm_identity::key::{KeyError, SignatureMemo};
use swarm_identity::{MemoryTable, NodeKey, Place, Signer};
use thiserror::Error;

use super::driver::{Driver, Job};
use super::hostile::{Attacker, Strategy, strategy};
use super::network::NetworkModel;
use super::report::SimulationReport;
use super::spec::{PeerSpec, Role, Spec};
use crate::allowance::Link;
use crate::clock::{Clock, Millis, Position, Round, Window};
use crate::config::SwarmConfigError;
use crate::membership::{Member, RegisterError, Roster};
use crate::payload::{Kind, Stage};
use crate::phase::Phase;
use crate::question::Judge;
use crate::resolve::RoundResult;
use crate::state::{Core, CoreSetup, Input, Output, Settlement};
use crate::work::Work;

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
    /// A peer cannot be registered.
    #[error("a simulated peer: {0}")]
    Register(#[from] RegisterError),
}

/// What happens to a peer.
#[derive(Clone, Debug)]
enum EventKind {
    Tick,
    Input(Input),
    Crash,
    Restart,
}

/// Ordered by time, then by the order in which events were made.
struct Event {
    at: Millis,
    order: u64,
    peer: usize,
    what: EventKind,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

struct Peer {
    role: Role,
    skew: i64,
    setup: CoreSetup,
    /// The key with its sign-once table, which outlives crashes like a file.
    signer: Signer<MemoryTable>,
    /// `None` while crashed.
    core: Option<Core>,
    strategy: Option<Box<dyn Strategy>>,
    attacker: Attacker,
}

impl Peer {
    fn local(&self, now: Millis) -> Millis {
        now.saturating_add_signed(self.skew)
    }

    fn global(&self, local: Millis) -> Millis {
        local.saturating_add_signed(self.skew.saturating_neg())
    }

    /// Signs through the table, at once, and tells the core, which answers.
    fn sign(&mut self, place: Place, digest: &Digest32, now: Millis) -> Vec<Output> {
        let local = self.local(now);
        let Some(core) = &mut self.core else {
            return Vec::new();
        };
        let answer = match self.signer.sign(&place, digest) {
            Ok(signature) => Input::Signed(place, signature),
            Err(_) => Input::Refused(place),
        };
        core.handle(answer, local)
    }

    #[expect(
        clippy::expect_used,
        reason = "a table in memory has nothing to fail at"
    )]
    fn forget_before(&self, round: Round) {
        let swarm = self.setup.config.swarm_id();
        for kind in Kind::ALL {
            let forgotten = self.signer.forget_before(&swarm, kind as u8, round);
            forgotten.expect("invariant: a table in memory can be written");
        }
    }
}

/// A swarm on virtual time.
pub struct Simulation {
    spec: Spec,
    clock: Clock,
    network: NetworkModel,
    peers: Vec<Peer>,
    queue: BinaryHeap<Reverse<Event>>,
    order: u64,
    jobs: Vec<Job>,
    results: Vec<(usize, Arc<RoundResult>)>,
    settlements: Vec<(usize, Settlement)>,
    report: SimulationReport,
}

impl Simulation {
    /// Prepares a simulation: keys, roster, cores at time 0.
    ///
    /// # Errors
    /// A configuration out of its limits, too many peers, or a crash of a peer that is not there.
    pub fn new(spec: Spec, judge: Arc<dyn Judge>) -> Result<Self, SimulationError> {
        let peers = build_peers(&spec, judge)?;
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
            network: NetworkModel::new(spec.network.clone(), spec.seed),
            peers,
            queue: BinaryHeap::new(),
            order: 0,
            jobs: Vec::new(),
            results: Vec::new(),
            settlements: Vec::new(),
            report,
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
            self.schedule(crash.at, crash.peer, EventKind::Crash);
            self.schedule(crash.back, crash.peer, EventKind::Restart);
        }
    }

    /// Plays all rounds, or as many as the driver wants, and lets the driver work.
    pub fn run(mut self, driver: &mut dyn Driver) -> SimulationReport {
        let end = self.clock.start(Position {
            round: self.spec.rounds,
            window: Window::ShareSeal,
        });
        // Slow clocks see the last round end later.
        let slack = self
            .peers
            .iter()
            .map(|peer| peer.skew.unsigned_abs())
            .max()
            .unwrap_or(0);
        while let Some(now) = self
            .next_time()
            .filter(|now| *now <= end + slack && !driver.is_over())
        {
            while let Some(event) = self.pop(now) {
                self.dispatch(event);
            }
            if now < end {
                self.drive(now, driver);
            }
        }
        // The last round is settled at the very end, when nobody has work any more.
        self.settle(driver);
        self.finish()
    }

    fn finish(mut self) -> SimulationReport {
        for index in 0..self.peers.len() {
            self.bank_counters(index);
        }
        let rounds = self.spec.rounds;
        self.report.rounds.retain(|round, _| *round < rounds);
        self.report
    }

    fn next_time(&self) -> Option<Millis> {
        self.queue.peek().map(|Reverse(event)| event.at)
    }

    fn pop(&mut self, now: Millis) -> Option<Event> {
        self.queue.peek().filter(|Reverse(event)| event.at == now)?;
        self.queue.pop().map(|Reverse(event)| event)
    }

    fn schedule(&mut self, at: Millis, peer: usize, what: EventKind) {
        self.order += 1;
        self.queue.push(Reverse(Event {
            at,
            order: self.order,
            peer,
            what,
        }));
    }

    fn schedule_tick(&mut self, index: usize) {
        let peer = &self.peers[index];
        if let Some(core) = &peer.core {
            let at = peer.global(core.next_tick());
            self.schedule(at, index, EventKind::Tick);
        }
    }
}

fn build_peers(spec: &Spec, judge: Arc<dyn Judge>) -> Result<Vec<Peer>, SimulationError> {
    let keys: Vec<_> = (0..spec.peers.len())
        .map(|index| spec.key(index))
        .collect::<Result<_, _>>()?;
    let mut roster = Roster::default();
    for (peer, key) in spec.peers.iter().zip(&keys) {
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
        };
        peers.push(build_peer(spec, index, key, setup)?);
    }
    Ok(peers)
}

fn build_peer(
    spec: &Spec,
    index: usize,
    key: NodeKey,
    setup: CoreSetup,
) -> Result<Peer, SimulationError> {
    let PeerSpec { role, skew_ms, .. } = spec.peers[index];
    let core = Core::new(setup.clone(), 0)?;
    Ok(Peer {
        role,
        skew: skew_ms,
        attacker: Attacker::new(key.clone(), *core.swarm(), spec.seed, index),
        signer: Signer::new(key, MemoryTable::default()),
        core: Some(core),
        strategy: strategy(role),
        setup,
    })
}

// Events.
impl Simulation {
    fn dispatch(&mut self, event: Event) {
        let Event { at, peer, what, .. } = event;
        match what {
            EventKind::Tick => {
                self.input(peer, Input::Tick, at);
                self.schedule_tick(peer);
            }
            EventKind::Input(input) => self.input(peer, input, at),
            EventKind::Crash => self.crash(peer),
            EventKind::Restart => self.restart(peer, at),
        }
    }

    fn crash(&mut self, index: usize) {
        self.bank_counters(index);
        self.peers[index].core = None;
    }

    #[expect(
        clippy::expect_used,
        reason = "the same configuration was taken at the beginning"
    )]
    fn restart(&mut self, index: usize, now: Millis) {
        let peer = &mut self.peers[index];
        let core = Core::new(peer.setup.clone(), peer.local(now));
        peer.core = Some(core.expect("invariant: the configuration is valid"));
        self.schedule_tick(index);
    }

    fn bank_counters(&mut self, index: usize) {
        if let Some(core) = &self.peers[index].core {
            self.report.counters[index].add(core.counters());
        }
    }

    fn input(&mut self, index: usize, input: Input, now: Millis) {
        let peer = &mut self.peers[index];
        let local = peer.local(now);
        // A peer that is down hears nothing.
        let Some(core) = &mut peer.core else { return };
        let mut sends = Vec::new();
        if let (Some(strategy), Input::Envelope(_, bytes)) = (&mut peer.strategy, &input) {
            sends = strategy.hear(bytes, &mut peer.attacker);
        }
        self.report.deliveries += u64::from(matches!(input, Input::Envelope(..)));
        let outputs = core.handle(input, local);
        for output in outputs {
            self.output(index, output, now, &mut sends);
        }
        self.publish_all(index, sends, now);
    }

    fn output(&mut self, index: usize, output: Output, now: Millis, sends: &mut Vec<Arc<[u8]>>) {
        let peer = &mut self.peers[index];
        match output {
            Output::Sign { place, digest } => {
                for output in peer.sign(place, &digest, now) {
                    self.output(index, output, now, sends);
                }
            }
            Output::ForgetBefore(round) => peer.forget_before(round),
            Output::Broadcast(bytes) => match &mut peer.strategy {
                Some(strategy) => sends.extend(strategy.send(bytes, &mut peer.attacker)),
                None => self.publish_all(index, vec![bytes], now),
            },
            Output::Entered(phase) => {
                let round = peer.core.as_ref().and_then(Core::round);
                peer.attacker.enter(phase, round);
                if let (Some(strategy), Phase::In(window)) = (&mut peer.strategy, phase) {
                    sends.extend(strategy.enter(window, &mut peer.attacker));
                }
            }
            Output::Need(task) => self.jobs.push(Job { peer: index, task }),
            Output::Resolved(result) => self.results.push((index, result)),
            honest if peer.role == Role::Honest => self.record(index, honest),
            _ => {}
        }
    }

    fn record(&mut self, index: usize, output: Output) {
        match output {
            Output::Settled(settlement) => {
                self.settlements.push((index, settlement.clone()));
                let round = self.report.rounds.entry(settlement.round).or_default();
                round.settlements.insert(index, settlement);
            }
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

    fn publish_all(&mut self, from: usize, messages: Vec<Arc<[u8]>>, now: Millis) {
        for bytes in messages {
            let message = fingerprint(&bytes);
            let link = Link(self.report.peers[from]);
            for to in (0..self.peers.len()).filter(|to| *to != from) {
                if let Some(at) = self.network.arrival(from, to, message, now) {
                    let input = Input::Envelope(link, bytes.clone());
                    self.schedule(at, to, EventKind::Input(input));
                }
            }
        }
    }
}

/// The end of a message, which is the end of its signature: cheap and different for every message.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes
        .last_chunk()
        .map_or(bytes.len() as u64, |tail| u64::from_le_bytes(*tail))
}

// What peers think.
impl Simulation {
    /// Hands the work of this moment to the driver, stage by stage, then the results.
    fn drive(&mut self, now: Millis, driver: &mut dyn Driver) {
        let mut stages: BTreeMap<Stage, Vec<Job>> = BTreeMap::new();
        for job in self.jobs.drain(..) {
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
        self.learn(driver);
        self.settle(driver);
    }

    fn hand_in(&mut self, job: &Job, work: Work, now: Millis, driver: &dyn Driver) {
        let work = match &mut self.peers[job.peer].strategy {
            Some(strategy) => strategy.work(work, &job.task, &|question| driver.wrong(question)),
            None => Some(work),
        };
        if let Some(work) = work {
            let input = Input::Work(job.task.round, work);
            self.schedule(
                now + self.spec.compute_ms,
                job.peer,
                EventKind::Input(input),
            );
        }
    }

    fn settle(&mut self, driver: &mut dyn Driver) {
        let settlements = std::mem::take(&mut self.settlements);
        if !settlements.is_empty() {
            driver.settled(&settlements);
        }
    }

    fn learn(&mut self, driver: &mut dyn Driver) {
        let results = std::mem::take(&mut self.results);
        if results.is_empty() {
            return;
        }
        for (index, result) in &results {
            if self.peers[*index].role == Role::Honest {
                let round = result.transcript.plan.round;
                self.report.rounds.entry(round).or_default().note(result);
            }
        }
        driver.learn(&results);
    }
}
