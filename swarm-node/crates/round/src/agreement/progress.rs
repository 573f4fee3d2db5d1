//! One round on its way to its decision, at one node.
//!
//! ```text
//! start            middle            gathered                       (waits of ballots, retries)
//!   │ own receipt    │ demands are      │ the first proposer waits no
//!   │ goes out       │ fixed            │ longer for silent members
//! ```
//! Proposals are judged once everything in them is here; what is missing is asked for. Until there
//! is a decision everything that this node has said is said again from time to time, so no loss is
//! for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use swarm_identity::Place;
use swarm_identity::digest::Digest32;
use swarm_identity::key::{PeerId, SignatureBytes, SignatureMemo};

use super::certificate::Certificate;
use super::consensus::{Ballot, Consensus, MAX_AHEAD, Motion, Wait, Wish};
use super::minutes::{MAX_STRUCK, Minutes, counted, counted_hellos};
use super::place::{MessagePlace, Places};
use super::receipt::{Receipt, ReceiptName, Receipts, SignedReceipt, name};
use super::vote::{self, Proposal, Vote};
use super::voters::Voters;
use super::want::{MAX_WANTED, Wanted};
use crate::allowance::{Allowance, Link};
use crate::clock::{Millis, Round};
use crate::codec;
use crate::envelope::{Envelope, UnsignedEnvelope};
use crate::heard::{Evidence, Heard, Refusal};
use crate::membership::MemberIndex;
use crate::membership::hello::Hello;
use crate::message_log::{MessageLog, Timing};
use crate::outbox::Outbox;
use crate::payload::{Kind, STAGE_SLOT};
use crate::rejection::Rejection;
use crate::transcript::{RoundPlan, Transcript};

/// Own messages that are said again at a time.
const REPEATED: usize = 64;
/// Different things that are asked for until something comes.
const MAX_ASKED: usize = 16;
/// Longest time between two retries, in settle windows.
const MAX_RETRY: u64 = 8;

/// What the rest of the node lends to a round.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The node.
    pub peer: PeerId,
    /// Verified signatures.
    pub memo: &'a SignatureMemo,
    /// The node's time.
    pub now: Millis,
}

/// What a round wants done.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sign this, once for its place.
    Sign(Place, Digest32),
    /// Publish this, again.
    Broadcast(Arc<[u8]>),
    /// Ask others for this.
    Ask(Wanted),
}

/// The moments of a round's agreement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    start: Millis,
    /// The settle window.
    window: u64,
}

impl Times {
    /// The moments of a settle window.
    pub fn new(start: Millis, window: u32) -> Self {
        Self {
            start,
            window: window.into(),
        }
    }

    /// What was here by now is demanded of minutes.
    fn middle(&self) -> Millis {
        self.start.saturating_add(self.window / 4)
    }

    /// From now on the first proposer does without the receipts of silent members, as soon as no
    /// new ones come for a while: members whose clocks are behind are still to be heard.
    fn gathered(&self) -> Millis {
        self.start.saturating_add(self.window / 2)
    }

    /// From now on it does without any.
    fn patient(&self) -> Millis {
        self.start.saturating_add(self.window / 8 * 7)
    }

    /// How long no receipt must have come.
    fn quiet(&self) -> u64 {
        (self.window / 8).max(1)
    }

    /// How long a ballot waits, in milliseconds: in the first one for members whose clocks are
    /// behind by half of the window.
    fn wait(&self, wait: Wait, ballot: u16) -> u64 {
        match (wait, ballot) {
            (Wait::Propose, 0) => self.window,
            _ => self.quiet() * (u64::from(ballot) + 2).min(8 * MAX_RETRY),
        }
    }
}

/// What minutes must contain to have this node's vote.
#[derive(Clone, Debug, Default)]
struct Demands {
    receipts: BTreeSet<MemberIndex>,
    struck: BTreeSet<MessagePlace>,
}

impl Demands {
    fn is_empty(&self) -> bool {
        self.receipts.is_empty() && self.struck.is_empty()
    }
}

/// A proposal in a ballot.
struct Pending {
    from: MemberIndex,
    motion: Motion,
    signature: SignatureBytes,
    judged: bool,
}

/// Why minutes cannot be followed.
enum Doubt {
    /// Something is not here.
    Missing(Wanted),
    /// They contradict what is here.
    Wrong,
}

