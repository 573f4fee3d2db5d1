//! Members and their replicas on virtual time: links with latency and loss, replicas that take
//! different times, that are killed and restarted, that are cut off for a while, and that lie.
//!
//! The network is the shell that members expect: it signs, at most one statement for each place,
//! and hands on no message whose signatures do not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reproducible_ops::random::Stream;
use skippipe::content::Digest;

use crate::averaging::member::{Event, Input, Member, Output};
use crate::averaging::message::Message;
use crate::averaging::settings::Settings;
use crate::averaging::transcript::{Completed, Replica, RoundRecord, Statement, Transcript};
use crate::averaging::work::{Engine, Outcome, Task, Work};

/// How long it takes until a replica's end is noticed.
const NOTICED: Duration = Duration::from_millis(700);
/// Between two ticks of a member.
const TICK: Duration = Duration::from_millis(100);

/// What a replica does to its messages before they leave: the message to send, or none.
pub type Lie = fn(&mut Stream, Message) -> Option<Message>;

struct Node<E> {
    member: Member,
    engine: E,
    busy_until: Duration,
    /// Time that inner steps take.
    pace: Duration,
    lie: Option<Lie>,
}

/// What survives a replica's process.
#[derive(Default)]
struct Disk {
    /// The sign-once table.
    signed: BTreeMap<(u8, u64), Digest>,
    /// The last round that it has begun.
    began: u64,
    /// A round that is over, and perhaps not signed.
    ending: Option<(RoundRecord, Digest)>,
    /// The last two states that the engine was in after a round.
    states: Vec<(Digest, Vec<u8>)>,
}

/// Makes the engine of a replica in a saved state, or before the first round.
type Load<E> = Box<dyn Fn(Replica, Option<&[u8]>) -> E>;

/// How engines are saved after each round, and made again.
pub struct Saving<E> {
    /// A state as bytes.
    pub save: fn(&E) -> Vec<u8>,
    /// An engine in that state, or before the first round.
    pub load: Load<E>,
}

enum Happening {
    Input(Replica, Input),
    /// From a replica's own process, which may have ended since: how often it was started before.
    Own(Replica, u32, Input),
    Tick(Replica),
    Kill(Replica),
    Restart(Replica),
    Cut(Replica, bool),
}

/// A job in memory.
pub struct Network<E> {
    settings: Settings,
    nodes: Vec<Option<Node<E>>>,
    transcripts: Vec<Transcript>,
    disks: Vec<Disk>,
    /// How often each was restarted.
    restarts: Vec<u32>,
    /// Restarts that are still to come.
    to_restart: usize,
    /// What a replica needs to be restarted.
    pub saving: Option<Saving<E>>,
    cut: BTreeSet<Replica>,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Happening>,
    sequence: u64,
    random: Stream,
    /// Messages of a thousand that are lost.
    pub loss: u64,
    /// Everything that was told, with when and by whom.
    pub events: Vec<(Duration, Replica, Event)>,
    /// Bytes that each replica has sent.
    pub sent: Vec<u64>,
    /// Most that any member kept at a time.
    pub most_load: usize,
    /// Statements that a member asked to sign where it had signed another, and messages with
    /// signatures that did not hold.
    pub refused: usize,
}

impl<E: Engine> Network<E> {
    /// A replica for each engine.
    pub fn new(settings: Settings, engines: Vec<E>, seed: u64) -> Self {
        let nodes = (0..).map(Replica).zip(engines).map(|(replica, engine)| {
            Some(Node {
                member: Member::new(settings.clone(), replica),
                engine,
                busy_until: Duration::ZERO,
                pace: Duration::from_millis(500),
                lie: None,
            })
        });
        let nodes: Vec<_> = nodes.collect();
        let mut network = Self {
            transcripts: (0..settings.replicas)
                .map(Replica)
                .map(Transcript::new)
                .collect(),
            sent: vec![0; nodes.len()],
            disks: nodes.iter().map(|_| Disk::default()).collect(),
            restarts: vec![0; nodes.len()],
            to_restart: 0,
            saving: None,
            settings,
            nodes,
            cut: BTreeSet::new(),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            random: Stream::from_seed("averaging network", seed),
            loss: 0,
            events: Vec::new(),
            most_load: 0,
            refused: 0,
        };
        for replica in (0..network.settings.replicas).map(Replica) {
            if let Some(node) = &mut network.nodes[replica.index()] {
                let outputs = node.member.start(Duration::ZERO);
                network.carry_out(replica, outputs);
            }
            network.later(TICK, Happening::Tick(replica));
        }
        network
    }

    /// A replica whose messages are changed on their way out.
    pub fn corrupt(&mut self, replica: Replica, lie: Lie) {
        if let Some(node) = &mut self.nodes[replica.index()] {
            node.lie = Some(lie);
        }
    }

