//! Tendermint over one round's minutes, as pure calls: the consensus library behind plain types.
//!
//! ```text
//! begin ─► ballot 0: proposal ─► prevotes ─> 2/3─► precommits ─> 2/3─► certificate
//!             ▲                       nobody in time, or no 2/3 │
//!             └──────────────────────── next ballot ◄───────────┘
//! ```
//! A *ballot* is what the literature calls a round of consensus. Whoever is not a voter counts
//! precommits and nothing else.

use std::collections::BTreeMap;

use malachitebft_core_driver::{Driver, Input, Output};
use malachitebft_core_types::{
    NilOrVal, PolkaCertificate, PolkaSignature, Round as TmRound, SignedProposal, SignedVote,
    Timeout, TimeoutKind, Validity, VoteType,
};
use swarm_identity::digest::Digest32;
use swarm_identity::key::SignatureBytes;

use super::certificate::Certificate;
use super::rules::{Cast, Electorate, Height, MinutesDigest, Proposed, Rules, Voter, thresholds};
use super::voters::Voters;
use crate::clock::Round;
use crate::membership::MemberIndex;
use crate::payload::Kind;

/// Ballots ahead of the present one whose votes are taken. Whoever is further behind learns of the
/// decision by its certificate.
pub const MAX_AHEAD: u16 = 32;

/// A vote, signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// Prevote or precommit.
    pub kind: Kind,
    /// The ballot.
    pub number: u16,
    /// The digest of minutes, or `None` for none of them.
    pub value: Option<Digest32>,
}

/// A proposal, signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Motion {
    /// The ballot.
    pub number: u16,
    /// The digest of the minutes.
    pub value: Digest32,
    /// The ballot in which more than two thirds already voted for them.
    pub polka: Option<u16>,
}

/// The three waits of a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wait {
    /// For the proposal.
    Propose,
    /// For more prevotes.
    Prevote,
    /// For more precommits.
    Precommit,
}

/// What consensus wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Sign and publish a vote.
    Vote(Ballot),
    /// Sign and publish a proposal whose minutes are known.
    Propose(Motion),
    /// Make minutes for this ballot and come back with [`Consensus::propose`].
    Minutes(u16),
    /// Come back with [`Consensus::elapsed`] after a while.
    Wait(Wait, u16),
}

/// The consensus of one round at one node.
pub struct Consensus {
    round: Round,
    voters: Voters,
    /// `None` if the node does not vote.
    driver: Option<Driver<Rules>>,
    ballot: u16,
    prevotes: BTreeMap<(u16, Digest32), Tally>,
    precommits: BTreeMap<(u16, Digest32), Tally>,
    decided: Option<(u16, Digest32)>,
}

/// Votes of one kind for one value in one ballot. Whoever contradicts itself counts for both: a
/// quorum that some member saw is one that all must see.
#[derive(Default)]
struct Tally {
    weight: u64,
    signatures: BTreeMap<MemberIndex, SignatureBytes>,
}

impl Tally {
    fn add(&mut self, voters: &Voters, from: MemberIndex, signature: SignatureBytes) {
        if self.signatures.insert(from, signature).is_none() {
            self.weight += voters.weight(from);
        }
    }
}

impl Consensus {
    /// The consensus of a round, at a member or a watcher.
    pub fn new(round: Round, voters: Voters, me: Option<MemberIndex>) -> Self {
        let electorate = Electorate::from(&voters);
        let seat = me.filter(|member| voters.weight(*member) > 0);
        let driver = seat.map(|member| {
            let height = Height(round);
            Driver::new(Rules, height, electorate, Voter(member), thresholds())
        });
        Self {
            round,
            voters,
            driver,
            ballot: 0,
            prevotes: BTreeMap::new(),
            precommits: BTreeMap::new(),
            decided: None,
        }
    }

    /// The voters.
    pub fn voters(&self) -> &Voters {
        &self.voters
    }

    /// The present ballot.
    pub fn ballot(&self) -> u16 {
        self.ballot
    }

    /// Begins the first ballot.
    pub fn begin(&mut self) -> Vec<Wish> {
        self.enter(0)
    }