/// What a decision consists of.
pub(crate) struct Decision {
    pub certificate: Certificate,
    pub minutes: Arc<Minutes>,
    pub transcript: Arc<Transcript>,
}

/// The state of a round's agreement.
pub(crate) struct Progress {
    log: MessageLog,
    /// The hellos that this node holds.
    hellos: BTreeMap<PeerId, Hello>,
    places: Places,
    me: Option<MemberIndex>,
    times: Times,
    /// `None` until it is known who votes.
    consensus: Option<Consensus>,
    receipts: Receipts,
    heard: Heard,
    pending: BTreeMap<u16, Pending>,
    minutes: BTreeMap<Digest32, Arc<Minutes>>,
    /// Transcripts of minutes that were found right.
    checked: BTreeMap<Digest32, Arc<Transcript>>,
    /// Fixed at the middle of the receipt window.
    demands: Option<Demands>,
    /// What was demanded in public.
    shown: Demands,
    waits: BTreeSet<(Millis, Wait, u16)>,
    /// The ballot for which this node owes minutes.
    due: Option<u16>,
    pub outbox: Outbox,
    said: BTreeMap<Place, Arc<[u8]>>,
    allowance: Allowance,
    /// When the last new receipt came.
    fresh: Millis,
    /// Places that were asked for: their messages are taken in late.
    wanted: BTreeSet<MessagePlace>,
    /// When things were asked for that are not here yet.
    asked: BTreeMap<Wanted, Millis>,
    retry: Millis,
    pause: u64,
}

impl Progress {
    /// A round whose windows are over.
    pub fn new(
        log: MessageLog,
        hellos: BTreeMap<PeerId, Hello>,
        me: Option<MemberIndex>,
        times: Times,
    ) -> Self {
        Self {
            places: Places::new(log.plan()),
            log,
            hellos,
            me,
            times,
            consensus: None,
            receipts: Receipts::default(),
            heard: Heard::default(),
            pending: BTreeMap::new(),
            minutes: BTreeMap::new(),
            checked: BTreeMap::new(),
            demands: None,
            shown: Demands::default(),
            waits: BTreeSet::new(),
            due: None,
            outbox: Outbox::default(),
            said: BTreeMap::new(),
            allowance: Allowance::default(),
            wanted: BTreeSet::new(),
            asked: BTreeMap::new(),
            retry: times.start.saturating_add(times.window / 2 * 3),
            fresh: 0,
            pause: times.window,
        }
    }

    /// What it holds, in entries.
    pub fn entries(&self) -> usize {
        let Self {
            log,
            hellos,
            places: _,
            me: _,
            times: _,
            consensus,
            receipts,
            heard,
            pending,
            minutes,
            checked,
            demands,
            shown,
            waits,
            due: _,
            outbox,
            said,
            allowance,
            fresh: _,
            wanted,
            asked,
            retry: _,
            pause: _,
        } = self;
        let votes = consensus.as_ref().map_or(0, Consensus::entries);
        let demands = demands.iter().chain([shown]);
        let demands = demands.map(|these| these.receipts.len() + these.struck.len());
        let proposals = pending.len() + minutes.len() + checked.len();
        let own = outbox.len() + said.len() + waits.len();
        let others = hellos.len() + receipts.entries() + heard.len() + allowance.entries();
        let wishes = wanted.len() + asked.len() + demands.sum::<usize>();
        log.entries() + votes + proposals + own + others + wishes
    }

    /// This node among the members.
    pub fn me(&self) -> Option<MemberIndex> {
        self.me
    }

    /// The plan of the round.
    pub fn plan(&self) -> &Arc<RoundPlan> {
        self.log.plan()
    }

    /// The round.
    pub fn round(&self) -> Round {
        self.plan().round
    }

    /// True if it is known who votes.
    pub fn is_open(&self) -> bool {
        self.consensus.is_some()
    }

    /// Asks for the signature of this node's receipt.
    pub fn sign_receipt(&mut self, peer: PeerId, acts: &mut Vec<Act>) {
        let plan = self.plan().clone();
        let held = self.log.held().iter();
        let held = held.filter_map(|place| self.places.position(&plan, *place));
        let receipt = Receipt::new(self.places.len(), held).with_hellos(&self.hellos);
        self.publish((Kind::Receipt, STAGE_SLOT), &receipt, peer, acts);
    }

