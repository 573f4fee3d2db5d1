//! The event loop: virtual time, all peers, one thread.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use swarm_identity::key::{KeyError, SignatureMemo};
use thiserror::Error;

use super::super::clock::{Clock, Millis, Position, Window};
use super::super::config::ConfigError;
use super::super::gate::Link;
use super::super::membership::{Member, RegisterError, Roster};
use super::super::payload::Stage;
use super::super::phase::Phase;
use super::super::question::Judge;
use super::super::resolve::RoundResult;
use super::super::state::{Core, Input, Output, Settlement, Setup};
use super::super::work::Work;
use super::driver::{Driver, Job};
use super::hostile::{Attacker, Strategy, strategy};
use super::network::Weather;
use super::report::Report;
use super::spec::{Role, Spec};

/// Why a specification cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// The swarm's configuration is out of its limits.
    #[error("the simulated swarm: {0}")]
    Config(#[from] ConfigError),
    /// A derived secret is no key.
    #[error("a simulated peer's key: {0}; take another seed")]
    Key(#[from] KeyError),
    /// A peer cannot be registered.
    #[error("a simulated peer: {0}")]
    Register(#[from] RegisterError),
}

#[derive(Clone, Debug)]
enum Happening {
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
    what: Happening,
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
    setup: Setup,
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
}

/// A swarm on virtual time.
pub struct Simulation {
    spec: Spec,
    clock: Clock,
    weather: Weather,
    peers: Vec<Peer>,
    queue: BinaryHeap<Reverse<Event>>,
    order: u64,
    jobs: Vec<Job>,
    results: Vec<(usize, Arc<RoundResult>)>,
    settlements: Vec<(usize, Settlement)>,
    report: Report,
}

impl Simulation {
    /// Prepares a simulation: keys, roster, cores at time 0.
    ///
    /// # Errors
    /// A configuration out of its limits, or too many peers.
    pub fn new(spec: Spec, judge: Arc<dyn Judge>) -> Result<Self, SimulationError> {
        let peers = build_peers(&spec, judge)?;
        let report = Report {
            peers: peers.iter().map(|peer| peer.setup.key.peer()).collect(),
            counters: vec![Default::default(); peers.len()],
            ..Report::default()
        };
        let mut simulation = Self {
            clock: Clock::new(&spec.swarm),
            weather: Weather::new(spec.network.clone(), spec.seed),
            peers,
            queue: BinaryHeap::new(),
            order: 0,
            jobs: Vec::new(),
            results: Vec::new(),
            settlements: Vec::new(),
            report,
            spec,
        };
        simulation.plant();
        Ok(simulation)
    }

    /// First events: every peer's first tick, and the crashes.
    fn plant(&mut self) {
        for peer in 0..self.peers.len() {
            self.schedule_tick(peer);
        }
        for crash in self.spec.crashes.clone() {
            self.schedule(crash.at, crash.peer, Happening::Crash);
            self.schedule(crash.back, crash.peer, Happening::Restart);
        }
    }

    /// Plays all rounds, or as many as the driver wants, and lets the driver think.
    pub fn run(mut self, driver: &mut dyn Driver) -> Report {
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
                self.happen(event);
            }
            if now < end {
                self.think(now, driver);
            }
        }
        // The last round is settled at the very end, when nobody thinks any more.
        self.settle(driver);
        self.finish()
    }

    fn finish(mut self) -> Report {
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

    fn schedule(&mut self, at: Millis, peer: usize, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Event {
            at,
            order: self.order,
            peer,
            what,
        }));
    }

    fn schedule_tick(&mut self, index: usize) {
        let Some(peer) = self.peers.get(index) else {
            return;
        };
        if let Some(core) = &peer.core {
            let at = peer.global(core.next_tick());
            self.schedule(at, index, Happening::Tick);
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
    let build = |(index, key)| {
        let (config, judge, memo) = (spec.swarm.clone(), judge.clone(), memo.clone());
        build_peer(
            spec,
            index,
            Setup {
                config,
                key,
                judge,
                memo,
                roster: roster.clone(),
            },
        )
    };
    keys.into_iter().enumerate().map(build).collect()
}

fn build_peer(spec: &Spec, index: usize, setup: Setup) -> Result<Peer, SimulationError> {
    let (role, skew) = spec
        .peers
        .get(index)
        .map_or((Role::Silent, 0), |peer| (peer.role, peer.skew_ms));
    let core = Core::new(setup.clone(), 0)?;
    let attacker = Attacker::new(setup.key.clone(), *core.swarm(), spec.seed, index);
    Ok(Peer {
        role,
        skew,
        core: Some(core),
        strategy: strategy(role),
        attacker,
        setup,
    })
}

// Events.
impl Simulation {
    fn happen(&mut self, event: Event) {
        let Event { at, peer, what, .. } = event;
        match what {
            Happening::Tick => {
                self.input(peer, Input::Tick, at);
                self.schedule_tick(peer);
            }
            Happening::Input(input) => self.input(peer, input, at),
            Happening::Crash => self.crash(peer),
            Happening::Restart => self.restart(peer, at),
        }
    }

    fn crash(&mut self, index: usize) {
        self.bank_counters(index);
        if let Some(peer) = self.peers.get_mut(index) {
            peer.core = None;
        }
    }

    fn restart(&mut self, index: usize, now: Millis) {
        if let Some(peer) = self.peers.get_mut(index) {
            // The configuration was valid when the simulation began.
            peer.core = Core::new(peer.setup.clone(), peer.local(now)).ok();
        }
        self.schedule_tick(index);
    }

    fn bank_counters(&mut self, index: usize) {
        let core = self.peers.get(index).and_then(|peer| peer.core.as_ref());
        if let (Some(core), Some(sum)) = (core, self.report.counters.get_mut(index)) {
            sum.add(core.counters());
        }
    }

    fn input(&mut self, index: usize, input: Input, now: Millis) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        let local = peer.local(now);
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
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        match output {
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
            _ => {}
        }
    }

    fn publish_all(&mut self, from: usize, messages: Vec<Arc<[u8]>>, now: Millis) {
        for bytes in messages {
            let message = fingerprint(&bytes);
            let Some(link) = self.report.peers.get(from).copied().map(Link) else {
                return;
            };
            for to in (0..self.peers.len()).filter(|to| *to != from) {
                if let Some(at) = self.weather.arrival(from, to, message, now) {
                    let input = Input::Envelope(link, bytes.clone());
                    self.schedule(at, to, Happening::Input(input));
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

// Thinking.
impl Simulation {
    /// Hands the wishes of this moment to the driver, stage by stage, then the results.
    fn think(&mut self, now: Millis, driver: &mut dyn Driver) {
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
        let Some(peer) = self.peers.get_mut(job.peer) else {
            return;
        };
        let work = match &mut peer.strategy {
            Some(strategy) => strategy.work(work, &job.task, &|question| driver.wrong(question)),
            None => Some(work),
        };
        if let Some(work) = work {
            let input = Input::Work(job.task.round, work);
            self.schedule(
                now + self.spec.compute_ms,
                job.peer,
                Happening::Input(input),
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
            if self
                .peers
                .get(*index)
                .is_some_and(|peer| peer.role == Role::Honest)
            {
                self.report
                    .rounds
                    .entry(result.transcript.plan.round)
                    .or_default()
                    .note(result);
            }
        }
        driver.learn(&results);
    }
}
