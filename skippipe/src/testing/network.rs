//! Members and their engines on virtual time: links with latency, engines that take time, peers
//! that are killed and come back, and peers that lie.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reproducible_ops::random::Stream;

use crate::admission::{Admission, Newcomer, Seat};
use crate::content::Digest;
use crate::event::{Event, Stepped};
use crate::meeting::{Concluded, Met, Reason, Taken};
use crate::member::{Input, Member, Output};
use crate::message::{Body, Message};
use crate::path::{Hop, Path, Peer, Stage};
use crate::settings::Settings;
use crate::transcript::Roster;
use crate::work::{Engine, Outcome, Task, Work};

/// How long it takes until a peer's end is noticed.
const NOTICED: Duration = Duration::from_millis(700);
/// Between two requests of a newcomer.
const ASKED: Duration = Duration::from_millis(300);
/// Between two ticks of a member.
const TICK: Duration = Duration::from_millis(100);

/// What a peer does to its messages before they leave: the message to send, or none.
pub type Lie = fn(&mut Stream, Message) -> Option<Message>;

/// Makes an engine for a peer that begins with a stage, or without one, and tells the stage's
/// state.
pub type Make<E> = Box<dyn Fn(Option<Stage>) -> (E, Option<Digest>)>;

/// Paths for the microbatches of a step, through whoever holds the stages.
pub type Planner = Box<dyn Fn(&Roster, u64) -> Vec<Path>>;

struct TestNode<E> {
    member: Member,
    engine: E,
    busy_until: Duration,
    lie: Option<Lie>,
}

enum Happening {
    Input(Peer, u32, Box<Input>),
    Tick(Peer, u32),
    Kill(Peer),
    Revive(Peer),
    /// A key asks for a seat; then its node begins, which may change what it says.
    Ask(u8, Option<Lie>),
}

/// A pipeline.
pub struct Network<E> {
    make: Make<E>,
    settings: Settings,
    initial: Roster,
    nodes: Vec<Option<TestNode<E>>>,
    /// How often each peer has begun: what was meant for an earlier life does not arrive.
    lives: Vec<u32>,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Happening>,
    sequence: u64,
    random: Stream,
    /// Messages of a thousand that are lost.
    pub loss: u64,
    /// Stages that each path leaves out, at most, where there is no planner.
    pub skips: usize,
    /// Who makes the paths; without one they go by turns, and leave out stages at random.
    pub planner: Option<Planner>,
    /// Everything that was told, with when and by whom.
    pub events: Vec<(Duration, Peer, Event)>,
    /// Most that any member kept at a time.
    pub most_load: usize,
    /// What members told whoever exchanges with other pipelines, where somebody takes it from here;
    /// without, every stage is single at every meeting.
    pub exchanged: Option<Vec<(Peer, Output)>>,
}

impl<E: Engine> Network<E> {
    /// `replicas[s]` peers for each stage; the others of the settings have none.
    pub fn new(settings: Settings, replicas: &[usize], seed: u64, make: Make<E>) -> Self {
        let mut next = 0;
        let stages = replicas.iter().map(|&count| {
            let peers = (next..next + count as u32).map(Peer).collect();
            next += count as u32;
            peers
        });
        let roster = Roster(stages.collect());
        let mut network = Self {
            make,
            nodes: Vec::new(),
            lives: vec![0; settings.most_peers.max(settings.peers) as usize],
            settings,
            initial: roster,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            random: Stream::from_seed("pipeline network", seed),
            loss: 0,
            skips: 0,
            planner: None,
            events: Vec::new(),
            most_load: 0,
            exchanged: None,
        };
        for peer in (0..network.settings.peers).map(Peer) {
            let node = network.node(peer, true);
            network.nodes.push(Some(node));
        }
        for peer in (0..network.settings.peers).map(Peer) {
            network.begin(peer);
        }
        // Seats for those that come later.
        network.nodes.resize_with(network.lives.len(), || None);
        network
    }

    fn node(&self, peer: Peer, first: bool) -> TestNode<E> {
        let stage = self.initial.stage_of(peer).filter(|_| first);
        let (engine, state) = (self.make)(stage);
        TestNode {
            member: Member::new(self.settings.clone(), peer, self.initial.clone(), state),
            engine,
            busy_until: self.now,
            lie: None,
        }
    }

