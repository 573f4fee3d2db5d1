//! Settlement at one node, as a pure state machine.
//!
//! ```text
//!   RoundOver ─────┐                     ┌─► Sign(statement)      through the sign-once table
//!   Signed ────────┤                     ├─► Publish(attestation) to the other members
//!   Attestation ───┤  Settler::handle    ├─► Seats(epoch)         asks for the stake snapshot
//!   Seats ─────────┤      (now)          ├─► Submit, Claim        to the writer of the owner's account
//!   Events ────────┤                     ├─► Rejected
//!   Refused, Tick ─┤                     ├─► Keep, KeepVotes      on disk, for Restored after a restart
//!   Resumed ───────┤                     ├─► Forget, ForgetBefore
//!   Restored ──────┘                     └─► Failed               for people
//! ```
//! Each epoch goes its own way; the phase is derived from what is known, so a reorganisation only
//! takes facts back:
//!
//! ```text
//! Open ──last round over──▶ Voting ──accepted on chain──▶ Claiming ──claimed on chain──▶ Paid
//!                           │ ▲                │  └──another root──▶ Contradicted
//!                           │ └──reorganised───┘  └──deadline───────▶ Expired
//!                           └──deadline──▶ Lapsed
//! ```
//! A claim is a transaction of its own, with one leaf: one that the contract refuses makes no other
//! fail. It is tried before it is sent, so a refused one costs nothing. A leaf that somebody else
//! has claimed is passed over by the contract; where the event was not read in time, such a claim
//! costs its gas. What was paid the chain's events say.
//!
//! Any member may submit. So that not all do at once, they take turns by hash, [`PATIENCE_MS`]
//! apart. No I/O, clock or randomness; at most [`MAX_EPOCHS`] epochs are kept, and one attestation
//! for each member and epoch. What chain time decides is decided by one of two times ([`Now`]):
//! *not yet* by what the next block will say, *too late* by the greatest time that a block has had,
//! which never goes back ([`crate::chain::ChainClock`] has the reasons).

use std::collections::BTreeMap;
use std::sync::Arc;

use swarm_identity::key::{PeerId, RecoverableBytes};
use swarm_round::RoundResult;

use super::epoch::{Epoch, Phase, Step};
use super::facts::Facts;
use super::kept::Kept;
use super::schedule::{EpochNumber, Schedule};
use super::seats::Seats;
use super::table::{Claim, Domain, Statement, TableError};

/// Epochs that a node keeps; older ones are forgotten once nothing can be done about them.
pub const MAX_EPOCHS: usize = 256;
/// Epochs ahead of the node's own for which attestations are kept.
pub const EARLY_EPOCHS: u64 = 2;
/// Between two members' turns to submit, in milliseconds.
pub const PATIENCE_MS: u64 = 4_000;

/// A member's signature under an epoch's scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Who signed.
    pub peer: PeerId,
    /// The epoch.
    pub epoch: EpochNumber,
    /// Over the statement's EIP-712 digest.
    pub signature: RecoverableBytes,
}

/// What was read of the chain's events at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Blocks above this one have left the chain, before what is below.
    pub rolled_back_to: Option<u64>,
    /// What the events say, each with its block, in the order of the chain.
    pub facts: Vec<(u64, Fact)>,
    /// All events up to the newest block were read.
    pub caught_up: bool,
}

/// What an event of the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The contract took an epoch's scores.
    Accepted {
        /// The epoch.
        epoch: EpochNumber,
        /// Root of the accepted table.
        root: [u8; 32],
        /// Until when rewards can be claimed, in seconds of block time.
        deadline: u64,
    },
    /// A node's reward was paid to its owner.
    Paid {
        /// The epoch.
        epoch: EpochNumber,
        /// The node.
        peer: PeerId,
    },
}

/// A transaction of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Scores with signatures.
    Submit,
    /// This node's reward.
    Claim,
}

/// What happens to a settling node.
#[derive(Clone, Debug)]
pub enum Input {
    /// A round is over, with its result if the members agreed on one.
    RoundOver(u64, Option<Arc<RoundResult>>),
    /// No more rounds will come: close the epoch that is open.
    NoMoreRounds,
    /// The node's own signature under its statement.
    Signed(EpochNumber, RecoverableBytes),
    /// A member's signature arrived.
    Attestation(Attestation),
    /// The stake snapshot of an epoch.
    Seats(EpochNumber, Seats),
    /// The chain was read on.
    Events(Events),
    /// A transaction will not happen.
    Refused(EpochNumber, Action),
    /// What the chain had said before a restart; comes before anything else.
    Resumed(Facts),
    /// What was kept of an epoch before a restart, and its votes.
    Restored(Kept, Vec<(PeerId, RecoverableBytes)>),
    /// Time passed.
    Tick,
}

