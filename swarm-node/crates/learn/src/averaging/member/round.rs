//! What a member knows of its round: what came, from whom, and what it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skippipe::content::{Content, Digest};

use crate::averaging::pairing::Group;
use crate::averaging::transcript::{Part, Reason, Replica, Roster, RosterId, Taken};
use crate::averaging::work::Task;

/// What a sender's content has been found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody has looked yet.
    Unseen,
    /// The engine is looking.
    Asked(Task),
    /// A contribution, or a mean.
    Good,
    /// None: why.
    Bad(Reason),
}

/// A content that came, or that is sent: a contribution, or the mean of several.
#[derive(Clone, Debug)]
pub(super) struct Package {
    /// Digest of the anchor and momentum that it belongs to.
    pub(super) outer: Digest,
    /// What is in it.
    pub(super) parts: Vec<Part>,
    pub(super) content: Content,
    pub(super) verdict: Verdict,
}

/// Between the inner steps and the outer one.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// Since when.
    pub(super) since: Duration,
    /// When something was last said again.
    pub(super) said: Duration,
    /// Leader of all: when it stopped waiting for contributions, and who counts.
    pub(super) closed: Option<(Duration, Vec<Part>)>,
    /// Leader: what followers must have.
    pub(super) package: Option<Package>,
    /// Leader: who has it.
    pub(super) have: BTreeSet<Replica>,
    /// Follower: since when it has what it needs, and has said so.
    pub(super) doubt: Option<Duration>,
}

impl Exchange {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            since: now,
            said: now,
            closed: None,
            package: None,
            have: BTreeSet::new(),
            doubt: None,
        }
    }
}

/// Where a member is in its round.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Inner steps.
    Training,
    /// The contribution is being signed.
    Signing,
    /// The group meets.
    Exchanging(Exchange),
    /// The leader's anchor is asked for.
    Adopting {
        /// Since when.
        since: Duration,
        /// When it was last asked for.
        said: Duration,
    },
    /// The engine ends the round.
    Moving(Taken),
    /// It was restarted, and looks for the round that the others are in.
    Returning {
        /// Since when.
        since: Duration,
    },
    /// All rounds are done, or it cannot go on.
    Over,
}

/// A round.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) number: u64,
    pub(super) roster: Roster,
    pub(super) group: Group,
    pub(super) phase: Phase,
    /// The own contribution, from the end of the inner steps on.
    pub(super) own: Option<Package>,
    /// What members of the group sent: at most one content of each.
    pub(super) packages: BTreeMap<Replica, Package>,
    /// Members of the group that move alone.
    pub(super) out: BTreeMap<Replica, Reason>,
    /// Members of the group that sent what is of an earlier round.
    pub(super) behind: BTreeSet<Replica>,
}

/// How a round ended, for those who still ask.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) number: u64,
    pub(super) roster: RosterId,
    pub(super) decided: Option<Decision>,
}

/// What a leader decided.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    /// Hash of what the group had to have.
    pub(super) digest: Digest,
    /// Who had it.
    pub(super) with: BTreeSet<Replica>,
}
