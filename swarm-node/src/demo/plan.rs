//! What the demo's settings mean for rounds: the swarm's configuration, its peers and their topics.

use std::sync::Arc;

use swarm_identity::PeerId;
use swarm_learn::LearnConfig;
use swarm_round::sim::{Network, PeerSpec, Role, Spec};
use swarm_round::{Agreement, Game, Membership, SwarmConfig, Windows};
use swarm_task::FamilyId;

use super::arm::Arm;
use super::error::DemoError;
use crate::config::DemoConfig;
use crate::node::swarm_file::{MemberLine, MembershipFile, SwarmFile, Tasks};

/// Length of each window of virtual time, in milliseconds.
const WINDOW_MS: u32 = 1_000;
/// Virtual time from a wish to its work, in milliseconds; shorter than a window less the network's
/// delay.
const COMPUTE_MS: u64 = 300;

/// Rounds as the settings say: at least one peer, and one family.
pub(super) struct DemoPlan<'a> {
    pub(super) demo: &'a DemoConfig,
    pub(super) learn: &'a LearnConfig,
    /// Name of the base model, by its digest.
    pub(super) model: String,
}

impl<'a> DemoPlan<'a> {
    /// # Errors
    /// There is no family, or no peer.
    pub(super) fn new(
        demo: &'a DemoConfig,
        learn: &'a LearnConfig,
        model: String,
    ) -> Result<Self, DemoError> {
        if demo.families.is_empty() {
            return Err(DemoError::NoFamily);
        }
        if demo.peers == 0 {
            return Err(DemoError::NoPeer);
        }
        Ok(Self { demo, learn, model })
    }

    /// Families with difficulties, by topic.
    pub(super) fn families(&self) -> Vec<(FamilyId, u8)> {
        self.tasks().by_topic()
    }

    /// The topic of a peer's practice questions.
    pub(super) fn topic(&self, peer: usize) -> usize {
        peer % self.demo.families.len()
    }

    /// The family that a peer practises.
    pub(super) fn family(&self, peer: usize) -> FamilyId {
        self.demo.families[self.topic(peer)]
    }

    /// The rounds in which all peers learn together.
    pub(super) fn together(&self) -> Spec {
        let peers = (0..self.demo.peers)
            .map(|peer| self.specialist(peer))
            .collect();
        self.spec(
            self.swarm("demo", self.shared_game()),
            peers,
            self.demo.rounds,
        )
    }

    /// The same rounds for processes with these ids, in the time of this machine.
    pub(super) fn live(
        &self,
        peers: &[PeerId],
        genesis_ms: u64,
        windows: Windows,
        settlement: String,
    ) -> SwarmFile {
        let member = |(number, peer): (usize, &PeerId)| MemberLine {
            peer: *peer,
            families: vec![self.family(number)],
        };
        SwarmFile {
            name: format!("demo {}", self.demo.seed),
            genesis_ms,
            model: self.model.clone(),
            settlement,
            bootstrap: Vec::new(),
            tasks: self.tasks(),
            windows,
            game: self.shared_game(),
            agreement: Agreement::default(),
            membership: MembershipFile::Roster {
                members: peers.iter().enumerate().map(member).collect(),
            },
        }
    }

    /// The game of all peers together.
    fn shared_game(&self) -> Game {
        let crowd = self.demo.peers.div_ceil(self.demo.families.len());
        self.game(
            self.demo.families.len(),
            self.practice(self.demo.questions, crowd),
            self.demo.common,
        )
    }

    /// The families whose questions an arm's `peer` is asked, by topic.
    pub(super) fn families_of(&self, arm: Arm, peer: usize) -> Vec<(FamilyId, u8)> {
        match arm {
            Arm::AloneOwnFamily => vec![(self.family(peer), self.demo.difficulty)],
            Arm::AloneAllFamilies | Arm::Swarm | Arm::LoneGeneralist => self.families(),
        }
    }

    /// The rounds of a peer without others: as many practice and common questions as in the swarm,
    /// or, for the generalist, so many times as the settings say. Its name sets its questions and
    /// its noise apart from all others'.
    pub(super) fn alone(&self, arm: Arm, peer: usize) -> Spec {
        let times = if arm == Arm::LoneGeneralist {
            self.demo.generalist
        } else {
            1
        };
        let topics = self.families_of(arm, peer).len();
        let [practice, common] =
            [self.demo.questions, self.demo.common].map(|count| count.saturating_mul(times));
        let swarm = self.swarm(
            &format!("demo {} {peer}", arm.name()),
            self.game(topics, practice, common),
        );
        self.spec(swarm, vec![PeerSpec::new(Role::Honest)], self.demo.rounds)
    }

    /// One round in which all peers decide questions together and nobody learns.
    pub(super) fn ensemble(&self) -> Spec {
        let peers = (0..self.demo.peers)
            .map(|peer| self.specialist(peer))
            .collect();
        let game = Game {
            group: 1,
            ..self.game(self.demo.families.len(), 0, self.demo.council)
        };
        self.spec(self.swarm("council", game), peers, 1)
    }

    fn specialist(&self, peer: usize) -> PeerSpec {
        PeerSpec {
            topics: 1 << self.topic(peer),
            ..PeerSpec::new(Role::Honest)
        }
    }

    /// Practice questions of a round: `questions` for each of `crowd` peers to a topic, equally
    /// many of every topic.
    fn practice(&self, questions: u16, crowd: usize) -> u16 {
        let shares = u16::try_from(crowd * self.demo.families.len()).unwrap_or(u16::MAX);
        shares.saturating_mul(questions)
    }

    fn spec(&self, swarm: SwarmConfig, peers: Vec<PeerSpec>, rounds: u64) -> Spec {
        let (seed, network) = (self.demo.seed, Network::default());
        Spec {
            swarm: Arc::new(swarm),
            peers,
            rounds,
            seed,
            network,
            crashes: Vec::new(),
            compute_ms: COMPUTE_MS,
        }
    }

    fn swarm(&self, name: &str, game: Game) -> SwarmConfig {
        SwarmConfig {
            name: format!("{name} {}", self.demo.seed),
            tasks: self.tasks().canonical(),
            model: self.model.clone(),
            numerics: "ro1".into(),
            settlement: String::new(),
            genesis_ms: u64::from(WINDOW_MS),
            windows: Windows::uniform(WINDOW_MS),
            game,
            agreement: Agreement::default(),
            membership: Membership::default(),
        }
    }

    fn tasks(&self) -> Tasks {
        Tasks {
            families: self.demo.families.clone(),
            difficulty: self.demo.difficulty,
        }
    }

    fn game(&self, topics: usize, practice: u16, common: u16) -> Game {
        Game {
            practice,
            common,
            ..Game::of_all(
                self.demo.peers,
                topics,
                self.learn.group,
                self.learn.max_new,
            )
        }
    }
}
