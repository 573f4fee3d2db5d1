//! What the demo's settings mean for rounds: the swarm's configuration, its peers and their topics.

use std::sync::Arc;

use crate::config::{DemoConfig, LearnConfig};
use crate::learn::judge::TaskJudge;
use crate::round::sim::{Network, PeerSpec, Role, Spec};
use crate::round::{Game, SwarmConfig, Weighting, Windows};
use crate::task::{FamilyId, Library};

/// Length of each window of virtual time, in milliseconds.
const WINDOW_MS: u32 = 1_000;
/// Virtual time from a wish to its work, in milliseconds; shorter than a window less the network's delay.
const COMPUTE_MS: u64 = 300;
/// Bytes per token that texts of the game may take: a character of UTF-8 has at most four.
const BYTES_PER_TOKEN: usize = 4;

/// Rounds as the settings say.
pub(super) struct Plan<'a> {
    pub(super) demo: &'a DemoConfig,
    pub(super) learn: &'a LearnConfig,
    /// Name of the base model, by its digest.
    pub(super) model: String,
}

impl Plan<'_> {
    /// Families with difficulties, by topic.
    pub(super) fn families(&self) -> Vec<(FamilyId, u8)> {
        self.demo.families.iter().map(|family| (*family, self.demo.difficulty)).collect()
    }

    /// The topic of a peer's practice questions.
    pub(super) fn topic(&self, peer: usize) -> usize {
        peer.checked_rem(self.demo.families.len()).unwrap_or(0)
    }

    /// The family that a peer practises.
    pub(super) fn family(&self, peer: usize) -> FamilyId {
        self.demo.families.get(self.topic(peer)).copied().unwrap_or(FamilyId::Max)
    }

    /// Judges questions that may be trained on.
    pub(super) fn judge(&self) -> Arc<TaskJudge> {
        Arc::new(TaskJudge::new(Library::new(), self.families()))
    }

    /// The rounds in which all peers learn together.
    pub(super) fn together(&self) -> Spec {
        let peers = (0..self.demo.peers).map(|peer| self.specialist(peer)).collect();
        let crowd = self.demo.peers.div_ceil(self.demo.families.len().max(1));
        self.spec(
            self.swarm("demo", self.practice(self.demo.questions, crowd), self.demo.common),
            peers,
            self.demo.rounds,
        )
    }

    /// The rounds of one peer alone, who answers as many questions as in the swarm. Common questions are brought by the
    /// swarm; a peer alone has more of its own family instead, unless the settings give it the common ones too.
    pub(super) fn alone(&self, peer: usize) -> Spec {
        let Self { demo, .. } = self;
        let (own, common) =
            if demo.alone_common { (demo.questions, demo.common) } else { (demo.questions + demo.common, 0) };
        self.spec(self.swarm("demo", self.practice(own, 1), common), vec![self.specialist(peer)], demo.rounds)
    }

    /// One round in which all peers decide questions together and nobody learns.
    pub(super) fn council(&self) -> Spec {
        let peers = (0..self.demo.peers).map(|peer| self.specialist(peer)).collect();
        let mut swarm = self.swarm("council", 0, self.demo.council);
        swarm.game.group = 1;
        self.spec(swarm, peers, 1)
    }

    fn specialist(&self, peer: usize) -> PeerSpec {
        PeerSpec { topics: 1 << self.topic(peer), ..PeerSpec::new(Role::Honest) }
    }

    /// Practice questions of a round: `questions` for each of `crowd` peers to a topic, equally many of every topic.
    fn practice(&self, questions: u16, crowd: usize) -> u16 {
        let shares = u16::try_from(crowd * self.demo.families.len()).unwrap_or(u16::MAX);
        shares.saturating_mul(questions)
    }

    fn spec(&self, swarm: SwarmConfig, peers: Vec<PeerSpec>, rounds: u64) -> Spec {
        let (seed, network) = (self.demo.seed, Network::default());
        Spec { swarm: Arc::new(swarm), peers, rounds, seed, network, crashes: Vec::new(), compute_ms: COMPUTE_MS }
    }

    fn swarm(&self, name: &str, practice: u16, common: u16) -> SwarmConfig {
        SwarmConfig {
            name: format!("{name} {}", self.demo.seed),
            tasks: self.tasks(),
            model: self.model.clone(),
            numerics: "ro1".into(),
            settlement: String::new(),
            genesis_ms: u64::from(WINDOW_MS),
            windows: Windows::uniform(WINDOW_MS),
            game: self.game(practice, common),
        }
    }

    fn tasks(&self) -> String {
        let names: Vec<&str> = self.demo.families.iter().map(|family| family.name()).collect();
        format!("{} at {}", names.join("+"), self.demo.difficulty)
    }

    fn game(&self, practice: u16, common: u16) -> Game {
        let everybody = u16::try_from(self.demo.peers).unwrap_or(u16::MAX);
        let text_bytes = u16::try_from(self.learn.max_new * BYTES_PER_TOKEN).unwrap_or(u16::MAX);
        Game {
            topics: u16::try_from(self.demo.families.len()).unwrap_or(u16::MAX),
            practice,
            common,
            group: self.learn.group,
            answerers: 1,
            common_answerers: everybody,
            critics: everybody,
            deciders: everybody,
            text_bytes: text_bytes.min(crate::round::config::MAX_TEXT),
            weighting: Weighting::Plurality,
        }
    }
}
