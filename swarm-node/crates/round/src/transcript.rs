//! The transcript of a round: the revealed contents that count, in an order that does not depend on
//! arrival.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use swarm_identity::digest::{Digest32, Hasher};

use super::assign::Assignment;
use super::clock::Round;
use super::codec;
use super::config::{Game, SwarmConfig, SwarmId};
use super::membership::{MemberIndex, Members};
use super::payload::{Critique, Decision, Group};
use super::question::{Beacon, Question, beacon, questions};

/// What every node knows about a round before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
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
    /// The questions by slot.
    pub questions: Vec<Question>,
    /// Who treats which.
    pub assignment: Assignment,
}

impl Plan {
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
            questions,
            assignment,
        }
    }
}

/// A place in a transcript: whose content for which slot.
pub type Place = (u16, MemberIndex);

/// The contents of a round that count. Whatever was late, unsealed or contradicted is absent.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// What was known before.
    pub plan: Arc<Plan>,
    /// Groups of completions.
    pub shares: BTreeMap<Place, Group>,
    /// Critiques of common questions.
    pub critiques: BTreeMap<Place, Critique>,
    /// Decisions on common questions.
    pub decisions: BTreeMap<Place, Decision>,
    /// Number of proven equivocations per member.
    pub equivocations: BTreeMap<MemberIndex, u32>,
}

impl Transcript {
    /// An empty transcript.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            shares: BTreeMap::new(),
            critiques: BTreeMap::new(),
            decisions: BTreeMap::new(),
            equivocations: BTreeMap::new(),
        }
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
        hasher.finish()
    }
}

/// Adds a table, each body with its place and length.
fn absorb<T: Serialize>(hasher: Hasher, table: &BTreeMap<Place, T>) -> Hasher {
    table.iter().fold(
        hasher.u64(table.len() as u64),
        |hasher, ((slot, member), body)| {
            // A body in a transcript was decoded from an envelope or encoded into one, so it has an
            // encoding.
            let bytes = codec::encode(body).unwrap_or_default();
            hasher
                .u64((*slot).into())
                .u64((*member).into())
                .u64(bytes.len() as u64)
                .bytes(&bytes)
        },
    )
}
