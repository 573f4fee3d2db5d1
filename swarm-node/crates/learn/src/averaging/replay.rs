//! A job computed again from the transcripts of its replicas, by one machine that holds all of
//! them.
//!
//! ```text
//! each round   every replica trains ─▶ contributions, compared by hash with those that were averaged
//!              ─▶ each moves as its own record says ─▶ states, compared
//! ```
//! Records of two replicas may differ in whether they averaged with each other; each is followed. A
//! round that a transcript leaves out, because its replica was away, leaves its state as it was.
//! The first thing that differs is an error that names who made it.

use std::collections::{BTreeMap, BTreeSet};

use skippipe::content::{Content, Digest};

use super::pairing::Group;
use super::transcript::{Completed, Part, Reason, Replica, Roster, RoundRecord, Taken, Transcript};
use super::work::{Engine, Move, Outcome, Work};

/// All replicas of a job at one machine.
#[derive(Debug)]
pub struct Replay<E> {
    job: Digest,
    paired: bool,
    engines: Vec<E>,
    states: Vec<Option<Digest>>,
    /// Replicas whose transcript ended before what they trained last.
    unfinished: BTreeSet<Replica>,
}

/// Why transcripts are not of this job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Transcripts are not one for each replica, in their order.
    #[error(
        "{found} transcripts are given for {expected} replicas, which must be one each, in order"
    )]
    Transcripts {
        /// Replicas of the job.
        expected: usize,
        /// Transcripts given.
        found: usize,
    },
    /// A record could be of no round.
    #[error("round {}: the record of {replica} cannot be: {what}", round + 1)]
    Unsound {
        /// The round, from 0; texts count from 1.
        round: u64,
        /// Whose.
        replica: Replica,
        /// What.
        what: &'static str,
    },
    /// A replica contributed after its transcript ends. Whether it did what it says cannot be told.
    #[error("round {}: {replica} contributed, and its transcript ends before", round + 1)]
    Missing {
        /// The round, from 0; texts count from 1.
        round: u64,
        /// Who.
        replica: Replica,
    },
    /// What a replica contributed is not what it computes.
    #[error(
        "round {}: {replica} contributed {found}, by the record of {told_by}, and computes {expected}",
        round + 1
    )]
    Contribution {
        /// The round, from 0; texts count from 1.
        round: u64,
        /// Who made it.
        replica: Replica,
        /// Whose record names it.
        told_by: Replica,
        /// As recorded.
        found: Digest,
        /// As computed.
        expected: Digest,
    },
    /// What a leader sent is not the mean.
    #[error("round {}: the mean by {leader} is {found}, not {expected}", round + 1)]
    Mean {
        /// The round, from 0; texts count from 1.
        round: u64,
        /// Who made it.
        leader: Replica,
        /// As recorded.
        found: Digest,
        /// As computed.
        expected: Digest,
    },
    /// What a replica came to is not what its record leads to.
    #[error("round {}: the state of {replica} is {found}, not {expected}", round + 1)]
    State {
        /// The round, from 0; texts count from 1.
        round: u64,
        /// Whose.
        replica: Replica,
        /// As stated.
        found: Digest,
        /// As computed.
        expected: Digest,
    },
    /// The engine does not compute it.
    #[error("round {}: the engine of {replica} answered {answer}", round + 1)]
    Engine {
        /// The round, from 0; texts count from 1.
        round: u64,
        /// Whose.
        replica: Replica,
        /// What.
        answer: String,
    },
}

/// What was computed again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Rounds of all replicas.
    pub rounds: usize,
    /// Of them, with others.
    pub averaged: usize,
    /// Of them, with the leader's anchor.
    pub adopted: usize,
    /// Of them, alone: how often for which reason.
    pub alone: BTreeMap<Reason, usize>,
    /// Rounds in which a replica averaged with one that moved alone, and with which.
    pub one_sided: BTreeSet<(u64, Replica, Replica)>,
}

/// What a replica computed in a round before it moved.
struct Trained {
    content: Content,
    outer: Digest,
}

impl<E: Engine> Replay<E> {
    /// Engines of all replicas before the first round.
    pub fn new(job: Digest, paired: bool, engines: Vec<E>) -> Self {
        Self {
            job,
            paired,
            states: vec![None; engines.len()],
            unfinished: BTreeSet::new(),
            engines,
        }
    }

    /// The engines, by replica.
    pub fn engines(&self) -> &[E] {
        &self.engines
    }

    /// What each replica has come to; none before its first round is over.
    pub fn states(&self) -> &[Option<Digest>] {
        &self.states
    }