    /// How long the inner steps of a replica take from here on.
    pub fn pace(&mut self, replica: Replica, pace: Duration) {
        if let Some(node) = &mut self.nodes[replica.index()] {
            node.pace = pace;
        }
    }

    /// A replica's process ends at a time.
    pub fn kill_at(&mut self, replica: Replica, at: Duration) {
        self.later(at.saturating_sub(self.now), Happening::Kill(replica));
    }

    /// A replica that was killed is started again at a time, with what survived: its transcript,
    /// the sign-once table, and the engine's state as [`Network::saving`] keeps it.
    pub fn restart_at(&mut self, replica: Replica, at: Duration) {
        self.to_restart += 1;
        self.later(at.saturating_sub(self.now), Happening::Restart(replica));
    }

    /// A replica reaches nobody between two times.
    pub fn cut_between(&mut self, replica: Replica, from: Duration, to: Duration) {
        self.later(from.saturating_sub(self.now), Happening::Cut(replica, true));
        self.later(to.saturating_sub(self.now), Happening::Cut(replica, false));
    }

    /// Runs until a time, or until all that live are done.
    pub fn run(&mut self, until: Duration) {
        while !self.is_finished() {
            let due = self.queue.first_entry();
            let due = due.filter(|entry| entry.key().0 <= until);
            let Some(entry) = due else { break };
            let ((at, _), happening) = entry.remove_entry();
            self.now = at;
            self.happen(happening);
        }
    }

    /// Whether all that live have done all rounds.
    pub fn is_finished(&self) -> bool {
        let is_over = |node: &Node<E>| node.member.round() >= self.settings.rounds;
        let living = self.disks.iter().zip(&self.nodes);
        let mut living = living.filter(|(_, node)| node.is_some());
        self.nodes.iter().flatten().all(is_over)
            && living.all(|(disk, _)| disk.ending.is_none())
            && self.to_restart == 0
    }

    /// Time that has passed.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// What each replica has kept.
    pub fn transcripts(&self) -> &[Transcript] {
        &self.transcripts
    }

    /// A living replica.
    pub fn engine(&self, replica: Replica) -> Option<&E> {
        self.nodes[replica.index()]
            .as_ref()
            .map(|node| &node.engine)
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        let key = (self.now + after, self.sequence);
        self.queue.insert(key, happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Input(replica, input) => self.give(replica, input),
            Happening::Own(replica, restarts, input) => {
                if restarts == self.restarts[replica.index()] {
                    self.give(replica, input);
                }
            }
            Happening::Tick(replica) => {
                if self.nodes[replica.index()].is_some() {
                    self.give(replica, Input::Tick);
                    self.later(TICK, Happening::Tick(replica));
                }
            }
            Happening::Kill(replica) => {
                self.nodes[replica.index()] = None;
                self.tell_all(replica, Input::Lost);
            }
            Happening::Restart(replica) => self.restart(replica),
            Happening::Cut(replica, true) => {
                self.cut.insert(replica);
                self.tell_all(replica, Input::Lost);
            }
            Happening::Cut(replica, false) => {
                self.cut.remove(&replica);
                self.tell_all(replica, Input::Found);
            }
        }
    }

    fn restart(&mut self, replica: Replica) {
        self.to_restart -= 1;
        self.restarts[replica.index()] += 1;
        let disk = &mut self.disks[replica.index()];
        let transcript = &mut self.transcripts[replica.index()];
        // What was over is signed; there is no other word about it.
        if let Some((record, state)) = disk.ending.take() {
            let statement = record.statement(state);
            let digest = statement.digest();
            let committed = disk.signed.entry(statement.place()).or_insert(digest);
            self.refused += usize::from(*committed != digest);
            transcript.rounds.push(Completed {
                record,
                state,
                signature: signature(replica, digest),
            });
        }
        let Some(saving) = &self.saving else { return };
        let last = transcript.rounds.last();
        let state = last.and_then(|last| {
            let states = disk.states.iter();
            let mut states = states.filter(|(digest, _)| *digest == last.state);
            states.next().map(|(_, bytes)| bytes.as_slice())
        });
        let roster = transcript.rosters.last().cloned();
        let from = roster.as_ref().map_or(0, |listed| listed.roster.from);
        let next = last.map_or(0, |last| last.record.round + 1);
        let next = next.max(disk.began).max(from);
        let mut node = Node {
            member: Member::resume(self.settings.clone(), replica, next, roster),
            engine: (saving.load)(replica, state),
            busy_until: self.now,
            pace: Duration::from_millis(500),
            lie: None,
        };
        let outputs = node.member.start(self.now);
        self.nodes[replica.index()] = Some(node);
        self.tell_all(replica, Input::Found);
        self.carry_out(replica, outputs);
        self.later(TICK, Happening::Tick(replica));
    }

