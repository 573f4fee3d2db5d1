//! The questions of a round, derived from the beacon, and the [`Judge`] that knows what they mean.
//!
//! A question is opaque here: a topic and 32 bytes from which the judge regenerates text and gold
//! answer. Every node derives the same list, so nobody's questions and nobody's gold need to be
//! trusted.

use swarm_identity::digest::{Digest32, Hasher, low_u64};
use swarm_identity::key::PeerId;

use crate::clock::Round;
use crate::config::{Game, SwarmId};
use crate::payload::Stage;

/// The name and the seed of a question.
pub type QuestionId = Digest32;
/// The random value of a round. Without a chain: SHA-256(swarm ‖ round).
pub type Beacon = Digest32;

/// One question of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundQuestion {
    /// Pseudo-random name; the judge draws the instance from it.
    pub id: QuestionId,
    /// Topic (task family), below the game's number of topics.
    pub topic: u16,
    /// True if all three stages treat it; false for practice questions, which are only answered.
    pub common: bool,
}

impl RoundQuestion {
    /// The first eight bytes of the id as a seed for a generator.
    pub fn seed(&self) -> u64 {
        low_u64(&self.id)
    }
}

/// Judges answers. Must be pure: every node of a swarm must get the same values, bit for bit.
pub trait Judge: Send + Sync {
    /// Quality of an answer in `[0, 1]`; 1 is right. Values outside are clamped, NaN counts as 0.
    fn score(&self, question: &RoundQuestion, answer: &str) -> f32;

    /// The answer's normal form; answers with equal normal forms are the same answer. `None` if it
    /// cannot be read.
    fn normal(&self, question: &RoundQuestion, answer: &str) -> Option<String>;

    /// True if [`Judge::score`] knows the truth. Without a verifier the members' decisions take its
    /// place.
    fn verifies(&self, _question: &RoundQuestion) -> bool {
        true
    }
}

/// A score in thousandths, the unit of all counting.
pub fn thousandths(score: f32) -> u32 {
    (score.clamp(0.0, 1.0) * 1000.0).round() as u32
}

/// The beacon of a round without a chain.
pub fn beacon(swarm: &SwarmId, round: Round) -> Beacon {
    Hasher::new("beacon").bytes(swarm).u64(round).finish()
}

/// The questions of a round: practice questions go through the topics in turn, common ones draw
/// theirs.
pub fn questions(beacon: &Beacon, game: &Game) -> Vec<RoundQuestion> {
    (0..game.slots())
        .map(|slot| question(beacon, game, slot))
        .collect()
}

fn question(beacon: &Beacon, game: &Game, slot: u16) -> RoundQuestion {
    let id = Hasher::new("question")
        .bytes(beacon)
        .u64(slot.into())
        .finish();
    let common = slot >= game.practice;
    let turn = if common {
        low_u64(&Hasher::new("topic").bytes(&id).finish())
    } else {
        slot.into()
    };
    RoundQuestion {
        id,
        topic: (turn % u64::from(game.topics)) as u16,
        common,
    }
}

/// The seed from which a member samples in a stage, so that others can recompute its completions.
pub fn sampling_seed(beacon: &Beacon, stage: Stage, slot: u16, peer: &PeerId) -> u64 {
    let hasher = Hasher::new("sampling").bytes(beacon).u64(stage as u64);
    low_u64(&hasher.u64(slot.into()).bytes(&peer.0).finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sim::toy;

    #[test]
    fn a_round_has_its_own_distinct_questions() {
        let config = toy::config(4);
        let swarm = config.swarm_id();
        let ids = |round| -> BTreeSet<_> {
            questions(&beacon(&swarm, round), &config.game)
                .into_iter()
                .collect()
        };
        assert_eq!(ids(1).len(), usize::from(config.game.slots()));
        assert!(ids(1).is_disjoint(&ids(2)));
        assert_eq!(ids(1), ids(1));
    }

    #[test]
    fn practice_covers_all_topics_evenly() {
        let mut game = toy::config(4).game;
        (game.topics, game.practice, game.common) = (4, 16, 8);
        let list = questions(&[5; 32], &game);
        for topic in 0..4 {
            assert_eq!(
                list.iter()
                    .filter(|q| !q.common && q.topic == topic)
                    .count(),
                4
            );
        }
        assert!(list.iter().all(|q| q.topic < 4));
        assert_eq!(list.iter().filter(|q| q.common).count(), 8);
    }

    #[test]
    fn scores_become_thousandths_of_the_unit_interval() {
        let cases = [
            (0.0, 0),
            (1.0, 1000),
            (0.5, 500),
            (7.0, 1000),
            (-1.0, 0),
            (f32::NAN, 0),
            (f32::INFINITY, 1000),
        ];
        for (score, expected) in cases {
            assert_eq!(thousandths(score), expected);
        }
    }
}