    /// Computes all rounds again.
    ///
    /// # Errors
    /// A transcript is not of this job, or something in it is not what the replicas compute.
    pub fn run(&mut self, transcripts: &[Transcript]) -> Result<Replayed, ReplayError> {
        let expected = self.engines.len();
        let in_order = transcripts
            .iter()
            .map(|one| one.replica.index())
            .eq(0..expected);
        if !in_order {
            let found = transcripts.len();
            return Err(ReplayError::Transcripts { expected, found });
        }
        let mut rosters = BTreeMap::new();
        let initial = Roster::initial(expected as u32);
        rosters.insert(initial.digest(), initial);
        for listed in transcripts.iter().flat_map(|one| &one.rosters) {
            rosters.insert(listed.roster.digest(), listed.roster.clone());
        }
        for transcript in transcripts {
            let out_of_order = transcript
                .rounds
                .windows(2)
                .find(|pair| pair[0].record.round >= pair[1].record.round);
            if let Some([before, _]) = out_of_order {
                return Err(ReplayError::Unsound {
                    round: before.record.round,
                    replica: transcript.replica,
                    what: "it is not before the next one",
                });
            }
        }
        let rounds = transcripts.iter().flat_map(|one| &one.rounds);
        let rounds: BTreeSet<u64> = rounds.map(|one| one.record.round).collect();
        let mut replayed = Replayed::default();
        for round in rounds {
            self.round(round, transcripts, &rosters, &mut replayed)?;
        }
        Ok(replayed)
    }

    fn round(
        &mut self,
        number: u64,
        transcripts: &[Transcript],
        rosters: &BTreeMap<Digest, Roster>,
        replayed: &mut Replayed,
    ) -> Result<(), ReplayError> {
        let told = transcripts.iter();
        let told = told.filter_map(|one| Some((one.replica, one.round(number)?)));
        let told: BTreeMap<Replica, &Completed> = told.collect();
        let mut groups = BTreeMap::new();
        for (replica, completed) in &told {
            groups.insert(
                *replica,
                self.check(number, *replica, &completed.record, rosters)?,
            );
        }
        let trained = self.train(number, transcripts, &told)?;
        let mut adopting = Vec::new();
        for (replica, completed) in &told {
            let record = &completed.record;
            let group = &groups[replica];
            match &record.taken {
                Taken::Averaged { parts, mean } => {
                    self.same_parts(number, *replica, parts, &trained)?;
                    let contents = parts
                        .iter()
                        .map(|part| trained[&part.replica].content.clone());
                    let ending = self.common(number, group, contents.collect(), *mean)?;
                    self.end(number, *replica, ending, completed.state)?;
                    replayed.averaged += 1;
                    let others = parts.iter().map(|part| part.replica);
                    let alone = others.filter(|other| {
                        let other = told.get(other).map(|other| &other.record.taken);
                        matches!(other, Some(Taken::Alone(_)))
                    });
                    replayed
                        .one_sided
                        .extend(alone.map(|other| (number, *replica, other)));
                }
                Taken::Alone(reason) => {
                    let ending = Move::alone(self.paired, *reason);
                    self.end(number, *replica, ending, completed.state)?;
                    *replayed.alone.entry(*reason).or_default() += 1;
                }
                Taken::Adopted { from, .. } => adopting.push((*replica, *from, completed.state)),
            }
            replayed.rounds += 1;
        }
        for (replica, from, state) in adopting {
            if !told.contains_key(&from) {
                let (round, replica) = (number, from);
                return Err(ReplayError::Missing { round, replica });
            }
            let content = match self.perform(from, Work::Export) {
                Outcome::Content(content) => content,
                other => return Err(unexpected(number, from, &other)),
            };
            self.end(number, replica, Move::Adopt(content), state)?;
            replayed.adopted += 1;
        }
        Ok(())
    }

    /// Whether a record could be of a round; the group of its replica.
    fn check(
        &self,
        round: u64,
        replica: Replica,
        record: &RoundRecord,
        rosters: &BTreeMap<Digest, Roster>,
    ) -> Result<Group, ReplayError> {
        let unsound = |what| ReplayError::Unsound {
            round,
            replica,
            what,
        };
        if (record.job, record.replica, record.round) != (self.job, replica, round) {
            return Err(unsound("it is of another job, replica or round"));
        }
        let roster = rosters.get(&record.roster);
        let roster =
            roster.filter(|one| one.from <= round && one.is_sound(self.engines.len() as u32));
        let roster = roster.ok_or_else(|| unsound("no roster of that round has its digest"))?;
        let group = Group::of(&self.job, round, roster, self.paired, replica);
        is_of_group(&record.taken, &group, self.paired).map_err(unsound)?;
        Ok(group)
    }

