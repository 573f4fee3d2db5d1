//! The transcript of a round: the revealed contents that count, in an order that does not depend on
//! arrival.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::PeerId;

use crate::assign::Assignment;
use crate::clock::Round;
use crate::codec;
use crate::config::{Game, Membership, SwarmConfig, SwarmId};
use crate::membership::{MemberIndex, Members};
use crate::payload::{CompletionGroup, Critique, Decision};
use crate::question::{Beacon, RoundQuestion, beacon, questions};

/// What every node knows about a round before it begins.
#[derive(Clone, Debug)]
pub struct RoundPlan {
    /// The swarm.
    pub swarm: SwarmId,
    /// The round.
    pub round: Round,
    /// The round's random value.
    pub beacon: Beacon,
    /// Sizes of the game.
    pub game: Game,
    /// The members of the round.
    pub members: Members,
    /// True if peers may become members by saying hello.
    pub is_open: bool,
    /// The questions by slot.
    pub questions: Vec<RoundQuestion>,
    /// Who treats which.
    pub assignment: Assignment,
}

impl RoundPlan {
    /// The plan of a round with these members.
    pub fn new(config: &SwarmConfig, swarm: SwarmId, round: Round, members: Members) -> Self {
        let (beacon, game) = (beacon(&swarm, round), config.game);
        let questions = questions(&beacon, &game);
        let assignment = Assignment::new(&beacon, &game, &questions, &members);
        Self {
            swarm,
            round,
            beacon,
            game,
            members,
            is_open: matches!(config.membership, Membership::Open { .. }),
            questions,
            assignment,
        }
    }
}

/// Key of a content in a transcript: for which slot, and whose.
pub type TranscriptKey = (u16, MemberIndex);

/// The contents of a round that count. Whatever was late, unsealed or contradicted is absent.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// What was known before.
    pub plan: Arc<RoundPlan>,
    /// Groups of completions.
    pub shares: BTreeMap<TranscriptKey, CompletionGroup>,
    /// Critiques of common questions.
    pub critiques: BTreeMap<TranscriptKey, Critique>,
    /// Decisions on common questions.
    pub decisions: BTreeMap<TranscriptKey, Decision>,
    /// Number of proven equivocations per member.
    pub equivocations: BTreeMap<MemberIndex, u32>,
    /// Who said hello, with its topics; in an open swarm.
    pub hellos: BTreeMap<PeerId, u64>,
}

impl Transcript {
    /// An empty transcript.
    pub fn new(plan: Arc<RoundPlan>) -> Self {
        Self {
            plan,
            shares: BTreeMap::new(),
            critiques: BTreeMap::new(),
            decisions: BTreeMap::new(),
            equivocations: BTreeMap::new(),
            hellos: BTreeMap::new(),
        }
    }

    /// What it holds, in entries.
    pub(crate) fn entries(&self) -> usize {
        let Self {
            plan: _,
            shares,
            critiques,
            decisions,
            equivocations,
            hellos,
        } = self;
        let contents = shares.len() + critiques.len() + decisions.len();
        contents + equivocations.len() + hellos.len()
    }

    /// SHA-256 over everything in the transcript.
    pub fn digest(&self) -> Digest32 {
        let plan = &self.plan;
        let mut hasher = Hasher::new("transcript").bytes(&plan.swarm).u64(plan.round);
        hasher = hasher.u64(plan.members.len() as u64);
        for member in plan.members.list() {
            hasher = hasher
                .bytes(&member.peer.0)
                .u64(member.stake)
                .u64(member.topics);
        }
        hasher = absorb(hasher, &self.shares);
        hasher = absorb(hasher, &self.critiques);
        hasher = absorb(hasher, &self.decisions);
        for (member, count) in &self.equivocations {
            hasher = hasher.u64((*member).into()).u64((*count).into());
        }
        if !self.hellos.is_empty() {
            // No member has this number.
            hasher = hasher.u64(u64::MAX).u64(self.hellos.len() as u64);
        }
        for (peer, topics) in &self.hellos {
            hasher = hasher.bytes(&peer.0).u64(*topics);
        }
        hasher.finish()
    }
}

/// Adds a table, each body with its place and length.
#[expect(
    clippy::expect_used,
    reason = "only types without an encoding fail, at any length"
)]
fn absorb<T: Serialize>(hasher: Hasher, table: &BTreeMap<TranscriptKey, T>) -> Hasher {
    table.iter().fold(
        hasher.u64(table.len() as u64),
        |hasher, ((slot, member), body)| {
            let bytes = codec::canonical(body).expect("invariant: bodies have an encoding");
            hasher
                .u64((*slot).into())
                .u64((*member).into())
                .u64(bytes.len() as u64)
                .bytes(&bytes)
        },
    )
}
