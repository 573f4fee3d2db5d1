//! Hostile peers: each strategy twists a correct core's work and messages in one way.
//!
//! The core of a hostile peer signs through a sign-once table like everybody's. What a strategy
//! adds it signs with the bare key ([`Attacker::sign`]), so it can contradict itself. It chooses
//! who gets a message and when ([`Outgoing`]), and it may know its own clock, the swarm's windows
//! and how fast its network is.
//!
//! | strategies | what they twist |
//! |---|---|
//! | `wrong_gold`, `silent`, `copier` | work |
//! | `equivocator`, `replayer`, `flooder`, `garbler` | messages |
//! | `dividing` | who sees a message in time |
//! | `obstructing` | receipts, proposals and votes |
//! | `excluding` | the hellos in receipts |

mod copier;
mod dividing;
mod equivocator;
mod excluding;
mod flooder;
mod garbler;
mod obstructing;
mod outgoing;
mod replayer;
mod silent;
mod wrong_gold;

use std::sync::Arc;

use reproducible_ops::random::Stream;
use swarm_identity::digest::Hasher;
use swarm_identity::key::NodeKey;

pub use self::outgoing::{Outgoing, Recipients};
use super::spec::Role;
use crate::clock::{Clock, Millis, Position, Round, Window};
use crate::config::SwarmId;
use crate::envelope::{Envelope, Header, UnsignedEnvelope};
use crate::payload::Kind;
use crate::phase::Phase;
use crate::question::RoundQuestion;
use crate::work::{StageTask, Work};

/// Messages that a disturbing strategy adds per window.
pub const BURST: usize = 8;
/// Messages of others that a strategy remembers.
pub const MEMORY: usize = 64;

/// A way to misbehave. The defaults are correct behaviour.
pub trait Strategy {
    /// Twists the work of a stage, or withholds it. `wrong` gives the answer that liars agree on.
    fn work(
        &mut self,
        work: Work,
        _task: &StageTask,
        _wrong: &dyn Fn(&RoundQuestion) -> String,
    ) -> Option<Work> {
        Some(work)
    }

    /// What goes out instead of a message of the core.
    fn send(&mut self, message: Arc<[u8]>, _me: &mut Attacker) -> Vec<Outgoing> {
        vec![message.into()]
    }

    /// What goes out when somebody else's message comes in.
    fn hear(&mut self, _message: &Arc<[u8]>, _me: &mut Attacker) -> Vec<Outgoing> {
        Vec::new()
    }

    /// What goes out when a window begins.
    fn enter(&mut self, _window: Window, _me: &mut Attacker) -> Vec<Outgoing> {
        Vec::new()
    }

    /// True if the peer forwards what its core accepts.
    fn forwards(&self) -> bool {
        false
    }
}

/// The strategy of a role; none for an honest peer.
pub fn strategy(role: Role) -> Option<Box<dyn Strategy>> {
    Some(match role {
        Role::Honest => return None,
        Role::Silent => Box::new(silent::Silent),
        Role::WrongGold => Box::new(wrong_gold::WrongGold),
        Role::Copier => Box::new(copier::Copier::default()),
        Role::Replayer => Box::new(replayer::Replayer::default()),
        Role::Equivocator => Box::new(equivocator::Equivocator),
        Role::Flooder => Box::new(flooder::Flooder),
        Role::Garbler => Box::new(garbler::Garbler::default()),
        Role::Edge => Box::new(dividing::Dividing::at_the_edge()),
        Role::Half => Box::new(dividing::Dividing::to_half()),
        Role::EdgeHalf => Box::new(dividing::Dividing::to_half_at_the_edge()),
        Role::Obstructor => Box::new(obstructing::Obstructing),
        Role::Sybil => Box::new(silent::OnlyHello),
        Role::Excluder => Box::new(excluding::Excluding::default()),
    })
}

/// What an attacker knows of its surroundings.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The swarm's windows.
    pub clock: Clock,
    /// Its own index.
    pub me: usize,
    /// Number of all peers.
    pub peers: usize,
    /// Time after which half of the others have what it publishes, in milliseconds.
    pub median_ms: u64,
}

