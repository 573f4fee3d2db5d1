//! What a step was: which microbatch went through which peers, and what counts of it.
//!
//! A step is a function of the states before it and of its record: per stage the gradients of the
//! visits that count are summed in the order of microbatches at each peer, the sums of peers are
//! added as [`ReduceTree`] says, and the mean moves the stage. Times and arrivals have no say in
//! it, so one machine that has the record computes the same bits. Every member signs the record
//! together with the state that its stage has come to, and the sums that moved it ([`Statement`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::admission::Admission;
use crate::content::Digest;
use crate::meeting::Met;
use crate::path::{Hop, Microbatch, Peer, Stage};
use crate::wire::digest_of;

/// Most microbatches of a step.
pub const MAX_MICROBATCHES: usize = 4096;
/// Most stages of a pipeline.
pub const MAX_STAGES: usize = 256;
/// Most peers of a pipeline.
pub const MAX_PEERS: usize = 4096;
/// Most parameters of a stage: as many squares its root states.
pub const MAX_PARAMETERS: usize = 1 << 16;
/// Longest signature, in bytes.
const MAX_SIGNATURE: usize = 128;

/// What went through a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Where.
    pub hop: Hop,
    /// What the stage made of its input, as it was sent.
    pub output: Digest,
    /// The gradient of the output, as it came back.
    pub gradient: Digest,
}

/// A microbatch that went forward and back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Which.
    pub microbatch: Microbatch,
    /// Bits of its loss, f32.
    pub loss: u32,
    /// Its visits, by stage; the first is of stage 0.
    pub visits: Vec<Visit>,
}

/// Which peers hold a stage, for each stage in ascending order of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster(pub Vec<Vec<Peer>>);

/// How a stage that nobody held any more came to a state, or a peer to a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recovery {
    /// The state of another peer of the stage.
    Copied,
    /// The mean of its neighbours' parameters, weighted by the norms of their last gradients, with
    /// moments of zero (CheckFree).
    Averaged {
        /// Stages and bits of their weights, f32.
        of: Vec<(Stage, u32)>,
    },
    /// The state of an earlier step, kept by a peer.
    Restored {
        /// The step before which it was the state.
        step: u64,
    },
}

/// A peer that took up a stage before a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Who and where.
    pub hop: Hop,
    /// From where it has its state.
    pub recovery: Recovery,
    /// The state.
    pub state: Digest,
    /// How it became a member, where it came after the start.
    pub admission: Option<Admission>,
}

/// All that a step is a function of, besides the states before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Which step, from 0.
    pub step: u64,
    /// Who took up stages before it.
    pub joined: Vec<Joined>,
    /// Who held which stage when it ended.
    pub roster: Roster,
    /// Microbatches that came back, ascending. Others count for nothing.
    pub passages: Vec<Passage>,
    /// Visits whose gradients were lost with their peers.
    pub excluded: BTreeSet<(Microbatch, Stage)>,
    /// Where pipelines met: what each stage did. Such a step has no passages, others have none of
    /// these.
    pub met: BTreeMap<Stage, Met>,
}

/// How a holder summed the gradients of a step, and by what it moved: with these of all holders of
/// a stage, one who is wrong is told from the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// What its children in the reduce tree sent, in the order in which it was added.
    pub received: Vec<Digest>,
    /// Its own visits and what it received: what it sent to its parent, at the root the whole.
    /// None who is not in the tree.
    pub partial: Option<Digest>,
    /// The sum that moved the stage; none where nothing counts.
    pub whole: Option<Digest>,
    /// Of the root: bits of the sum of squares of each parameter's mean gradient, f32.
    pub squares: Vec<u32>,
    /// Bits of the norm of all stages' gradients, as the leader told it, f32.
    pub norm: u32,
}

/// What a holder stated about a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// The state that its stage has come to.
    pub state: Digest,
    /// How it came to it.
    pub sums: Sums,
    /// Signature of the statement; empty where it is not known.
    pub signature: Vec<u8>,
}

/// What a member signs when it has made a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The job.
    pub job: Digest,
    /// The step.
    pub step: u64,
    /// Digest of its record.
    pub record: Digest,
    /// The signer's stage.
    pub stage: Stage,
    /// The stage's state after the step.
    pub state: Digest,
    /// How the signer came to it.
    pub sums: Sums,
}

/// The order in which partial sums of peers are added: a binary tree over the peers in ascending
/// order. Position `i` adds what positions `i + 1`, `i + 2`, `i + 4`, … send, as far as they are
/// its children; the root is position 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceTree(Vec<Peer>);

impl Roster {
    /// Peers of a stage; none of a stage that there is not.
    pub fn of(&self, stage: Stage) -> &[Peer] {
        self.0.get(stage.index()).map_or(&[], Vec::as_slice)
    }

    /// Whether a peer holds a stage.
    pub fn holds(&self, hop: Hop) -> bool {
        self.of(hop.stage).contains(&hop.peer)
    }

