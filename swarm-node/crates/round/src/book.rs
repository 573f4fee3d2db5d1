//! The messages of one round: what was said, by whom, once.
//!
//! A place is (member, kind, slot). The first properly signed message for a place is its word; an
//! identical one is a duplicate; a different one is an *equivocation*: both are kept as
//! [`Evidence`], neither counts, and the place stays closed. A message with a valid signature
//! closes its place even when its content is bad, so that what counts never depends on the order of
//! arrival.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use swarm_identity::digest::Digest32;
use swarm_identity::key::{PeerId, SignatureMemo};

use super::codec::{self, Text};
use super::config::Game;
use super::envelope::Envelope;
use super::gate::Rejection;
use super::membership::MemberIndex;
use super::payload::{Attest, Critique, Decision, Group, Kind, STAGE_SLOT, Seals, Stage};
use super::seal::{SealContext, split_salt};
use super::transcript::{Plan, Transcript};

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

type Key = (MemberIndex, Kind, u16);

enum Word {
    Said(Arc<[u8]>),
    Contradicted,
}

/// The state of a round's messages.
pub struct Book {
    plan: Arc<Plan>,
    words: HashMap<Key, Word>,
    seals: HashMap<(Stage, u16, MemberIndex), Digest32>,
    transcript: Transcript,
    attests: BTreeMap<MemberIndex, Digest32>,
}

impl Book {
    /// An empty book.
    pub fn new(plan: Arc<Plan>) -> Self {
        let transcript = Transcript::new(plan.clone());
        Self {
            plan,
            words: HashMap::new(),
            seals: HashMap::new(),
            transcript,
            attests: BTreeMap::new(),
        }
    }

    /// The plan of the round.
    pub fn plan(&self) -> &Arc<Plan> {
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

    /// Refuses a message whose place is closed or says the same already. Compares payloads: a
    /// member that signs the same words twice does not contradict itself.
    ///
    /// # Errors
    /// [`Rejection::Duplicate`].
    pub fn duplicate(&self, member: MemberIndex, envelope: &Envelope<'_>) -> Result<(), Rejection> {
        let same = |bytes: &[u8]| {
            Envelope::parse(bytes).is_ok_and(|said| said.payload == envelope.payload)
        };
        match self
            .words
            .get(&(member, envelope.header.kind, envelope.header.slot))
        {
            None => Ok(()),
            Some(Word::Said(bytes)) if !same(bytes) => Ok(()),
            Some(_) => Err(Rejection::Duplicate),
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
        let verify = |key| {
            memo.verify(
                envelope.header.peer,
                key,
                &envelope.digest(),
                &envelope.signature,
            )
        };
        self.plan.members.key(member).is_some_and(verify)
    }

    /// Writes a signed message for an assigned place down; evidence if it contradicts an earlier
    /// one.
    ///
    /// # Errors
    /// Everything about the content: equivocation, form, seal.
    pub fn write(
        &mut self,
        member: MemberIndex,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        evidence: &mut Option<Evidence>,
    ) -> Result<(), Rejection> {
        let (kind, slot) = (envelope.header.kind, envelope.header.slot);
        if let Some(word) = self.words.get_mut(&(member, kind, slot)) {
            let Word::Said(first) = std::mem::replace(word, Word::Contradicted) else {
                return Err(Rejection::Duplicate);
            };
            self.strike(member, kind, slot);
            *evidence = Some(Evidence {
                peer: envelope.header.peer,
                first,
                second: bytes.clone(),
            });
            return Err(Rejection::Equivocation);
        }
        self.words
            .insert((member, kind, slot), Word::Said(bytes.clone()));
        self.content(member, kind, slot, envelope.payload)
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
        let assigned = |slot: u16| self.plan.assignment.contains(stage, slot, member);
        if !seals.is_sorted_by(|a, b| a.0 < b.0) || !seals.iter().all(|(slot, _)| assigned(*slot)) {
            return Err(Rejection::Malformed);
        }
        self.seals.extend(
            seals
                .into_iter()
                .map(|(slot, seal)| ((stage, slot, member), seal)),
        );
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
        let peer = self
            .plan
            .members
            .get(member)
            .ok_or(Rejection::NotMember)?
            .peer;
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

    fn bounded(&self, group: &Group) -> Result<(), Rejection> {
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
