//! One epoch at one node, from its first round to the claim of its reward.
//!
//! An epoch collects the points of its rounds, then the signatures under its score table, and says
//! what to do next. Nothing of that is a stored state: [`Phase`] is computed from what is known,
//! so that a reorganisation of the chain needs no transitions of its own.

use std::collections::BTreeSet;

use contracts::typed;
use swarm_identity::digest::{Hasher, low_u64};
use swarm_identity::key::{PeerId, RecoverableBytes, SIGNATURE_BYTES, SignatureBytes};
use swarm_round::RoundResult;

use super::backoff::Backoff;
use super::event::{Action, Attestation, Now, Output, PATIENCE_MS, Rejection};
use super::facts::Outcome;
use super::points::EpochPoints;
use super::records::EpochRecord;
use super::schedule::EpochNumber;
use super::snapshot::StakeSnapshot;
use super::table::{Domain, Table};
use super::votes::Votes;

/// Most attestations that wait to be checked. They can be checked once the node has the epoch's
/// score table and its stake snapshot.
const MAX_HELD: usize = 1024;
/// Most of them under one peer's name: its own, and a few that others altered or forged.
const MAX_HELD_OF_ONE: usize = 4;
/// Time between two requests for a snapshot that has not come, in milliseconds.
const ASK_MS: u64 = 5_000;
/// Time between two broadcasts of the node's own signature, in milliseconds.
const REPEAT_MS: u64 = 30_000;

/// Where an epoch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Rounds are still played.
    Open,
    /// Nobody took part in a settled round: there is nothing to pay.
    Empty,
    /// The points of its rounds make no score table: nothing can be signed or paid.
    Failed,
    /// Members sign; somebody submits.
    Voting,
    /// Accepted; this node's reward is to be claimed.
    Claiming,
    /// This node's reward has been paid.
    Paid,
    /// Accepted, and this node earned nothing.
    Unrewarded,
    /// Accepted, but the node key is bound to no account: bind it before the deadline.
    Unbound,
    /// The chain accepted scores that differ from this node's.
    Contradicted,
    /// The deadline for claims has passed.
    Expired,
    /// The contract accepted no scores in time and takes none any more.
    Lapsed,
}

impl Phase {
    /// True if the node has nothing left to do.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Open | Self::Voting | Self::Claiming)
    }
}

/// What an epoch must be told to say where it stands: what its node and the chain know of it.
pub(super) struct EpochContext {
    pub(super) me: PeerId,
    pub(super) number: EpochNumber,
    /// The epoch's rounds are over.
    pub(super) over: bool,
    /// When the contract takes the epoch's scores, in seconds of block time: the first second and
    /// the last.
    pub(super) submission: (u64, u64),
    /// What the chain says of the epoch.
    pub(super) outcome: Outcome,
    /// All events up to the newest block were read.
    pub(super) caught_up: bool,
    pub(super) now: Now,
}

impl EpochContext {
    /// The contract takes no scores of the epoch any more.
    fn is_late(&self) -> bool {
        self.now.latest > self.submission.1
    }
}

/// One epoch.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    points: EpochPoints,
    rounds: u64,
    table: Option<Table>,
    /// It is over, and its points make no table.
    failed: bool,
    closed_ms: Option<u64>,
    snapshot: Option<StakeSnapshot>,
    asked_ms: Option<u64>,
    said_ms: Option<u64>,
    votes: Votes,
    /// Not checked yet: all that came in the name of a peer, so that none can take the place of the
    /// right one.
    held: BTreeSet<(PeerId, SignatureBytes)>,
    /// The node's signature was asked for.
    asked_to_sign: bool,
    backoffs: [Backoff; 2],
    /// Votes of the ballot that were not kept yet.
    unkept: Vec<(PeerId, RecoverableBytes)>,
}

// What is known.
impl Epoch {
    pub(super) fn is_open(&self) -> bool {
        self.closed_ms.is_none()
    }

    pub(super) fn has_rounds(&self) -> bool {
        self.rounds > 0
    }

    /// Points of a peer, so far or at the end.
    pub(super) fn points(&self, peer: &PeerId) -> u64 {
        self.points
            .earned()
            .find(|(earner, _)| earner == peer)
            .map_or(0, |(_, points)| points)
    }

    /// Where the epoch stands.
    pub(super) fn phase(&self, context: &EpochContext) -> Phase {
        let Some(table) = &self.table else {
            return match () {
                () if self.is_open() => Phase::Open,
                () if self.failed => Phase::Failed,
                () => Phase::Empty,
            };
        };
        let Some(accepted) = &context.outcome.accepted else {
            // It may have been accepted in blocks that are still to be read.
            return if context.is_late() && context.caught_up {
                Phase::Lapsed
            } else {
                Phase::Voting
            };
        };
        match () {
            () if context.outcome.is_paid() => Phase::Paid,
            () if accepted.root != table.statement().root() => Phase::Contradicted,
            () if table.claim().is_none() => Phase::Unrewarded,
            () if context.now.latest > accepted.deadline => Phase::Expired,
            () if !self.is_bound(table) => Phase::Unbound,
            () => Phase::Claiming,
        }
    }

