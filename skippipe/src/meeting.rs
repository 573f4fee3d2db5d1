//! Where replicas that train apart meet, as records say it: whole trainers, or the same stage of
//! several pipelines.
//!
//! ```text
//! pipeline 0   steps of its own ─▶ meeting ─▶ steps of its own ─▶ meeting …     stage s of one with stage s of others
//! pipeline 1   steps of its own ─▶ meeting ─▶ …
//! ```
//! A meeting is a step of a pipeline: it has a number, a record, and is prepared for and committed as
//! every step is. Its record has no passages, but for each stage what it averaged ([`Met`]), by hash. So all
//! holders of a stage take the same outer step or none, whoever is lost when. Which replicas meet, and
//! what an outer step computes, is said elsewhere: here are contents and their hashes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::content::{Content, Digest};
use crate::path::{Peer, Stage};

/// Most replicas of a job.
pub const MAX_REPLICAS: usize = 256;
/// Most bytes of a signature.
pub const MAX_SIGNATURE: usize = 128;

/// Number of a replica: a trainer, or a whole pipeline of peers, that trains apart from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Replica(pub u32);

impl Replica {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {}", self.0)
    }
}

/// A contribution that was averaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Whose.
    pub replica: Replica,
    /// Digest of the anchor and momentum that it is a change of.
    pub outer: Digest,
    /// Its hash.
    pub contribution: Digest,
    /// Its maker's signature of all that, and of job, round and roster.
    pub signature: Vec<u8>,
}

/// Why a replica moved alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The roster gives it nobody to meet: it is the odd one out, or the only one.
    Single,
    /// The roster does not have it.
    NotListed,
    /// The transport lost the partner, or the leader.
    Lost,
    /// What was waited for did not come in time.
    Late,
    /// In time came only what was of an earlier round.
    Stale,
    /// It had all it needed and had said so; whether the leader then averaged it did not hear in
    /// time.
    InDoubt,
    /// What came had not the bytes of a contribution.
    WrongSize,
    /// What came had not the hash that its sender had signed.
    WrongHash,
    /// What came named other contributions than the group has.
    WrongParts,
    /// What came was no contribution: a number that is not finite, or a wrong shape.
    Refused,
    /// The partner, or the leader, moved alone.
    Declined,
    /// The partner, or the leader, goes by another roster.
    OtherRoster,
    /// What it would contribute may not be signed: it has signed another contribution to this round.
    Unsigned,
}

impl Reason {
    /// As people read it, of who moved alone.
    pub fn text(self) -> &'static str {
        match self {
            Self::Single => "there is nobody to meet",
            Self::NotListed => "it is not listed",
            Self::Lost => "the others cannot be reached",
            Self::Late => "the others are late",
            Self::Stale => "the others are at an earlier meeting",
            Self::InDoubt => "whether the others averaged was not heard",
            Self::WrongSize => "what came had a wrong size",
            Self::WrongHash => "what came was not what was signed",
            Self::WrongParts => "what came was a mean of others",
            Self::Refused => "what came was no contribution",
            Self::Declined => "the others moved without it",
            Self::OtherRoster => "the others go by another roster",
            Self::Unsigned => "its contribution may not be signed",
        }
    }
}

/// What a replica did in a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// A step with the mean of contributions.
    Averaged {
        /// Ascending by replica.
        parts: Vec<Part>,
        /// Where a leader computed it: hash of the mean, as it was sent.
        mean: Option<Digest>,
    },
    /// The anchor and momentum of the leader, because its own were others than those that the mean
    /// moves.
    Adopted {
        /// The leader.
        from: Replica,
        /// Digest of anchor and momentum, after the leader's step.
        outer: Digest,
    },
    /// In pairs, and where the roster has nobody else, a step with its own contribution; where all
    /// meet, none: its change counts in the next round.
    Alone(Reason),
}

/// What a stage did where pipelines met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// Hash of what the stage contributed, or would have.
    pub contribution: Digest,
    /// What it did.
    pub taken: Taken,
}

impl Met {
    /// The content that the stage's step takes besides its own contribution: the partner's, a mean, or
    /// another replica's anchor and momentum.
    pub fn needed(&self) -> Option<Digest> {
        match &self.taken {
            Taken::Averaged {
                mean: Some(mean), ..
            } => Some(*mean),
            Taken::Averaged { parts, mean: None } => {
                let of_parts = parts.iter().map(|part| part.contribution);
                of_parts.into_iter().find(|one| *one != self.contribution)
            }
            Taken::Adopted { outer, .. } => Some(*outer),
            Taken::Alone(_) => None,
        }
    }

