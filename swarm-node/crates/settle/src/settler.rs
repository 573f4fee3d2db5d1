//! Settlement at one node, as a pure state machine.
//!
//! ```text
//!   RoundOver ─────┐                     ┌─► Sign(statement)      through the sign-once table
//!   Signed ────────┤                     ├─► Publish(attestation) to the other members
//!   Attestation ───┤  Settler::handle    ├─► ReadSnapshot(epoch)  of stakes, from the chain
//!   Snapshot ──────┤       (now)         ├─► Submit, Claim        to the owner account's writer
//!   Events ────────┤                     ├─► Rejected
//!   Refused, Tick ─┤                     ├─► Save, SaveVotes      on disk, for Restored
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
//! Any member may submit. So that not all do at once, they take turns by hash,
//! [`PATIENCE_MS`](super::event::PATIENCE_MS)
//! apart. No I/O, clock or randomness; at most [`MAX_EPOCHS`] epochs are kept, and one attestation
//! for each member and epoch. What chain time decides is decided by one of two times ([`Now`]):
//! *not yet* by what the next block will say, *too late* by the greatest time that a block has had,
//! which never goes back ([`crate::chain::ChainClock`] has the reasons).

use std::collections::BTreeMap;

use swarm_identity::key::{PeerId, RecoverableBytes};
use swarm_round::RoundResult;

use super::epoch::{Epoch, EpochContext, Phase};
use super::event::{Attestation, Events, Fact, Input, Now, Output, Rejection};
use super::facts::Facts;
use super::records::EpochRecord;
use super::schedule::{EpochNumber, EpochSchedule};
use super::snapshot::StakeSnapshot;
use super::table::Domain;

/// Epochs that a node keeps; older ones are forgotten once nothing can be done about them.
pub const MAX_EPOCHS: usize = 256;
/// Epochs ahead of the node's own for which attestations are kept.
pub const EARLY_EPOCHS: u64 = 2;

/// Settlement at one node.
#[derive(Debug)]
pub struct Settler {
    me: PeerId,
    schedule: EpochSchedule,
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
    pub fn new(me: PeerId, schedule: EpochSchedule, domain: Domain) -> Self {
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
            Input::Snapshot(epoch, snapshot) => outputs.extend(self.snapshot(epoch, snapshot)),
            Input::Events(events) => self.events(events, now),
            Input::Refused(epoch, action) => {
                if let Some(epoch) = self.epochs.get_mut(&epoch) {
                    epoch.refused(action, now.ms);
                }
            }
            Input::Resumed(facts) => self.facts = facts,
            Input::Restored(record, votes) => self.restored(&record, votes),
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
                epoch.phase(&self.context(*number, now)),
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
    fn restored(&mut self, record: &EpochRecord, votes: Vec<(PeerId, RecoverableBytes)>) {
        self.rounds = self.rounds.max(self.schedule.rounds_until(record.epoch()));
        let epoch = self.epoch(record.epoch());
        if epoch.is_open() {
            epoch.restore(record, votes);
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

    fn snapshot(&mut self, number: EpochNumber, snapshot: StakeSnapshot) -> Vec<Output> {
        let Some(epoch) = self.epochs.get_mut(&number) else {
            return Vec::new();
        };
        let rejected = epoch.take_snapshot(snapshot, &self.domain);
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

    fn context(&self, number: EpochNumber, now: Now) -> EpochContext {
        EpochContext {
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
        let steps: Vec<EpochContext> = self
            .epochs
            .keys()
            .map(|number| self.context(*number, now))
            .collect();
        self.epochs
            .values_mut()
            .zip(&steps)
            .for_each(|(epoch, context)| epoch.advance(context, outputs));
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
                epoch.phase(&self.context(*number, now)).is_final()
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