    /// Begins to vote.
    pub fn open(&mut self, voters: Voters, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        let mut consensus = Consensus::new(self.round(), voters, self.me);
        let wishes = consensus.begin();
        self.consensus = Some(consensus);
        self.fulfil(wishes, around, acts);
        self.proceed(around, acts);
    }

    /// When the round wants its next [`Progress::tick`].
    pub fn next_tick(&self) -> Millis {
        let middle = self.demands.is_none().then(|| self.times.middle());
        let gathered = self.due.map(|_| self.gathered_at());
        let wait = self.waits.first().map(|(at, ..)| *at);
        let asked = self.asked.values().min();
        let asked = asked.map(|at| at.saturating_add(self.times.quiet()));
        [middle, gathered, wait, asked]
            .into_iter()
            .flatten()
            .fold(self.retry, Millis::min)
    }

    /// Time passed.
    pub fn tick(&mut self, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        if around.now >= self.times.middle() && self.demands.is_none() {
            self.demands = Some(self.present_demands());
        }
        while let Some((_, wait, ballot)) = self
            .waits
            .first()
            .copied()
            .filter(|(at, ..)| *at <= around.now)
        {
            self.waits.pop_first();
            let wishes = self
                .consensus
                .as_mut()
                .map(|consensus| consensus.elapsed(wait, ballot));
            self.fulfil(wishes.unwrap_or_default(), around, acts);
        }
        if around.now >= self.retry {
            self.say_again(acts);
            self.pause = (2 * self.pause).min(MAX_RETRY * self.times.window);
            self.retry = around.now.saturating_add(self.pause);
        }
        self.proceed(around, acts);
    }

    fn say_again(&mut self, acts: &mut Vec<Act>) {
        let latest = self.said.values().rev().take(REPEATED);
        acts.extend(latest.cloned().map(Act::Broadcast));
        acts.push(Act::Ask(Wanted::Decision));
    }

    /// What this node has said.
    pub fn said_so_far(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.said.values()
    }

    /// What this node has asked for or said, and nobody may have got.
    pub fn outstanding(&self) -> Vec<Act> {
        let said = self.said.values().cloned().map(Act::Broadcast);
        let waiting = self.outbox.waiting();
        let asked = waiting.map(|message| Act::Sign(message.header().place(), message.digest()));
        said.chain(asked).collect()
    }

    /// What others may have of this round.
    pub fn answer(&self, wanted: &Wanted) -> Vec<Arc<[u8]>> {
        match wanted {
            Wanted::Decision => Vec::new(),
            Wanted::Receipts(list) => list
                .iter()
                .take(MAX_WANTED)
                .filter_map(|(member, name)| self.receipts.get(*member, name))
                .map(|receipt| receipt.bytes.clone())
                .collect(),
            Wanted::Messages(list) => list
                .iter()
                .take(MAX_WANTED)
                .flat_map(|place| self.log.messages(*place))
                .cloned()
                .collect(),
            Wanted::Prevotes(ballot, value) => self.prevotes(*ballot, *value),
        }
    }

    fn prevotes(&self, ballot: u16, value: Digest32) -> Vec<Arc<[u8]>> {
        let says = |message: &&Arc<[u8]>| {
            let vote = Envelope::parse(message).map(|envelope| decoded::<Vote>(envelope.payload));
            matches!(vote, Ok(Ok(vote)) if vote.value == Some(value))
        };
        let places = self.heard.places(Kind::Prevote, ballot).into_iter();
        let messages = places.flat_map(|place| self.heard.messages(place));
        messages.filter(says).take(MAX_WANTED).cloned().collect()
    }
}

// What comes in.
impl Progress {
    /// Takes a message of the agreement in.
    ///
    /// # Errors
    /// The first check that it fails, cheapest first.
    pub fn accept(
        &mut self,
        link: Link,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) -> Result<(), Refusal> {
        let member = self.log.member(envelope)?;
        self.check_place(member, envelope)?;
        self.check_signature(link, member, envelope, around.memo)?;
        match envelope.header.kind {
            Kind::Receipt => self.receipt(member, envelope, bytes, around.now)?,
            _ => self.hear(member, envelope, bytes, around, acts)?,
        }
        self.proceed(around, acts);
        Ok(())
    }