/// What a settling node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sign this, once, and come back with [`Input::Signed`].
    Sign(Statement),
    /// Send this to all members.
    Publish(Attestation),
    /// Keep an epoch that was closed; comes before it is signed.
    Keep(Kept),
    /// Keep these votes of an epoch beside those that are kept.
    KeepVotes(EpochNumber, Vec<(PeerId, RecoverableBytes)>),
    /// Forget what was kept of an epoch.
    Forget(EpochNumber),
    /// Forget what was kept of all epochs below this one, and sign nothing for them any more.
    ForgetBefore(EpochNumber),
    /// Read the stake snapshot and come back with [`Input::Seats`].
    Seats(EpochNumber),
    /// Send the scores with these signatures; the number tells tries apart.
    Submit(Statement, Vec<RecoverableBytes>, u32),
    /// Claim this reward; the number tells tries apart.
    Claim(Claim, u32),
    /// An attestation was refused.
    Rejected(PeerId, Rejection),
    /// An epoch is over, and its points make no score table: it is not settled.
    Failed(EpochNumber, TableError),
}

/// Why an attestation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The epoch is too old or too far ahead.
    #[error("epoch {0} is not one that is being settled")]
    Epoch(EpochNumber),
    /// The peer has no stake in the epoch.
    #[error("the signer has no seat in the epoch's snapshot")]
    NoSeat,
    /// The peer has signed already, with another signature, or its unchecked signatures are too
    /// many.
    #[error("the signer has signed already, with another signature")]
    Duplicate,
    /// Not the peer's signature under this node's statement: forged, or the peer computed other
    /// scores.
    #[error("not a signature under the scores that this node computed")]
    OtherScores,
}

/// The clocks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What the next block will say, in seconds of block time: decides what may be done yet.
    pub chain: u64,
    /// The greatest time that a block has had, in seconds: decides what is too late.
    pub latest: u64,
    /// The node's own clock, in milliseconds.
    pub ms: u64,
}

/// Settlement at one node.
#[derive(Debug)]
pub struct Settler {
    me: PeerId,
    schedule: Schedule,
    domain: Domain,
    epochs: BTreeMap<EpochNumber, Epoch>,
    facts: Facts,
    caught_up: bool,
    /// Rounds below this one are over.
    rounds: u64,
    /// Epochs below this one were forgotten.
    floor: EpochNumber,
    /// The greatest block time at the last tick.
    ticked: u64,
}

impl Settler {
    /// A node that settles on a contract, from its first round on.
    pub fn new(me: PeerId, schedule: Schedule, domain: Domain) -> Self {
        let (epochs, facts) = Default::default();
        Self {
            me,
            schedule,
            domain,
            epochs,
            facts,
            caught_up: false,
            rounds: 0,
            floor: 0,
            ticked: 0,
        }
    }