    fn enter(&mut self, ballot: u16) -> Vec<Wish> {
        self.ballot = ballot;
        let proposer = Voter(self.voters.proposer(ballot).member);
        self.drive(Input::NewRound(
            Height(self.round),
            number(ballot),
            proposer,
        ))
    }

    /// The minutes that [`Wish::Minutes`] asked for.
    pub fn propose(&mut self, ballot: u16, value: Digest32) -> Vec<Wish> {
        self.drive(Input::ProposeValue(number(ballot), MinutesDigest(value)))
    }

    /// A wait is over.
    pub fn elapsed(&mut self, wait: Wait, ballot: u16) -> Vec<Wish> {
        let kind = match wait {
            Wait::Propose => TimeoutKind::Propose,
            Wait::Prevote => TimeoutKind::Prevote,
            Wait::Precommit => TimeoutKind::Precommit,
        };
        self.drive(Input::TimeoutElapsed(Timeout::new(number(ballot), kind)))
    }

    /// A proposal of the ballot's proposer, judged.
    pub fn proposed(
        &mut self,
        from: MemberIndex,
        motion: Motion,
        signature: SignatureBytes,
        valid: bool,
    ) -> Vec<Wish> {
        let proposal = Proposed {
            height: Height(self.round),
            ballot: number(motion.number),
            value: MinutesDigest(motion.value),
            polka: motion.polka.map_or(TmRound::Nil, number),
            voter: Voter(from),
        };
        let signed = SignedProposal::new(proposal, signature);
        self.drive(Input::Proposal(signed, Validity::from_bool(valid)))
    }

    /// What it holds, in entries, beside what the library holds until the round is decided.
    pub(crate) fn entries(&self) -> usize {
        let tallies = self.prevotes.values().chain(self.precommits.values());
        tallies.map(|tally| 1 + tally.signatures.len()).sum()
    }

    /// A voter's vote, which is its first in this place.
    pub fn voted(
        &mut self,
        from: MemberIndex,
        ballot: Ballot,
        signature: SignatureBytes,
    ) -> Vec<Wish> {
        let polka = self.count(from, ballot, signature);
        let kind = match ballot.kind {
            Kind::Precommit => VoteType::Precommit,
            _ => VoteType::Prevote,
        };
        let vote = Cast {
            kind,
            height: Height(self.round),
            ballot: number(ballot.number),
            value: ballot
                .value
                .map_or(NilOrVal::Nil, |value| NilOrVal::Val(MinutesDigest(value))),
            voter: Voter(from),
        };
        let mut wishes = self.drive(Input::Vote(SignedVote::new(vote, signature)));
        wishes.extend(polka.map(|what| self.polka(what)).unwrap_or_default());
        wishes
    }

    /// A voter's second vote in a place, which contradicts its first.
    pub fn contradicted(
        &mut self,
        from: MemberIndex,
        ballot: Ballot,
        signature: SignatureBytes,
    ) -> Vec<Wish> {
        let polka = self.count(from, ballot, signature);
        polka.map(|what| self.polka(what)).unwrap_or_default()
    }

    /// Counts a vote for minutes; tells if it completes a polka.
    fn count(
        &mut self,
        from: MemberIndex,
        ballot: Ballot,
        signature: SignatureBytes,
    ) -> Option<(u16, Digest32)> {
        let what = (ballot.number, ballot.value?);
        let is_prevote = ballot.kind == Kind::Prevote;
        let tallies = match is_prevote {
            true => &mut self.prevotes,
            false => &mut self.precommits,
        };
        let tally = tallies.entry(what).or_default();
        let was_quorum = self.voters.is_quorum(tally.weight);
        tally.add(&self.voters, from, signature);
        let is_new = !was_quorum && self.voters.is_quorum(tally.weight);
        if is_new && !is_prevote {
            self.decided.get_or_insert(what);
        }
        (is_new && is_prevote).then_some(what)
    }