    /// Takes a message in whose window is over: it proves a contradiction, or is needed.
    ///
    /// # Errors
    /// [`Rejection::Late`] if it is neither.
    pub fn accept_late(
        &mut self,
        link: Link,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) -> Result<(), Refusal> {
        let place = self.log.check(envelope).map_err(|_| Rejection::Late)?;
        self.check_signature(link, place.member, envelope, around.memo)?;
        let written = self.log.write(place, envelope, bytes, Timing::Late);
        self.proceed(around, acts);
        written?;
        match self.wanted.remove(&place) {
            true => Ok(()),
            false => Err(Refusal::noted(Rejection::Late)),
        }
    }

    fn check_signature(
        &mut self,
        link: Link,
        member: MemberIndex,
        envelope: &Envelope<'_>,
        memo: &SignatureMemo,
    ) -> Result<(), Rejection> {
        let log = &self.log;
        self.allowance.verified(link, envelope.header.peer, || {
            log.signed(member, envelope, memo)
        })
    }

    /// Refuses what is known, what nobody may say, and what is far ahead.
    fn check_place(&self, member: MemberIndex, envelope: &Envelope<'_>) -> Result<(), Rejection> {
        let header = &envelope.header;
        if header.sequence != 0 {
            return Err(Rejection::Malformed);
        }
        if header.kind == Kind::Receipt {
            return self.check_receipt(member, envelope);
        }
        let consensus = self.consensus.as_ref().ok_or(Rejection::Early)?;
        if header.slot > consensus.ballot().saturating_add(MAX_AHEAD) {
            return Err(Rejection::Early);
        }
        let voters = consensus.voters();
        let may = match header.kind {
            Kind::Proposal => voters.proposer(header.slot).member == member,
            _ => voters.weight(member) > 0,
        };
        if !may {
            return Err(Rejection::NotAssigned);
        }
        self.heard
            .check(MessagePlace::of(envelope, member), envelope)
    }

    fn check_receipt(&self, member: MemberIndex, envelope: &Envelope<'_>) -> Result<(), Rejection> {
        if envelope.header.slot != STAGE_SLOT {
            return Err(Rejection::NotAssigned);
        }
        let name = name(&envelope.digest());
        let known = self.receipts.get(member, &name).is_some();
        // A member may have signed many; those that minutes name are needed.
        let full = self.receipts.is_full(member) && !self.is_asked(member, &name);
        if known || full {
            Err(Rejection::Duplicate)
        } else {
            Ok(())
        }
    }

    fn is_asked(&self, member: MemberIndex, name: &ReceiptName) -> bool {
        self.asked.keys().any(|wanted| match wanted {
            Wanted::Receipts(list) => list.contains(&(member, *name)),
            _ => false,
        })
    }

    fn receipt(
        &mut self,
        member: MemberIndex,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        now: Millis,
    ) -> Result<(), Refusal> {
        let receipt: Receipt = decoded(envelope.payload)?;
        if !receipt.fits(self.places.len(), self.plan().is_open) {
            return Err(Rejection::Malformed.into());
        }
        let first = self
            .receipts
            .first_of(member)
            .map(|signed| signed.bytes.clone());
        let signed = SignedReceipt {
            name: name(&envelope.digest()),
            receipt,
            bytes: bytes.clone(),
        };
        self.receipts.keep(member, signed);
        self.fresh = now;
        match first {
            None => Ok(()),
            Some(first) => Err(Evidence::new(envelope, first, bytes).into()),
        }
    }

    /// Notes a proposal or vote, the first of its place.
    fn hear(
        &mut self,
        member: MemberIndex,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) -> Result<(), Refusal> {
        let place = MessagePlace::of(envelope, member);
        let evidence = self.heard.note(place, envelope, bytes)?;
        let is_first = evidence.is_none();
        match place.kind {
            Kind::Proposal if is_first => {
                self.proposal(member, envelope).map_err(Refusal::noted)?;
            }
            Kind::Proposal => {}
            _ => self
                .vote(member, envelope, is_first, around, acts)
                .map_err(Refusal::noted)?,
        }
        evidence.map_or(Ok(()), |evidence| Err(evidence.into()))
    }

