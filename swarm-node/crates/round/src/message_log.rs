//! The messages of one round that are in place: who said what, once.
//!
//! ```text
//!                first message                another payload
//! place: empty ────────────────► one message ────────────────► contradicted (Evidence)
//!                                 │      ▲                          │    ▲
//!                                 └──────┘ the same: duplicate      └────┘ anything: duplicate
//! ```
//! A place is (member, kind, slot). The first properly signed message takes it; a different one is
//! an *equivocation*: both are kept as [`Evidence`], neither counts, and the place stays closed. A
//! message with a valid signature takes its place even when its content is bad, so that what counts
//! never depends on the order of arrival.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use swarm_identity::digest::Digest32;
use swarm_identity::key::{PeerId, SignatureMemo};

use crate::codec::{self, Text};
use crate::config::Game;
use crate::envelope::Envelope;
use crate::membership::MemberIndex;
use crate::payload::{Attest, CompletionGroup, Critique, Decision, Kind, STAGE_SLOT, Seals, Stage};
use crate::rejection::Rejection;
use crate::seal::{SealContext, split_salt};
use crate::transcript::{RoundPlan, Transcript};

/// Two signed messages of one peer for one place: a proof that needs no witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The peer that contradicted itself.
    pub peer: PeerId,
    /// The message that arrived first.
    pub first: Arc<[u8]>,
    /// The one that differs.
    pub second: Arc<[u8]>,
}

/// Why a message is not taken in, with the proof if it is an equivocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Rejection,
    /// Of an equivocation.
    pub evidence: Option<Box<Evidence>>,
}

impl From<Rejection> for Refusal {
    fn from(reason: Rejection) -> Self {
        Self {
            reason,
            evidence: None,
        }
    }
}

/// What is known of a place.
enum Entry {
    One(Arc<[u8]>),
    Contradicted,
}

/// The state of a round's messages.
pub struct MessageLog {
    plan: Arc<RoundPlan>,
    entries: HashMap<(MemberIndex, Kind, u16), Entry>,
    seals: HashMap<(Stage, u16, MemberIndex), Digest32>,
    transcript: Transcript,
    attests: BTreeMap<MemberIndex, Digest32>,
}

impl MessageLog {
    /// An empty log.
    pub fn new(plan: Arc<RoundPlan>) -> Self {
        let transcript = Transcript::new(plan.clone());
        Self {
            plan,
            entries: HashMap::new(),
            seals: HashMap::new(),
            transcript,
            attests: BTreeMap::new(),
        }
    }

    /// The plan of the round.
    pub fn plan(&self) -> &Arc<RoundPlan> {
        &self.plan
    }

    /// What counts so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The digests that members attested.
    pub fn attests(&self) -> &BTreeMap<MemberIndex, Digest32> {
        &self.attests
    }

    /// The sender's index.
    ///
    /// # Errors
    /// [`Rejection::NotMember`].
    pub fn member(&self, envelope: &Envelope<'_>) -> Result<MemberIndex, Rejection> {
        self.plan
            .members
            .find(&envelope.header.peer)
            .ok_or(Rejection::NotMember)
    }

    /// The seal of a member's content for a slot, if one counts.
    pub fn seal(&self, stage: Stage, slot: u16, member: MemberIndex) -> Option<&Digest32> {
        self.seals.get(&(stage, slot, member))
    }

    /// Refuses a message whose place is closed or says the same already. Compares payloads: a
    /// member that signs the same payload twice does not contradict itself.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`].
    pub fn duplicate(&self, member: MemberIndex, envelope: &Envelope<'_>) -> Result<(), Rejection> {
        let place = (member, envelope.header.kind, envelope.header.slot);
        let is_new = match self.entries.get(&place) {
            None => true,
            Some(Entry::Contradicted) => false,
            Some(Entry::One(bytes)) => {
                Envelope::parse(bytes).is_ok_and(|known| known.payload != envelope.payload)
            }
        };
        match is_new {
            true => Ok(()),
            false => Err(Rejection::Duplicate),
        }
    }

    /// Refuses a place that the plan does not give to the member.
    ///
    /// # Errors
    /// [`Rejection::NotAssigned`].
    pub fn assigned(&self, member: MemberIndex, kind: Kind, slot: u16) -> Result<(), Rejection> {
        let fits = match kind.reveals() {
            Some(stage) => self.plan.assignment.contains(stage, slot, member),
            None => slot == STAGE_SLOT,
        };
        if fits {
            Ok(())
        } else {
            Err(Rejection::NotAssigned)
        }
    }

    /// True if the member signed the message.
    pub fn signed(
        &self,
        member: MemberIndex,
        envelope: &Envelope<'_>,
        memo: &SignatureMemo,
    ) -> bool {
        memo.verify(
            envelope.header.peer,
            self.plan.members.key(member),
            &envelope.digest(),
            &envelope.signature,
        )
    }