    /// Takes an input and says what is to be done.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Output> {
        let mut outputs = Vec::new();
        match input {
            Input::RoundOver(round, result) => self.round_over(round, result.as_deref()),
            Input::NoMoreRounds => self.rounds = self.next_epoch_start(),
            Input::Signed(epoch, signature) => outputs.extend(self.signed(epoch, signature)),
            Input::Attestation(attestation) => outputs.extend(self.attestation(attestation)),
            Input::Seats(epoch, seats) => outputs.extend(self.seats(epoch, seats)),
            Input::Events(events) => self.events(events, now),
            Input::Refused(epoch, action) => {
                if let Some(epoch) = self.epochs.get_mut(&epoch) {
                    epoch.refused(action, now.ms);
                }
            }
            Input::Resumed(facts) => self.facts = facts,
            Input::Restored(kept, votes) => self.restored(&kept, votes),
            Input::Tick => outputs.extend(self.forget_old(now)),
        }
        self.advance(now, &mut outputs);
        outputs.extend(self.forget_surplus(now));
        outputs
    }

    /// What the chain says, as far as it was read.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Where the node's signatures count.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Every epoch with its phase and this node's points in it.
    pub fn epochs(&self, now: Now) -> impl Iterator<Item = (EpochNumber, Phase, u64)> {
        self.epochs.iter().map(move |(number, epoch)| {
            (
                *number,
                epoch.phase(&self.step(*number, now)),
                epoch.points(&self.me),
            )
        })
    }

    fn next_epoch_start(&self) -> u64 {
        let open = self
            .epochs
            .iter()
            .filter(|(_, epoch)| epoch.is_open() && epoch.has_rounds());
        open.map(|(number, _)| self.schedule.rounds_until(*number))
            .max()
            .unwrap_or(self.rounds)
            .max(self.rounds)
    }

    fn round_over(&mut self, round: u64, result: Option<&RoundResult>) {
        let number = self.schedule.epoch_of(round);
        let was_over = self.rounds >= self.schedule.rounds_until(number);
        self.rounds = self.rounds.max(round.saturating_add(1));
        // Of an epoch that was over and is unknown, other rounds were missed or forgotten: its
        // table would be wrong.
        if was_over && !self.epochs.contains_key(&number) {
            return;
        }
        let epoch = self.epoch(number);
        if let Some(result) = result {
            epoch.add(result);
        }
    }

    /// The epoch is over: the next step closes it again, signs the same statement again, and checks
    /// the signatures.
    fn restored(&mut self, kept: &Kept, votes: Vec<(PeerId, RecoverableBytes)>) {
        self.rounds = self.rounds.max(self.schedule.rounds_until(kept.epoch()));
        let epoch = self.epoch(kept.epoch());
        if epoch.is_open() {
            epoch.restore(kept, votes);
        }
    }

    fn epoch(&mut self, number: EpochNumber) -> &mut Epoch {
        self.epochs.entry(number).or_default()
    }

    fn signed(&mut self, number: EpochNumber, signature: RecoverableBytes) -> Option<Output> {
        let peer = self.me;
        let published = self.epochs.get_mut(&number)?.signed(peer, signature);
        published.then_some(Output::Publish(Attestation {
            peer,
            epoch: number,
            signature,
        }))
    }

    fn attestation(&mut self, attestation: Attestation) -> Option<Output> {
        let Attestation {
            peer,
            epoch,
            signature: [signature @ .., _],
        } = attestation;
        let known = self.epochs.contains_key(&epoch);
        let ahead = self
            .schedule
            .epoch_of(self.rounds)
            .saturating_add(EARLY_EPOCHS);
        let expected = known || (self.schedule.epoch_of(self.rounds)..=ahead).contains(&epoch);
        let taken = match expected {
            true => self
                .epochs
                .entry(epoch)
                .or_default()
                .attested(peer, signature, &self.domain),
            false => Err(Rejection::Epoch(epoch)),
        };
        taken
            .err()
            .map(|rejection| Output::Rejected(peer, rejection))
    }

    fn seats(&mut self, number: EpochNumber, seats: Seats) -> Vec<Output> {
        let Some(epoch) = self.epochs.get_mut(&number) else {
            return Vec::new();
        };
        let rejected = epoch.seated(seats, &self.domain);
        rejected
            .into_iter()
            .map(|(peer, rejection)| Output::Rejected(peer, rejection))
            .collect()
    }

    fn events(&mut self, events: Events, now: Now) {
        if let Some(block) = events.rolled_back_to {
            self.facts.rollback(block);
        }
        for (block, fact) in events.facts {
            match fact {
                Fact::Accepted {
                    epoch,
                    root,
                    deadline,
                } => self.facts.accepted(epoch, block, root, deadline),
                Fact::Paid { epoch, peer } if peer == self.me => self.facts.paid(epoch, block),
                Fact::Paid { .. } => {}
            }
        }
        self.caught_up = events.caught_up;
        self.facts.forget_before(self.floor);
        self.facts.bound(
            self.schedule
                .epoch_of(self.rounds)
                .max(self.schedule.epoch_at(now.latest)),
        );
    }

    fn step(&self, number: EpochNumber, now: Now) -> Step {
        Step {
            me: self.me,
            number,
            over: self.rounds >= self.schedule.rounds_until(number),
            submission: (
                self.schedule.end(number),
                self.schedule.last_submission(number),
            ),
            outcome: self.facts.of(number),
            caught_up: self.caught_up,
            now,
        }
    }

    fn advance(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let steps: Vec<Step> = self
            .epochs
            .keys()
            .map(|number| self.step(*number, now))
            .collect();
        self.epochs
            .values_mut()
            .zip(&steps)
            .for_each(|(epoch, step)| epoch.advance(step, outputs));
    }

    /// Lets go of the epochs that are over for good. By the time of the tick before, so that their
    /// end was seen first.
    fn forget_old(&mut self, now: Now) -> Option<Output> {
        let before = std::mem::replace(&mut self.ticked, now.latest);
        let floor = self.schedule.first_of_use(before.min(now.latest));
        let rises = floor > self.floor || self.epochs.range(..floor).next().is_some();
        if !self.caught_up || !rises {
            return None;
        }
        self.floor = self.floor.max(floor);
        self.epochs = self.epochs.split_off(&floor);
        self.facts.forget_before(floor);
        Some(Output::ForgetBefore(floor))
    }

    /// Lets go of the oldest epochs that have come to an end, and of any, when there are too many.
    fn forget_surplus(&mut self, now: Now) -> Vec<Output> {
        let mut outputs = Vec::new();
        while self.epochs.len() > MAX_EPOCHS {
            let is_final = |number: &EpochNumber, epoch: &Epoch| {
                epoch.phase(&self.step(*number, now)).is_final()
            };
            let ended = self
                .epochs
                .iter()
                .find(|(number, epoch)| is_final(number, epoch))
                .map(|(number, _)| *number);
            let oldest = self.epochs.keys().next().copied();
            let Some(number) = ended.or(oldest) else {
                break;
            };
            self.epochs.remove(&number);
            outputs.push(Output::Forget(number));
        }
        outputs
    }
}