    fn proposal(&mut self, from: MemberIndex, envelope: &Envelope<'_>) -> Result<(), Rejection> {
        let Proposal { polka, minutes } = decoded(envelope.payload)?;
        let number = envelope.header.slot;
        let earlier = polka.is_none_or(|polka| polka < number);
        if !earlier || !minutes.is_well_formed(self.log.plan(), &self.places) {
            return Err(Rejection::Malformed);
        }
        let value = minutes.digest();
        self.minutes.insert(value, Arc::new(minutes));
        let pending = Pending {
            from,
            motion: Motion {
                number,
                value,
                polka,
            },
            signature: envelope.signature,
            judged: false,
        };
        self.pending.insert(number, pending);
        Ok(())
    }

    fn vote(
        &mut self,
        from: MemberIndex,
        envelope: &Envelope<'_>,
        is_first: bool,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) -> Result<(), Rejection> {
        let Vote { value } = decoded(envelope.payload)?;
        let ballot = Ballot {
            kind: envelope.header.kind,
            number: envelope.header.slot,
            value,
        };
        if let Some(consensus) = &mut self.consensus {
            let wishes = match is_first {
                true => consensus.voted(from, ballot, envelope.signature),
                false => consensus.contradicted(from, ballot, envelope.signature),
            };
            self.fulfil(wishes, around, acts);
        }
        Ok(())
    }
}

// What follows.
impl Progress {
    /// Judges what can be judged by now, and makes minutes that are due.
    fn proceed(&mut self, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        self.asked
            .retain(|_, at| around.now < at.saturating_add(2 * self.times.quiet()));
        while let Some((number, valid)) = self.next_verdict(around, acts) {
            let Some(pending) = self.pending.get_mut(&number) else {
                return;
            };
            pending.judged = true;
            let (from, motion, signature) = (pending.from, pending.motion, pending.signature);
            let consensus = self.consensus.as_mut();
            let wishes = consensus.map(|c| c.proposed(from, motion, signature, valid));
            self.fulfil(wishes.unwrap_or_default(), around, acts);
        }
        self.propose(around, acts);
    }

    /// The first pending proposal of this or a later ballot that can be judged, with the verdict.
    /// What the others lack is asked for.
    fn next_verdict(
        &mut self,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) -> Option<(u16, bool)> {
        let ballot = self.consensus.as_ref()?.ballot();
        let open: Vec<Motion> = self
            .pending
            .range(ballot..)
            .map(|(_, pending)| pending)
            .filter(|pending| !pending.judged)
            .map(|pending| pending.motion)
            .collect();
        for motion in open {
            match self.judge(&motion, acts) {
                Ok(valid) => return Some((motion.number, valid)),
                Err(wanted) => self.ask(wanted, around.now, acts),
            }
        }
        None
    }

    /// Whether minutes have this node's vote, or what it takes to tell.
    fn judge(&mut self, motion: &Motion, acts: &mut Vec<Act>) -> Result<bool, Wanted> {
        let Some(minutes) = self.minutes.get(&motion.value).cloned() else {
            return Ok(false);
        };
        // Whoever voted in the ballot that the proposal refers to has demanded its own.
        let omitted = self.omitted(&minutes);
        if motion.polka.is_none() && !omitted.is_empty() {
            self.show(omitted, acts);
            return Ok(false);
        }
        if let Some(polka) = motion
            .polka
            .filter(|polka| !self.has_polka(*polka, motion.value))
        {
            return Err(Wanted::Prevotes(polka, motion.value));
        }
        match self.follow(&minutes, true) {
            Ok(transcript) => {
                self.checked.insert(motion.value, transcript);
                Ok(true)
            }
            Err(Doubt::Wrong) => Ok(false),
            Err(Doubt::Missing(wanted)) => Err(wanted),
        }
    }

    fn has_polka(&self, ballot: u16, value: Digest32) -> bool {
        let consensus = self.consensus.as_ref();
        consensus.is_some_and(|consensus| consensus.has_polka(ballot, value))
    }

    /// What minutes leave out of what this node demands.
    fn omitted(&self, minutes: &Minutes) -> Demands {
        let present;
        let demands = match &self.demands {
            Some(demands) => demands,
            None => {
                present = self.present_demands();
                &present
            }
        };
        let receipts = demands
            .receipts
            .iter()
            .filter(|member| !minutes.names(**member));
        let struck = demands.struck.iter();
        let struck = struck.filter(|place| minutes.struck.binary_search(place).is_err());
        Demands {
            receipts: receipts.copied().collect(),
            struck: struck.copied().collect(),
        }
    }

