//! One round on its way to its decision, at one node.
//!
//! ```text
//! start            middle            gathered                       (waits of ballots, retries)
//!   │ own receipt    │ demands are      │ the first proposer waits
//!   │ goes out       │ fixed            │ no longer for receipts
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
use super::minutes::{MAX_STRUCK, Minutes, counted};
use super::place::{MessagePlace, Places};
use super::receipt::{Receipt, Receipts, SignedReceipt, name};
use super::vote::{self, Proposal, Vote};
use super::voters::Voters;
use super::want::{MAX_WANTED, Wanted};
use crate::allowance::{Allowance, Link};
use crate::clock::{Millis, Round};
use crate::codec;
use crate::envelope::{Envelope, UnsignedEnvelope};
use crate::membership::MemberIndex;
use crate::message_log::{Evidence, MessageLog, Refusal, Timing};
use crate::outbox::Outbox;
use crate::payload::{Kind, STAGE_SLOT};
use crate::rejection::Rejection;
use crate::transcript::{RoundPlan, Transcript};

/// Own messages that are said again at a time.
const REPEATED: usize = 64;
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
    /// What was here by now is demanded of minutes.
    middle: Millis,
    /// Until now the first proposer waits for receipts.
    gathered: Millis,
    /// The first wait for votes, and what it grows by.
    step: u64,
    /// The settle window.
    window: u64,
}

impl Times {
    /// The moments of a settle window.
    pub fn new(start: Millis, window: u32) -> Self {
        let window = u64::from(window);
        Self {
            middle: start.saturating_add(window / 4),
            gathered: start.saturating_add(window / 2),
            step: (window / 8).max(1),
            window,
        }
    }

    /// How long a ballot waits, in milliseconds.
    fn wait(&self, wait: Wait, ballot: u16) -> u64 {
        let grown = self.step * (u64::from(ballot) + 1).min(8 * MAX_RETRY);
        match (wait, ballot) {
            (Wait::Propose, 0) => grown + self.window / 2,
            _ => grown,
        }
    }
}

/// What minutes must contain to have this node's vote.
#[derive(Clone, Debug, Default)]
struct Demands {
    receipts: BTreeSet<MemberIndex>,
    struck: BTreeSet<MessagePlace>,
}

/// What was heard at a place of the agreement.
enum Heard {
    One(Arc<[u8]>),
    Contradicted,
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
    places: Places,
    me: Option<MemberIndex>,
    times: Times,
    /// `None` until it is known who votes.
    consensus: Option<Consensus>,
    receipts: Receipts,
    heard: BTreeMap<(MemberIndex, Kind, u16), Heard>,
    pending: BTreeMap<u16, Pending>,
    minutes: BTreeMap<Digest32, Arc<Minutes>>,
    /// Transcripts of minutes that were found right.
    checked: BTreeMap<Digest32, Arc<Transcript>>,
    /// Fixed at the middle of the receipt window.
    demands: Option<Demands>,
    waits: BTreeSet<(Millis, Wait, u16)>,
    /// The ballot for which this node owes minutes.
    due: Option<u16>,
    pub outbox: Outbox,
    said: BTreeMap<Place, Arc<[u8]>>,
    allowance: Allowance,
    /// Places that were asked for: their messages are taken in late.
    wanted: BTreeSet<MessagePlace>,
    asked: bool,
    retry: Millis,
    pause: u64,
}

impl Progress {
    /// A round whose windows are over.
    pub fn new(log: MessageLog, me: Option<MemberIndex>, times: Times) -> Self {
        Self {
            places: Places::new(log.plan()),
            log,
            me,
            times,
            consensus: None,
            receipts: Receipts::default(),
            heard: BTreeMap::new(),
            pending: BTreeMap::new(),
            minutes: BTreeMap::new(),
            checked: BTreeMap::new(),
            demands: None,
            waits: BTreeSet::new(),
            due: None,
            outbox: Outbox::default(),
            said: BTreeMap::new(),
            allowance: Allowance::default(),
            wanted: BTreeSet::new(),
            asked: false,
            retry: times.gathered + times.window,
            pause: times.window,
        }
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
        let receipt = Receipt::new(self.places.len(), held);
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
        let middle = self.demands.is_none().then_some(self.times.middle);
        let gathered = self.due.map(|_| self.times.gathered);
        let wait = self.waits.first().map(|(at, ..)| *at);
        [middle, gathered, wait].into_iter().flatten().fold(self.retry, Millis::min)
    }

