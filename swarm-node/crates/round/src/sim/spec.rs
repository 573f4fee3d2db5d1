//! What is simulated.

use std::sync::Arc;

use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::{KeyError, NodeKey};

use super::compute::Compute;
use super::network::{Home, Network};
use crate::clock::Millis;
use crate::config::SwarmConfig;

/// A simulation's specification. Same specification, same report.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The swarm.
    pub swarm: Arc<SwarmConfig>,
    /// Its peers.
    pub peers: Vec<PeerSpec>,
    /// Rounds to play.
    pub rounds: u64,
    /// Seed of keys, network and attackers.
    pub seed: u64,
    /// The network.
    pub network: Network,
    /// Crashes and restarts.
    pub crashes: Vec<Crash>,
    /// Virtual time from a wish to its work, in milliseconds; must be shorter than the seal
    /// windows.
    pub compute_ms: u64,
}

/// A simulated peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSpec {
    /// How it behaves.
    pub role: Role,
    /// Topics of its practice questions: bit t for topic t.
    pub topics: u64,
    /// Its stake.
    pub stake: u64,
    /// How far its clock runs ahead at genesis, in milliseconds; negative if it is behind.
    pub skew_ms: i64,
    /// How much its clock gains, in parts per million; negative if it loses.
    pub drift_ppm: i32,
    /// How long it thinks; as the specification says if `None`.
    pub compute: Option<Compute>,
    /// Where it lives.
    pub home: Home,
}

impl PeerSpec {
    /// A peer with this role, all topics, stake 1 and a true clock, in the first region.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            topics: u64::MAX,
            stake: 1,
            skew_ms: 0,
            drift_ppm: 0,
            compute: None,
            home: Home::default(),
        }
    }
}

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Follows the protocol.
    Honest,
    /// Registered, but never says a word.
    Silent,
    /// Answers, endorses and decides for a wrong answer that all liars agree on.
    WrongGold,
    /// Copies seals and reveals of others.
    Copier,
    /// Publishes old and present messages of others again.
    Replayer,
    /// Signs two versions of each of its messages.
    Equivocator,
    /// Publishes many properly signed, useless messages.
    Flooder,
    /// Publishes random bytes, damaged messages and forgeries.
    Garbler,
    /// Publishes at the edge of a message's window, so that half of the members get it in time.
    Edge,
    /// Publishes each message to half of the members only.
    Half,
    /// Publishes each message to half of the members, at the edge of its window.
    EdgeHalf,
    /// Lies, contradicts itself and is silent where members agree on what counts.
    Obstructor,
    /// Says hello and nothing else.
    Sybil,
    /// Shows nobody, or half of the members, who said hello.
    Excluder,
}

impl Role {
    /// Hostile roles whose messages all members see alike.
    pub const HOSTILE: [Self; 6] = [
        Self::WrongGold,
        Self::Copier,
        Self::Replayer,
        Self::Equivocator,
        Self::Flooder,
        Self::Garbler,
    ];

    /// Hostile roles that let some members see in time what others see late or never.
    pub const DIVIDING: [Self; 3] = [Self::Edge, Self::Half, Self::EdgeHalf];

    /// Every hostile role, those against agreement more often.
    pub const EVERY_TRICK: [Self; 14] = [
        Self::Obstructor,
        Self::EdgeHalf,
        Self::WrongGold,
        Self::Equivocator,
        Self::Obstructor,
        Self::Edge,
        Self::Copier,
        Self::Silent,
        Self::Obstructor,
        Self::Half,
        Self::Replayer,
        Self::Flooder,
        Self::Obstructor,
        Self::Garbler,
    ];
}

/// A peer that stops at once and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Which peer.
    pub peer: usize,
    /// When it stops.
    pub stop: Stop,
    /// After how long it starts again, in milliseconds.
    pub down_ms: u64,
    /// What it has then, beside its key with the sign-once table, the roster and its archive.
    pub memory: Memory,
}

/// When a peer stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At this time.
    At(Millis),
    /// Before it takes the step of this number. Each output that it acts on is a step, and so is
    /// telling its core of a signature.
    Before(u64),
}

/// What a peer has when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing more.
    Nothing,
    /// Its journal, as far as it was on disk.
    Journal,
}

impl Crash {
    /// A peer that stops at one time and starts again at another, without a journal.
    pub fn new(peer: usize, at: Millis, back: Millis) -> Self {
        Self {
            peer,
            stop: Stop::At(at),
            down_ms: back.saturating_sub(at),
            memory: Memory::Nothing,
        }
    }

    /// The same with a journal.
    #[must_use]
    pub fn with_journal(self) -> Self {
        Self {
            memory: Memory::Journal,
            ..self
        }
    }
}

/// The key of a peer of the simulation with this seed.
///
/// # Errors
/// With negligible probability the derived secret is no key; take another seed then.
pub fn simulated_key(seed: u64, peer: usize) -> Result<NodeKey, KeyError> {
    NodeKey::from_secret(&simulated_secret(seed, peer))
}

/// What the key of a simulated peer is made of. Everybody can compute it.
pub fn simulated_secret(seed: u64, peer: usize) -> Digest32 {
    Hasher::new("simulated-key")
        .u64(seed)
        .u64(peer as u64)
        .finish()
}

impl Spec {
    /// The key of a simulated peer.
    ///
    /// # Errors
    /// With negligible probability the derived secret is no key; take another seed then.
    pub fn key(&self, peer: usize) -> Result<NodeKey, KeyError> {
        simulated_key(self.seed, peer)
    }

    /// The indices of honest peers.
    pub fn honest(&self) -> impl Iterator<Item = usize> {
        self.peers
            .iter()
            .enumerate()
            .filter(|(_, peer)| peer.role == Role::Honest)
            .map(|(index, _)| index)
    }

    /// Spreads the peers over the regions of [`Network::world`], in turn, with access delays of 2,
    /// 12 and 22 ms.
    #[must_use]
    pub fn over_the_world(mut self) -> Self {
        self.network = Network::world();
        let regions = self.network.regions_ms.len();
        for (index, peer) in self.peers.iter_mut().enumerate() {
            peer.home = Home {
                region: (index % regions) as u16,
                access_ms: 2 + 10 * (index / regions % 3) as u32,
            };
        }
        self
    }

    /// Lets the first `count` peers finish at the very end of their seal windows.
    #[must_use]
    pub fn with_laggards(mut self, count: usize) -> Self {
        let compute = Compute::laggard(&self.swarm.windows);
        for peer in self.peers.iter_mut().take(count) {
            peer.compute = Some(compute);
        }
        self
    }

    /// Gives the last `count` peers these roles in turn, everybody before is honest.
    #[must_use]
    pub fn with_last(mut self, count: usize, roles: &[Role]) -> Self {
        let honest = self.peers.len().saturating_sub(count);
        let turns = std::iter::repeat_n(Role::Honest, honest).chain(roles.iter().copied().cycle());
        self.peers
            .iter_mut()
            .zip(turns)
            .for_each(|(peer, role)| peer.role = role);
        self
    }
}