    /// Publishes what minutes left out, each thing once: their proposer may not have it.
    fn show(&mut self, omitted: Demands, acts: &mut Vec<Act>) {
        let new: Vec<_> = omitted
            .receipts
            .difference(&self.shown.receipts)
            .copied()
            .collect();
        let receipts = new
            .iter()
            .filter_map(|member| self.receipts.first_of(*member));
        acts.extend(receipts.map(|signed| Act::Broadcast(signed.bytes.clone())));
        self.shown.receipts.extend(new);
        let new: Vec<_> = omitted
            .struck
            .difference(&self.shown.struck)
            .copied()
            .collect();
        let messages = new.iter().flat_map(|place| self.log.messages(*place));
        acts.extend(messages.cloned().map(Act::Broadcast));
        self.shown.struck.extend(new);
    }

    fn present_demands(&self) -> Demands {
        Demands {
            receipts: self.receipts.members().collect(),
            struck: self.struck().collect(),
        }
    }

    /// The contradicted places that minutes can strike.
    fn struck(&self) -> impl Iterator<Item = MessagePlace> + '_ {
        self.log.contradicted().iter().take(MAX_STRUCK).copied()
    }

    /// The transcript that follows from minutes. With `proofs`, the contradictions must be proven
    /// here.
    fn follow(&self, minutes: &Minutes, proofs: bool) -> Result<Arc<Transcript>, Doubt> {
        let unknown = minutes.unknown(&self.receipts);
        if !unknown.is_empty() {
            return Err(Doubt::Missing(Wanted::Receipts(unknown)));
        }
        let proven = |place: &&MessagePlace| !self.log.contradicted().contains(place);
        let unproven: Vec<_> = minutes.struck.iter().filter(proven).copied().collect();
        if proofs && !unproven.is_empty() {
            return Err(Doubt::Missing(Wanted::Messages(unproven)));
        }
        let transcript = self.transcript(&minutes.receipts, &minutes.struck)?;
        match transcript.digest() == minutes.transcript {
            true => Ok(Arc::new(transcript)),
            false => Err(Doubt::Wrong),
        }
    }

    fn transcript(
        &self,
        receipts: &[(MemberIndex, ReceiptName)],
        struck: &[MessagePlace],
    ) -> Result<Transcript, Doubt> {
        let consensus = self.consensus.as_ref().ok_or(Doubt::Wrong)?;
        let (voters, plan) = (consensus.voters(), self.log.plan());
        let counted = counted(receipts, struck, &self.receipts, voters, plan, &self.places);
        let assembled = self.log.assemble(&counted, struck);
        let assembled = assembled.map_err(|missing| Doubt::Missing(Wanted::Messages(missing)))?;
        let hellos = counted_hellos(receipts, &self.receipts, voters, self.places.len());
        Ok(Transcript {
            hellos,
            ..assembled
        })
    }

    /// Makes the minutes that this node owes, when it has waited long enough for receipts.
    fn propose(&mut self, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        let Some(ballot) = self
            .due
            .filter(|ballot| self.is_gathered(*ballot, around.now))
        else {
            return;
        };
        let receipts: Vec<_> = self
            .receipts
            .first()
            .map(|(member, signed)| (member, signed.name))
            .collect();
        let struck: Vec<_> = self.struck().collect();
        match self.transcript(&receipts, &struck) {
            Ok(transcript) => {
                let minutes = Minutes {
                    round: self.round(),
                    receipts,
                    struck,
                    transcript: transcript.digest(),
                };
                self.move_minutes(ballot, minutes, transcript, around, acts);
            }
            Err(Doubt::Missing(wanted)) => self.ask(wanted, around.now, acts),
            Err(Doubt::Wrong) => {}
        }
    }

    fn move_minutes(
        &mut self,
        ballot: u16,
        minutes: Minutes,
        transcript: Transcript,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        let value = minutes.digest();
        self.minutes.insert(value, Arc::new(minutes));
        self.checked.insert(value, Arc::new(transcript));
        self.due = None;
        let wishes = self
            .consensus
            .as_mut()
            .map(|consensus| consensus.propose(ballot, value));
        self.fulfil(wishes.unwrap_or_default(), around, acts);
    }

    fn is_gathered(&self, ballot: u16, now: Millis) -> bool {
        ballot > 0 || now >= self.gathered_at() || self.has_all_receipts()
    }

    /// When the first proposer waits no longer.
    fn gathered_at(&self) -> Millis {
        let quiet = self.fresh.saturating_add(self.times.quiet());
        quiet.clamp(self.times.gathered(), self.times.patient())
    }

    fn has_all_receipts(&self) -> bool {
        let voters = self.consensus.iter().map(Consensus::voters);
        let mut seats = voters.flat_map(Voters::seats);
        seats.all(|seat| self.receipts.contains(seat.member))
    }

    /// Asks for something, and again after a while.
    fn ask(&mut self, wanted: Wanted, now: Millis, acts: &mut Vec<Act>) {
        if let Wanted::Messages(places) = &wanted {
            self.wanted.extend(places);
        }
        let before = self.asked.get(&wanted).copied();
        let is_due = before.is_none_or(|at| now >= at.saturating_add(self.times.quiet()));
        if is_due && (before.is_some() || self.asked.len() < MAX_ASKED) {
            self.asked.insert(wanted.clone(), now);
            acts.push(Act::Ask(wanted));
        }
    }

    fn fulfil(&mut self, wishes: Vec<Wish>, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        for wish in wishes {
            match wish {
                Wish::Vote(Ballot {
                    kind,
                    number,
                    value,
                }) => {
                    self.publish((kind, number), &Vote { value }, around.peer, acts);
                }
                Wish::Propose(motion) => self.publish_motion(&motion, around.peer, acts),
                Wish::Minutes(ballot) => self.due = Some(ballot),
                Wish::Wait(wait, ballot) => {
                    let at = around.now.saturating_add(self.times.wait(wait, ballot));
                    self.waits.insert((at, wait, ballot));
                }
            }
        }
    }

    fn publish_motion(&mut self, motion: &Motion, peer: PeerId, acts: &mut Vec<Act>) {
        let Some(minutes) = self.minutes.get(&motion.value) else {
            return;
        };
        let proposal = Proposal {
            polka: motion.polka,
            minutes: (**minutes).clone(),
        };
        self.publish((Kind::Proposal, motion.number), &proposal, peer, acts);
    }

    /// Asks for the signature of an own message, once for its place.
    #[expect(
        clippy::expect_used,
        reason = "bodies of agreement are smaller than envelopes"
    )]
    fn publish<T: Serialize>(
        &mut self,
        place: (Kind, u16),
        body: &T,
        peer: PeerId,
        acts: &mut Vec<Act>,
    ) {
        let header = vote::header(self.log.plan(), place, peer);
        if self.outbox.contains(&header.place()) {
            return;
        }
        let payload = codec::encode(body).expect("invariant: a body of agreement fits a message");
        let message = UnsignedEnvelope::new(header, &payload)
            .expect("invariant: a body of agreement fits an envelope");
        acts.push(Act::Sign(header.place(), message.digest()));
        self.outbox.ask(message);
    }

    /// Notes an own message that was published.
    pub fn said(&mut self, place: Place, bytes: Arc<[u8]>) {
        self.said.insert(place, bytes);
    }

    /// The decision, once there is one and everything that it needs is here.
    pub fn decision(&mut self, now: Millis, acts: &mut Vec<Act>) -> Option<Decision> {
        let (ballot, value) = self.consensus.as_ref()?.decided()?;
        let Some(minutes) = self.minutes.get(&value).cloned() else {
            self.ask(Wanted::Decision, now, acts);
            return None;
        };
        let known = self.checked.get(&value).cloned();
        let transcript = match known.map_or_else(|| self.follow(&minutes, false), Ok) {
            Ok(transcript) => transcript,
            Err(Doubt::Missing(wanted)) => {
                self.ask(wanted, now, acts);
                return None;
            }
            Err(Doubt::Wrong) => {
                self.ask(Wanted::Decision, now, acts);
                return None;
            }
        };
        let certificate = self.consensus.as_ref()?.certificate(ballot, value)?;
        Some(Decision {
            certificate,
            minutes,
            transcript,
        })
    }
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Rejection> {
    codec::decode(bytes).map_err(|_| Rejection::Malformed)
}