    /// The stage of a peer.
    pub fn stage_of(&self, peer: Peer) -> Option<Stage> {
        let found = self.0.iter().position(|peers| peers.contains(&peer))?;
        u16::try_from(found).ok().map(Stage)
    }

    /// Everybody, by stage.
    pub fn hops(&self) -> impl Iterator<Item = Hop> + '_ {
        (0u16..)
            .map(Stage)
            .zip(&self.0)
            .flat_map(|(stage, peers)| peers.iter().map(move |&peer| Hop { stage, peer }))
    }

    /// Takes a peer out.
    pub fn remove(&mut self, peer: Peer) {
        for peers in &mut self.0 {
            peers.retain(|&other| other != peer);
        }
    }

    /// Puts a peer in, at its place.
    pub fn insert(&mut self, hop: Hop) {
        self.remove(hop.peer);
        if let Some(peers) = self.0.get_mut(hop.stage.index()) {
            let place = peers.partition_point(|&other| other < hop.peer);
            peers.insert(place, hop.peer);
        }
    }

    /// Whether stages and peers are within limits, ascending, and no peer is named twice.
    pub fn is_sound(&self) -> bool {
        let peers = self.0.iter().map(Vec::len).sum::<usize>();
        let mut seen = BTreeSet::new();
        self.0.len() <= MAX_STAGES
            && peers <= MAX_PEERS
            && self.0.iter().all(|peers| peers.is_sorted())
            && self.0.iter().flatten().all(|&peer| seen.insert(peer))
    }
}

impl StepRecord {
    /// Mean loss of the step before its update: each microbatch has its share.
    pub fn loss(&self) -> f32 {
        let passages = self.passages.iter();
        passages.map(|passage| f32::from_bits(passage.loss)).sum()
    }

    /// The visits of a stage whose gradients count, in the order of microbatches.
    pub fn counted(&self, stage: Stage) -> impl Iterator<Item = (Microbatch, Visit)> + '_ {
        self.passages.iter().filter_map(move |passage| {
            let found = passage.visits.iter().find(|visit| visit.hop.stage == stage);
            let left_out = self.excluded.contains(&(passage.microbatch, stage));
            found
                .filter(|_| !left_out)
                .map(|&visit| (passage.microbatch, visit))
        })
    }

    /// Who adds to whom, at a stage; where pipelines met, only who brings its stage what it needs.
    pub fn reduce_tree(&self, stage: Stage) -> ReduceTree {
        if let Some(met) = self.met.get(&stage) {
            let speaker = met.needed().and(self.speaker(stage));
            return ReduceTree::over(speaker.into_iter().collect());
        }
        let counted = self.counted(stage);
        ReduceTree::over(counted.map(|(_, visit)| visit.hop.peer).collect())
    }

    /// Who speaks for a stage where pipelines meet: its first holder.
    pub fn speaker(&self, stage: Stage) -> Option<Peer> {
        self.roster.of(stage).first().copied()
    }

    /// The microbatches whose gradients count at each stage; stages without any are missing.
    pub fn visits(&self) -> BTreeMap<Stage, Vec<Microbatch>> {
        let stages = (0..).map(Stage).take(self.roster.0.len());
        let visits = stages.map(|stage| {
            let counted = self.counted(stage).map(|(microbatch, _)| microbatch);
            (stage, counted.collect::<Vec<_>>())
        });
        visits.filter(|(_, visits)| !visits.is_empty()).collect()
    }

    /// Whether it could be the record of a step: within limits, microbatches and stages ascending,
    /// paths from stage 0.
    pub fn is_sound(&self) -> bool {
        let ascending = |passage: &Passage| {
            passage
                .visits
                .first()
                .is_some_and(|visit| visit.hop.stage == Stage::FIRST)
                && passage
                    .visits
                    .windows(2)
                    .all(|pair| pair[0].hop.stage < pair[1].hop.stage)
                && passage.visits.len() <= self.roster.0.len()
        };
        let admitted = |joined: &Joined| {
            let mut admission = joined.admission.iter();
            admission.all(|one| one.is_sound() && one.peer == joined.hop.peer)
        };
        self.roster.is_sound()
            && self.joined.len() <= MAX_PEERS
            && self.joined.iter().all(admitted)
            && self.passages.len() <= MAX_MICROBATCHES
            && self
                .passages
                .windows(2)
                .all(|pair| pair[0].microbatch < pair[1].microbatch)
            && self.passages.iter().all(ascending)
            && self.excluded.len() <= MAX_MICROBATCHES * MAX_STAGES
            && (self.met.is_empty() || self.passages.is_empty() && self.excluded.is_empty())
            && self.met.len() <= self.roster.0.len()
            && self.met.values().all(Met::is_sound)
    }

    /// Digest of the record.
    pub fn digest(&self) -> Digest {
        digest_of("swarm-node pipeline step record", self)
    }
}