    /// Whether it could be what a stage did: parts ascending and within limits; of a pair its own is
    /// one.
    pub fn is_sound(&self) -> bool {
        let Taken::Averaged { parts, mean } = &self.taken else {
            return true;
        };
        let ascending = parts
            .windows(2)
            .all(|pair| pair[0].replica < pair[1].replica);
        let is_bounded = (2..=MAX_REPLICAS).contains(&parts.len());
        let is_signed = |part: &Part| part.signature.len() <= MAX_SIGNATURE;
        let own = parts
            .iter()
            .filter(|part| part.contribution == self.contribution);
        let is_pair = parts.len() == 2 && own.count() > 0;
        ascending && is_bounded && parts.iter().all(is_signed) && (mean.is_some() || is_pair)
    }
}

/// When a pipeline meets others: after every so many steps of its own, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval(u64);

impl Interval {
    /// After every so many steps; 0 is taken for 1.
    pub fn new(steps: u64) -> Self {
        Self(steps.max(1))
    }

    /// Steps of a pipeline's own between two meetings.
    pub fn get(self) -> u64 {
        self.0
    }

    /// Which meeting a step is, from 0; none of a step in which the pipeline trains.
    pub fn round_of(self, step: u64) -> Option<u64> {
        let period = self.0 + 1;
        (step % period == self.0).then_some(step / period)
    }

    /// The step that a meeting is.
    pub fn step_of(self, round: u64) -> u64 {
        round * (self.0 + 1) + self.0
    }

    /// How many steps before this one trained: the number by which data and learning rates go.
    pub fn trained_before(self, step: u64) -> u64 {
        step - step / (self.0 + 1)
    }

    /// Steps of so many rounds, meetings included.
    pub fn steps(self, rounds: u64) -> u64 {
        rounds * (self.0 + 1)
    }
}

/// A holder of a stage is at a meeting: what it has to contribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Which meeting.
    pub round: u64,
    /// The stage.
    pub stage: Stage,
    /// Its contribution.
    pub contribution: Content,
    /// Digest of its anchor and momentum.
    pub outer: Digest,
    /// The holder that speaks for the stage: it exchanges with other pipelines, and brings the others
    /// what they need.
    pub speaker: Peer,
}

/// What came of a meeting for a stage, with the content that [`Met::needed`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concluded {
    /// Which meeting.
    pub round: u64,
    /// What the stage did.
    pub met: Met,
    /// What it takes for it.
    pub content: Option<Content>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_meeting_or_trains() {
        for every in 1..6 {
            let interval = Interval::new(every);
            let (mut trained, mut met) = (0, 0);
            for step in 0..60 {
                assert_eq!(interval.trained_before(step), trained);
                match interval.round_of(step) {
                    Some(round) => {
                        assert_eq!((round, interval.step_of(round)), (met, step));
                        met += 1;
                        assert_eq!(trained, met * every);
                    }
                    None => trained += 1,
                }
                assert!(interval.steps(met) <= step + 1);
            }
        }
        assert_eq!(Interval::new(0), Interval::new(1));
    }

    #[test]
    fn a_pair_needs_what_the_other_contributed() {
        let part = |replica, tag| Part {
            replica: Replica(replica),
            outer: Digest([0; 32]),
            contribution: Digest([tag; 32]),
            signature: vec![1; 64],
        };
        let met = |parts, mean| Met {
            contribution: Digest([2; 32]),
            taken: Taken::Averaged { parts, mean },
        };
        let pair = met(vec![part(0, 1), part(1, 2)], None);
        assert_eq!(
            (pair.is_sound(), pair.needed()),
            (true, Some(Digest([1; 32])))
        );
        let alike = met(vec![part(0, 2), part(1, 2)], None);
        assert_eq!((alike.is_sound(), alike.needed()), (true, None));
        let of_others = met(vec![part(0, 1), part(1, 3)], None);
        assert!(!of_others.is_sound());
        let mean = met(vec![part(0, 1), part(1, 3)], Some(Digest([9; 32])));
        assert_eq!(
            (mean.is_sound(), mean.needed()),
            (true, Some(Digest([9; 32])))
        );
        assert!(!met(vec![part(1, 2), part(0, 1)], None).is_sound());
        assert!(!met(vec![part(1, 2)], Some(Digest([9; 32]))).is_sound());
    }
}