    fn is_bound(&self, table: &Table) -> bool {
        let (Some(snapshot), Some(claim)) = (&self.snapshot, table.claim()) else {
            return true;
        };
        snapshot.members.contains_key(&claim.peer)
    }
}

// What happens.
impl Epoch {
    pub(super) fn add(&mut self, result: &RoundResult) {
        if self.is_open() {
            self.points.add(result);
            self.rounds += 1;
        }
    }

    /// Takes what was kept before a restart; the signatures wait for the snapshot like any others.
    pub(super) fn restore(&mut self, record: &EpochRecord, votes: Vec<(PeerId, RecoverableBytes)>) {
        self.points = record.points();
        self.rounds = self.rounds.max(1);
        self.held.extend(
            votes
                .into_iter()
                .take(MAX_HELD)
                .map(|(peer, signature)| (peer, without_parity(&signature))),
        );
    }

    /// The node's own signature; true if others should hear of it.
    pub(super) fn signed(&mut self, me: PeerId, signature: RecoverableBytes) -> bool {
        let known = self.table.is_some();
        if known {
            self.held.retain(|(peer, _)| *peer != me);
            self.vote_of(me, signature);
        }
        known
    }

    /// A member's signature: checked if it can be, else held until it can. Its `v` is not believed
    /// but found again, as whoever passes a signature on could have altered it.
    pub(super) fn attested(
        &mut self,
        peer: PeerId,
        signature: SignatureBytes,
        domain: &Domain,
    ) -> Result<(), Rejection> {
        if let Some(counted) = self.votes.of(&peer) {
            // Members repeat themselves, for messages get lost.
            let again = without_parity(counted) == signature;
            return if again {
                Ok(())
            } else {
                Err(Rejection::Duplicate)
            };
        }
        if self
            .snapshot
            .as_ref()
            .is_some_and(|snapshot| !snapshot.members.contains_key(&peer))
        {
            return Err(Rejection::NotInSnapshot);
        }
        let checked = self
            .table
            .as_ref()
            .map(|table| check(table, domain, peer, &signature))
            .transpose()?;
        match checked {
            Some(checked) if self.snapshot.is_some() => self.vote_of(peer, checked),
            _ => self.hold(peer, signature)?,
        }
        Ok(())
    }

    fn hold(&mut self, peer: PeerId, signature: SignatureBytes) -> Result<(), Rejection> {
        let of_peer = (peer, [u8::MIN; SIGNATURE_BYTES])..=(peer, [u8::MAX; SIGNATURE_BYTES]);
        if self.held.contains(&(peer, signature)) {
            return Ok(());
        }
        if self.held.range(of_peer).count() >= MAX_HELD_OF_ONE {
            return Err(Rejection::Duplicate);
        }
        if self.held.len() >= MAX_HELD {
            return Err(Rejection::NotInSnapshot);
        }
        self.held.insert((peer, signature));
        Ok(())
    }

    fn vote_of(&mut self, peer: PeerId, signature: RecoverableBytes) {
        self.votes.add(peer, signature);
        self.unkept.push((peer, signature));
    }

    /// The snapshot arrived: what was held can be checked. Returns what was refused.
    pub(super) fn take_snapshot(
        &mut self,
        snapshot: StakeSnapshot,
        domain: &Domain,
    ) -> Vec<(PeerId, Rejection)> {
        if self.table.is_none() {
            return Vec::new();
        }
        self.snapshot = Some(snapshot);
        let held = std::mem::take(&mut self.held);
        let taken = held
            .into_iter()
            .map(|(peer, signature)| (peer, self.attested(peer, signature, domain)));
        taken
            .filter_map(|(peer, taken)| Some((peer, taken.err()?)))
            .collect()
    }

    pub(super) fn refused(&mut self, action: Action, now_ms: u64) {
        self.backoff(action).refused(now_ms);
        if action == Action::Submit {
            // A signer may have unbound its node since the seats were read; its signature would be
            // refused for ever.
            self.snapshot = None;
            self.asked_ms = None;
        }
    }

    fn backoff(&mut self, action: Action) -> &mut Backoff {
        let [submit, claim] = &mut self.backoffs;
        match action {
            Action::Submit => submit,
            Action::Claim => claim,
        }
    }
}

// What is to be done.
impl Epoch {
    pub(super) fn advance(&mut self, context: &EpochContext, outputs: &mut Vec<Output>) {
        if !self.unkept.is_empty() {
            outputs.push(Output::SaveVotes(
                context.number,
                std::mem::take(&mut self.unkept),
            ));
        }
        if self.is_open() && context.over {
            self.close(context, outputs);
        }
        match self.phase(context) {
            Phase::Voting => self.vote(context, outputs),
            Phase::Claiming => self.claim(context, outputs),
            // The owner may bind the node yet.
            Phase::Unbound => self.ask_again(context, outputs),
            _ => {}
        }
    }