/// What a strategy has in its hands: the peer's key, its place in time, and chance.
pub struct Attacker {
    key: NodeKey,
    swarm: SwarmId,
    /// The swarm around it.
    pub surroundings: Surroundings,
    /// What its own clock shows.
    now: Millis,
    round: Round,
    sequence: u64,
    /// Random numbers of this attacker alone.
    pub chance: Stream,
}

impl Attacker {
    /// The means of one peer.
    pub fn new(key: NodeKey, swarm: SwarmId, seed: u64, surroundings: Surroundings) -> Self {
        let me = surroundings.me as u64;
        let mixed = Hasher::new("attacker").u64(seed).u64(me).finish();
        let chance = Stream::from_seed("round-attacker", swarm_identity::digest::low_u64(&mixed));
        Self {
            key,
            swarm,
            surroundings,
            now: 0,
            round: 0,
            sequence: 1 << 32,
            chance,
        }
    }

    /// Notes where the core is.
    pub fn enter(&mut self, _phase: Phase, round: Option<Round>) {
        self.round = round.unwrap_or(self.round);
    }

    /// Looks at its clock.
    pub fn wake(&mut self, local: Millis) {
        self.now = local;
    }

    /// How long it can wait until half of the others just get a message before its window ends, in
    /// milliseconds; 0 if it is no message or too late already.
    pub fn until_edge(&self, message: &[u8]) -> u64 {
        let Ok(envelope) = Envelope::parse(message) else {
            return 0;
        };
        let position = Position {
            round: envelope.header.round,
            window: envelope.header.kind.window(),
        };
        let end = self.surroundings.clock.start(position.next());
        end.saturating_sub(self.now.saturating_add(self.surroundings.median_ms))
    }

    /// A random half of the others, rounded up.
    pub fn half_of_others(&mut self) -> Vec<usize> {
        let Surroundings { me, peers, .. } = self.surroundings;
        let mut others: Vec<_> = (0..peers).filter(|peer| *peer != me).collect();
        self.chance.shuffle(&mut others);
        others.truncate(others.len().div_ceil(2));
        others
    }

    /// How long it is until a part of the window of agreement is over, less what the network needs,
    /// in milliseconds.
    pub fn until_part(&self, envelope: &Envelope<'_>, part: u64) -> u64 {
        let begin = Position {
            round: envelope.header.round,
            window: Window::Settle,
        };
        let clock = &self.surroundings.clock;
        let (begin, end) = (clock.start(begin), clock.start(begin.next()));
        let at = begin + (end - begin) / part;
        at.saturating_sub(self.now.saturating_add(self.surroundings.median_ms))
    }

    /// A properly signed message in the attacker's own name, for the present round.
    pub fn sign(&mut self, kind: Kind, slot: u16, payload: &[u8]) -> Option<Arc<[u8]>> {
        self.sign_for(self.round, kind, slot, payload)
    }

    /// A properly signed message in the attacker's own name.
    pub fn sign_for(
        &mut self,
        round: Round,
        kind: Kind,
        slot: u16,
        payload: &[u8],
    ) -> Option<Arc<[u8]>> {
        self.sequence += 1;
        let header = Header {
            swarm: self.swarm,
            round,
            kind,
            slot,
            peer: self.key.peer(),
            // Messages of agreement are not counted.
            sequence: if kind.is_agreement() {
                0
            } else {
                self.sequence
            },
        };
        // A hostile peer keeps no sign-once table; too long a message is not made.
        let message = UnsignedEnvelope::new(header, payload).ok()?;
        let signature = self.key.sign(&message.digest())?;
        Some(message.signed(&signature).into())
    }

    /// `n` random bytes.
    pub fn noise(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.chance.next_u32() as u8).collect()
    }
}

/// Keeps a bounded, random sample of what was heard.
fn remember(memory: &mut Vec<Arc<[u8]>>, message: &Arc<[u8]>, me: &mut Attacker) {
    if memory.len() < MEMORY {
        memory.push(message.clone());
    } else if let Some(place) = memory.get_mut(me.chance.index(MEMORY * 16)) {
        *place = message.clone();
    }
}