    /// Writes a signed message for an assigned place down.
    ///
    /// # Errors
    /// Everything about the content: equivocation, with its evidence; form; seal.
    pub fn write(
        &mut self,
        member: MemberIndex,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
    ) -> Result<(), Refusal> {
        let (kind, slot) = (envelope.header.kind, envelope.header.slot);
        if let Some(entry) = self.entries.get_mut(&(member, kind, slot)) {
            let Entry::One(first) = std::mem::replace(entry, Entry::Contradicted) else {
                return Err(Rejection::Duplicate.into());
            };
            self.strike(member, kind, slot);
            return Err(Refusal {
                reason: Rejection::Equivocation,
                evidence: Some(Box::new(Evidence {
                    peer: envelope.header.peer,
                    first,
                    second: bytes.clone(),
                })),
            });
        }
        self.entries
            .insert((member, kind, slot), Entry::One(bytes.clone()));
        Ok(self.content(member, kind, slot, envelope.payload)?)
    }

    /// Takes back what a contradicted message said, and counts the contradiction.
    fn strike(&mut self, member: MemberIndex, kind: Kind, slot: u16) {
        *self.transcript.equivocations.entry(member).or_insert(0) += 1;
        match kind {
            Kind::ShareReveal => drop(self.transcript.shares.remove(&(slot, member))),
            Kind::CritiqueReveal => drop(self.transcript.critiques.remove(&(slot, member))),
            Kind::DecideReveal => drop(self.transcript.decisions.remove(&(slot, member))),
            Kind::Attest => drop(self.attests.remove(&member)),
            Kind::ShareSeal | Kind::CritiqueSeal | Kind::DecideSeal => {
                self.seals
                    .retain(|(stage, _, other), _| (stage.seal(), *other) != (kind, member));
            }
        }
    }

    fn content(
        &mut self,
        member: MemberIndex,
        kind: Kind,
        slot: u16,
        payload: &[u8],
    ) -> Result<(), Rejection> {
        if let Some(stage) = kind.seals() {
            return self.seals_of(stage, member, payload);
        }
        let place = (slot, member);
        match kind.reveals() {
            Some(stage @ Stage::Share) => {
                let group = self.opened(stage, place, payload)?;
                self.bounded(&group)?;
                self.transcript.shares.insert(place, group);
            }
            Some(stage @ Stage::Critique) => {
                let critique: Critique = self.opened(stage, place, payload)?;
                self.fits(critique.endorsed.iter().chain([&critique.reason]))?;
                self.transcript.critiques.insert(place, critique);
            }
            Some(stage @ Stage::Decide) => {
                let decision: Decision = self.opened(stage, place, payload)?;
                self.fits([&decision.answer, &decision.foreseen].into_iter())?;
                self.transcript.decisions.insert(place, decision);
            }
            None => {
                let attest: Attest = decoded(payload)?;
                self.attests.insert(member, attest.digest);
            }
        }
        Ok(())
    }

    /// Notes seals: ascending slots that are assigned to the member.
    fn seals_of(
        &mut self,
        stage: Stage,
        member: MemberIndex,
        payload: &[u8],
    ) -> Result<(), Rejection> {
        let Seals { seals } = decoded(payload)?;
        let assignment = &self.plan.assignment;
        let assigned = seals
            .iter()
            .all(|(slot, _)| assignment.contains(stage, *slot, member));
        if !seals.is_sorted_by(|a, b| a.0 < b.0) || !assigned {
            return Err(Rejection::Malformed);
        }
        for (slot, seal) in seals {
            self.seals.insert((stage, slot, member), seal);
        }
        Ok(())
    }

    /// The content of a reveal whose seal fits.
    fn opened<T: DeserializeOwned>(
        &self,
        stage: Stage,
        place: (u16, MemberIndex),
        payload: &[u8],
    ) -> Result<T, Rejection> {
        let (slot, member) = place;
        let peer = self.plan.members[member].peer;
        let context = SealContext {
            swarm: self.plan.swarm,
            round: self.plan.round,
            stage,
            slot,
            peer,
        };
        if self.seals.get(&(stage, slot, member)) != Some(&context.seal(payload)) {
            return Err(Rejection::Unsealed);
        }
        let (_, content) = split_salt(payload).ok_or(Rejection::Malformed)?;
        decoded(content)
    }

    fn bounded(&self, group: &CompletionGroup) -> Result<(), Rejection> {
        if !(1..=usize::from(self.plan.game.group)).contains(&group.completions.len()) {
            return Err(Rejection::Malformed);
        }
        let Game {
            text_bytes, tokens, ..
        } = self.plan.game;
        let fit = group
            .completions
            .iter()
            .all(|completion| completion.fits(text_bytes, tokens));
        if fit {
            Ok(())
        } else {
            Err(Rejection::Malformed)
        }
    }

    fn fits<'a>(&self, mut texts: impl Iterator<Item = &'a Text>) -> Result<(), Rejection> {
        let limit = usize::from(self.plan.game.text_bytes);
        if texts.all(|text| text.as_str().len() <= limit) {
            Ok(())
        } else {
            Err(Rejection::Malformed)
        }
    }
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Rejection> {
    codec::decode(bytes).map_err(|_| Rejection::Malformed)
}
