//! The messages of one round that are in place: who said what, once.
//!
//! A place has one message ([`heard`](crate::heard)); where a member contradicts itself, neither
//! counts. A message with a valid signature takes its place even when its content is bad, so that
//! what is there never depends on the order of arrival.
//!
//! A message that comes after its window takes its place, too: it is proof of a contradiction, and
//! what it says may be needed, if the members agree that it counts. To this node it says nothing:
//! only what came in time is in the [`MessageLog::transcript`] from which it works, and in its
//! receipt.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use swarm_identity::digest::Digest32;
use swarm_identity::key::SignatureMemo;

use crate::agreement::MessagePlace;
use crate::codec::{self, Text};
use crate::config::Game;
use crate::envelope::Envelope;
use crate::heard::{Heard, Refusal};
use crate::membership::MemberIndex;
use crate::payload::{CompletionGroup, Critique, Decision, STAGE_SLOT, Seals, Stage};
use crate::rejection::Rejection;
use crate::seal::{SealContext, split_salt};
use crate::transcript::{RoundPlan, Transcript};

/// Whether a message came before its window was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// It did.
    InTime,
    /// It did not.
    Late,
}

/// The state of a round's messages.
pub struct MessageLog {
    plan: Arc<RoundPlan>,
    heard: Heard,
    seals: HashMap<(Stage, u16, MemberIndex), Digest32>,
    transcript: Transcript,
    /// Places with a valid message that came in time.
    held: BTreeSet<MessagePlace>,
    /// Places at which a member contradicted itself.
    contradicted: BTreeSet<MessagePlace>,
}

impl MessageLog {
    /// An empty log.
    pub fn new(plan: Arc<RoundPlan>) -> Self {
        let transcript = Transcript::new(plan.clone());
        Self {
            plan,
            heard: Heard::default(),
            seals: HashMap::new(),
            transcript,
            held: BTreeSet::new(),
            contradicted: BTreeSet::new(),
        }
    }

    /// What it holds, in entries.
    pub(crate) fn entries(&self) -> usize {
        let Self {
            plan: _,
            heard,
            seals,
            transcript,
            held,
            contradicted,
        } = self;
        let entries = heard.len() + seals.len() + held.len() + contradicted.len();
        entries + transcript.entries()
    }

    /// The plan of the round.
    pub fn plan(&self) -> &Arc<RoundPlan> {
        &self.plan
    }

    /// What counts so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The places whose message is valid, uncontradicted and came in time.
    pub fn held(&self) -> &BTreeSet<MessagePlace> {
        &self.held
    }

    /// The places at which a member contradicted itself.
    pub fn contradicted(&self) -> &BTreeSet<MessagePlace> {
        &self.contradicted
    }

