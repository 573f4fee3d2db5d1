//! Several pipelines on virtual time ([`skippipe::testing::network`]), and what their holders say to
//! each other across them: latency, loss, whole pipelines that begin later, and peers that lie.
//!
//! It is the shell that exchanges expect: it signs, at most one statement for each place, and hands on no
//! message whose signatures do not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reproducible_ops::random::Stream;
use skippipe::content::Digest;
use skippipe::event::{Event, Stepped};
use skippipe::meeting::{Interval, Replica};
use skippipe::member;
use skippipe::path::Peer;
use skippipe::settings::{Meetings, Settings as PipelineSettings};
use skippipe::testing::network::{Make, Network};
use skippipe::transcript::StepRecord;
use skippipe::wire::digest_of;
use skippipe::work::{Engine, Task};

use crate::averaging::transcript::Statement;
use crate::pipelines::exchange::{Exchange, Input, Output};
use crate::pipelines::message::{Message, Signer};
use crate::pipelines::settings::{Seat, Settings};

const NOTICED: Duration = Duration::from_millis(700);
const TICK: Duration = Duration::from_millis(100);
/// Tasks of exchanges have names of their own.
const TASKS: u64 = 1 << 40;

/// What a peer does to its messages before they leave: the message to send, or none.
pub type Lie = fn(&mut Stream, Message) -> Option<Message>;

enum Happening {
    Input(Seat, u32, Input),
    Ticks,
    Kill(Seat),
    Revive(Seat),
}

/// Pipelines that meet.
pub struct Pipelines<E> {
    pub settings: Settings,
    pub networks: Vec<Network<E>>,
    interval: Interval,
    /// When each begins.
    begins: Vec<Duration>,
    exchanges: BTreeMap<Seat, Exchange>,
    told: Vec<usize>,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Happening>,
    sequence: u64,
    random: Stream,
    signed: BTreeMap<(Seat, Digest, (u8, u64)), Digest>,
    pub lies: BTreeMap<Seat, Lie>,
    /// Messages of a thousand across pipelines that are lost.
    pub loss: u64,
    /// What was refused: statements that contradict signed ones, and messages whose signatures do not
    /// hold.
    pub refused: usize,
    pub faults: Vec<(Seat, &'static str)>,
    pub most_load: usize,
}

impl<E: Engine> Pipelines<E> {
    /// Pipelines of `replicas[s]` peers for each stage, which begin at these times.
    pub fn new(
        settings: Settings,
        pipeline: &PipelineSettings,
        interval: Interval,
        replicas: &[usize],
        begins: Vec<Duration>,
        make: impl Fn(Replica) -> Make<E>,
    ) -> Self {
        let networks = (0..settings.pipelines).map(Replica).map(|number| {
            let settings = PipelineSettings {
                job: settings.job_of(number),
                meetings: Some(Meetings {
                    interval,
                    longest: settings.longest(),
                }),
                ..pipeline.clone()
            };
            let mut network = Network::new(settings, replicas, u64::from(number.0), make(number));
            network.exchanged = Some(Vec::new());
            network
        });
        let networks: Vec<_> = networks.collect();
        let seats = (0..settings.pipelines).flat_map(|pipeline| {
            (0..settings.peers).map(move |peer| Seat {
                pipeline: Replica(pipeline),
                peer: Peer(peer),
            })
        });
        let exchanges = seats.map(|seat| (seat, Exchange::new(settings.clone(), seat)));
        let mut pipelines = Self {
            exchanges: exchanges.collect(),
            told: vec![0; networks.len()],
            networks,
            interval,
            begins,
            settings,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            random: Stream::from_seed("pipelines that meet", 1),
            signed: BTreeMap::new(),
            lies: BTreeMap::new(),
            loss: 0,
            refused: 0,
            faults: Vec::new(),
            most_load: 0,
        };
        pipelines.later(TICK, Happening::Ticks);
        pipelines
    }

    /// A peer's process ends at a time.
    pub fn kill_at(&mut self, seat: Seat, at: Duration) {
        let local = self.local(seat.pipeline, at);
        self.networks[seat.pipeline.index()].kill_at(seat.peer, local);
        self.later(at - self.now, Happening::Kill(seat));
    }

    /// It begins anew, without memory.
    pub fn revive_at(&mut self, seat: Seat, at: Duration) {
        let local = self.local(seat.pipeline, at);
        self.networks[seat.pipeline.index()].revive_at(seat.peer, local);
        self.later(at - self.now, Happening::Revive(seat));
    }

    /// Runs until a time, or until these pipelines are done.
    pub fn run(&mut self, until: Duration, pipelines: &[usize]) {
        while !pipelines
            .iter()
            .all(|one| self.networks[*one].is_finished())
            && self.next(until)
        {}
    }

    /// The steps of all pipelines.
    pub fn steps(&self) -> Vec<Vec<Stepped>> {
        self.networks.iter().map(Network::steps).collect()
    }

    /// Their records.
    pub fn records(&self) -> Vec<Vec<StepRecord>> {
        let steps = self.steps().into_iter();
        steps
            .map(|steps| steps.into_iter().map(|one| one.record).collect())
            .collect()
    }

    fn local(&self, pipeline: Replica, at: Duration) -> Duration {
        at.saturating_sub(self.begins[pipeline.index()])
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        let place = (self.now + after, self.sequence);
        self.queue.insert(place, happening);
    }