    fn begin(&mut self, peer: Peer) {
        let now = self.now;
        let life = self.lives[peer.index()];
        if let Some(node) = &mut self.nodes[peer.index()] {
            let outputs = node.member.start(now);
            self.carry_out(peer, outputs);
        }
        self.later(TICK, Happening::Tick(peer, life));
    }

    /// Peers whose messages are changed on their way out.
    pub fn corrupt(&mut self, peer: Peer, lie: Lie) {
        if let Some(node) = &mut self.nodes[peer.index()] {
            node.lie = Some(lie);
        }
    }

    /// A peer's process ends at a time.
    pub fn kill_at(&mut self, peer: Peer, at: Duration) {
        self.later(at.saturating_sub(self.now), Happening::Kill(peer));
    }

    /// It begins anew, without memory.
    pub fn revive_at(&mut self, peer: Peer, at: Duration) {
        self.later(at.saturating_sub(self.now), Happening::Revive(peer));
    }

    /// A newcomer with a key begins to ask for a seat at a time, again and again, and takes part
    /// once it has one.
    pub fn join_at(&mut self, key: u8, at: Duration, lie: Option<Lie>) {
        self.later(at.saturating_sub(self.now), Happening::Ask(key, lie));
    }

    /// The number of a newcomer, once it is admitted.
    pub fn seat_of(&self, key: u8) -> Option<Peer> {
        let seats = self.events.iter().filter_map(|(_, _, event)| match event {
            Event::Admitted(admission) => Some(admission),
            _ => None,
        });
        let mut own = seats.filter(|admission| admission.newcomer.key == [key]);
        own.next().map(|admission| admission.peer)
    }

    /// Runs until a time, or until the job is done.
    pub fn run(&mut self, until: Duration) {
        while !self.is_finished() && self.next(until) {}
    }

    /// Runs until a time, whether the job is done or not.
    pub fn run_on(&mut self, until: Duration) {
        while self.next(until) {}
    }

    /// What happens next; false if nothing does before a time.
    fn next(&mut self, until: Duration) -> bool {
        let first = self.queue.first_entry();
        let Some(entry) = first.filter(|entry| entry.key().0 <= until) else {
            return false;
        };
        let ((at, _), happening) = entry.remove_entry();
        self.now = at;
        self.happen(happening);
        true
    }

    /// When something happens next.
    pub fn next_at(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Something that happens to a living member from outside, at a time.
    pub fn happens_at(&mut self, peer: Peer, at: Duration, input: Input) {
        let life = self.lives[peer.index()];
        let after = at.saturating_sub(self.now);
        self.later(after, Happening::Input(peer, life, input.into()));
    }

    /// Work that a living member's engine is asked for from outside.
    pub fn perform(&mut self, peer: Peer, task: Task, work: Work) -> Option<Outcome> {
        let node = self.nodes[peer.index()].as_mut()?;
        node.engine.perform(task, work)
    }

    /// How often a peer has ended.
    pub fn lives(&self, peer: Peer) -> u32 {
        self.lives[peer.index()]
    }

    /// Whether a leader said so.
    pub fn is_finished(&self) -> bool {
        let mut told = self.events.iter().rev().take(8);
        told.any(|(_, _, event)| *event == Event::Finished)
    }

    /// Time that has passed.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Steps that are over; one that two leaders told is in it once.
    pub fn steps(&self) -> Vec<Stepped> {
        let steps = self.events.iter().filter_map(|(_, _, event)| match event {
            Event::Stepped(stepped) => Some((stepped.record.step, Stepped::clone(stepped))),
            _ => None,
        });
        let by_step: BTreeMap<u64, Stepped> = steps.collect();
        by_step.into_values().collect()
    }

    /// A living member.
    pub fn member(&self, peer: Peer) -> Option<&Member> {
        self.nodes[peer.index()].as_ref().map(|node| &node.member)
    }

    /// A living member's engine.
    pub fn engine(&self, peer: Peer) -> Option<&E> {
        self.nodes[peer.index()].as_ref().map(|node| &node.engine)
    }

    /// Holders that live, by stage.
    pub fn living(&self) -> BTreeMap<Stage, BTreeSet<Peer>> {
        let mut living: BTreeMap<Stage, BTreeSet<Peer>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let held = node.as_ref().and_then(|node| node.member.held());
            if let Some((stage, _)) = held {
                living.entry(stage).or_default().insert(Peer(index as u32));
            }
        }
        living
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue
            .insert((self.now + after, self.sequence), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Input(peer, life, input) if self.lives[peer.index()] == life => {
                self.give(peer, *input);
            }
            Happening::Tick(peer, life) if self.lives[peer.index()] == life => {
                self.give(peer, Input::Tick);
                self.later(TICK, Happening::Tick(peer, life));
            }
            Happening::Input(..) | Happening::Tick(..) => {}
            Happening::Ask(key, lie) => self.asked(key, lie),
            Happening::Kill(peer) => {
                self.nodes[peer.index()] = None;
                self.lives[peer.index()] += 1;
                self.tell_all(peer, Input::Lost(peer));
            }
            Happening::Revive(peer) => {
                if self.nodes[peer.index()].is_none() {
                    let node = self.node(peer, false);
                    self.nodes[peer.index()] = Some(node);
                    self.lives[peer.index()] += 1;
                    self.begin(peer);
                    self.tell_all(peer, Input::Found(peer));
                }
            }
        }
    }