    /// The messages of a place: both, where they contradict each other.
    pub fn messages(&self, place: MessagePlace) -> impl Iterator<Item = &Arc<[u8]>> {
        self.heard.messages(place)
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

    /// True if the plan gives a place to its member.
    fn is_assigned(&self, place: MessagePlace) -> bool {
        let MessagePlace { kind, slot, member } = place;
        match kind.reveals() {
            Some(stage) => self.plan.assignment.contains(stage, slot, member),
            None => slot == STAGE_SLOT,
        }
    }

    /// The place of a message, if its member is assigned to it and its place has room.
    ///
    /// # Errors
    /// [`Rejection::NotMember`], [`Rejection::Duplicate`] or [`Rejection::NotAssigned`].
    pub fn check(&self, envelope: &Envelope<'_>) -> Result<MessagePlace, Rejection> {
        let place = MessagePlace::of(envelope, self.member(envelope)?);
        self.heard.check(place, envelope)?;
        match self.is_assigned(place) {
            true => Ok(place),
            false => Err(Rejection::NotAssigned),
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
        place: MessagePlace,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        timing: Timing,
    ) -> Result<(), Refusal> {
        if let Some(evidence) = self.heard.note(place, envelope, bytes)? {
            self.contradicted.insert(place);
            self.held.remove(&place);
            self.strike(place);
            return Err(evidence.into());
        }
        if timing == Timing::InTime {
            self.content(place, envelope.payload)
                .map_err(Refusal::noted)?;
            self.held.insert(place);
        }
        Ok(())
    }

    /// What counts if these places count and those are struck, from the messages that are here.
    /// Whatever does not fit its seal, or is no content, is absent.
    ///
    /// # Errors
    /// The places whose messages are not here.
    pub fn assemble(
        &self,
        counted: &BTreeSet<MessagePlace>,
        struck: &[MessagePlace],
    ) -> Result<Transcript, Vec<MessagePlace>> {
        if *counted == self.held && self.contradicted.iter().eq(struck) {
            return Ok(self.transcript.clone());
        }
        let missing = counted.iter().filter(|place| !self.heard.contains(**place));
        let missing: Vec<_> = missing.copied().collect();
        match missing.is_empty() {
            true => Ok(self.read_again(counted, struck)),
            false => Err(missing),
        }
    }

    /// Reads the messages of these places into an empty log: seals first, as places are ordered.
    fn read_again(&self, counted: &BTreeSet<MessagePlace>, struck: &[MessagePlace]) -> Transcript {
        let mut log = Self::new(self.plan.clone());
        for place in counted {
            let message = self.heard.first(*place);
            if let Some(Ok(envelope)) = message.map(|bytes| Envelope::parse(bytes)) {
                // Bad content counts as none, for everybody alike.
                let _ = log.content(*place, envelope.payload);
            }
        }
        struck
            .iter()
            .for_each(|place| log.count_contradiction(*place));
        log.transcript
    }

    fn count_contradiction(&mut self, place: MessagePlace) {
        *self
            .transcript
            .equivocations
            .entry(place.member)
            .or_insert(0) += 1;
    }

    /// Takes back what a contradicted message said, and counts the contradiction. Without its
    /// seals, a stage of a member says nothing.
    fn strike(&mut self, place: MessagePlace) {
        self.count_contradiction(place);
        if place.kind.reveals().is_some() {
            return self.take_back(place);
        }
        self.seals
            .retain(|(stage, _, member), _| (stage.seal(), *member) != (place.kind, place.member));
        let opened = |other: &MessagePlace| {
            let stage = other.kind.reveals().map(Stage::seal);
            stage == Some(place.kind) && other.member == place.member
        };
        let reveals: Vec<_> = self.held.iter().copied().filter(opened).collect();
        for reveal in reveals {
            self.held.remove(&reveal);
            self.take_back(reveal);
        }
    }

    fn take_back(&mut self, place: MessagePlace) {
        let key = (place.slot, place.member);
        match place.kind.reveals() {
            Some(Stage::Share) => drop(self.transcript.shares.remove(&key)),
            Some(Stage::Critique) => drop(self.transcript.critiques.remove(&key)),
            Some(Stage::Decide) => drop(self.transcript.decisions.remove(&key)),
            None => {}
        }
    }

    fn content(&mut self, place: MessagePlace, payload: &[u8]) -> Result<(), Rejection> {
        if let Some(stage) = place.kind.seals() {
            return self.seals_of(stage, place.member, payload);
        }
        let stage = place.kind.reveals().ok_or(Rejection::Kind)?;
        let key = (place.slot, place.member);
        match stage {
            Stage::Share => {
                let group = self.opened(stage, key, payload)?;
                self.bounded(&group)?;
                self.transcript.shares.insert(key, group);
            }
            Stage::Critique => {
                let critique: Critique = self.opened(stage, key, payload)?;
                self.fits(critique.endorsed.iter().chain([&critique.reason]))?;
                self.transcript.critiques.insert(key, critique);
            }
            Stage::Decide => {
                let decision: Decision = self.opened(stage, key, payload)?;
                self.fits([&decision.answer, &decision.foreseen].into_iter())?;
                self.transcript.decisions.insert(key, decision);
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
