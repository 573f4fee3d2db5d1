//! What a replica did in each round, as it signs it.
//!
//! A round of a replica is a function of its state before and of its record: which contributions it
//! averaged, by hash, or that it moved alone, and why. Two replicas of a group may differ in
//! whether they averaged, because the last message of an exchange can always be lost (the two
//! generals); each record says what its replica did, and the replay does the same.

use serde::{Deserialize, Serialize};
use skippipe::content::Digest;
pub use skippipe::meeting::{MAX_REPLICAS, MAX_SIGNATURE, Part, Reason, Replica, Taken};
use skippipe::wire::digest_of;

/// Who takes part from a round on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// Counts up; of two rosters the higher holds.
    pub number: u32,
    /// The first round that it is of.
    pub from: u64,
    /// Ascending.
    pub replicas: Vec<Replica>,
}

/// Which roster, in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterId {
    /// Its number.
    pub number: u32,
    /// Its digest.
    pub digest: Digest,
}

impl Roster {
    /// All of so many replicas, from the first round on.
    pub fn initial(replicas: u32) -> Self {
        Self {
            number: 0,
            from: 0,
            replicas: (0..replicas).map(Replica).collect(),
        }
    }

    /// Digest of the roster.
    pub fn digest(&self) -> Digest {
        digest_of("swarm-node averaging roster", self)
    }

    /// Number and digest.
    pub fn id(&self) -> RosterId {
        RosterId {
            number: self.number,
            digest: self.digest(),
        }
    }

    /// Whether it could be one of a job of so many replicas: ascending and not empty.
    pub fn is_sound(&self, replicas: u32) -> bool {
        let ascending = self.replicas.windows(2).all(|pair| pair[0] < pair[1]);
        let last = self.replicas.last();
        ascending && last.is_some_and(|last| last.0 < replicas)
    }
}

/// A roster, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The roster.
    pub roster: Roster,
    /// Who made it.
    pub by: Replica,
    /// Its signature of [`Statement::Roster`].
    pub signature: Vec<u8>,
}

impl Listed {
    /// What is signed.
    pub fn statement(&self, job: Digest) -> Statement {
        Statement::Roster {
            job,
            replica: self.by,
            number: self.roster.number,
            roster: self.roster.digest(),
        }
    }
}

/// A replica's round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// The job.
    pub job: Digest,
    /// Whose.
    pub replica: Replica,
    /// Which, from 0.
    pub round: u64,
    /// Digest of the roster that it went by.
    pub roster: Digest,
    /// Hash of what it contributed, or would have.
    pub contribution: Digest,
    /// What it did.
    pub taken: Taken,
}

impl RoundRecord {
    /// Digest of the record.
    pub fn digest(&self) -> Digest {
        digest_of("swarm-node averaging round record", self)
    }

    /// What its replica signs of it, with the state that it came to.
    pub fn statement(&self, state: Digest) -> Statement {
        Statement::Round {
            job: self.job,
            replica: self.replica,
            round: self.round,
            record: self.digest(),
            state,
        }
    }

    /// What the maker of a part of it signed.
    pub fn offer(&self, part: &Part) -> Statement {
        Statement::Offer {
            job: self.job,
            replica: part.replica,
            round: self.round,
            roster: self.roster,
            outer: part.outer,
            contribution: part.contribution,
        }
    }
}

/// What a replica signs. It never signs two that differ for one [`Statement::place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// A contribution to a round.
    Offer {
        /// The job.
        job: Digest,
        /// Whose.
        replica: Replica,
        /// The round.
        round: u64,
        /// Digest of the roster that it goes by.
        roster: Digest,
        /// Digest of its anchor and momentum.
        outer: Digest,
        /// Hash of the contribution.
        contribution: Digest,
    },
    /// What a round came to.
    Round {
        /// The job.
        job: Digest,
        /// Whose.
        replica: Replica,
        /// The round.
        round: u64,
        /// Digest of the record.
        record: Digest,
        /// The replica's whole state after it.
        state: Digest,
    },
    /// Who takes part.
    Roster {
        /// The job.
        job: Digest,
        /// Who says so.
        replica: Replica,
        /// The roster's number.
        number: u32,
        /// Its digest.
        roster: Digest,
    },
}