    /// Tells everybody about a replica, and the replica about everybody.
    fn tell_all(&mut self, about: Replica, input: fn(Replica) -> Input) {
        for other in (0..self.settings.replicas).map(Replica) {
            if other != about {
                self.later(NOTICED, Happening::Input(other, input(about)));
                self.later(NOTICED, Happening::Input(about, input(other)));
            }
        }
    }

    fn give(&mut self, replica: Replica, input: Input) {
        let now = self.now;
        let Some(node) = &mut self.nodes[replica.index()] else {
            return;
        };
        let outputs = node.member.handle(input, now);
        self.most_load = self.most_load.max(node.member.load());
        self.carry_out(replica, outputs);
    }

    fn carry_out(&mut self, replica: Replica, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { to, message } => self.deliver(replica, to, message),
                Output::Work { task, work } => self.work(replica, task, work),
                Output::Sign(statement) => self.sign(replica, &statement),
                Output::Event(event) => {
                    let transcript = &mut self.transcripts[replica.index()];
                    let disk = &mut self.disks[replica.index()];
                    match &event {
                        Event::Ending { record, state } => {
                            disk.ending = Some(((**record).clone(), *state));
                        }
                        Event::Round(completed) => {
                            disk.ending = None;
                            transcript.rounds.push((**completed).clone());
                        }
                        Event::Roster(listed) => transcript.rosters.push(listed.clone()),
                        _ => {}
                    }
                    self.events.push((self.now, replica, event));
                }
            }
        }
    }

    fn work(&mut self, replica: Replica, task: Task, work: Work) {
        let Some(node) = &mut self.nodes[replica.index()] else {
            return;
        };
        let jitter = Duration::from_millis(self.random.below(50));
        let took = match &work {
            Work::Train { round } => {
                self.disks[replica.index()].began = *round;
                node.pace + jitter
            }
            _ => Duration::from_millis(5),
        };
        let outcome: Outcome = node.engine.perform(work);
        if let (Outcome::Moved { state, .. }, Some(saving)) = (&outcome, &self.saving) {
            let states = &mut self.disks[replica.index()].states;
            states.push((*state, (saving.save)(&node.engine)));
            let old = states.len().saturating_sub(2);
            states.drain(..old);
        }
        node.busy_until = node.busy_until.max(self.now) + took;
        let after = node.busy_until - self.now;
        let restarts = self.restarts[replica.index()];
        let done = Input::Done { task, outcome };
        self.later(after, Happening::Own(replica, restarts, done));
    }

    fn sign(&mut self, replica: Replica, statement: &Statement) {
        let digest = statement.digest();
        let signed = &mut self.disks[replica.index()].signed;
        let committed = signed.entry(statement.place()).or_insert(digest);
        let is_free = *committed == digest;
        // A roster that was made before a restart may be another; a round must not.
        if !is_free && !matches!(statement, Statement::Roster { .. }) {
            self.refused += 1;
            return;
        }
        let signature = is_free.then(|| signature(replica, digest));
        let input = Input::Signed {
            statement: digest,
            signature: signature.unwrap_or_default(),
        };
        let restarts = self.restarts[replica.index()];
        self.later(
            Duration::from_millis(1),
            Happening::Own(replica, restarts, input),
        );
    }

    fn deliver(&mut self, from: Replica, to: Replica, message: Message) {
        let lie = self.nodes[from.index()].as_ref().and_then(|node| node.lie);
        let message = match lie {
            Some(lie) => lie(&mut self.random, message),
            None => Some(message),
        };
        let Some(message) = message else { return };
        let bytes = message.to_bytes();
        self.sent[from.index()] += bytes.len() as u64;
        let is_cut = self.cut.contains(&from) || self.cut.contains(&to);
        if is_cut || self.random.below(1000) < self.loss {
            return;
        }
        // As over the wire: what is not read back is not sent.
        let Ok(message) = Message::from_bytes(&bytes) else {
            return;
        };
        let signed = message.signed(self.settings.job, from);
        let holds =
            |(by, of, given): &(Replica, Statement, &[u8])| signature(*by, of.digest()) == *given;
        if !signed.iter().all(holds) {
            self.refused += 1;
            return;
        }
        let after = Duration::from_millis(15 + self.random.below(30));
        self.later(
            after,
            Happening::Input(to, Input::Message { from, message }),
        );
    }
}

/// What stands for a signature here.
pub fn signature(replica: Replica, statement: Digest) -> Vec<u8> {
    let bytes = [replica.0.to_le_bytes().as_slice(), &statement.0].concat();
    Digest::of(&bytes).0.to_vec()
}

/// Settings of a small job; sizes are those of its replicas.
pub fn settings(
    paired: bool,
    replicas: u32,
    rounds: u64,
    [contribution_bytes, outer_bytes]: [usize; 2],
) -> Settings {
    Settings {
        job: Digest([7; 32]),
        paired,
        replicas,
        rounds,
        contribution_bytes,
        outer_bytes,
        patience: Duration::from_secs(2),
        again: Duration::from_millis(400),
    }
}