    fn close(&mut self, context: &EpochContext, outputs: &mut Vec<Output>) {
        self.closed_ms = Some(context.now.ms);
        match Table::new(context.number, context.me, &self.points) {
            Ok(table) => self.table = table,
            Err(error) => {
                self.failed = true;
                outputs.push(Output::Failed(context.number, error));
            }
        }
        outputs.push(Output::Save(EpochRecord::new(context.number, &self.points)));
        if self.table.is_some() {
            self.ask(context, outputs);
        }
    }

    fn vote(&mut self, context: &EpochContext, outputs: &mut Vec<Output>) {
        // What cannot be accepted any more is not signed either: the stake behind the signature may
        // have left.
        if context.is_late() {
            return;
        }
        self.sign(context, outputs);
        self.repeat(context, outputs);
        let (Some(table), Some(snapshot)) = (&self.table, &self.snapshot) else {
            return self.ask(context, outputs);
        };
        #[expect(
            clippy::expect_used,
            reason = "`close` sets the time before it makes the table"
        )]
        let closed = self
            .closed_ms
            .expect("invariant: an epoch with a table is closed");
        let turn = closed.saturating_add(turn(context, snapshot).saturating_mul(PATIENCE_MS));
        if context.now.chain < context.submission.0 || context.now.ms < turn {
            return;
        }
        let Some(signatures) = self.votes.quorum(snapshot) else {
            return;
        };
        let statement = table.statement().clone();
        let backoff = self.backoff(Action::Submit);
        if backoff.begin(context.now.ms) {
            outputs.push(Output::Submit(statement, signatures, backoff.tries));
        }
    }

    /// Wants the node's own signature, once; after a restart it is among the votes, or is made
    /// again.
    fn sign(&mut self, context: &EpochContext, outputs: &mut Vec<Output>) {
        let Some(table) = self.table.as_ref().filter(|_| !self.asked_to_sign) else {
            return;
        };
        self.asked_to_sign = true;
        if self.votes.of(&context.me).is_none() {
            outputs.push(Output::Sign(table.statement().clone()));
        }
    }

    /// Says again what the node signed, now and then until the scores are accepted.
    fn repeat(&mut self, context: &EpochContext, outputs: &mut Vec<Output>) {
        let Some(signature) = self.votes.of(&context.me).copied() else {
            return;
        };
        let said = *self.said_ms.get_or_insert(context.now.ms);
        if context.now.ms >= said.saturating_add(REPEAT_MS) {
            self.said_ms = Some(context.now.ms);
            outputs.push(Output::Publish(Attestation {
                peer: context.me,
                epoch: context.number,
                signature,
            }));
        }
    }

    fn claim(&mut self, context: &EpochContext, outputs: &mut Vec<Output>) {
        let Some(claim) = self.table.as_ref().and_then(Table::claim).cloned() else {
            return;
        };
        let backoff = self.backoff(Action::Claim);
        if backoff.begin(context.now.ms) {
            outputs.push(Output::Claim(claim, backoff.tries));
        }
    }

    /// Asks for the snapshot again, now and then; the one that is known stays until it comes.
    fn ask_again(&mut self, context: &EpochContext, outputs: &mut Vec<Output>) {
        if self
            .asked_ms
            .is_none_or(|asked| context.now.ms >= asked.saturating_add(REPEAT_MS))
        {
            self.asked_ms = Some(context.now.ms);
            outputs.push(Output::ReadSnapshot(context.number));
        }
    }

    /// Asks for the snapshot, now and then until it comes.
    fn ask(&mut self, context: &EpochContext, outputs: &mut Vec<Output>) {
        let due = self
            .asked_ms
            .is_none_or(|asked| context.now.ms >= asked.saturating_add(ASK_MS));
        if self.snapshot.is_none() && due {
            self.asked_ms = Some(context.now.ms);
            outputs.push(Output::ReadSnapshot(context.number));
        }
    }
}

/// The node's place in the order in which members submit this epoch.
fn turn(context: &EpochContext, snapshot: &StakeSnapshot) -> u64 {
    let lot = |peer: &PeerId| {
        low_u64(
            &Hasher::new("submitter")
                .u64(context.number)
                .bytes(&peer.0)
                .finish(),
        )
    };
    let mine = lot(&context.me);
    snapshot
        .members
        .keys()
        .filter(|peer| lot(peer) < mine)
        .count() as u64
}

/// The peer's signature under the table, as the contract takes it.
fn check(
    table: &Table,
    domain: &Domain,
    peer: PeerId,
    signature: &SignatureBytes,
) -> Result<RecoverableBytes, Rejection> {
    let digest = table.statement().digest(domain).into();
    let checked =
        typed::address(&peer.0).and_then(|address| typed::with_parity(&digest, address, signature));
    checked.ok_or(Rejection::OtherScores)
}

/// `r ‖ s` of a signature.
fn without_parity(signature: &RecoverableBytes) -> SignatureBytes {
    let [bytes @ .., _] = *signature;
    bytes
}
