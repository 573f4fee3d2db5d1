//! Settlement at one node, as a pure state machine.
//!
//! ```text
//!   RoundOver ─────┐                     ┌─► Sign(statement)      through the sign-once table
//!   Signed ────────┤                     ├─► Publish(attestation) to the other members
//!   Attestation ───┤  Settler::handle    ├─► Seats(epoch)         asks for the stake snapshot
//!   Seats ─────────┤      (now)          ├─► Submit, Claim        to the writer of the owner's account
//!   Fact, Rollback ┤                     └─► Rejected
//!   Refused, Tick ─┤                     └─► Keep(epoch)          on disk, for Restored after a restart
//!   Restored ──────┘                     └─► Failed(epoch)        for people
//! ```
//! Each epoch goes its own way; the phase is derived from what is known, so a reorganisation only takes facts back:
//!
//! ```text
//! Open ──last round over──▶ Voting ──accepted on chain──▶ Claiming ──claimed on chain──▶ Paid
//!                             ▲                │  └──another root──▶ Contradicted
//!                             └──reorganised───┘  └──deadline───────▶ Expired
//! ```
//! Any member may submit. So that not all do at once, they take turns by hash, [`PATIENCE_MS`] apart.
//! No I/O, clock or randomness; at most [`MAX_EPOCHS`] epochs are kept, and one attestation for each member and epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::epoch::{Epoch, Phase, Step};
use super::kept::Kept;
use super::schedule::{EpochNumber, Schedule};
use super::seats::Seats;
use super::table::{Claim, Domain, Statement, TableError};
use crate::round::RoundResult;
use crate::round::key::{PeerId, RecoverableBytes};

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

/// What the chain says, with the block that says it.
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
    /// An event of the contract, in a block.
    Fact(u64, Fact),
    /// Blocks above this one have left the chain.
    Rollback(u64),
    /// A transaction will not happen.
    Refused(EpochNumber, Action),
    /// What was kept of an epoch before a restart.
    Restored(Kept),
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
    /// Keep this in the place of what was kept of its epoch.
    Keep(Kept),
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
    /// The peer has signed already, with another signature, or its unchecked signatures are too many.
    #[error("the signer has signed already, with another signature")]
    Duplicate,
    /// Not the peer's signature under this node's statement: forged, or the peer computed other scores.
    #[error("not a signature under the scores that this node computed")]
    OtherScores,
}

/// The two clocks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Block time, in seconds.
    pub chain: u64,
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
    /// Rounds below this one are over.
    rounds: u64,
}

impl Settler {
    /// A node that settles on a contract, from its first round on.
    pub fn new(me: PeerId, schedule: Schedule, domain: Domain) -> Self {
        Self { me, schedule, domain, epochs: BTreeMap::new(), rounds: 0 }
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
            Input::Fact(block, fact) => self.fact(block, fact),
            Input::Rollback(block) => self.epochs.values_mut().for_each(|epoch| epoch.rollback(block)),
            Input::Refused(epoch, action) => {
                if let Some(epoch) = self.epochs.get_mut(&epoch) {
                    epoch.refused(action, now.ms);
                }
            }
            Input::Restored(kept) => self.restored(&kept),
            Input::Tick => {}
        }
        self.advance(now, &mut outputs);
        outputs
    }

    /// Where the node's signatures count.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Every epoch with its phase and this node's points in it.
    pub fn epochs(&self, now: Now) -> impl Iterator<Item = (EpochNumber, Phase, u64)> {
        let describe =
            move |(number, epoch): (&EpochNumber, &Epoch)| (*number, epoch.phase(now.chain), epoch.points(&self.me));
        self.epochs.iter().map(describe)
    }

    fn next_epoch_start(&self) -> u64 {
        let open = self.epochs.iter().filter(|(_, epoch)| epoch.is_open() && epoch.has_rounds());
        open.map(|(number, _)| self.schedule.rounds_until(*number)).max().unwrap_or(self.rounds).max(self.rounds)
    }

    fn round_over(&mut self, round: u64, result: Option<&RoundResult>) {
        self.rounds = self.rounds.max(round.saturating_add(1));
        let epoch = self.epoch(self.schedule.epoch_of(round));
        if let Some(result) = result {
            epoch.add(result);
        }
    }

    /// The epoch is over: the next step closes it again, signs the same statement again, and checks the signatures.
    fn restored(&mut self, kept: &Kept) {
        self.rounds = self.rounds.max(self.schedule.rounds_until(kept.epoch()));
        let epoch = self.epoch(kept.epoch());
        if epoch.is_open() {
            epoch.restore(kept);
        }
    }

    fn epoch(&mut self, number: EpochNumber) -> &mut Epoch {
        self.epochs.entry(number).or_default()
    }

    fn signed(&mut self, number: EpochNumber, signature: RecoverableBytes) -> Option<Output> {
        let peer = self.me;
        let published = self.epochs.get_mut(&number)?.signed(peer, signature);
        published.then_some(Output::Publish(Attestation { peer, epoch: number, signature }))
    }

    fn attestation(&mut self, attestation: Attestation) -> Option<Output> {
        let Attestation { peer, epoch, signature: [signature @ .., _] } = attestation;
        let known = self.epochs.contains_key(&epoch);
        let ahead = self.schedule.epoch_of(self.rounds).saturating_add(EARLY_EPOCHS);
        let expected = known || (self.schedule.epoch_of(self.rounds)..=ahead).contains(&epoch);
        let taken = match expected {
            true => self.epochs.entry(epoch).or_default().attested(peer, signature, &self.domain),
            false => Err(Rejection::Epoch(epoch)),
        };
        taken.err().map(|rejection| Output::Rejected(peer, rejection))
    }

    fn seats(&mut self, number: EpochNumber, seats: Seats) -> Vec<Output> {
        let Some(epoch) = self.epochs.get_mut(&number) else { return Vec::new() };
        let rejected = epoch.seated(seats, &self.domain);
        rejected.into_iter().map(|(peer, rejection)| Output::Rejected(peer, rejection)).collect()
    }

    fn fact(&mut self, block: u64, fact: Fact) {
        match fact {
            Fact::Accepted { epoch, root, deadline } => {
                if let Some(epoch) = self.epochs.get_mut(&epoch) {
                    epoch.accepted(block, root, deadline);
                }
            }
            Fact::Paid { epoch, peer } if peer == self.me => {
                if let Some(epoch) = self.epochs.get_mut(&epoch) {
                    epoch.paid(block);
                }
            }
            Fact::Paid { .. } => {}
        }
    }

    fn advance(&mut self, now: Now, outputs: &mut Vec<Output>) {
        for (number, epoch) in &mut self.epochs {
            let over = self.rounds >= self.schedule.rounds_until(*number);
            let step = Step { me: self.me, number: *number, over, ends: self.schedule.end(*number), now };
            epoch.advance(&step, outputs);
        }
        self.forget(now);
    }

    /// Lets go of the oldest epochs that have come to an end, and of any when there are too many.
    fn forget(&mut self, now: Now) {
        while self.epochs.len() > MAX_EPOCHS {
            let ended =
                self.epochs.iter().find(|(_, epoch)| epoch.phase(now.chain).is_final()).map(|(number, _)| *number);
            let oldest = self.epochs.keys().next().copied();
            let Some(number) = ended.or(oldest) else { return };
            self.epochs.remove(&number);
        }
    }
}
