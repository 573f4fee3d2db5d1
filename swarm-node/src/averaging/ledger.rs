//! What all replicas signed, as one of them knows it: a list for each, which only grows.
//!
//! ```text
//! roster? round  roster? round  …      of each replica, in the order in which it signed them
//! ```
//! Pure. Lists of peers differ by how far they go, never in what is at a place, unless a replica
//! signed two things about one round, which shows as soon as two peers' transcripts are compared.
//! An entry is taken only if every signature in it holds, so that it does not matter who hands it
//! on. Memory is bounded by the rounds of the job: a replica has at most one roster for each of its
//! rounds.

use serde::{Deserialize, Serialize};
use skippipe::content::Digest;
use swarm_learn::averaging::settings::Settings;
use swarm_learn::averaging::transcript::{Completed, Listed, Replica, Taken, Transcript};

use super::keys::Keys;

/// Most entries that are told at a time.
pub const MAX_TOLD: usize = 32;

/// What a replica keeps and tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// It goes by this roster from the next of its rounds on.
    Roster(Listed),
    /// A round that it has signed.
    Round {
        /// The round.
        completed: Box<Completed>,
        /// Mean loss of its inner steps, in nats a token, as bits; its own word, which nothing
        /// depends on.
        loss: u32,
    },
}

/// Why an entry is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is of no replica of the job.
    #[error("an entry of a replica that the job does not have")]
    NoReplica,
    /// Entries are missing before it.
    #[error("an entry behind others that are missing")]
    Gap,
    /// It is of another job or replica, or of a round that is not behind the last one.
    #[error("an entry of another job, replica or round")]
    Other,
    /// A roster that no job of so many replicas has, or two without a round between.
    #[error("a roster that cannot be")]
    Roster,
    /// A signature in it does not hold.
    #[error("an entry with a signature that does not hold")]
    Signature,
}

/// Everybody's lists.
#[derive(Clone, Debug)]
pub struct Ledger {
    job: Digest,
    replicas: u32,
    rounds: u64,
    lists: Vec<Vec<Entry>>,
}

impl Ledger {
    /// Nothing of a job.
    pub fn new(settings: &Settings) -> Self {
        Self {
            job: settings.job,
            replicas: settings.replicas,
            rounds: settings.rounds,
            lists: vec![Vec::new(); settings.replicas as usize],
        }
    }

    /// Entries of a replica.
    pub fn of(&self, replica: Replica) -> &[Entry] {
        self.lists.get(replica.index()).map_or(&[], Vec::as_slice)
    }

    /// How many of each.
    pub fn counts(&self) -> Vec<u64> {
        self.lists.iter().map(|list| list.len() as u64).collect()
    }

    /// The last round of a replica.
    pub fn last(&self, replica: Replica) -> Option<&Completed> {
        let entries = self.of(replica).iter().rev();
        let mut rounds = entries.filter_map(|entry| match entry {
            Entry::Round { completed, .. } => Some(&**completed),
            Entry::Roster(_) => None,
        });
        rounds.next()
    }

    /// The last roster of a replica; none while it goes by the first.
    pub fn roster(&self, replica: Replica) -> Option<&Listed> {
        let mut rosters = self.of(replica).iter().rev();
        rosters.find_map(|entry| match entry {
            Entry::Roster(listed) => Some(listed),
            Entry::Round { .. } => None,
        })
    }

    /// Entries of a replica that somebody who has `known` of them lacks, so many as are told at a
    /// time.
    pub fn missing(&self, of: Replica, known: u64) -> &[Entry] {
        let list = self.of(of);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let rest = list.get(known..).unwrap_or(&[]);
        &rest[..rest.len().min(MAX_TOLD)]
    }

    /// Appends what this peer keeps itself: its own, or what it has checked before.
    ///
    /// # Errors
    /// It is of no replica of the job.
    pub fn keep(&mut self, of: Replica, entry: Entry) -> Result<(), Refused> {
        let list = self.lists.get_mut(of.index()).ok_or(Refused::NoReplica)?;
        list.push(entry);
        Ok(())
    }

    /// What is new of entries that somebody tells, the first of them with this number; each is to
    /// be kept in turn by [`Ledger::keep`].
    ///
    /// # Errors
    /// The first that cannot be taken; nothing before it is lost.
    pub fn check(
        &self,
        of: Replica,
        number: u64,
        entry: &Entry,
        keys: &Keys,
    ) -> Result<bool, Refused> {
        let list = self.lists.get(of.index()).ok_or(Refused::NoReplica)?;
        if number < list.len() as u64 {
            return Ok(false);
        }
        if number > list.len() as u64 {
            return Err(Refused::Gap);
        }
        let is_signed = match entry {
            Entry::Roster(listed) => {
                let follows_one = matches!(list.last(), Some(Entry::Roster(_)));
                if follows_one || !listed.roster.is_sound(self.replicas) {
                    return Err(Refused::Roster);
                }
                keys.hold(listed.by, &listed.statement(self.job), &listed.signature)
            }
            Entry::Round { completed, .. } => {
                let record = &completed.record;
                let is_later = self
                    .last(of)
                    .is_none_or(|last| record.round > last.record.round);
                let is_own = record.job == self.job && record.replica == of;
                if !is_own || !is_later || record.round >= self.rounds {
                    return Err(Refused::Other);
                }
                let parts = match &record.taken {
                    Taken::Averaged { parts, .. } => parts.as_slice(),
                    Taken::Adopted { .. } | Taken::Alone(_) => &[],
                };
                let statement = record.statement(completed.state);
                keys.hold(of, &statement, &completed.signature)
                    && parts.len() <= self.replicas as usize
                    && parts
                        .iter()
                        .all(|part| keys.hold(part.replica, &record.offer(part), &part.signature))
            }
        };
        is_signed.then_some(true).ok_or(Refused::Signature)
    }