    /// Time passed.
    pub fn tick(&mut self, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        if around.now >= self.times.middle && self.demands.is_none() {
            self.demands = Some(self.present_demands());
        }
        while let Some((_, wait, ballot)) = self.waits.first().copied().filter(|(at, ..)| *at <= around.now) {
            self.waits.pop_first();
            let wishes = self.consensus.as_mut().map(|consensus| consensus.elapsed(wait, ballot));
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
        self.asked = false;
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
                .collect(),
        }
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
            Kind::Receipt => self.receipt(member, envelope, bytes)?,
            kind => self.hear(member, kind, envelope, bytes, around, acts)?,
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
        let written = self.log.write(place.member, envelope, bytes, Timing::Late);
        self.proceed(around, acts);
        written?;
        match self.wanted.remove(&place) {
            true => Ok(()),
            false => Err(Rejection::Late.into()),
        }
    }

    fn check_signature(
        &mut self,
        link: Link,
        member: MemberIndex,
        envelope: &Envelope<'_>,
        memo: &SignatureMemo,
    ) -> Result<(), Rejection> {
        let author = envelope.header.peer;
        self.allowance.check(link, author)?;
        if self.log.signed(member, envelope, memo) {
            return Ok(());
        }
        self.allowance.charge(link, author);
        Err(Rejection::Signature)
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
        match self.heard.get(&(member, header.kind, header.slot)) {
            None => Ok(()),
            Some(Heard::One(known)) if !same_payload(known, envelope) => Ok(()),
            Some(_) => Err(Rejection::Duplicate),
        }
    }

    fn check_receipt(&self, member: MemberIndex, envelope: &Envelope<'_>) -> Result<(), Rejection> {
        if envelope.header.slot != STAGE_SLOT {
            return Err(Rejection::NotAssigned);
        }
        let name = name(&envelope.digest());
        let known = self.receipts.is_full(member) || self.receipts.get(member, &name).is_some();
        if known { Err(Rejection::Duplicate) } else { Ok(()) }
    }

    fn receipt(
        &mut self,
        member: MemberIndex,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
    ) -> Result<(), Refusal> {
        let receipt: Receipt = decoded(envelope.payload)?;
        if !receipt.fits(self.places.len()) {
            return Err(Rejection::Malformed.into());
        }
        let first = self.receipts.first_of(member).map(|signed| signed.bytes.clone());
        let signed = SignedReceipt {
            name: name(&envelope.digest()),
            receipt,
            bytes: bytes.clone(),
        };
        self.receipts.keep(member, signed);
        match first {
            None => Ok(()),
            Some(first) => Err(equivocation(envelope, first, bytes)),
        }
    }

    /// Notes a proposal or vote, the first of its place.
    fn hear(
        &mut self,
        member: MemberIndex,
        kind: Kind,
        envelope: &Envelope<'_>,
        bytes: &Arc<[u8]>,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) -> Result<(), Refusal> {
        let key = (member, kind, envelope.header.slot);
        if let Some(known) = self.heard.get_mut(&key) {
            let Heard::One(first) = std::mem::replace(known, Heard::Contradicted) else {
                return Err(Rejection::Duplicate.into());
            };
            return Err(equivocation(envelope, first, bytes));
        }
        self.heard.insert(key, Heard::One(bytes.clone()));
        match kind {
            Kind::Proposal => Ok(self.proposal(member, envelope)?),
            _ => Ok(self.vote(member, kind, envelope, around, acts)?),
        }
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
        kind: Kind,
        envelope: &Envelope<'_>,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) -> Result<(), Rejection> {
        let Vote { value } = decoded(envelope.payload)?;
        let ballot = Ballot {
            kind,
            number: envelope.header.slot,
            value,
        };
        if let Some(consensus) = &mut self.consensus {
            let wishes = consensus.voted(from, ballot, envelope.signature);
            self.fulfil(wishes, around, acts);
        }
        Ok(())
    }
}