impl Sums {
    /// Whether they could be a holder's: within limits.
    pub fn is_sound(&self) -> bool {
        self.received.len() <= MAX_PEERS.ilog2() as usize && self.squares.len() <= MAX_PARAMETERS
    }
}

impl Stated {
    /// Whether it could be a holder's: within limits.
    pub fn is_sound(&self) -> bool {
        self.sums.is_sound() && self.signature.len() <= MAX_SIGNATURE
    }

    /// What a holder of a stage signed.
    pub fn statement(&self, job: Digest, record: &StepRecord, stage: Stage) -> Statement {
        Statement {
            job,
            step: record.step,
            record: record.digest(),
            stage,
            state: self.state,
            sums: self.sums.clone(),
        }
    }
}

impl Statement {
    /// What is signed.
    pub fn digest(&self) -> Digest {
        digest_of("swarm-node pipeline step statement", self)
    }
}

impl ReduceTree {
    /// The tree of these peers.
    pub(crate) fn over(peers: BTreeSet<Peer>) -> Self {
        Self(peers.into_iter().collect())
    }

    /// The peers, root first.
    pub fn peers(&self) -> &[Peer] {
        &self.0
    }

    /// Who has the whole sum at the end; nobody where nothing counts.
    pub fn root(&self) -> Option<Peer> {
        self.0.first().copied()
    }

    /// Whom a peer sends its sum to; nobody for the root and for who is not in the tree.
    pub fn parent(&self, peer: Peer) -> Option<Peer> {
        let place = self.0.iter().position(|&other| other == peer)?;
        let parent = place & place.checked_sub(1)?;
        Some(self.0[parent])
    }

    /// Whose sums a peer adds to its own, in this order.
    pub fn children(&self, peer: Peer) -> Vec<Peer> {
        let Some(place) = self.0.iter().position(|&other| other == peer) else {
            return Vec::new();
        };
        let distances = (0..usize::BITS).map(|level| 1usize << level);
        let below = distances.take_while(|distance| place & distance == 0);
        let places = below.map(|distance| place + distance);
        places
            .map_while(|child| self.0.get(child).copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meeting::{Reason, Taken};

    #[test]
    fn everybody_but_the_root_is_added_once() {
        for count in 0..40u32 {
            let peers: Vec<Peer> = (0..count).map(|i| Peer(3 * i)).collect();
            let tree = ReduceTree(peers.clone());
            let mut added = Vec::new();
            for &peer in &peers {
                for child in tree.children(peer) {
                    assert_eq!(tree.parent(child), Some(peer), "{child} of {count}");
                    added.push(child);
                }
            }
            added.sort();
            assert_eq!(added, peers.get(1..).unwrap_or_default());
        }
    }

    #[test]
    fn every_part_of_a_record_changes_its_digest() {
        let record = sample();
        let mut others = vec![record.clone(); 8];
        others[0].step += 1;
        others[1].roster.remove(Peer(2));
        others[2].passages[0].loss ^= 1;
        others[3].passages[0].visits[1].output = Digest([9; 32]);
        others[4].excluded.insert((Microbatch(0), Stage(1)));
        others[5].joined.clear();
        others[6].passages[0].visits[1].hop.peer = Peer(2);
        let met = Met {
            contribution: Digest([4; 32]),
            taken: Taken::Alone(Reason::Late),
        };
        others[7].met.insert(Stage(0), met);
        assert!(!others[7].is_sound(), "a meeting has no passages");
        let mut digests: BTreeSet<Digest> = others.iter().map(StepRecord::digest).collect();
        digests.insert(record.digest());
        assert_eq!(digests.len(), 9);
    }

    #[test]
    fn only_ascending_records_are_sound() {
        assert!(sample().is_sound());
        let mut twice = sample();
        twice.passages.push(twice.passages[0].clone());
        assert!(!twice.is_sound());
        let mut back = sample();
        back.passages[0].visits.reverse();
        assert!(!back.is_sound());
        let mut double = sample();
        double.roster.0[0].push(Peer(1));
        assert!(!double.is_sound());
    }

    fn sample() -> StepRecord {
        let visit = |stage, peer| Visit {
            hop: Hop {
                stage: Stage(stage),
                peer: Peer(peer),
            },
            output: Digest([1; 32]),
            gradient: Digest([2; 32]),
        };
        StepRecord {
            step: 3,
            joined: vec![Joined {
                hop: visit(1, 2).hop,
                recovery: Recovery::Copied,
                state: Digest([3; 32]),
                admission: None,
            }],
            roster: Roster(vec![vec![Peer(0)], vec![Peer(1), Peer(2)]]),
            passages: vec![Passage {
                microbatch: Microbatch(0),
                loss: 7,
                visits: vec![visit(0, 0), visit(1, 1)],
            }],
            excluded: BTreeSet::new(),
            met: BTreeMap::new(),
        }
    }
}