impl Statement {
    /// What is signed.
    pub fn digest(&self) -> Digest {
        digest_of("swarm-node averaging statement", self)
    }

    /// Where the signature belongs: its kind, and the round or the number of the roster.
    pub fn place(&self) -> (u8, u64) {
        match self {
            Self::Offer { round, .. } => (0, *round),
            Self::Round { round, .. } => (1, *round),
            Self::Roster { number, .. } => (2, u64::from(*number)),
        }
    }
}

/// A round that is over, as a replica keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// What it did.
    pub record: RoundRecord,
    /// Its whole state after it.
    pub state: Digest,
    /// Its signature of [`Statement::Round`].
    pub signature: Vec<u8>,
}

/// All that one replica keeps of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// Whose.
    pub replica: Replica,
    /// Rosters that it went by, but for the job's first.
    pub rosters: Vec<Listed>,
    /// Its rounds, ascending. Rounds in which it was away are left out.
    pub rounds: Vec<Completed>,
}

impl Transcript {
    /// An empty one.
    pub fn new(replica: Replica) -> Self {
        Self {
            replica,
            rosters: Vec::new(),
            rounds: Vec::new(),
        }
    }

    /// What it did in a round; none where it was away.
    pub fn round(&self, number: u64) -> Option<&Completed> {
        let found = self
            .rounds
            .binary_search_by_key(&number, |one| one.record.round);
        found.ok().and_then(|at| self.rounds.get(at))
    }

    /// Every signature in it, with its signer and what it is of. Whoever relies on a transcript
    /// checks them.
    pub fn signed(&self) -> Vec<(Replica, Statement, &[u8])> {
        let mut signed = Vec::new();
        for Completed {
            record,
            state,
            signature,
        } in &self.rounds
        {
            signed.push((self.replica, record.statement(*state), signature.as_slice()));
            if let Taken::Averaged { parts, .. } = &record.taken {
                let of = |part: &Part| record.offer(part);
                signed.extend(
                    parts
                        .iter()
                        .map(|part| (part.replica, of(part), &part.signature[..])),
                );
            }
        }
        let job = self.rounds.first().map(|round| round.record.job);
        let rosters = self.rosters.iter().zip(job.into_iter().cycle());
        signed.extend(
            rosters.map(|(listed, job)| (listed.by, listed.statement(job), &listed.signature[..])),
        );
        signed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_part_of_a_record_changes_its_digest() {
        let part = Part {
            replica: Replica(1),
            outer: Digest([5; 32]),
            contribution: Digest([1; 32]),
            signature: vec![1],
        };
        let record = RoundRecord {
            job: Digest([7; 32]),
            replica: Replica(0),
            round: 3,
            roster: Digest([2; 32]),
            contribution: Digest([3; 32]),
            taken: Taken::Averaged {
                parts: vec![part.clone()],
                mean: None,
            },
        };
        let mut others = vec![record.clone(); 8];
        others[1].job.0[0] = 8;
        others[2].replica = Replica(1);
        others[3].round = 4;
        others[4].roster.0[0] = 3;
        others[5].contribution.0[0] = 4;
        others[6].taken = Taken::Averaged {
            parts: vec![part],
            mean: Some(Digest([0; 32])),
        };
        others[7].taken = Taken::Alone(Reason::Late);
        let digests: BTreeSet<Digest> = others.iter().map(RoundRecord::digest).collect();
        assert_eq!(digests.len(), 8);
    }

    #[test]
    fn only_ascending_rosters_of_the_job_are_sound() {
        let sound = |numbers: &[u32]| {
            let replicas = numbers.iter().copied().map(Replica).collect();
            let roster = Roster {
                number: 1,
                from: 2,
                replicas,
            };
            roster.is_sound(4)
        };
        assert!(sound(&[0, 1, 3]) && sound(&[2]));
        assert!(!sound(&[]) && !sound(&[1, 1]) && !sound(&[2, 1]) && !sound(&[0, 4]));
    }
}
