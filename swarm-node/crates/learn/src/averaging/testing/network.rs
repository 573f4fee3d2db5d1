//! Members and their replicas on virtual time: links with latency and loss, replicas that take different
//! times, that are killed, that are cut off for a while, and that lie.
//!
//! The network is the shell that members expect: it signs, at most one statement for each place, and hands on
//! no message whose signatures do not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reproducible_ops::random::Stream;
use skippipe::content::Digest;

use crate::averaging::member::{Event, Input, Member, Output};
use crate::averaging::message::Message;
use crate::averaging::settings::Settings;
use crate::averaging::transcript::{Replica, Statement, Transcript};
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
    /// The sign-once table.
    signed: BTreeMap<(u8, u64), Digest>,
}

enum Happening {
    Input(Replica, Input),
    Tick(Replica),
    Kill(Replica),
    Cut(Replica, bool),
}

/// A job in memory.
pub struct Network<E> {
    settings: Settings,
    nodes: Vec<Option<Node<E>>>,
    transcripts: Vec<Transcript>,
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
    /// Statements that a member asked to sign where it had signed another, and messages with signatures that
    /// did not hold.
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
                signed: BTreeMap::new(),
            })
        });
        let nodes: Vec<_> = nodes.collect();
        let mut network = Self {
            transcripts: (0..settings.replicas)
                .map(Replica)
                .map(Transcript::new)
                .collect(),
            sent: vec![0; nodes.len()],
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
        let rounds = self.settings.rounds as usize;
        let living = (0..self.nodes.len()).filter(|at| self.nodes[*at].is_some());
        let mut done = living.map(|at| self.transcripts[at].rounds.len());
        done.all(|done| done >= rounds)
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
                    match &event {
                        Event::Round(completed) => transcript.rounds.push((**completed).clone()),
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
            Work::Train { .. } => node.pace + jitter,
            _ => Duration::from_millis(5),
        };
        let outcome: Outcome = node.engine.perform(work);
        node.busy_until = node.busy_until.max(self.now) + took;
        let after = node.busy_until - self.now;
        self.later(
            after,
            Happening::Input(replica, Input::Done { task, outcome }),
        );
    }

    fn sign(&mut self, replica: Replica, statement: &Statement) {
        let digest = statement.digest();
        let Some(node) = &mut self.nodes[replica.index()] else {
            return;
        };
        let committed = node.signed.entry(statement.place()).or_insert(digest);
        if *committed != digest {
            self.refused += 1;
            return;
        }
        let input = Input::Signed {
            statement: digest,
            signature: signature(replica, digest),
        };
        self.later(Duration::from_millis(1), Happening::Input(replica, input));
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
