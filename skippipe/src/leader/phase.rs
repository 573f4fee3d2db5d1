//! How far a leader is with a step, and what it has heard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::content::Digest;
use crate::meeting::Met;
use crate::message::{Adopt, Commit, Launch, Standing};
use crate::path::{Hop, Microbatch, Peer, Stage};
use crate::transcript::{Joined, Passage, Roster, Stated, StepRecord, Visit};

/// How far a step is.
#[derive(Debug)]
pub enum Phase {
    Asking(Asking),
    Recovering(Recovering),
    Planning,
    Passing(Passing),
    Meeting(Meeting),
    Closing(Closing),
    Norming(Closing),
    Committing(Committing),
    /// The job is done, or cannot go on.
    Over,
}

#[derive(Debug)]
pub struct Asking {
    pub standings: BTreeMap<Peer, Standing>,
    pub until: Duration,
}

#[derive(Debug)]
pub struct Passing {
    pub paths: BTreeMap<Microbatch, Launch>,
    pub passages: BTreeMap<Microbatch, Passage>,
    pub failed: BTreeSet<Microbatch>,
    /// Who held what when it began.
    pub roster: Roster,
    pub until: Duration,
}

/// Where pipelines meet.
#[derive(Debug)]
pub struct Meeting {
    /// What stages did, as who speaks for them said.
    pub met: BTreeMap<Stage, Met>,
    pub until: Duration,
}

#[derive(Debug)]
pub struct Committing {
    pub commit: Commit,
    pub record: Digest,
    pub updated: BTreeMap<Hop, Stated>,
    pub until: Duration,
}

/// A peer that takes up a stage.
#[derive(Debug)]
pub struct Recovering {
    pub peer: Peer,
    pub adopt: Adopt,
    pub until: Duration,
}

impl Recovering {
    /// Whether it cannot go on without a peer.
    pub fn needs(&self, peer: Peer) -> bool {
        self.peer == peer || self.adopt.sources.iter().any(|hop| hop.peer == peer)
    }
}

/// A record that members get ready for.
#[derive(Debug)]
pub struct Closing {
    pub amendment: u32,
    /// Who disputed microbatches of this step.
    pub disputing: BTreeSet<Peer>,
    pub record: StepRecord,
    /// What holders would add.
    pub prepared: BTreeMap<Peer, Option<Digest>>,
    /// From the roots.
    pub squares: BTreeMap<Stage, Vec<u32>>,
    pub until: Duration,
}

impl Asking {
    /// The furthest step before which anybody is that holds a stage.
    pub fn furthest(&self) -> Option<u64> {
        let holders = self.standings.values().filter(|one| one.state.is_some());
        holders.map(|standing| standing.next).max()
    }

    /// The commit that somebody who is furthest moved by; none before the first step, and where all
    /// who moved are gone or have taken up a stage since.
    pub fn commit(&self) -> Option<Commit> {
        let furthest = self.furthest()?;
        let moved = self.standings.values().filter(|one| one.next == furthest);
        let commit = moved
            .into_iter()
            .find_map(|one| one.last.as_deref().cloned());
        commit.filter(|commit| commit.record.step + 1 == furthest)
    }
}

impl Passing {
    /// Whether a passage could be: from its source on, through who held what.
    pub fn is_sound(&self, source: Peer, passage: &Passage) -> bool {
        let first = passage.visits.first().map(|visit| visit.hop);
        let expected = Hop {
            stage: Stage::FIRST,
            peer: source,
        };
        let ascending = |pair: &[Visit]| pair[0].hop.stage < pair[1].hop.stage;
        first == Some(expected)
            && passage.visits.windows(2).all(ascending)
            && passage
                .visits
                .iter()
                .all(|visit| self.roster.holds(visit.hop))
    }

    /// The record of what came back, so far.
    pub fn record(self, step: u64, joined: Vec<Joined>, roster: Roster) -> StepRecord {
        StepRecord {
            step,
            joined,
            roster,
            passages: self.passages.into_values().collect(),
            excluded: BTreeSet::new(),
            met: BTreeMap::new(),
        }
    }
}