    fn next(&mut self, until: Duration) -> bool {
        let networks = self.networks.iter().zip(&self.begins).enumerate();
        let networks = networks.filter_map(|(at, (network, begins))| {
            // Who is done is not run on.
            let next = network.next_at().filter(|_| !network.is_finished())?;
            Some((next + *begins, at))
        });
        let first = networks.min();
        let own = self.queue.first_key_value().map(|((at, _), _)| *at);
        let network = first.filter(|(at, _)| own.is_none_or(|own| *at < own));
        match (network, own) {
            (Some((at, number)), _) if at <= until => {
                self.now = at;
                let begins = self.begins[number];
                self.networks[number].run_on(at - begins);
                self.hear_network(number);
                true
            }
            (None, Some(at)) if at <= until => {
                let Some((_, happening)) = self.queue.pop_first() else {
                    return false;
                };
                self.now = at;
                self.happen(happening);
                true
            }
            _ => false,
        }
    }

    fn hear_network(&mut self, number: usize) {
        let pipeline = Replica(number as u32);
        let seat = |peer| Seat { pipeline, peer };
        let network = &mut self.networks[number];
        let mut inputs = Vec::new();
        for (peer, output) in network.exchanged.iter_mut().flat_map(std::mem::take) {
            inputs.push(match output {
                member::Output::Present(present) => (seat(peer), Input::Present(present)),
                member::Output::Concluded(concluded) => (seat(peer), Input::Concluded(concluded)),
                other => panic!("{other:?} is of no exchange"),
            });
        }
        for (_, peer, event) in &network.events[self.told[number]..] {
            if let Event::Moved { step, .. } = event
                && let Some(round) = self.interval.round_of(*step)
            {
                inputs.push((seat(*peer), Input::Moved { round }));
            }
        }
        self.told[number] = network.events.len();
        for (seat, input) in inputs {
            self.give(seat, input);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Input(seat, life, input) => {
                let lives = self.networks[seat.pipeline.index()].lives(seat.peer);
                if lives == life {
                    self.give(seat, input);
                }
            }
            Happening::Ticks => {
                let seats: Vec<Seat> = self.exchanges.keys().copied().collect();
                for seat in seats {
                    self.give(seat, Input::Tick);
                }
                self.later(TICK, Happening::Ticks);
            }
            Happening::Kill(seat) => {
                self.exchanges.remove(&seat);
                self.tell_all(&Input::Lost(seat));
            }
            Happening::Revive(seat) => {
                let exchange = Exchange::new(self.settings.clone(), seat);
                self.exchanges.insert(seat, exchange);
                self.tell_all(&Input::Found(seat));
            }
        }
    }

    fn tell_all(&mut self, input: &Input) {
        let seats: Vec<Seat> = self.exchanges.keys().copied().collect();
        for seat in seats {
            self.input(NOTICED, seat, input.clone());
        }
    }

    fn input(&mut self, after: Duration, seat: Seat, input: Input) {
        let life = self.networks[seat.pipeline.index()].lives(seat.peer);
        self.later(after, Happening::Input(seat, life, input));
    }

    fn give(&mut self, seat: Seat, input: Input) {
        let Some(exchange) = self.exchanges.get_mut(&seat) else {
            return;
        };
        let outputs = exchange.handle(input, self.now);
        self.most_load = self.most_load.max(exchange.load());
        for output in outputs {
            self.carry_out(seat, output);
        }
    }

    fn carry_out(&mut self, seat: Seat, output: Output) {
        let network = &mut self.networks[seat.pipeline.index()];
        match output {
            Output::Send { to, message } => self.send(seat, to, message),
            Output::Work { task, work } => {
                if let Some(outcome) = network.perform(seat.peer, Task(TASKS + task.0), work) {
                    let after = Duration::from_millis(15);
                    self.input(after, seat, Input::Done { task, outcome });
                }
            }
            Output::Sign(statement) => {
                let Statement::Offer { job, .. } = statement else {
                    panic!("{statement:?} is no contribution")
                };
                let digest = statement.digest();
                let place = (seat, job, statement.place());
                if *self.signed.entry(place).or_insert(digest) == digest {
                    let signature = signature(seat, digest);
                    let signed = Input::Signed {
                        statement: digest,
                        signature,
                    };
                    self.input(Duration::from_millis(1), seat, signed);
                } else {
                    self.refused += 1;
                }
            }
            Output::Concluded(concluded) => {
                let at = self.now + Duration::from_millis(1);
                let at = at.saturating_sub(self.begins[seat.pipeline.index()]);
                network.happens_at(seat.peer, at, member::Input::Concluded(concluded));
            }
            Output::Fault { seat: of, what } => self.faults.push((of, what)),
        }
    }

    fn send(&mut self, from: Seat, to: Seat, message: Message) {
        let message = match self.lies.get(&from) {
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
        let holds = message
            .signed(&self.settings, from)
            .into_iter()
            .all(|(signer, statement, found)| self.holds(signer, statement.digest(), found));
        if !holds {
            self.refused += 1;
            return;
        }
        let after = Duration::from_millis(20 + self.random.below(30));
        self.input(after, to, Input::Message { from, message });
    }

    fn holds(&self, signer: Signer, statement: Digest, found: &[u8]) -> bool {
        let seats: BTreeSet<Seat> = match signer {
            Signer::Seat(seat) => [seat].into(),
            Signer::Pipeline(pipeline) => (0..self.settings.peers)
                .map(|peer| Seat {
                    pipeline,
                    peer: Peer(peer),
                })
                .collect(),
        };
        let mut seats = seats.into_iter();
        seats.any(|seat| signature(seat, statement) == found)
    }
}

fn signature(seat: Seat, statement: Digest) -> Vec<u8> {
    digest_of("signature", &(seat, statement)).0.to_vec()
}