    /// Shows the library the proof of a polka: its own counts leave second votes out.
    fn polka(&mut self, (ballot, value): (u16, Digest32)) -> Vec<Wish> {
        let signatures = self.prevotes.get(&(ballot, value)).into_iter();
        let signatures = signatures.flat_map(|tally| &tally.signatures);
        let polka_signatures = signatures
            .map(|(member, signature)| PolkaSignature::new(Voter(*member), *signature))
            .collect();
        self.drive(Input::PolkaCertificate(PolkaCertificate {
            height: Height(self.round),
            round: number(ballot),
            value_id: MinutesDigest(value),
            polka_signatures,
        }))
    }

    /// True if more than two thirds are known to have voted for `value` in a ballot.
    pub fn has_polka(&self, ballot: u16, value: Digest32) -> bool {
        let tally = self.prevotes.get(&(ballot, value));
        tally.is_some_and(|tally| self.voters.is_quorum(tally.weight))
    }

    /// The ballot and minutes to which more than two thirds have precommitted.
    pub fn decided(&self) -> Option<(u16, Digest32)> {
        self.decided
    }

    /// The proof that these minutes were decided in a ballot.
    pub fn certificate(&self, ballot: u16, minutes: Digest32) -> Option<Certificate> {
        let precommits = self.precommits.get(&(ballot, minutes))?;
        Some(Certificate {
            round: self.round,
            ballot,
            minutes,
            signatures: precommits
                .signatures
                .iter()
                .map(|(m, s)| (*m, *s))
                .collect(),
        })
    }

    /// Lets the library take an input. It refuses what does not belong to the round, which was
    /// checked before.
    #[expect(
        clippy::expect_used,
        reason = "inputs were checked against the round and its voters"
    )]
    fn drive(&mut self, input: Input<Rules>) -> Vec<Wish> {
        let Some(driver) = &mut self.driver else {
            return Vec::new();
        };
        let outputs = driver
            .process(input)
            .expect("invariant: the input is one of this round's voters");
        outputs
            .into_iter()
            .flat_map(|output| self.wishes(output))
            .collect()
    }

    fn wishes(&mut self, output: Output<Rules>) -> Vec<Wish> {
        match output {
            Output::NewRound(_, ballot) => self.enter(plain(ballot)),
            Output::Propose(proposal) => vec![Wish::Propose(Motion {
                number: plain(proposal.ballot),
                value: proposal.value.0,
                polka: proposal.polka.is_defined().then(|| plain(proposal.polka)),
            })],
            Output::Vote(vote) => vec![Wish::Vote(Ballot {
                kind: match vote.kind {
                    VoteType::Prevote => Kind::Prevote,
                    VoteType::Precommit => Kind::Precommit,
                },
                number: plain(vote.ballot),
                value: match vote.value {
                    NilOrVal::Nil => None,
                    NilOrVal::Val(value) => Some(value.0),
                },
            })],
            Output::ScheduleTimeout(timeout) => wait(timeout.kind)
                .map(|wait| Wish::Wait(wait, plain(timeout.round)))
                .into_iter()
                .collect(),
            Output::GetValue(_, ballot, _) => vec![Wish::Minutes(plain(ballot))],
            // Decisions are taken from precommits, as by members that do not vote.
            Output::Decide(..) => Vec::new(),
        }
    }
}

fn wait(kind: TimeoutKind) -> Option<Wait> {
    match kind {
        TimeoutKind::Propose => Some(Wait::Propose),
        TimeoutKind::Prevote => Some(Wait::Prevote),
        TimeoutKind::Precommit => Some(Wait::Precommit),
        TimeoutKind::Rebroadcast | TimeoutKind::FinalizeHeight(_) => None,
    }
}

fn number(ballot: u16) -> TmRound {
    TmRound::new(ballot.into())
}

/// Ballots end at the last number that a place in the sign-once table can have; with waits that
/// grow, that takes years.
#[expect(clippy::expect_used, reason = "only a polka may have no ballot")]
fn plain(ballot: TmRound) -> u16 {
    let number = ballot.as_u32().expect("invariant: the ballot is a number");
    u16::try_from(number).unwrap_or(u16::MAX)
}