    /// Trains whoever has a record of a round, or contributed to one, and compares what comes of
    /// it.
    fn train(
        &mut self,
        round: u64,
        transcripts: &[Transcript],
        told: &BTreeMap<Replica, &Completed>,
    ) -> Result<BTreeMap<Replica, Trained>, ReplayError> {
        let named = told
            .values()
            .flat_map(|completed| match &completed.record.taken {
                Taken::Averaged { parts, .. } => parts.as_slice(),
                _ => &[],
            });
        let mut needed: BTreeSet<Replica> = named.clone().map(|part| part.replica).collect();
        needed.extend(told.keys());
        let mut trained = BTreeMap::new();
        for replica in needed {
            let record = told.get(&replica).map(|completed| &completed.record);
            let last = transcripts
                .get(replica.index())
                .and_then(|one| one.rounds.last())
                .map(|last| last.record.round);
            if record.is_none() && last.is_some_and(|last| last > round) {
                return Err(ReplayError::Unsound {
                    round,
                    replica,
                    what: "its transcript leaves out a round that it contributed to",
                });
            }
            // Whoever was lost after it contributed has no record of that round, and of none after
            // it.
            let is_first = record.is_some() || self.unfinished.insert(replica);
            let missing = ReplayError::Missing { round, replica };
            if !is_first {
                return Err(missing);
            }
            let (content, outer) = match self.perform(replica, Work::Train { round }) {
                Outcome::Trained {
                    contribution,
                    outer,
                } => (contribution, outer),
                other => return Err(unexpected(round, replica, &other)),
            };
            let found = record.map_or(content.digest(), |record| record.contribution);
            same_contribution(round, replica, replica, found, content.digest())?;
            // Where rounds before are not known either, its state may have been another.
            let follows = last.map_or(0, |last| last + 1) == round;
            if record.is_none() && !follows {
                let named = named.clone().find(|part| part.replica == replica);
                if named.is_some_and(|part| part.contribution != content.digest()) {
                    return Err(missing);
                }
            }
            trained.insert(replica, Trained { content, outer });
        }
        Ok(trained)
    }

    fn same_parts(
        &self,
        round: u64,
        told_by: Replica,
        parts: &[Part],
        trained: &BTreeMap<Replica, Trained>,
    ) -> Result<(), ReplayError> {
        for part in parts {
            let Trained { content, outer } = &trained[&part.replica];
            let pairs = [(part.contribution, content.digest()), (part.outer, *outer)];
            for (found, expected) in pairs {
                same_contribution(round, part.replica, told_by, found, expected)?;
            }
        }
        Ok(())
    }

    /// How a group ends a round with these contributions.
    fn common(
        &mut self,
        round: u64,
        group: &Group,
        contents: Vec<Content>,
        mean: Option<Digest>,
    ) -> Result<Move, ReplayError> {
        let (Some(found), Some(leader)) = (mean, group.leader()) else {
            return Ok(Move::Parts(contents));
        };
        let content = match self.perform(leader, Work::Mean(contents)) {
            Outcome::Content(content) => content,
            other => return Err(unexpected(round, leader, &other)),
        };
        let expected = content.digest();
        if found != expected {
            return Err(ReplayError::Mean {
                round,
                leader,
                found,
                expected,
            });
        }
        Ok(Move::Mean(content))
    }

    fn end(
        &mut self,
        round: u64,
        replica: Replica,
        ending: Move,
        found: Digest,
    ) -> Result<(), ReplayError> {
        let expected = match self.perform(replica, Work::Move(ending)) {
            Outcome::Moved { state, .. } => state,
            other => return Err(unexpected(round, replica, &other)),
        };
        if found != expected {
            return Err(ReplayError::State {
                round,
                replica,
                found,
                expected,
            });
        }
        self.states[replica.index()] = Some(expected);
        Ok(())
    }

    fn perform(&mut self, replica: Replica, work: Work) -> Outcome {
        self.engines[replica.index()].perform(work)
    }
}

fn same_contribution(
    round: u64,
    replica: Replica,
    told_by: Replica,
    found: Digest,
    expected: Digest,
) -> Result<(), ReplayError> {
    if found == expected {
        return Ok(());
    }
    Err(ReplayError::Contribution {
        round,
        replica,
        told_by,
        found,
        expected,
    })
}

fn unexpected(round: u64, replica: Replica, outcome: &Outcome) -> ReplayError {
    ReplayError::Engine {
        round,
        replica,
        answer: format!("{outcome:?}"),
    }
}

/// Whether a group can have done in a round what a record says of one of its members.
pub(crate) fn is_of_group(taken: &Taken, group: &Group, paired: bool) -> Result<(), &'static str> {
    match taken {
        Taken::Averaged { parts, mean } => {
            let ascending = parts
                .windows(2)
                .all(|pair| pair[0].replica < pair[1].replica);
            let of_group = parts.iter().all(|part| group.contains(part.replica));
            let is_whole = parts.len() == group.members().len();
            if !ascending || !of_group || parts.len() < 2 || (paired && !is_whole) {
                return Err("it averages others than the group that the roster gives");
            }
            match mean.is_some() == paired {
                true => Err("pairs compute their mean themselves, others take a leader's"),
                false => Ok(()),
            }
        }
        Taken::Adopted { from, .. } if paired || group.leader() != Some(*from) => {
            Err("it adopts the anchor of a replica that does not lead")
        }
        Taken::Alone(Reason::Single) if group.members().len() != 1 => {
            Err("it says that the roster leaves it alone")
        }
        Taken::Adopted { .. } | Taken::Alone(_) => Ok(()),
    }
}