// What follows.
impl Progress {
    /// Judges what can be judged by now, and makes minutes that are due.
    fn proceed(&mut self, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        while let Some((number, valid)) = self.next_verdict(acts) {
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

    /// The first pending proposal that can be judged, with the verdict. What the others lack is
    /// asked for, once between two retries.
    fn next_verdict(&mut self, acts: &mut Vec<Act>) -> Option<(u16, bool)> {
        let open: Vec<Motion> = self
            .pending
            .values()
            .filter(|pending| !pending.judged)
            .map(|pending| pending.motion)
            .collect();
        for motion in open {
            match self.judge(&motion) {
                Ok(valid) => return Some((motion.number, valid)),
                Err(wanted) => self.ask(wanted, acts),
            }
        }
        None
    }

    /// Whether minutes have this node's vote, or what it takes to tell.
    fn judge(&mut self, motion: &Motion) -> Result<bool, Wanted> {
        let Some(minutes) = self.minutes.get(&motion.value).cloned() else {
            return Ok(false);
        };
        // Whoever voted in the ballot that the proposal refers to has demanded its own.
        let fair = motion.polka.is_some() || self.is_fair(&minutes);
        if !fair {
            return Ok(false);
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

    fn is_fair(&self, minutes: &Minutes) -> bool {
        let present;
        let demands = match &self.demands {
            Some(demands) => demands,
            None => {
                present = self.present_demands();
                &present
            }
        };
        demands.receipts.iter().all(|member| minutes.names(*member))
            && demands.struck.iter().all(|place| minutes.struck.binary_search(place).is_ok())
    }

    fn present_demands(&self) -> Demands {
        Demands {
            receipts: self.receipts.members().collect(),
            struck: self.log.contradicted().iter().take(MAX_STRUCK).copied().collect(),
        }
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
        receipts: &[(MemberIndex, super::ReceiptName)],
        struck: &[MessagePlace],
    ) -> Result<Transcript, Doubt> {
        let consensus = self.consensus.as_ref().ok_or(Doubt::Wrong)?;
        let (voters, plan) = (consensus.voters(), self.log.plan());
        let counted = counted(receipts, struck, &self.receipts, voters, plan, &self.places);
        let assembled = self.log.assemble(&counted, struck);
        assembled.map_err(|missing| Doubt::Missing(Wanted::Messages(missing)))
    }

    /// Makes the minutes that this node owes, when it has waited long enough for receipts.
    fn propose(&mut self, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        let Some(ballot) = self.due.filter(|ballot| self.is_gathered(*ballot, around.now)) else {
            return;
        };
        let receipts: Vec<_> = self.receipts.first().map(|(member, signed)| (member, signed.name)).collect();
        let struck: Vec<_> = self.log.contradicted().iter().take(MAX_STRUCK).copied().collect();
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
            Err(Doubt::Missing(wanted)) => self.ask(wanted, acts),
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
        let wishes = self.consensus.as_mut().map(|consensus| consensus.propose(ballot, value));
        self.fulfil(wishes.unwrap_or_default(), around, acts);
    }

    fn is_gathered(&self, ballot: u16, now: Millis) -> bool {
        let all = || {
            let seats = self.consensus.iter().flat_map(|consensus| consensus.voters().seats());
            seats.into_iter().all(|seat| self.receipts.contains(seat.member))
        };
        ballot > 0 || now >= self.times.gathered || all()
    }

    fn ask(&mut self, wanted: Wanted, acts: &mut Vec<Act>) {
        if let Wanted::Messages(places) = &wanted {
            self.wanted.extend(places);
        }
        if !self.asked {
            self.asked = true;
            acts.push(Act::Ask(wanted));
        }
    }

    fn fulfil(&mut self, wishes: Vec<Wish>, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        for wish in wishes {
            match wish {
                Wish::Vote(Ballot { kind, number, value }) => {
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
    #[expect(clippy::expect_used, reason = "bodies of agreement are smaller than envelopes")]
    fn publish<T: Serialize>(&mut self, place: (Kind, u16), body: &T, peer: PeerId, acts: &mut Vec<Act>) {
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
    pub fn decision(&mut self, acts: &mut Vec<Act>) -> Option<Decision> {
        let (ballot, value) = self.consensus.as_ref()?.decided()?;
        let Some(minutes) = self.minutes.get(&value).cloned() else {
            self.ask(Wanted::Decision, acts);
            return None;
        };
        let known = self.checked.get(&value).cloned();
        let transcript = match known.map_or_else(|| self.follow(&minutes, false), Ok) {
            Ok(transcript) => transcript,
            Err(Doubt::Missing(wanted)) => {
                self.ask(wanted, acts);
                return None;
            }
            Err(Doubt::Wrong) => {
                self.ask(Wanted::Decision, acts);
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

fn equivocation(envelope: &Envelope<'_>, first: Arc<[u8]>, second: &Arc<[u8]>) -> Refusal {
    let evidence = Evidence {
        peer: envelope.header.peer,
        first,
        second: second.clone(),
    };
    Refusal {
        reason: Rejection::Equivocation,
        evidence: Some(Box::new(evidence)),
    }
}

fn same_payload(known: &Arc<[u8]>, envelope: &Envelope<'_>) -> bool {
    Envelope::parse(known).is_ok_and(|known| known.payload == envelope.payload)
}

fn decoded<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Rejection> {
    codec::decode(bytes).map_err(|_| Rejection::Malformed)
}