    fn tell_all(&mut self, about: Peer, input: Input) {
        for peer in (0..self.lives.len() as u32)
            .map(Peer)
            .filter(|&peer| peer != about)
        {
            let life = self.lives[peer.index()];
            self.later(NOTICED, Happening::Input(peer, life, input.clone().into()));
        }
    }

    /// A newcomer asks every member, as it might over a network, and the leader answers.
    fn asked(&mut self, key: u8, lie: Option<Lie>) {
        self.later(ASKED, Happening::Ask(key, lie));
        let newcomer = Newcomer {
            key: vec![key],
            addresses: Vec::new(),
        };
        let leads = |node: &TestNode<E>| node.member.leads();
        let leader = self
            .nodes
            .iter()
            .position(|node| node.as_ref().is_some_and(leads));
        let Some(leader) = leader else { return };
        let member = self.nodes[leader].as_ref().map(|node| &node.member);
        let Some(member) = member else { return };
        match member.seat(&newcomer.key) {
            Seat::Given(peer) => {
                if self.nodes[peer.index()].is_none() && self.lives[peer.index()] == 0 {
                    let mut node = self.node(peer, false);
                    node.member = node.member.with_admitted(member.admitted().to_vec());
                    node.lie = lie;
                    self.nodes[peer.index()] = Some(node);
                    self.lives[peer.index()] = 1;
                    self.begin(peer);
                }
            }
            Seat::Wait => self.give(Peer(leader as u32), Input::Newcomer(newcomer)),
            Seat::Elsewhere(_) | Seat::Full | Seat::Over => {}
        }
    }

    fn give(&mut self, peer: Peer, input: Input) {
        let now = self.now;
        let Some(node) = &mut self.nodes[peer.index()] else {
            return;
        };
        let outputs = node.member.handle(input, now);
        self.most_load = self.most_load.max(node.member.load());
        self.carry_out(peer, outputs);
    }