    /// Everybody's transcripts, as they are replayed.
    pub fn transcripts(&self) -> Vec<Transcript> {
        let lists = (0..).map(Replica).zip(&self.lists);
        let transcripts = lists.map(|(replica, list)| {
            let mut transcript = Transcript::new(replica);
            for entry in list {
                match entry {
                    Entry::Roster(listed) => transcript.rosters.push(listed.clone()),
                    Entry::Round { completed, .. } => transcript.rounds.push((**completed).clone()),
                }
            }
            transcript
        });
        transcripts.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swarm_identity::key::NodeKey;
    use swarm_learn::averaging::transcript::{Part, Reason, Roster, RoundRecord};

    use super::*;

    const JOB: Digest = Digest([7; 32]);

    fn key(replica: u32) -> NodeKey {
        NodeKey::from_secret(&[replica as u8 + 1; 32]).unwrap()
    }

    fn ledger() -> (Ledger, Keys) {
        let peers: Vec<_> = (0..3).map(|one| key(one).peer()).collect();
        let settings = Settings {
            job: JOB,
            paired: true,
            replicas: 3,
            rounds: 9,
            contribution_bytes: 8,
            outer_bytes: 8,
            patience: Duration::from_secs(1),
            again: Duration::from_secs(1),
        };
        (Ledger::new(&settings), Keys::new(&peers))
    }

    fn round(replica: u32, round: u64, change: impl Fn(&mut RoundRecord)) -> Entry {
        let mut record = RoundRecord {
            job: JOB,
            replica: Replica(replica),
            round,
            roster: Roster::initial(3).digest(),
            contribution: Digest([1; 32]),
            taken: Taken::Alone(Reason::Late),
        };
        change(&mut record);
        let state = Digest([2; 32]);
        let signature = key(replica).sign(&record.statement(state).digest().0);
        let completed = Completed {
            record,
            state,
            signature: signature.unwrap().to_vec(),
        };
        Entry::Round {
            completed: Box::new(completed),
            loss: 1.5_f32.to_bits(),
        }
    }

    fn roster(by: u32) -> Entry {
        let mut listed = Listed {
            roster: Roster {
                number: 1,
                from: 2,
                replicas: vec![Replica(0), Replica(2)],
            },
            by: Replica(by),
            signature: Vec::new(),
        };
        let signed = key(by).sign(&listed.statement(JOB).digest().0).unwrap();
        listed.signature = signed.to_vec();
        Entry::Roster(listed)
    }

    #[test]
    fn what_is_signed_is_taken_once_and_in_order() {
        let (mut ledger, keys) = ledger();
        let of = Replica(1);
        let entries = [round(1, 0, |_| {}), roster(0), round(1, 4, |_| {})];
        for (number, entry) in (0..).zip(&entries) {
            assert_eq!(ledger.check(of, number, entry, &keys), Ok(true));
            ledger.keep(of, entry.clone()).unwrap();
            assert_eq!(ledger.check(of, number, entry, &keys), Ok(false));
        }
        let behind = ledger.check(of, 4, &round(1, 5, |_| {}), &keys);
        assert_eq!(behind, Err(Refused::Gap));
        assert_eq!(ledger.counts(), [0, 3, 0]);
        assert_eq!(ledger.missing(of, 1), &entries[1..]);
        assert!(ledger.missing(of, u64::MAX).is_empty());
        assert_eq!(ledger.last(of).unwrap().record.round, 4);
        assert_eq!(ledger.roster(of).unwrap().roster.number, 1);
        let transcripts = ledger.transcripts();
        assert_eq!(transcripts[1].rounds.len(), 2);
        assert_eq!(transcripts[1].rosters.len(), 1);
    }

    #[test]
    fn what_nobody_signed_is_refused() {
        let (mut ledger, keys) = ledger();
        let of = Replica(1);
        let refused = |ledger: &Ledger, entry: Entry| {
            let number = ledger.of(of).len() as u64;
            ledger.check(of, number, &entry, &keys).unwrap_err()
        };
        ledger.keep(of, round(1, 2, |_| {})).unwrap();
        assert_eq!(refused(&ledger, round(1, 2, |_| {})), Refused::Other);
        assert_eq!(refused(&ledger, round(0, 3, |_| {})), Refused::Other);
        assert_eq!(refused(&ledger, round(1, 9, |_| {})), Refused::Other);
        let job = round(1, 3, |record| record.job = Digest([8; 32]));
        assert_eq!(refused(&ledger, job), Refused::Other);
        let Entry::Round { completed, loss } = round(1, 3, |_| {}) else {
            panic!("a round")
        };
        let mut changed = completed.clone();
        changed.state.0[0] ^= 1;
        let changed = Entry::Round {
            completed: changed,
            loss,
        };
        assert_eq!(refused(&ledger, changed), Refused::Signature);
        let part = |replica| Part {
            replica: Replica(replica),
            outer: Digest([3; 32]),
            contribution: Digest([4; 32]),
            signature: vec![5; 64],
        };
        let averaged = round(1, 3, |record| {
            let parts = vec![part(0), part(77)];
            record.taken = Taken::Averaged { parts, mean: None };
        });
        assert_eq!(refused(&ledger, averaged), Refused::Signature);
        ledger.keep(of, roster(0)).unwrap();
        assert_eq!(refused(&ledger, roster(0)), Refused::Roster);
        let nobody = ledger.check(Replica(3), 0, &roster(0), &keys);
        assert_eq!(nobody, Err(Refused::NoReplica));
    }
}