    fn carry_out(&mut self, peer: Peer, outputs: Vec<Output>) {
        let life = self.lives[peer.index()];
        for output in outputs {
            match output {
                Output::Send { to, message } => self.deliver(peer, to, message),
                Output::Work { task, work } => {
                    let Some(node) = &mut self.nodes[peer.index()] else {
                        return;
                    };
                    let outcome = node.engine.perform(task, work);
                    let took = Duration::from_millis(10 + self.random.below(20));
                    node.busy_until = node.busy_until.max(self.now) + took;
                    let after = node.busy_until - self.now;
                    if let Some(outcome) = outcome {
                        self.done(peer, after, task, outcome);
                    }
                }
                Output::Plan { when, roster } => {
                    let paths = match &self.planner {
                        Some(planner) => planner(&roster, when.step),
                        None => self.paths(&roster),
                    };
                    let input = Input::Planned { when, paths };
                    self.later(
                        Duration::from_millis(5),
                        Happening::Input(peer, life, input.into()),
                    );
                }
                Output::Sign(statement) => {
                    let statement = statement.digest();
                    let signature = statement.0.to_vec();
                    let input = Input::Signed {
                        statement,
                        signature,
                    };
                    self.later(
                        Duration::from_millis(1),
                        Happening::Input(peer, life, input.into()),
                    );
                }
                Output::Present(_) | Output::Concluded(_) if self.exchanged.is_some() => {
                    let exchanged = self.exchanged.iter_mut();
                    exchanged.for_each(|told| told.push((peer, output.clone())));
                }
                Output::Present(present) if present.speaker == peer => {
                    let concluded = Concluded {
                        round: present.round,
                        met: Met {
                            contribution: present.contribution.digest(),
                            taken: Taken::Alone(Reason::Single),
                        },
                        content: None,
                    };
                    let input = Input::Concluded(concluded);
                    let happening = Happening::Input(peer, life, input.into());
                    self.later(Duration::from_millis(30), happening);
                }
                Output::Present(_) | Output::Concluded(_) => {}
                Output::SignAdmission(mut admission) => {
                    admission.signature = self.admission_signature(&admission);
                    let input = Input::Admitted(admission);
                    let after = Duration::from_millis(1);
                    self.later(after, Happening::Input(peer, life, input.into()));
                }
                Output::CheckAdmission(admission) => {
                    if admission.signature == self.admission_signature(&admission) {
                        let input = Input::Admitted(admission);
                        let after = Duration::from_millis(1);
                        self.later(after, Happening::Input(peer, life, input.into()));
                    }
                }
                Output::Event(event) => self.events.push((self.now, peer, event)),
            }
        }
    }

    fn done(&mut self, peer: Peer, after: Duration, task: Task, outcome: Outcome) {
        let life = self.lives[peer.index()];
        let input = Input::Done { task, outcome };
        self.later(after, Happening::Input(peer, life, input.into()));
    }

    /// As if signed: nobody makes one of another statement.
    fn admission_signature(&self, admission: &Admission) -> Vec<u8> {
        admission.statement(self.settings.job).0.to_vec()
    }

    fn deliver(&mut self, from: Peer, to: Peer, message: Message) {
        let lie = self.nodes[from.index()].as_ref().and_then(|node| node.lie);
        let message = match lie {
            Some(lie) => lie(&mut self.random, message),
            None => Some(message),
        };
        let Some(message) = message else { return };
        if self.random.below(1000) < self.loss {
            return;
        }
        // As over the wire: what is not read back is not sent.
        let Ok(message) = Message::from_bytes(&message.to_bytes()) else {
            return;
        };
        let bulk = matches!(message.body, Body::Forward(_) | Body::Backward(_));
        let base = if bulk { 40 } else { 15 };
        let after = Duration::from_millis(base + self.random.below(30));
        let life = self.lives[to.index()];
        self.later(
            after,
            Happening::Input(to, life, Input::Message { from, message }.into()),
        );
    }

    /// Paths by turns, each without `skips` stages.
    fn paths(&mut self, roster: &Roster) -> Vec<Path> {
        let mut paths = Vec::new();
        for microbatch in 0..self.settings.microbatches as usize {
            let held = (0u16..)
                .map(Stage)
                .zip(&roster.0)
                .filter(|(_, peers)| !peers.is_empty());
            let mut hops: Vec<Hop> = held
                .map(|(stage, peers)| Hop {
                    stage,
                    peer: peers[microbatch % peers.len()],
                })
                .collect();
            for _ in 0..self.skips.min(hops.len().saturating_sub(1)) {
                let place = 1 + self.random.index(hops.len() - 1);
                hops.remove(place);
            }
            paths.extend(Path::new(hops).ok());
        }
        paths
    }
}

/// Settings of a small pipeline.
pub fn settings(stages: u16, peers: u32, microbatches: u32, steps: u64) -> Settings {
    Settings {
        job: Digest([7; 32]),
        stages,
        peers,
        most_peers: peers + 3,
        microbatches,
        steps,
        slots: 3,
        hop_time: Duration::from_millis(1500),
        phase_time: Duration::from_secs(3),
        step_time: Duration::from_secs(30),
        keep_every: 2,
        rebuild: true,
        meetings: None,
    }
}
